"""Quantities of bodies that theory knows: plates, rods, spheres, tubes, lattices, at several sizes, angles and offsets."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from bodies import Depth, plate, plates, rod, sphere, tube, voxels
from fewview.base import InputError, UnknownNameError
from fewview.bone import CompartmentSettings, DensityCalibration, Measured, measure
from fewview.bone.measures.sums.topology import euler_number, purified
from fewview.bone.stack.cut import Cut
from fewview.bone.thickness.surface_elements import AREA_STEPS, find_surface
from fewview.geometry import Grid
from numpy.typing import NDArray
from scipy import ndimage

H = 0.01
SHAPE = (30, 34, 34)
AXES = {"along x": (0, 0, 1), "5 deg": (0.09, 0, 1), "20 deg": (0.2, 0.3, 1), "diagonal": (1, 1, 1), "oblique": (0.37, 0.81, 0.45)}
CENTERS = [(14.5, 16.5, 16.5), (14.25, 16.75, 16.75)]


def of(volume: NDArray, **options: object) -> Measured:
    return measure(volume, Grid(volume.shape, H), threshold=0.5, **options)  # type: ignore[arg-type]


def inner(shape: tuple[int, int, int] = SHAPE, edge: int = 7) -> NDArray[np.bool_]:
    """The middle of the volume: what leaves the volume has no surface there."""
    return np.pad(np.ones([n - 2 * edge for n in shape], bool), edge)


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize(("thick", "most"), [(3.0, 0.05), (4.0, 0.04), (5.4, 0.04), (8.0, 0.02)])
def test_plates_are_as_thick_as_they_are(thick: float, most: float, axis: tuple[float, float, float]) -> None:
    for center in CENTERS:
        m = of(voxels(SHAPE, plate(thick, axis, center)), region=inner())
        assert m["Tb_Th"] / H == pytest.approx(thick, rel=most)
        assert m["Tb_plate"] > 90


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize(("thick", "most"), [(4.0, 0.05), (5.4, 0.05), (8.0, 0.03)])
def test_rods_too(thick: float, most: float, axis: tuple[float, float, float]) -> None:
    for center in CENTERS:
        m = of(voxels(SHAPE, rod(thick, axis, center)), region=inner())
        assert m["Tb_Th"] / H == pytest.approx(thick, rel=most)
        assert m["Tb_plate"] < 50


@pytest.mark.parametrize("body", [plate, rod])
@pytest.mark.parametrize(("thick", "most"), [(4.0, 0.05), (8.0, 0.03)])
def test_blur_and_the_noise_of_52_views(thick: float, most: float, body: Callable[..., Depth]) -> None:
    """A point spread of 0.5 voxel, and noise of the same grain of 4 % of the contrast: what the muscle of a phantom leg has."""
    spread = 0.5
    for n, center in enumerate(CENTERS):
        image = ndimage.gaussian_filter(voxels(SHAPE, body(thick, AXES["oblique"], center)), spread)
        noise = ndimage.gaussian_filter(np.random.default_rng(n).standard_normal(SHAPE), spread)
        m = of((image + 0.04 * noise / noise.std()).astype(np.float32), region=inner())
        assert m["Tb_Th"] / H == pytest.approx(thick, rel=most)


@pytest.mark.parametrize("thick", [8.0, 11.3, 20.0])
def test_a_sphere(thick: float) -> None:
    m = of(voxels((30, 30, 30), sphere(thick, (14.7, 14.9, 14.2))))
    radius = thick / 2 * H
    assert m["BV"] == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.01)
    assert m["BS"] == pytest.approx(4 * math.pi * radius**2, rel=0.01)
    assert m["Tb_Th"] == pytest.approx(2 * radius, rel=0.03)
    assert m["Conn_D"] == 0


@pytest.mark.parametrize(("thick", "most"), [(8.0, 0.005), (12.0, 0.002)])
def test_the_area_of_spheres_is_not_biased(thick: float, most: float) -> None:
    """On average over places; planes moved as for the volume give 0.3 % too little at 12 voxels, not moved 0.3 % too much."""
    centers = np.random.default_rng(0).uniform(11.5, 12.5, (6, 3))
    areas = [
        float(find_surface(body, body > 0.5).area.sum()) / AREA_STEPS for body in (voxels((24,) * 3, sphere(thick, c)) for c in centers)
    ]  # type: ignore[arg-type]
    assert np.mean(areas) == pytest.approx(math.pi * thick**2, rel=most)
    assert areas == pytest.approx([math.pi * thick**2] * 6, rel=0.01)


@pytest.mark.parametrize(("outer", "inside"), [(24.0, 8.0), (28.0, 18.6), (28.4, 12.2)])
def test_a_tube_across_the_slices(outer: float, inside: float) -> None:
    m = of(voxels((12, 40, 40), tube(outer, inside, (1, 0, 0), (5.5, 19.6, 19.2))))
    assert m["Ct_Ar"] == pytest.approx(math.pi / 4 * (outer**2 - inside**2) * H**2, rel=0.01)
    assert m["Tt_Ar"] == pytest.approx(math.pi / 4 * outer**2 * H**2, rel=0.01)
    assert m["Ct_pMOI"] == pytest.approx(math.pi / 32 * (outer**4 - inside**4) * H**4, rel=0.01)
    assert m["Ct_Th"] == pytest.approx((outer - inside) / 2 * H, rel=0.03)
    assert len(m.slices) == 12
    assert m.slices[5]["Ct_Ar"] == pytest.approx(m["Ct_Ar"], rel=0.01)


@pytest.mark.parametrize("axis", [(0, 0, 1), (0.37, 0.81, 0.45)], ids=["along x", "oblique"])
def test_a_stack_of_plates_gives_spaces_and_volume(axis: tuple[float, float, float]) -> None:
    shape = (60, 60, 60)
    body, region = voxels(shape, plates(5, 15, axis, (30.25, 29.75, 30.0))), inner(shape, 10)
    m = of(body, region=region)
    assert m["BV_TV"] == pytest.approx(100 * body[region].mean(), abs=0.5)
    assert m["Tb_Th"] / H == pytest.approx(5, rel=0.04)
    assert m["Tb_Sp"] / H == pytest.approx(10, rel=0.03)
    assert m["Tb_N"] == pytest.approx(m["BV_TV"] / 100 / m["Tb_Th"])


def test_volume_of_a_periodic_lattice_within_half_a_point() -> None:
    """Rods of diameter 6 along three axes every 20 voxels (tricylinders once, not thrice): by a finer sampling of the same body."""
    shape = (40, 40, 40)

    def lattice(z: NDArray, y: NDArray, x: NDArray) -> NDArray:
        z, y, x = ((a + 0.3) % 20 - 10 for a in (z, y, x))
        return np.minimum(np.minimum(np.hypot(z, y), np.hypot(y, x)), np.hypot(x, z)) - 3

    fine = (np.arange(400) + 0.5) / 10 - 0.5
    truth = 100 * np.mean([(lattice(z, fine[:, None], fine[None]) < 0).mean() for z in fine])
    m = of(voxels(shape, lattice))
    assert m["BV_TV"] == pytest.approx(truth, abs=0.5)
    assert m["Tb_plate"] < 50


def test_noise_of_a_tenth_of_the_contrast_changes_little() -> None:
    rng = np.random.default_rng(3)
    for body, most in ((plate(6, (0.2, 0.3, 1), CENTERS[1]), 0.05), (rod(8, (0.37, 0.81, 0.45), CENTERS[1]), 0.04)):
        clean = voxels(SHAPE, body)
        noisy = (clean + rng.normal(0, 0.1, SHAPE)).astype(np.float32)
        assert of(noisy, region=inner())["Tb_Th"] == pytest.approx(of(clean, region=inner())["Tb_Th"], rel=most)


def test_the_same_in_any_unit() -> None:
    body = voxels(SHAPE, rod(6, (0.2, 0.3, 1), CENTERS[0]))
    m = of(body)
    other = measure((0.04 + 0.16 * body).astype(np.float32), Grid(SHAPE, H), threshold=0.12)
    assert dict(other) == pytest.approx(dict(m), rel=2e-3, nan_ok=True)


def frame() -> NDArray[np.bool_]:
    """The edges of a box, one voxel thick: BoneJ's test body."""
    box = np.zeros((10, 12, 14), bool)
    low, high = (1, 1, 1), (8, 10, 12)
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            place: list[slice | int] = [slice(None)] * 3
            place[axis] = slice(low[axis], high[axis] + 1)
            for a, end in zip(others, corner, strict=True):
                place[a] = (low[a], high[a])[end]
            box[tuple(place)] = True
    return box


def test_euler_numbers() -> None:
    """A ball 1, a frame of twelve edges 8 - 12 = -4 (BoneJ's), a hollow ball 2, a ring 0."""
    z, y, x = np.mgrid[-6:7, -6:7, -6:7]
    r = np.sqrt(z**2 + y**2 + x**2)
    assert euler_number(r < 5) == 1
    assert euler_number(frame()) == -4
    assert euler_number((r < 5) & (r > 2)) == 2
    assert euler_number((np.abs(np.hypot(y, x) - 4) < 1.2) & (np.abs(z) < 2)) == 0


def test_euler_numbers_of_parts_add_up() -> None:
    bone = np.random.default_rng(0).random((9, 10, 11)) < 0.4
    left = np.zeros_like(bone)
    left[:, :4] = True
    assert euler_number(bone, left) + euler_number(bone, ~left) == pytest.approx(euler_number(bone))


def pure(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return purified(lambda z: bone[z], Cut(bone.shape, len(bone)))(slice(0, len(bone)))  # type: ignore[arg-type]


def test_islands_and_cavities_are_removed_wherever_the_bone_lies() -> None:
    """A shell with a cavity larger than the space around it in its box, beside an island; and noise, by the pieces of the whole volume."""
    shell = np.zeros((14, 15, 16), bool)
    shell[2:12, 3:13, 3:13], shell[3:11, 4:12, 4:12], shell[0, 0, 0] = True, False, True
    whole = np.zeros_like(shell)
    whole[2:12, 3:13, 3:13] = True
    np.testing.assert_array_equal(pure(shell), whole)
    for n, share in enumerate((0.2, 0.5, 0.8)):
        noise = ndimage.gaussian_filter(np.random.default_rng(n).standard_normal((20, 21, 22)), 1.2)
        bone = np.pad(noise > np.quantile(noise, share), ((0, 3), (2, 0), (1, 1)))
        labels, _ = ndimage.label(bone, np.ones((3, 3, 3)))  # type: ignore[misc]
        piece = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
        labels, _ = ndimage.label(~piece)  # type: ignore[misc]
        np.testing.assert_array_equal(pure(bone), labels != 1 + np.bincount(labels.ravel())[1:].argmax())


def test_connectivity_density() -> None:
    bone = np.pad(frame(), 3)
    m = measure(
        np.repeat(np.repeat(np.repeat(bone, 2, 0), 2, 1), 2, 2).astype(np.float32), Grid(tuple(2 * n for n in bone.shape), H), threshold=0.5
    )
    assert m["Conn_D"] == pytest.approx(5 / m["TV"])


def long_bone(trabecula: float = 5.0) -> NDArray[np.float32]:
    """A tube with plates across its marrow: cortex of 8 voxels, plates of ``trabecula`` every 16."""
    center = (29.5, 39.6, 39.3)
    wall, marrow = tube(66, 50, (1, 0, 0), center), rod(52, (1, 0, 0), center)
    layers = plates(trabecula, 16, (0, 0.3, 1), center)
    return voxels((24, 80, 80), lambda z, y, x: np.minimum(wall(z, y, x), np.maximum(layers(z, y, x), marrow(z, y, x))), samples=4)


def test_compartments_find_themselves() -> None:
    m = of(long_bone(), region="auto", compartments=CompartmentSettings(outer_mm=0.1, pore_mm=0.02, trabecula_mm=0.035))
    assert m["Tb_Th"] / H == pytest.approx(5, rel=0.04)
    assert 9.5 < m["Tb_Sp"] / H < 11.1  # less than between plates: they end at a round wall
    assert m["BV_TV"] == pytest.approx(100 * 5 / 16, abs=3)
    assert m["Ct_Th"] / H == pytest.approx(8, rel=0.06)  # a little of the roots of the plates is taken for cortex
    assert m["Ct_Ar"] == pytest.approx(math.pi / 4 * (66**2 - 50**2) * H**2, rel=0.03)
    assert m["Tt_Ar"] == pytest.approx(math.pi / 4 * 66**2 * H**2, rel=0.01)
    assert m["Ct_Po"] < 1
    assert set(np.unique(m.maps["compartments"])) == {0, 1, 2}


def test_density_by_two_known_values() -> None:
    body = 0.04 + 0.06 * voxels(SHAPE, plate(20, (0, 0, 1), (14.5, 16.5, 16.5)))
    m = measure(body, Grid(SHAPE, H), threshold=0.07, calibration=DensityCalibration.from_values([(0.04, 0), (0.10, 900)]))
    assert m["TMD"] == pytest.approx(900, rel=1e-4)
    assert m["BMD"] == pytest.approx(900 * 20 / 34, rel=1e-3)
    assert DensityCalibration.from_values([(0, 0), (1, 100), (2, 206)]).misfit == pytest.approx(2)


def test_intervals_are_added_to_values() -> None:
    m = of(voxels(SHAPE, plate(8, (0, 0, 1), CENTERS[0])), intervals={"Tb_Th": (-0.002, 0.001)})
    assert m.intervals["Tb_Th"] == pytest.approx((m["Tb_Th"] - 0.002, m["Tb_Th"] + 0.001))
    assert "(0.0780 to 0.0810)" in m.table()
    assert m.csv().count("\n") == 2


def test_too_small_a_region_has_no_number() -> None:
    region = np.zeros(SHAPE, bool)
    region[14:16, 16:19, 16:19] = True
    m = of(voxels(SHAPE, plate(8, (0, 0, 1), CENTERS[0])), region=region)
    assert math.isnan(m["Tb_Th"])
    assert "too small" in m.notes["Tb_Th"]
    assert "not measured" in m.table()


BODY = voxels((16, 16, 16), sphere(8, (7.5, 7.5, 7.5)), 3)


@pytest.mark.parametrize(
    ("volume", "options", "words"),
    [
        (np.zeros((8, 8, 8), np.float32), {"threshold": 0.5}, "nothing but 0"),
        (np.where(BODY > 0.5, np.nan, 0), {"threshold": 0.5}, "NaN"),
        (BODY * 255, {"threshold": 0.12}, "the threshold is in 1/mm, the volume in 8-bit grey levels"),
        (BODY * 0.2, {"threshold": 75}, "the threshold is in grey levels, the volume in 1/mm"),
        (BODY, {"threshold": math.inf}, "threshold is inf"),
        (np.pad(BODY[7:9, 7:9, 7:9], 4), {"threshold": 0.5}, "8 of 1000 voxels"),
        (BODY, {"threshold": 0.5, "region": np.zeros((16, 16, 16), bool)}, "the region is empty"),
        (BODY, {"threshold": 0.5, "region": np.ones((4, 4, 4), bool)}, "the region has shape"),
    ],
)
def test_bad_input(volume: NDArray, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        measure(volume, Grid(volume.shape, H), **options)


def test_bad_names_and_shapes() -> None:
    with pytest.raises(UnknownNameError, match="trabecular"):
        of(BODY, region="trabeculer")
    with pytest.raises(InputError, match="as the grid says"):
        measure(BODY, Grid((16, 16, 17), H), threshold=0.5)
    with pytest.raises(InputError, match="pairs"):
        DensityCalibration.from_values([(1, 2), (1, 3)])
