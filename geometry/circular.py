"""The few numbers that define a circular scan, and the vectors that follow from them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from ..base import InputError
from ..base.shapes import Angles, Vectors

MOST_DEG = 1e6  # more than a continuous scan of a thousand turns; angles of this size are still exact to a millionth of a degree
_LIMITS = (
    ("dso_mm", 1e-9, 1e12, "1e-9 to 1e12 mm; a parallel beam has its source 10 000 panel widths away"),
    ("dsd_mm", 1e-9, 1e12, "1e-9 to 1e12 mm"),
    ("pixel_mm", 1e-9, 1e6, "1e-9 to 1e6 mm"),
    ("rows", 1, 10**6, "1 to a million"),
    ("cols", 1, 10**6, "1 to a million"),
    ("axis_shift_mm", 0, 1e9, "a shift on the panel, in mm"),
    ("row_shift_mm", 0, 1e9, "a shift on the panel, in mm"),
    ("roll_deg", 0, 360, "-360 to 360 deg"),
)  # from a beamline to a scanner for ships: a number beyond these limits is in the wrong unit


@dataclass(frozen=True)
class Circular:
    """The numbers of `Scan.circular`, kept so that a scan can print itself in one line."""

    dso_mm: float
    dsd_mm: float
    rows: int
    cols: int
    pixel_mm: float
    axis_shift_mm: float = 0.0
    row_shift_mm: float = 0.0
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not math.isfinite(value):
                raise InputError(f"{name} is {value}", expected="a finite number")
        for name in ("dso_mm", "dsd_mm", "rows", "cols", "pixel_mm"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}", expected="a positive number")
        for name, least, most, meaning in _LIMITS:
            value = getattr(self, name)
            if value and not least <= abs(value) <= most:
                raise InputError(f"{name} is {value:g}", expected=meaning)

    def arguments(self) -> str:
        """The keyword arguments as source text."""
        return ", ".join(f"{name}={value!r}" for name, value in asdict(self).items())


def circular_vectors(recipe: Circular, angles_deg: Angles) -> tuple[Vectors, Vectors, Vectors, Vectors]:
    """The vectors (source, detector, u, v) of a circular scan, in mm; `Scan.circular` describes the frame."""
    b = np.deg2rad(angles_deg)
    zero, one = np.zeros_like(b), np.ones_like(b)
    across = np.stack([np.cos(b), np.sin(b), zero], axis=-1)
    up = np.stack([zero, zero, one], axis=-1)
    outward = np.stack([np.sin(b), -np.cos(b), zero], axis=-1)
    roll = math.radians(recipe.roll_deg)
    u_hat = math.cos(roll) * across + math.sin(roll) * up
    v_hat = math.cos(roll) * up - math.sin(roll) * across
    source = recipe.dso_mm * outward
    hit = (recipe.dso_mm - recipe.dsd_mm) * outward
    detector = hit - recipe.axis_shift_mm * u_hat - recipe.row_shift_mm * v_hat
    return source, detector, recipe.pixel_mm * u_hat, recipe.pixel_mm * v_hat


def angles_text(angles_deg: Angles) -> str:
    """Python text that evaluates to the same angles bit for bit; evenly spaced angles become a short expression.

    >>> angles_text(np.arange(0, 260, 10) * 0.8), angles_text(np.array([0.0, 90.0, 30.0]))
    ('[8.0 * i for i in range(0, 26)]', '[0.0, 90.0, 30.0]')
    """
    given = angles_deg.tolist()
    if len(given) > 8:
        step = (given[-1] - given[0]) / (len(given) - 1)
        for every in range(1, 11):
            base = round(abs(step) / every, 12)
            if not base:
                break
            first, by = round(given[0] / base), every if step > 0 else -every
            steps = range(first, first + by * len(given), by)
            if [base * i for i in steps] == given:
                return f"[{base} * i for i in {steps}]"
    return str(given)
