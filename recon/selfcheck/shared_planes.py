"""Planes that two views share: a less strict test for scans in which no ray was measured twice, to which every pair of views adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..calibration.epipolar import Epipolar
from ..calibration.search import Search
from .small_views import SmallViews

MIN_CONE_DEG, MIN_ROWS = 2.0, 16
_PAIRS, _SMOOTH_PX, _REACH_PX = 600, 1.0, 6.0


@dataclass(frozen=True)
class PlaneAgreement:
    """The energy of the disagreement as a share of that of the values compared.

    It is given for the given geometry, with the best axis shift (``axis_px`` small pixels), and with the rotation reversed. ``pairs``: how
    many pairs of views.
    """

    given: float
    best: float
    reversed: float
    axis_px: float
    pairs: int


def plane_agreement(small: SmallViews) -> PlaneAgreement | None:
    """How far the views contradict each other in the planes that they share (see `calibration.epipolar`); None without such planes."""
    scan = small.scan
    if scan.cone_angles_deg[1] < MIN_CONE_DEG or scan.shape[0] < MIN_ROWS:
        return None
    test = Epipolar(small.values, scan, _SMOOTH_PX, most_pairs=_PAIRS)
    if len(test.pairs) < 3:
        return None
    search = Search(test, [0])
    shifts = np.arange(-_REACH_PX, _REACH_PX + 1)
    scores = search.scores([np.array([shift, 0.0, 0.0]) for shift in shifts], False)[0]
    given = float(scores[len(shifts) // 2])
    k = int(np.clip(scores.argmin(), 1, len(shifts) - 2))
    bend = scores[k - 1] - 2 * scores[k] + scores[k + 1]
    axis = float(shifts[k] + (0.5 * (scores[k - 1] - scores[k + 1]) / bend if bend > 0 else 0.0))
    other = [float(search.scores([np.array([shift, 0.0, 0.0])], True)[0][0]) for shift in (0.0, axis)]
    return PlaneAgreement(given, float(scores.min()), min(other), axis, len(test.pairs))
