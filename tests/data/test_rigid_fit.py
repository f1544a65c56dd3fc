"""The fit of a motion by grey values, on a scene that is known between the voxels, too: a sum of Gaussian balls."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.data.volumes.rigid_fit import Similarity, fit_motion, sensitivity
from fewview.geometry import Grid
from fewview.geometry.transform import rotation_matrix
from numpy.typing import NDArray

GRID = Grid((40, 44, 48), 0.1, (0.3, -0.2, 0.5))
RNG = np.random.default_rng(5)
BALLS_MM, SIZES_MM = RNG.uniform(-1.5, 1.5, (25, 3)) + GRID.center_mm, RNG.uniform(0.3, 0.6, 25)
TRUE = Similarity(rotation_matrix(np.array([0.5, -0.3, 0.8]), 40.0), np.array([0.25, -0.1, 0.15]))
POINTS = RNG.uniform(-0.9, 0.9, (4000, 3))


def scene(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value at places (point, 3) in mm."""
    squares = ((places[:, None] - BALLS_MM) ** 2).sum(axis=2)
    return np.exp(-squares / (2 * SIZES_MM**2)).sum(axis=1)


def volume() -> NDArray[np.float32]:
    z, y, x = np.meshgrid(GRID.z_mm, GRID.y_mm, GRID.x_mm, indexing="ij")
    return scene(np.stack([x, y, z], axis=-1).reshape(-1, 3)).reshape(GRID.shape).astype(np.float32)


def off(found: Similarity, true: Similarity) -> float:
    """The farthest that a point goes elsewhere, in voxels."""
    return float(np.linalg.norm(found.places(POINTS) - true.places(POINTS), axis=1).max()) / GRID.voxel_mm


def shaken(true: Similarity, scale: float = 1.0) -> Similarity:
    return Similarity(rotation_matrix(np.array([1.0, 1.0, -0.5]), 5.0) @ true.rotation, true.shift + 0.1, scale)


@pytest.mark.parametrize("gain", [3.0, -0.5])
def test_a_motion_is_found_whatever_the_grey_levels(gain: float) -> None:
    found = fit_motion(volume(), GRID, POINTS, gain * scene(TRUE.places(POINTS)) + 7, shaken(TRUE))
    assert off(found.motion, TRUE) < 0.06
    assert abs(found.correlation) > 0.9999
    assert found.correlation * gain > 0


def test_with_its_scale_and_a_mirror() -> None:
    true = Similarity(TRUE.rotation @ np.diag([1.0, -1.0, 1.0]), TRUE.shift, 1.04)
    wanted = scene(true.places(POINTS))
    found = fit_motion(volume(), GRID, POINTS, wanted, shaken(true), freedoms=7)
    assert off(found.motion, true) < 0.06
    assert found.motion.scale == pytest.approx(1.04, rel=1e-3)
    assert fit_motion(volume(), GRID, POINTS, wanted, shaken(true)).motion.scale == 1.0


def test_places_that_changed_are_passed_over() -> None:
    wanted = scene(TRUE.places(POINTS))
    wanted[POINTS[:, 0] > 0.75] = 0.0  # one place of twelve is gone
    found = fit_motion(volume(), GRID, POINTS, wanted, shaken(TRUE))
    squares = fit_motion(volume(), GRID, POINTS, wanted, shaken(TRUE), tolerated=5.0)  # all places count
    assert off(found.motion, TRUE) < 0.5
    assert off(squares.motion, TRUE) > 2 * off(found.motion, TRUE)
    assert (found.used < 0.95, squares.used) == (True, 1.0)


def test_places_that_are_not_valid_do_not_count() -> None:
    values, valid = volume(), np.ones(GRID.shape, bool)
    valid[:, :, 30:], values[:, :, 32:] = False, 0.0
    found = fit_motion(values, GRID, POINTS, scene(TRUE.places(POINTS)), shaken(TRUE), valid=valid, tolerated=5.0)
    assert off(found.motion, TRUE) < 0.05
    nowhere = fit_motion(values, GRID, POINTS, scene(TRUE.places(POINTS)), shaken(TRUE), valid=np.zeros(GRID.shape, bool))
    assert (nowhere.correlation, nowhere.used) == (-1.0, 0.0)


@pytest.mark.parametrize("gain", [3.0, -0.5])
def test_a_small_change_of_what_is_wanted_moves_the_fit_as_foretold(gain: float) -> None:
    """A slope of the grey values along x pulls the fit along. Foretold to a quarter: the fit finds its own factor, too, and ends early."""
    wanted = gain * scene(TRUE.places(POINTS)) + 7
    change = 0.02 * gain * POINTS[:, 0]
    before, after = (fit_motion(volume(), GRID, POINTS, w, TRUE, tolerated=5.0).motion for w in (wanted, wanted + change))
    foretold, factor = sensitivity(volume(), GRID, POINTS, wanted, before, tolerated=5.0)
    moved = before.moved(foretold @ change, before.places(POINTS.mean(axis=0)[None])[0])
    assert off(after, before) > 0.05
    assert off(moved, after) < 0.25 * off(after, before)
    assert factor == pytest.approx(gain, rel=0.01)
