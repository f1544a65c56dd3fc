"""The current along a leg: potentials of bars in a row by Ohm's law, and the necks between them."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.bone.segmentation.current import _SOFT, evened, necks, potential


def bars(gaps: tuple[tuple[int, int], ...]) -> np.ndarray:
    """A bar of 9 x 9 voxels along z, 60 long, with gaps."""
    grey = np.zeros((60, 9, 9), np.float32)
    grey[:] = 1
    for start, stop in gaps:
        grey[start:stop] = 0
    return grey


def solved(grey: np.ndarray) -> np.ndarray:
    near = np.ones(grey.shape, bool)
    hot, cold = np.zeros_like(near), np.zeros_like(near)
    hot[-2:], cold[:2] = True, True
    return potential(grey, near, hot, cold)


def test_potentials_follow_ohms_law() -> None:
    gaps = ((20, 22), (30, 34))
    grey = bars(gaps)
    found = solved(grey)[:, 4, 4]
    resistance = np.where(grey[:, 4, 4] > 0, 1.0, 1 / _SOFT)
    steps = (resistance[1:] + resistance[:-1])[1:-1] / 2  # from the last cold slice to the first hot one
    expected = np.concatenate([[0.0, 0.0], np.cumsum(steps) / steps.sum(), [1.0]])
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_necks_are_where_gaps_are() -> None:
    gaps = ((15, 17), (28, 31), (44, 46))
    grey = bars(gaps)
    found = necks(evened(solved(grey), grey > 0), grey, 0.3)
    assert len(found.level) == 3
    assert found.depth.min() > 0.9
    np.testing.assert_allclose(found.place[:, 0], [(a + b - 1) / 2 for a, b in gaps], atol=1.0)
    assert (np.diff(found.level) > 0).all()


def test_a_bridge_makes_a_neck_less_deep() -> None:
    grey = bars(((28, 31),))
    grey[28:31, 3:6, 3:6] = 1  # a ninth of the section
    found = necks(evened(solved(grey), grey > 0), grey, 0.3)
    assert found.depth.max() == pytest.approx(8 / 9, abs=0.06)


def test_what_leads_nowhere_has_no_potential() -> None:
    grey = bars(())
    near = np.ones(grey.shape, bool)
    near[:, 6] = False
    hot, cold = np.zeros_like(near), np.zeros_like(near)
    hot[-2:, :6], cold[:2, :6] = True, True
    found = potential(grey, near, hot, cold)
    assert np.isfinite(found[:, :6]).all()
    assert np.isnan(found[:, 6:]).all()
