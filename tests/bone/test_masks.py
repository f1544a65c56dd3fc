"""Balls grown around masks and shrunk, against scipy's exact distances."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.bone.masks import box_around, closed, filled, grown, opened, shrunk, within
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


@pytest.mark.parametrize("shape", [(7, 31, 26), (1, 1, 9), (50, 60)])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_neighbours_are_those_of_scipy(shape: tuple[int, ...], steps: int) -> None:
    for share in (0.01, 0.3, 0.95):
        mask = np.random.default_rng(3).random(shape) < share
        box = np.ones((3,) * len(shape), bool)
        np.testing.assert_array_equal(grown(mask, steps), ndimage.binary_dilation(mask, box, iterations=steps))
        np.testing.assert_array_equal(shrunk(mask, steps), ndimage.binary_erosion(mask, box, iterations=steps, border_value=1))


def test_the_box_around_a_mask() -> None:
    mask = np.zeros((9, 8, 7), bool)
    mask[4:6, 0, 2] = mask[5, 3, 6] = True
    assert np.argwhere(mask[box_around(mask, 0)]).max(axis=0).tolist() == [1, 3, 4]
    assert [(s.start, min(s.stop, n)) for s, n in zip(box_around(mask), mask.shape, strict=True)] == [(3, 7), (0, 5), (1, 7)]


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
