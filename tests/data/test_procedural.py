"""Procedural volumes: the same from the same seed, of attenuation that exists, averaged rightly, and the same scene on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.base import InputError
from fewview.data.phantom.procedural.anatomy import Frame, arc, braincase, hollow, mirrored, tilted
from fewview.data.phantom.procedural.bodies import Body, averaged, ball, disc, ellipsoid, rod, turned
from fewview.data.phantom.procedural.kinds_of_volumes import FAMILIES, family_of, random_volume
from fewview.data.phantom.procedural.unseen import chest, tooth
from scipy.ndimage import map_coordinates

SHAPE = (16, 20, 20)
EVERY = {**FAMILIES, "tooth": tooth, "chest": chest}


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_repeats_bit_for_bit_and_another_differs(name: str) -> None:
    first, again, other = (EVERY[name](SHAPE, 0.2, seed) for seed in (3, 3, 4))
    assert first.dtype == np.float32
    assert first.shape == SHAPE
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - other).max() > 0.005


@pytest.mark.parametrize("name", EVERY)
def test_values_are_attenuation_and_there_is_a_body_in_air(name: str) -> None:
    volume = EVERY[name](SHAPE, 0.2 if name != "chest" else 15.0, 1)
    assert volume.min() >= 0
    assert 0.009 < volume.max() <= {"chest": 0.05, "skull": 0.38, "head": 0.48, "mammal": 0.6}.get(name, 0.3)
    assert 0.02 < (volume > 0.005).mean() < 0.95


@pytest.mark.parametrize("name", sorted({*EVERY} - {"limb"}))
def test_smaller_voxels_show_the_same_scene(name: str) -> None:
    """Lengths are shares of the box. (The limb has its own test of this.)"""
    coarse, fine = EVERY[name](SHAPE, 0.2, 5), EVERY[name](tuple(2 * n for n in SHAPE), 0.1, 5)
    binned = fine.reshape(16, 2, 20, 2, 20, 2).mean(axis=(1, 3, 5))
    assert np.corrcoef(coarse.ravel(), binned.ravel())[0, 1] > 0.97


BODIES = {
    "ball": (ball((0.3, -0.2, 0.1), 5.3, 0.2), 4 / 3 * np.pi * 5.3**3),
    "ellipsoid": (ellipsoid((0, 0.2, 0), (6.0, 4.0, 3.0), 0.2), 4 / 3 * np.pi * 72),
    "rod": (rod(np.array([-3.0, -2, -4]), np.array([4.0, 3, 2]), 2.7, 0.2), np.pi * 2.7**2 * (np.sqrt(110) + 4 / 3 * 2.7)),
    "disc": (disc((0, 0, 0), 6.0, 0.8, 0.2, np.array([2, 1, 2], np.float32) / 3), np.pi * 36 * 1.6),
}


@pytest.mark.parametrize("name", BODIES)
def test_voxels_are_averages_so_that_a_body_has_its_volume(name: str) -> None:
    """Against the formulas of geometry, on voxels of 1 mm. Of a curved surface the averages are high by about h^2 / 12 r^2."""
    body, volume_mm3 = BODIES[name]
    found = averaged([body], (24, 24, 24), 1.0).sum(dtype=np.float64) / 0.2
    assert found == pytest.approx(volume_mm3, rel=0.01)


def test_a_box_of_air_and_slabs_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = averaged([ball((0, 0, 0), 4.0, 0.1)], (12, 12, 12), 1.0)
    monkeypatch.setattr("fewview.data.phantom.procedural.bodies._POINTS_AT_ONCE", 1)
    np.testing.assert_array_equal(averaged([ball((0, 0, 0), 4.0, 0.1)], (12, 12, 12), 1.0), whole)
    assert not averaged([], (3, 3, 3), 1.0).any()
    with pytest.raises(InputError, match="three numbers"):
        averaged([], (3, 0, 3), 1.0)


@pytest.mark.parametrize("name", FAMILIES)
def test_fewer_slices_are_the_middle_of_more(name: str) -> None:
    whole, middle = (FAMILIES[name]((n, 24, 24), 0.2, 5, 1) for n in (24, 8))
    np.testing.assert_allclose(middle, whole[8:16], atol=1e-6)


def test_random_volumes_are_of_every_family() -> None:
    drawn = [family_of(seed) for seed in range(200)]
    assert set(drawn) == set(FAMILIES)
    np.testing.assert_array_equal(random_volume(SHAPE, 0.2, 7), FAMILIES[drawn[7]](SHAPE, 0.2, 7))


def frame(seed: int) -> Frame:
    """A head 40 mm long of any direction, with walls of at least 0.1 mm."""
    return Frame(np.array([1.0, -2.0, 0.5]), turned(np.random.default_rng(seed)), 40.0, 0.1, 0.2, 0.02)


def test_what_comes_in_pairs_is_mirrored_at_the_plane_of_the_head() -> None:
    f, rng = frame(3), np.random.default_rng(4)
    at, half, tilt = (0.1, 0.12, -0.05), (0.2, 0.03, 0.06), (0.3, -0.2, 0.4)
    right, left = (f.lump(mirrored(side, at), half, 0.2, tilted(side, tilt)) for side in (1, -1))
    own = rng.uniform(-0.3, 0.3, (3, 500))  # along nose, right and up
    here, there = (np.stack([f.point(p) for p in (own * np.array([[1], [side], [1]])).T]).T for side in (1, -1))
    np.testing.assert_allclose(right.depth(here), left.depth(there), atol=1e-4)
    assert np.abs(right.depth(here) - left.depth(here)).max() > 1  # mm: they are not the same lump


def test_a_hollow_bone_has_its_cortex_and_a_bent_rod_its_length() -> None:
    """On voxels of 0.5 mm: the shell of a ball 8 mm in radius, and a quarter of a circle 10 mm in radius."""
    f, rng = frame(5), np.random.default_rng(6)
    whole = f.lump((0, 0, 0), (0.2, 0.2, 0.2), 0.2)
    inner = hollow(f, rng, whole, 0.05)[1]
    shell = averaged([whole, Body(inner.depth, 0.0, inner.center_mm, inner.reach_mm)], (48, 48, 48), 0.5).sum(dtype=np.float64)
    assert shell * 0.5**3 / 0.2 == pytest.approx(4 / 3 * np.pi * (8**3 - 6**3), rel=0.01)
    quarter = averaged(arc(f, (0, 0, 0), (0.25, 0, 0), (0, 0, 0.25), (0, np.pi / 2), 0.05, 0.2), (64, 64, 64), 0.5).sum(dtype=np.float64)
    assert quarter * 0.5**3 / 0.2 == pytest.approx(np.pi * 4 * (np.pi / 2 * 10 + 4 / 3 * 2), rel=0.02)


def test_the_wall_around_a_brain_is_closed_but_for_seams_and_windows() -> None:
    """From the middle of the brain most directions meet bone, and none of it lies in the brain."""
    f = frame(7)
    bodies = braincase(f, np.random.default_rng(8))
    volume = averaged(bodies, (80, 80, 80), 0.5)
    middle = np.array([c / 0.5 + 39.5 for c in bodies[0].center_mm[::-1]])
    along = np.random.default_rng(9).standard_normal((400, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    rays = middle + along[:, None] * np.arange(0, 40)[None, :, None]  # in voxels, to where the box ends
    values = map_coordinates(volume, rays.reshape(-1, 3).T, order=1).reshape(400, 40)
    assert (values.max(axis=1) > 0.06).mean() > 0.8
    assert values[:, :8].max() < 0.06  # 4 mm around the middle
