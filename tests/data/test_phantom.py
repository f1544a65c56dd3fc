"""The hind limb: the same anatomy on every grid, known materials and lesions, animals and weeks that differ as they should."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from fewview.data.phantom.limb import MATERIALS, Lesion, Phantom, hind_limb
from fewview.geometry import Grid, InputError, UnknownNameError, skyscan_1276
from scipy import ndimage

COARSE = Grid((48, 44, 44), 0.6)


@cache
def leg(seed: int = 0, week: int = 0, lesions: int = 0, side: str = "right") -> Phantom:
    return hind_limb(COARSE, seed=seed, week=week, lesions=lesions, side=side, supersample=2)


def middle(phantom: Phantom, *names: str) -> np.ndarray:
    """Centre of mass (x, y, z) in mm of some materials."""
    z, y, x = ndimage.center_of_mass(phantom.mask(*names))
    return phantom.grid.origin_mm + np.array([x, y, z]) * phantom.grid.voxel_mm


def test_a_finer_grid_shows_the_same_anatomy() -> None:
    """Four samples along a coarse voxel are two along each of its halves: the means must be the same numbers."""
    coarse = hind_limb((20, 24, 24), 1.2, seed=3, lesions=2, supersample=4).volume
    fine = hind_limb((40, 48, 48), 0.6, seed=3, lesions=2, supersample=2).volume
    binned = fine.reshape(20, 2, 24, 2, 24, 2).mean(axis=(1, 3, 5))
    assert np.abs(binned - coarse).max() < 2e-5  # a sample in a thousand may fall on the other side of a surface by rounding
    assert fine.max() > coarse.max()


def test_without_supersampling_a_voxel_is_its_label() -> None:
    phantom = hind_limb(COARSE, seed=1, lesions=3, supersample=1)
    table = np.array([MATERIALS[name] for name in phantom.names], np.float32)
    np.testing.assert_array_equal(phantom.volume, table[phantom.labels])
    for name in (
        "holder",
        "fat",
        "marrow",
        "muscle",
        "skin",
        "cartilage",
        "tibia cortex",
        "tibia trabeculae",
        "fibula",
        "femur cortex",
        "patella",
    ):
        assert phantom.mask(name).any(), name


def test_the_leg_is_put_together_like_a_leg() -> None:
    phantom = leg()
    tibia, femur, fibula, patella = (middle(phantom, n) for n in ("tibia", "femur", "fibula", "patella"))
    z = [np.flatnonzero(phantom.mask(n).any(axis=(1, 2))) for n in ("tibia", "femur")]
    assert femur[2] > tibia[2]
    assert abs(z[1].min() - z[0].max()) <= 2  # the knee
    front = (patella - tibia)[:2]
    out = (fibula - tibia)[:2]
    assert abs(front @ out) < 0.75 * np.linalg.norm(front) * np.linalg.norm(out)  # the fibula is beside, the patella in front
    top = np.flatnonzero(phantom.mask("muscle").any(axis=(1, 2))).max()
    depth_mm = ndimage.distance_transform_edt(phantom.mask("muscle", "skin", "fat", "tib", "fem", "fib", "marrow", "cart")) * 0.6
    bone = phantom.mask("tibia", "femur", "fibula")
    bone[top - 2 :] = False  # the femur ends in the cut
    assert depth_mm[bone].min() > 0.6


def test_it_fits_the_field_of_view_of_the_scanner() -> None:
    scan = skyscan_1276(rows=128, cols=192, voxel_mm=0.2226)
    radius, half_height, _ = scan.field_of_view_mm
    big = hind_limb(Grid((40, 60, 60), 1.0), seed=5, supersample=1)
    z, y, x = np.nonzero(big.mask("muscle", "skin", "fat", "tibia", "femur"))
    assert np.abs(big.grid.z_mm[z]).max() < half_height
    z, y, x = np.nonzero(big.labels)
    assert np.hypot(big.grid.x_mm[x], big.grid.y_mm[y]).max() < radius


def test_cortical_thickness_is_that_of_a_mouse() -> None:
    """In the shaft the cortex is a shell 0.29 mm thick (+-20 % from animal to animal) around a marrow without trabeculae."""
    phantom = leg(seed=2)
    bone = middle(phantom, "tibia")
    local = hind_limb(Grid((6, 90, 90), 0.04, (bone[0], bone[1], bone[2] - 2.0)), seed=2, supersample=1)
    cortex = local.mask("tibia cortex")
    assert not local.mask("tibia trabeculae").any()
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in cortex])
    hollow = filled & ~cortex
    assert hollow.sum() > 0.15 * filled.sum()
    outer, inner = (np.sqrt(part.sum(axis=(1, 2)) * 0.04**2 / np.pi).mean() for part in (filled, hollow))
    assert 0.2 < outer - inner < 0.38
    assert 0.45 < outer < 0.95


def test_the_trabecular_network_is_connected_and_sparse() -> None:
    phantom = leg(seed=4)
    knee = middle(phantom, "tibia")
    top = phantom.grid.z_mm[np.flatnonzero(phantom.mask("tibia").any(axis=(1, 2))).max()]
    local = hind_limb(Grid((40, 100, 100), 0.05, (knee[0], knee[1], top - 2.5)), seed=4, supersample=1)
    spongy, space = local.mask("tibia trabeculae"), local.mask("marrow")
    share = spongy.sum() / (spongy.sum() + space.sum())
    assert 0.1 < share < 0.5
    pieces, count = ndimage.label(spongy | local.mask("tibia cortex"), np.ones((3, 3, 3)))
    assert count >= 1
    assert np.bincount(pieces.ravel())[1:].max() > 0.9 * (spongy | local.mask("tibia cortex")).sum()


def test_a_seed_is_an_animal() -> None:
    again = hind_limb(COARSE, seed=0, supersample=2)
    np.testing.assert_array_equal(again.volume, leg().volume)
    np.testing.assert_array_equal(again.labels, leg().labels)
    assert np.mean(leg(seed=1).volume != leg().volume) > 0.05


def test_another_week_is_the_same_animal_moved_with_lesions_grown() -> None:
    first, later = leg(seed=7, lesions=3), leg(seed=7, lesions=3, week=3)
    assert np.mean(first.volume != later.volume) > 0.02
    bone = [np.clip(leg(seed=7, week=week).volume - 0.05, 0, None).sum() for week in (0, 3)]
    assert 0.97 < bone[1] / bone[0] < 1.08
    for before, after in zip(first.lesions, later.lesions, strict=True):
        assert before.radius_now_mm is not None
        assert after.radius_now_mm is not None
        assert after.radius_now_mm - before.radius_now_mm == pytest.approx(3 * before.growth_mm, rel=0.1)
    distance = [np.linalg.norm(np.subtract(p.lesions[0].center_mm, p.lesions[1].center_mm)) for p in (first, later)]
    assert distance[1] == pytest.approx(distance[0] * (1 + 0.004 * 3), rel=0.02)  # a rigid motion and a little growth


@pytest.mark.parametrize("side", ["left", "right"])
def test_lesions_are_where_they_are_said_to_be(side: str) -> None:
    given = [Lesion("tibia", "lytic", 2.4, 200.0, 0.6, 0.6), Lesion("femur", "sclerotic", 3.0, 90.0, 0.2, 0.5)]
    placed = hind_limb((4, 4, 4), 1.0, seed=1, lesions=given, supersample=1, side=side).lesions
    whole = hind_limb((4, 4, 4), 1.0, seed=1, supersample=1, side=side)
    assert whole.lesions == ()
    for lesion, name in zip(placed, ("lytic lesion", "sclerotic lesion"), strict=True):
        assert lesion.center_mm is not None
        assert lesion.radius_now_mm == pytest.approx(lesion.radius_mm, rel=0.06)
        grid = Grid((41, 41, 41), 0.05, lesion.center_mm)
        with_it, without = (hind_limb(grid, seed=1, lesions=those, supersample=1, side=side) for those in (given, ()))
        changed = with_it.labels != without.labels
        x, y, z = np.meshgrid(grid.x_mm, grid.y_mm, grid.z_mm, indexing="ij")
        distance = np.linalg.norm(np.stack([x, y, z], -1) - lesion.center_mm, axis=-1).transpose(2, 1, 0)
        assert changed.any()
        assert distance[changed].max() <= lesion.radius_now_mm + 1e-6
        assert (with_it.labels[changed] == with_it.names.index(name)).all()
        assert with_it.labels[20, 20, 20] == with_it.names.index(name)
        bone_before, bone_after = (p.mask(lesion.bone).sum() for p in (without, with_it))
        assert bone_after < bone_before


def test_a_left_leg_is_a_mirrored_right_leg() -> None:
    def hand(side: str) -> float:
        phantom = leg(side=side)
        front, out = (middle(phantom, n) - middle(phantom, "tibia") for n in ("patella", "fibula"))
        return float(front[0] * out[1] - front[1] * out[0])

    assert hand("right") < 0 < hand("left"), "seen from above, a right leg's fibula is clockwise of its kneecap, as on one's own leg"
    assert hand("left") == pytest.approx(-hand("right"), rel=0.5)


def test_twice_the_scale_is_twice_the_size() -> None:
    small = hind_limb((24, 24, 24), 1.2, supersample=2).volume
    large = hind_limb((24, 24, 24), 2.4, supersample=2, scale=2.0).volume
    assert np.abs(small - large).mean() < 1e-5


def test_without_holder_there_is_none() -> None:
    assert not hind_limb((12, 24, 24), 1.2, holder=False, supersample=1).mask("holder").any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": (4, 4, 4)}, "voxel_mm"),
        ({"grid": Grid((4, 4, 4), 1.0), "voxel_mm": 2.0}, "leave voxel_mm out"),
        ({"grid": (4, 4, 4), "voxel_mm": 1.0, "scale": -1.0}, "scale is -1"),
        ({"grid": (4, 4, 4), "voxel_mm": 1.0, "supersample": 0}, "supersample is 0"),
        ({"grid": (4, 4, 4), "voxel_mm": 1.0, "week": -1}, "week is -1"),
        ({"grid": (4, 4, 4), "voxel_mm": 1.0, "side": "lefft"}, "did you mean left"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hind_limb(**arguments)


def test_bad_lesions_and_materials_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean lytic"):
        Lesion(kind="litic")
    with pytest.raises(UnknownNameError, match="did you mean femur"):
        Lesion(bone="fermur")
    with pytest.raises(InputError, match="radius_mm is 0"):
        Lesion(radius_mm=0)
    with pytest.raises(UnknownNameError, match="tibia cortex"):
        leg().mask("tibbia")
