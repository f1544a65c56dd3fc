"""Who leads: every row compared with the best classical one after a linear map, pairwise over animals, and the answer in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...base import InputError
from ...recon import METHODS
from ...recon.method.registry import ROWS
from ..comparison.choosing.tuning import HEADLINE
from ..comparison.control_methods import CONTROLS, TV_FDK
from ..comparison.tables import stands, values_of
from ..scores.against.references import RECON_CT, TRUTH
from ..scores.statistics import Interval, by_animal, paired_difference

Records = Sequence[Mapping[str, Any]]
CLASSICAL = ("analytic", "iterative")


@dataclass(frozen=True)
class Lead:
    """The ``difference`` in dB of a ``row`` from the ``baseline`` at a number of views: PSNR in the object after a linear map."""

    row: str
    method: str
    views: int
    baseline: str
    difference: Interval

    @property
    def learned(self) -> bool:
        """Whether the row is one that could lead: neither classical nor a control."""
        return not is_classical(self.method) and self.method not in CONTROLS


def is_classical(method: str) -> bool:
    """Whether a method learned nothing from volumes, or is the linear map of two such methods. An iterative method whose prior was learned
    beforehand is none.

    >>> [is_classical(name) for name in ("fdk", "pdhg_tv", "control-tv-fdk", "control-mean", "pixelnerf", "wcrr")]
    [True, True, True, False, False, False]
    """
    if method in ROWS and ROWS[method].shipped:
        return False
    return method == TV_FDK or (method in METHODS and METHODS[method].kind in CLASSICAL)


def leads(records: Records, section: str) -> list[Lead]:
    """Every row but the baseline, at each number of views; none for records without linear maps."""
    found = []
    for views in sorted({r["task"]["views"] for r in records}):
        rows = _rows([r for r in records if r["task"]["views"] == views], section)
        means = {name: sum(by_animal(v).values()) / len(by_animal(v)) for name, (method, v) in rows.items() if is_classical(method)}
        if not means:
            continue
        baseline = max(means, key=lambda name: means[name])
        for name, (method, values) in rows.items():
            if name == baseline:
                continue
            try:
                difference = paired_difference(values, rows[baseline][1])
            except InputError:  # no animal in common
                continue
            found.append(Lead(name, method, views, baseline, difference))
    return found


def _rows(records: Records, section: str) -> dict[str, tuple[str, dict[tuple[str, ...], float]]]:
    """Name of the row -> (its method, the scores of its records)."""
    found = {}
    for method in dict.fromkeys(r["task"]["method"] for r in records):
        own = [r for r in records if r["task"]["method"] == method]
        for tuned in (False, True):
            values = {k: v for k, v in values_of(stands(own, tuned), section, HEADLINE).items() if math.isfinite(v)}
            if values:
                found[f"{method}, tuned" if tuned else method] = method, values
    return found


def in_words(records: Records) -> list[str]:
    """A sentence for each reference and number of views: which classical row is the best, and whether a learned method leads over it."""
    lines = []
    for section in (TRUTH, RECON_CT):
        for views in sorted({r["task"]["views"] for r in records}):
            own = [lead for lead in leads(records, section) if lead.views == views]
            if own:
                lines.append(f"Against {section} from {_views(views)}: {_verdict(own)}")
    return lines


def _verdict(own: Sequence[Lead]) -> str:
    start = f"the best classical row after a linear map is {own[0].baseline}."
    learned = [lead for lead in own if lead.learned]
    if not learned:
        return f"{start} No learned method was compared."
    ahead = [lead for lead in learned if lead.difference.low > 0]
    if not ahead:
        best = max(learned, key=lambda lead: lead.difference.mean)
        return f"{start} No learned method leads over it (the nearest, {best.row}: {_signed(best.difference)})."
    return f"{start} Over it lead: {'; '.join(f'{lead.row}, {_signed(lead.difference)}' for lead in ahead)}."


def _signed(d: Interval) -> str:
    return f"{d.mean:+.2f} dB [{d.low:+.2f}, {d.high:+.2f}]" if math.isfinite(d.low) else f"{d.mean:+.2f} dB in one animal"


def _views(count: int) -> str:
    return "1 view" if count == 1 else f"{count} views"
