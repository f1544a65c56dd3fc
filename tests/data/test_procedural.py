"""Procedural volumes: the same from the same seed, of attenuation that exists, averaged rightly, and the same scene on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.base import InputError
from fewview.data.phantom.procedural.bodies import averaged, ball, disc, ellipsoid, rod
from fewview.data.phantom.procedural.kinds_of_volumes import FAMILIES, family_of, random_volume
from fewview.data.phantom.procedural.unseen import chest, tooth

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
    assert 0.009 < volume.max() <= {"chest": 0.05, "skull": 0.38, "head": 0.48}.get(name, 0.3)
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
