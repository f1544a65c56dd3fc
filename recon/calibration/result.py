"""The result of a calibration: the corrected scan, and each correction with its error, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import Scan
from .trust import sense_line

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A corrected scan, and what was corrected.

    ``axis_shift_mm``, ``row_shift_mm`` and ``roll_deg`` add to the given scan's own, as `geometry.transform.correct` does: they are the
    quantities of `Scan.circular` themselves where the scan came in without shifts and roll. ``reversed`` says that the rotation runs the
    other way. ``score`` is how much the views contradict each other in the corrected geometry (0 not at all, 1 nothing in common; noise
    alone keeps it above 0), ``score_before`` in the given one. ``errors`` are standard errors: the jackknife's (leaving out a fifth of the
    views in turn) and a floor for what biases all views alike (see `trust`). ``notes`` name what was found and not applied.
    ``hardening_percent`` is how far `linearise` straightened the line integrals for this search (the scan's own are left as they are); 0
    for none. ``curves`` maps a correction to (values, scores) about the best, ``sense_scores`` each sense of rotation to its score;
    `calibration_picture.draw` draws both.
    """

    scan: Scan
    axis_shift_mm: float
    row_shift_mm: float
    roll_deg: float
    score: float
    score_before: float
    reversed: bool = False
    errors: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    sense_scores: Mapping[str, float] = field(default_factory=dict)
    hardening_percent: float = 0.0
    pixel_mm: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> dict[str, Any]:
        """The corrections that were applied, as plain numbers, for the run record."""
        found = {"axis_shift_mm": self.axis_shift_mm, "row_shift_mm": self.row_shift_mm, "roll_deg": self.roll_deg}
        kept: dict[str, Any] = {name: value for name, value in found.items() if name in self.errors}
        if self.sense_scores:
            kept["rotation_reversed"] = self.reversed
        return {**kept, "score_before": self.score_before, "score": self.score, "hardening_percent": self.hardening_percent}

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """What was found, in one line each: the corrections, the sense of rotation, the contradiction, and what was not applied."""
        lines = []
        for name, value in (("axis_shift_mm", self.axis_shift_mm), ("row_shift_mm", self.row_shift_mm), ("roll_deg", self.roll_deg)):
            if name in self.errors:
                label, unit = name.rsplit("_", 1)
                pixels = f" ({value / self.pixel_mm:+.2f} px)" if unit == "mm" else ""
                lines.append(f"{label.replace('_', ' ')} {value:+.4f} +- {self.errors[name]:.4f} {unit}{pixels}")
        if self.sense_scores:
            lines.append(sense_line(dict(self.sense_scores), self.reversed))
        lines.append(f"contradiction between views {self.score_before:.4g} -> {self.score:.4g}")
        if self.hardening_percent:
            lines.append(f"for this search the line integrals were straightened by {self.hardening_percent:.0f} % (beam hardening)")
        return (*lines, *self.notes)
