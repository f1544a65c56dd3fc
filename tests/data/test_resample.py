"""Resampling keeps totals, constants and linear ramps."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.data.volumes.resample import coarsen, resample, thumbnail
from fewview.geometry import Grid, InputError
from hypothesis import given
from hypothesis import strategies as st


@given(st.floats(1.0, 4.0), st.tuples(*[st.floats(-0.4, 0.4)] * 3))
def test_averaging_keeps_the_total(ratio: float, offset: tuple[float, float, float]) -> None:
    old = Grid((6, 7, 5), 0.3)
    volume = np.random.default_rng(0).random(old.shape)
    new = Grid((30, 30, 30), 0.3 * ratio, offset)
    total = resample(volume, old, new).sum(dtype=np.float64) * new.voxel_mm**3
    assert total == pytest.approx(volume.sum() * old.voxel_mm**3, rel=1e-5)


def test_interpolation_reproduces_a_ramp_and_shifts_follow_the_centre() -> None:
    old = Grid((8, 8, 8), 1.0, (1.0, 2.0, 3.0))
    x, y, z = np.meshgrid(old.x_mm, old.y_mm, old.z_mm, indexing="ij")
    ramp = (x + 2 * y - z).transpose(2, 1, 0)
    new = Grid((6, 6, 6), 0.5, (1.2, 2.1, 2.9))
    x, y, z = np.meshgrid(new.x_mm, new.y_mm, new.z_mm, indexing="ij")
    assert np.allclose(resample(ramp, old, new), (x + 2 * y - z).transpose(2, 1, 0), atol=1e-5)


def test_outside_is_zero_and_a_wrong_shape_is_refused() -> None:
    old = Grid((4, 4, 4), 1.0)
    far = Grid((4, 4, 4), 0.5, (100.0, 0.0, 0.0))
    assert not resample(np.ones(old.shape), old, far).any()
    with pytest.raises(InputError, match="shape"):
        resample(np.ones((3, 4, 4)), old, far)


def ramp_on(grid: Grid) -> np.ndarray:
    """x + 2 y - z in mm at the voxel centres: a mean over a block is the value at the block's middle."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    return (x + 2 * y - z).astype(np.float32)


def test_a_coarsened_ramp_is_the_ramp_on_the_coarser_grid() -> None:
    fine = Grid((8, 6, 4), 1.0, (1.0, 2.0, 3.0))
    np.testing.assert_allclose(coarsen(ramp_on(fine), 2), ramp_on(fine.coarser(2)), atol=1e-5)


def test_blocks_that_are_not_full_repeat_the_outermost_voxels() -> None:
    line = np.broadcast_to(np.float32([1, 2, 3, 4, 5]), (1, 1, 5))
    np.testing.assert_allclose(coarsen(np.repeat(np.repeat(line, 3, 0), 3, 1), 3), [[[2, 14 / 3]]], rtol=1e-6)  # 1 2 3, 4 5 5


@pytest.mark.parametrize(("most", "factor"), [(10, 1), (5, 2), (3, 4)])
def test_a_thumbnail_of_a_ramp_is_the_ramp_on_its_own_grid(most: int, factor: int) -> None:
    grid = Grid((10, 9, 8), 0.5, (1.0, -2.0, 0.3))
    small, small_grid = thumbnail(ramp_on(grid), grid, most)
    assert small.shape == small_grid.shape == tuple(n // factor for n in grid.shape)
    assert small_grid.voxel_mm == 0.5 * factor
    np.testing.assert_allclose(small, ramp_on(small_grid), atol=1e-5)


def test_a_grid_too_thin_for_blocks_keeps_its_voxels() -> None:
    grid = Grid((1, 200, 200), 0.5)
    volume = np.ones(grid.shape, np.float32)
    small, small_grid = thumbnail(volume, grid, 96)
    assert small is volume
    assert small_grid is grid
