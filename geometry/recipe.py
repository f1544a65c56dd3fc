"""From the vectors of a scan back to the few numbers of a circular one."""

from __future__ import annotations

import numpy as np

from ..base import InputError
from ..base.shapes import PerView, Vectors
from .circular import Circular, circular_vectors
from .scan import Scan


def circular_recipe(scan: Scan) -> Circular:
    """The numbers from which `Scan.circular` makes the vectors of this scan again (with its own ``angles_deg``), however it was made.

    In this way a circular scan still has a recipe after it was binned, cropped, shifted or rolled. Raises InputError where no recipe is
    right within 1e-9 of the source distance: for a scan that was moved or tilted, has shifts for single views, follows another trajectory,
    or has rows that run down or oblong pixels.
    """
    rows, cols = scan.shape
    b = np.deg2rad(scan.angles_deg)
    across, outward = _frame(b)
    pixel = np.linalg.norm(scan.u, axis=1).mean()
    dso = np.einsum("ij,ij->i", scan.source, outward).mean()
    dsd = scan.dsd_mm
    u_hat, v_hat = scan.u / pixel, scan.v / pixel
    roll = float(np.degrees(np.arctan2(u_hat[:, 2], np.einsum("ij,ij->i", u_hat, across)).mean()))
    off = (dso - dsd) * outward - scan.detector
    shift = np.einsum("ij,ij->i", off, u_hat).mean(), np.einsum("ij,ij->i", off, v_hat).mean()
    numbers = [_clean(float(value), dso) for value in (dso, dsd, pixel, *shift, roll)]
    refusal = InputError(
        "this scan is not a plain circular one about the z axis",
        expected="vectors that Scan.circular can make: not moved or tilted, no per-view shifts, rows upwards, square pixels",
        remedy="undo the motion first, or keep the scan as scan.expression()",
    )
    if not (numbers[0] > 0 and numbers[1] > 0):
        raise refusal
    recipe = Circular(numbers[0], numbers[1], rows, cols, *numbers[2:])
    made = circular_vectors(recipe, scan.angles_deg)
    for given, again, size in zip((scan.source, scan.detector, scan.u, scan.v), made, (dso, dsd, pixel, pixel), strict=True):
        if np.abs(given - again).max() > 1e-9 * size * (1 if size != pixel else 1e3):
            raise refusal
    return recipe


def _frame(b: PerView) -> tuple[Vectors, Vectors]:
    zero = np.zeros_like(b)
    return np.stack([np.cos(b), np.sin(b), zero], axis=-1), np.stack([np.sin(b), -np.cos(b), zero], axis=-1)


def _clean(value: float, size: float) -> float:
    """The value without the rounding errors of the calculation: 12 significant digits, and nothing below 1e-13 of the scan's size."""
    return 0.0 if abs(value) < 1e-13 * abs(size) else float(f"{value:.13g}")
