"""Calibration of fan and parallel beams, which have no more to find than the axis shift and the sense of rotation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import LineIntegrals
from ...data import Projections
from ...data.images.binning import bin_views
from ...geometry import Scan
from ...geometry.transform import bin_pixels, crop
from ..method import Callback
from .reprojection import Reprojection
from .search import Corrected, Estimate
from .steps import Steps
from .trust import the_clearer

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
_ROWS, _ROUGH_COLS, _FINE_COLS = 4, 64, 384


def axis_estimate(
    chosen: Projections, sense: bool, reach_px: float, callbacks: Sequence[Callback] = ()
) -> tuple[Estimate, dict[str, float], float, Curve]:
    """(axis shift in detector pixels, score of each sense, score without a shift, (shifts, scores)) from the middle rows.

    The score is the energy of the residual of a reconstruct-reproject round over the energy of the views.
    """
    rows, cols = chosen.scan.shape
    first = max(0, (rows - _ROWS) // 2)
    middle = slice(first, min(rows, first + _ROWS))
    flat = chosen.values[:, middle].mean(axis=1, keepdims=True)
    scan = bin_pixels(crop(chosen.scan, rows=middle), middle.stop - middle.start, 1)
    found, before = [], 0.0
    senses, coarse, factor = (False, True) if sense else (False,), max(1, cols // _ROUGH_COLS), -(-cols // _FINE_COLS)
    done = Steps(callbacks, len(senses) * (_tries(reach_px, coarse) + _tries(2.0 * coarse, factor) + 2))
    for reverse in senses:
        rough, _ = _search(flat, scan, coarse, 0.0, reach_px, reverse, done)
        found.append(_search(flat, scan, factor, rough.values[0], 2.0 * coarse, reverse, done))
        if not reverse:
            test, geometry = _prepared(flat, scan, factor)
            before = float(test.energy(test.values, geometry(np.zeros(3), False)).sum())
    best, curve = next(pair for pair in found if pair[0] is the_clearer([estimate for estimate, _ in found]))
    scores = {"reversed" if estimate.reverse else "as given": estimate.score for estimate, _ in found}
    return best, scores if sense else {}, before, curve


def _prepared(flat: LineIntegrals, scan: Scan, factor: int) -> tuple[Reprojection, Corrected]:
    small = bin_pixels(scan, 1, factor)
    return Reprojection(bin_views(flat, 1, factor), small, refinements=2, smooth_px=1.0), Corrected(small)


def _tries(reach_px: float, factor: int) -> int:
    return 2 * int(np.ceil(reach_px / factor)) + 1


def _search(
    flat: LineIntegrals, scan: Scan, factor: int, about_px: float, reach_px: float, reverse: bool, done: Steps
) -> tuple[Estimate, Curve]:
    """The best shift within ``reach_px`` of ``about_px``, on columns binned by ``factor``, and the scores on the way."""
    test, geometry = _prepared(flat, scan, factor)
    count = _tries(reach_px, factor) // 2
    shifts = np.arange(-count, count + 1, dtype=np.float64) + np.float64(about_px / factor)
    scores = []
    for shift in shifts:
        scores.append(float(test.energy(test.values, geometry(np.array([shift, 0.0, 0.0]), reverse)).sum()))
        done()
    lowest = Estimate.at(np.array([shifts[int(np.argmin(scores))], 0.0, 0.0]), min(scores), reverse)
    fine = test.refine(geometry, lowest, [0], [0.7])
    done()
    score = float(test.energy(test.values, geometry(fine.values, reverse)).sum())
    return fine.changed(score=score).scaled(factor), (shifts * np.float64(factor), np.array(scores))
