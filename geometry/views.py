"""Which views to keep: every function returns sorted, distinct indices of views, ready for ``scan[index]``."""

from __future__ import annotations

import math

import numpy as np

from ..base import InputError
from ..base.shapes import ViewIndices
from .scan import Scan


def _check_count(scan: Scan, count: int) -> int:
    if int(count) != count or not 1 <= count <= len(scan):
        raise InputError(f"{count} views were asked for", expected=f"a whole number from 1 to {len(scan)}, the views of this scan")
    return int(count)


def evenly(scan: Scan, count: int) -> ViewIndices:
    """``count`` views spread evenly over the scan, including the first and the last one (a single view is the middle one).

    >>> from fewview.geometry import skyscan_1276
    >>> evenly(skyscan_1276(rows=2, cols=3, voxel_mm=1.0), 3)
    array([  0, 130, 259])
    """
    count = _check_count(scan, count)
    if count == 1:
        return np.array([len(scan) // 2])
    return np.floor(np.arange(count) * (len(scan) - 1) / (count - 1) + 0.5).astype(np.intp)


def every(scan: Scan, step: int) -> ViewIndices:
    """Every ``step``-th view, beginning with the first: 0, step, 2 step, ..."""
    if int(step) != step or step < 1:
        raise InputError(f"step is {step}", expected="a whole number of 1 or more")
    return np.arange(0, len(scan), int(step))


def random(scan: Scan, count: int, seed: int = 0) -> ViewIndices:
    """``count`` different views drawn at random; the same seed draws the same views."""
    count = _check_count(scan, count)
    return np.sort(np.random.default_rng(seed).permutation(len(scan))[:count])


def wedge(scan: Scan, degrees: float, start_deg: float | None = None) -> ViewIndices:
    """The views within ``degrees`` of rotation, from ``start_deg`` (default: the scan's first view) in its sense of rotation."""
    if not (math.isfinite(degrees) and degrees > 0):
        raise InputError(f"a wedge of {degrees} deg was asked for", expected="a positive angle in degrees")
    angles = scan.angles_deg
    turn = angles[-1] - angles[0]
    sense = 1.0 if turn >= 0 else -1.0
    begin = angles[0] if start_deg is None else float(start_deg)
    travelled = sense * (angles - begin)
    kept = np.flatnonzero((travelled >= -1e-9) & (travelled <= degrees + 1e-9))
    if kept.size == 0:
        raise InputError(
            f"no view lies within {degrees} deg from {begin} deg",
            expected=f"a wedge that meets the scan's {angles.min():g} to {angles.max():g} deg",
        )
    return kept
