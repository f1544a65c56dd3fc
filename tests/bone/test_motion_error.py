"""How well a motion is known, of bones with artefacts that the test puts there."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from fewview.bone import CTRegistration
from fewview.bone.weeks.bone_fit import fit_surface
from fewview.bone.weeks.motion_error import motion_error
from fewview.data import hind_limb
from fewview.geometry import Grid
from numpy.typing import NDArray
from scipy import ndimage

GRID = Grid((48, 34, 34), 0.2, (0.0, 0.0, -3.0))  # mm: the proximal half of a tibia
LEVEL = 0.1
STILL = np.eye(3), np.zeros(3)


@cache
def bone() -> NDArray[np.float32]:
    limb = hind_limb(GRID, seed=3, holder=False, supersample=2)
    return np.where(limb.mask("tibia", "fibula"), limb.volume, 0.035).astype(np.float32)


def artefacts(seed: int, size: float = 0.002) -> NDArray[np.float32]:
    """Long along z, as streaks are; the same everywhere else."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(GRID.shape), (8, 1.5, 1.5), mode="wrap")
    return (size * field / field.std()).astype(np.float32)


def both(seed: int, size: float = 0.002) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return bone() + artefacts(2 * seed, size), bone() + artefacts(2 * seed + 1, size)


def test_the_bound_is_as_large_as_the_errors_are() -> None:
    """Of eight pairs of scans of a bone that did not move. Eight squares tell their root mean to a quarter; the bound may be too wide, but
    not by more than a factor of two.
    """
    turned, moved = [], []
    middle = np.argwhere(bone() > LEVEL).mean(axis=0)[::-1] * GRID.voxel_mm + GRID.origin_mm
    for one, other in map(both, range(8)):
        rotation, shift = fit_surface((one, LEVEL), GRID, (other, LEVEL), GRID, STILL)
        turned.append(math.degrees(np.linalg.norm(rotation - rotation.T) / math.sqrt(8)))  # of small angles
        moved.append(float(np.linalg.norm(rotation @ middle + shift - middle)))
    one, other = both(0)
    stated = motion_error((one, LEVEL), GRID, (other, LEVEL), GRID, STILL)
    for errors, bound in ((turned, stated.turn_deg), (moved, stated.shift_mm)):
        assert 0.75 < bound / 1.96 / math.sqrt(np.mean(np.square(errors))) < 2


def test_twice_the_artefacts_twice_the_bound() -> None:
    bounds = [motion_error((one, LEVEL), GRID, (other, LEVEL), GRID, STILL).turn_deg for one, other in (both(0, 0.0005), both(0, 0.001))]
    assert bounds[1] == pytest.approx(2 * bounds[0], rel=0.15)


def test_air_beside_the_limb_is_no_artefact() -> None:
    """A corner of the box beyond the skin, as in any scan of a limb, says nothing about streaks. What blur leaves of its border makes the
    bound twice as wide as it is without a corner; with all of the corner it would be seven times as wide.
    """
    _, y, x = np.indices(GRID.shape)
    beyond = (y + x < 22) & (bone() < LEVEL)
    one, other = both(0)
    whole = motion_error((one, LEVEL), GRID, (other, LEVEL), GRID, STILL).turn_deg
    cut = [np.where(beyond, v - 0.035, v) for v in (one, other)]
    found = motion_error((cut[0], LEVEL), GRID, (cut[1], LEVEL), GRID, STILL)
    assert whole / 1.25 < found.turn_deg < 3 * whole


def test_where_nothing_was_measured_nothing_is_stated() -> None:
    """Soft tissue was filled in with one value, or was cut away."""
    found = motion_error((bone(), LEVEL), GRID, (bone(), LEVEL), GRID, STILL)
    assert not found.known
    assert "cannot be told" in found.in_words


def test_a_turn_that_is_not_known_well_enough_is_not_sure() -> None:
    one, other = both(0)
    few = {"threshold": LEVEL, "starts_deg": (0.0,), "resolutions": (4,)}
    strict, lenient = (CTRegistration(**few, turn_tolerance_deg=most)(one, GRID, other, GRID) for most in (0.05, 20.0))
    assert 0.05 < strict.turn_error_deg < 20
    assert strict.turn_error_deg == lenient.turn_error_deg
    assert lenient.confidence > 0.5 > strict.confidence
    assert "not to 0.05 deg" in strict.doubts[-1]
