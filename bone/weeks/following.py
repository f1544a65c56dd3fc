"""`follow`: the quantities of one animal over weeks, and what changed since the first."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...base import InputError
from ..measures.measured import Measured
from ..measures.quantities import QUANTITIES


@dataclass(frozen=True, eq=False)
class Followed:
    """``weeks``: week -> its `Measured`, in order. A change is that since the first week."""

    weeks: Mapping[int, Measured]

    def change(self, name: str, week: int) -> tuple[float, float]:
        """(difference to the first week in the quantity's unit, the same in % of the first week's value); NaN where it is not measured."""
        first = self.weeks[min(self.weeks)][name]
        difference = self.weeks[week][name] - first
        return difference, 100 * difference / first if first else math.nan

    @property
    def missing(self) -> tuple[int, ...]:
        """Weeks between the first and the last that were not measured."""
        return tuple(w for w in range(min(self.weeks), max(self.weeks)) if w not in self.weeks)

    def table(self) -> str:
        """A line a quantity: its value each week, and the change to the last week."""
        last = max(self.weeks)
        lines = [f"{'':<12}" + "".join(f"{f'week {w}':>14}" for w in self.weeks) + f"{'change':>14}{'in %':>9}"]
        for name in self.weeks[last]:
            digits = QUANTITIES[name].decimals
            values = "".join(f"{'-' if math.isnan(m[name]) else f'{m[name]:.{digits}f}':>14}" for m in self.weeks.values())
            difference, share = self.change(name, last)
            shown = f"{difference:+14.{digits}f}{share:+9.1f}" if math.isfinite(share) else f"{'-':>14}{'-':>9}"
            lines.append(f"{QUANTITIES[name].symbol:<12}{values}{shown}  {QUANTITIES[name].unit}")
        return "\n".join(lines)

    def csv(self) -> str:
        """A line for each week and quantity: value, change, change in %."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["week", "quantity", "unit", "value", "change", "change in %"])
        for week, measured in self.weeks.items():
            for name, value in measured.items():
                numbers = (value, *self.change(name, week))
                writer.writerow([week, name, QUANTITIES[name].unit, *("" if math.isnan(v) else f"{v:.7g}" for v in numbers)])
        return out.getvalue()


def follow(measured: Mapping[int, Measured]) -> Followed:
    """The changes over weeks; a week that is missing is passed over, and named in ``missing``.

    Raises InputError for fewer than two weeks, or for weeks that were measured in another way (threshold, region, voxel).
    """
    if len(measured) < 2:
        raise InputError(f"{len(measured)} week", expected="two weeks or more")
    ordered = dict(sorted(measured.items()))
    ways = {(m.settings.get("region"), round(m.grid.voxel_mm, 9)) for m in ordered.values()}
    given = {m.settings["threshold"] for m in ordered.values() if m.settings.get("threshold_found") == "given"}
    if len(ways) > 1 or len(given) > 1:
        raise InputError(
            f"the weeks were measured in {max(len(ways), len(given))} ways", expected="one threshold, region and voxel for all"
        )
    return Followed(ordered)
