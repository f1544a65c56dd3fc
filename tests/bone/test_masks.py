"""Balls grown around masks and shrunk, against scipy's exact distances."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.bone.masks import closed, filled, opened, within
from scipy import ndimage


def depth(mask: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.distance_transform_edt(mask))


@pytest.mark.parametrize("shape", [(20, 31, 26), (50, 60)])
@pytest.mark.parametrize(("share", "reach"), [(0.002, 3.3), (0.02, 2.0), (0.02, 15.0), (0.3, 1.5), (0.7, 1.0), (0.002, 80.0)])
def test_balls_are_exact(shape: tuple[int, ...], share: float, reach: float) -> None:
    mask = np.random.default_rng(1).random(shape) < share
    mask.flat[7] = True
    assert not mask.all()
    near = depth(~mask) <= reach
    np.testing.assert_array_equal(within(mask, reach), near)
    np.testing.assert_array_equal(closed(mask, reach), mask | (depth(near) > reach) if not near.all() else mask)
    core = depth(mask) > reach
    expected = mask & (depth(~core) <= reach) if core.any() else np.zeros_like(mask)
    np.testing.assert_array_equal(opened(mask, reach), expected)


def test_nothing_and_everything() -> None:
    nothing, everything = np.zeros((3, 4, 5), bool), np.ones((3, 4, 5), bool)
    assert not within(nothing, 2).any()
    assert not closed(nothing, 2).any()
    assert not opened(nothing, 2).any()
    assert closed(everything, 2).all()
    assert opened(everything, 2).all()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.65, 0.9])
def test_what_is_enclosed_is_filled(share: float) -> None:
    mask = np.random.default_rng(2).random((40, 50)) < share
    np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))
