"""What a measurement gives: a mapping from quantity to value, with intervals, maps, a row for each slice, and what was decided."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ...geometry import Grid
from .quantities import QUANTITIES

Intervals = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Measured(Mapping[str, float]):
    """``m["Tb_Th"]`` is a value in the unit of its quantity; NaN where it cannot be measured, and ``notes`` says why.

    ``intervals``: name -> (low, high), where they are known. ``maps``: "thickness" and "separation" in mm, "plate" 0 to 1, and
    "compartments" (0 outside, 1 trabecular, 2 cortical), on ``grid``. ``slices``: a row for each slice of the region. ``settings``: the
    threshold and how it was found, the region, and so on.
    """

    values_by_name: Mapping[str, float]
    grid: Grid
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    slices: Sequence[Mapping[str, float]] = ()
    intervals: Intervals = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def table(self) -> str:
        """The quantities as text, a line each: symbol, value, interval, unit, definition."""
        lines = []
        for name, value in self.items():
            row = QUANTITIES[name]
            lines.append(f"{row.symbol:<12} {self.shown(name):>24}  {row.unit:<8} {self.notes.get(name) or row.means}".rstrip())
            if math.isnan(value) and name not in self.notes:
                lines[-1] = f"{row.symbol:<12} {'-':>24}  {row.unit:<8} not measured"
        return "\n".join(lines)

    def shown(self, name: str) -> str:
        """A value for people, with its interval: ``23.10 (22.40 to 23.90)``; ``-`` for none."""
        value, digits = self[name], QUANTITIES[name].decimals
        if math.isnan(value):
            return "-"
        if name not in self.intervals:
            return f"{value:.{digits}f}"
        low, high = self.intervals[name]
        return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    def csv(self) -> str:
        """One line for the scan: a column for each quantity, and two for each interval."""
        row: dict[str, float] = {}
        for name, value in self.items():
            row[f"{name} [{QUANTITIES[name].unit}]"] = value
            if name in self.intervals:
                row[f"{name} low"], row[f"{name} high"] = self.intervals[name]
        return _csv([row])

    def slices_csv(self) -> str:
        """One line for each slice."""
        return _csv(list(self.slices))


def _csv(rows: Sequence[Mapping[str, float]]) -> str:
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([{k: "" if math.isnan(v) else f"{v:.7g}" for k, v in row.items()} for row in rows])
    return out.getvalue()
