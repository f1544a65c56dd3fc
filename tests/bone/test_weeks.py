"""Registration, composite and changes, of bodies whose motion, junction and loss are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from bodies import plate, voxels
from fewview.base import InputError
from fewview.bone import CTRegistration, RoICompositeCropper, follow, measure
from fewview.bone.weeks.bone_fit import Fitted, fit_rigid, fit_surface
from fewview.bone.weeks.registering import _moved
from fewview.bone.weeks.trust import trust
from fewview.data import hind_limb
from fewview.geometry import Grid
from numpy.typing import NDArray

H = 0.2
LONG = Grid((84, 40, 40), H, (0.0, 0.0, -4.0))  # mm: tibia and fibula


def turn(axis: tuple[float, float, float], degrees: float) -> NDArray[np.float64]:
    """Rodrigues' formula."""
    v = np.asarray(axis) / np.linalg.norm(axis)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    a = math.radians(degrees)
    return np.eye(3) + math.sin(a) * k + (1 - math.cos(a)) * k @ k


def tibia() -> NDArray[np.float32]:
    limb = hind_limb(LONG, seed=3, holder=False, supersample=2)
    return np.where(limb.mask("tibia", "fibula"), limb.volume, 0.035).astype(np.float32)


def test_a_known_motion_is_found_again(tmp_path: Path) -> None:
    import SimpleITK as sitk

    fixed = tibia()
    rotation = turn((0.1, -0.05, 1), 63)
    middle = np.argwhere(fixed > 0.1).mean(axis=0)[::-1] * H + LONG.origin_mm
    shift = middle - rotation @ middle + [0.2, -0.1, 0.15]
    moving = _moved(fixed, LONG, LONG, rotation.T, -rotation.T @ shift)
    found = CTRegistration(threshold=0.1)(moving, LONG, fixed, LONG)
    error = found.rotation.T @ rotation
    assert math.degrees(math.acos(min(1, (np.trace(error) - 1) / 2))) < 0.2
    assert np.abs(found.rotation @ middle + found.shift_mm - rotation @ middle - shift).max() < 0.1 * H
    assert found.confidence > 0.8
    again = CTRegistration(threshold=0.1)(moving, LONG, fixed, LONG)
    np.testing.assert_array_equal(again.volume, found.volume)
    np.testing.assert_array_equal(again.rotation, found.rotation)
    transform = sitk.ReadTransform(str(found.write_transform(tmp_path / "x.tfm")))
    np.testing.assert_allclose(transform.TransformPoint([1.0, 2.0, 3.0]), found.rotation @ [1, 2, 3] + found.shift_mm, atol=1e-5)


def test_another_bone_is_not_sure() -> None:
    fixed = tibia()
    z, y, x = np.indices(LONG.shape) - np.array(LONG.shape).reshape(3, 1, 1, 1) / 2
    ball = np.where(z**2 + y**2 + x**2 < 12**2, 0.2, 0.035).astype(np.float32)
    found = CTRegistration(threshold=0.1, iterations=10, starts_deg=(0.0,), resolutions=(4,))(ball, LONG, fixed, LONG)
    assert found.confidence < 0.5
    assert found.doubts


@pytest.mark.parametrize(("broad", "sure"), [(0.97, True), (0.91, False)])
def test_bones_of_two_animals_may_lie_alike(broad: float, sure: bool) -> None:
    """Two heads: 0.97 smoothed where they lie on one another, 0.91 turned by 177 deg; upside down a tibia has 0.84."""
    fits = [Fitted((np.eye(3), np.zeros(3)), 0.83, 1.0, broad)]
    doubts, confidence = trust(fits, 0, tibia() > 0.1, LONG, 0.37)
    assert (confidence >= 0.5) is sure
    assert "overlap by 37%" in doubts[0]


def test_a_lesion_does_not_pull_the_bone_along() -> None:
    """A ball of 1.5 mm is gone, from one side of the bone; the rest is where it was."""
    fixed = tibia()
    z, y, x = np.indices(LONG.shape)
    bony = np.argwhere(fixed > 0.1)
    at = bony[bony[:, 0] > np.percentile(bony[:, 0], 80)].mean(axis=0)
    moving = np.where((z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2] - 3) ** 2 < 4**2, 0.039, fixed).astype(np.float32)
    assert (moving != fixed).sum() > 100
    found = CTRegistration(threshold=0.1, starts_deg=(11.25,), resolutions=(4,))(moving, LONG, fixed, LONG)
    assert found.angle_deg < 0.1
    assert np.abs(found.rotation @ LONG.center_mm + found.shift_mm - LONG.center_mm).max() < 0.05 * H


@pytest.mark.parametrize(("amplitude", "period"), [(0.0, 6.0), (0.01, 6.0), (0.01, 9.0)])
def test_stripes_that_stay_in_place_turn_the_surface_less(amplitude: float, period: float) -> None:
    """Both scans have the same stripes where the scanner has them; the bone lies 1.5 deg apart. The stripes pull all values back to 0."""
    fixed, (_, y, x) = tibia(), np.indices(LONG.shape)
    rotation = turn((0, 0, 1), 1.5)
    middle = np.argwhere(fixed > 0.1).mean(axis=0)[::-1] * H + LONG.origin_mm
    motion = rotation, middle - rotation @ middle
    moving = _moved(fixed, LONG, LONG, rotation.T, -rotation.T @ motion[1])
    stripes = amplitude * np.cos(2 * np.pi * (y + 0.3 * x) / period)
    one, other = (np.asarray(v + stripes, np.float32) for v in (moving, fixed))
    ends = (
        fit_surface((one, 0.1), LONG, (other, 0.1), LONG, motion),
        fit_rigid(one, LONG, other, LONG, other > 0.1, [motion], (1.0,))[0].motion,
    )
    surface, values = (math.degrees(math.acos(min(1, (np.trace(end[0].T @ rotation) - 1) / 2))) for end in ends)
    assert surface < 0.4
    assert (values > 2 * surface) if amplitude else (surface < 0.01)


def test_a_bone_that_has_grown_keeps_its_middle() -> None:
    fixed = tibia()
    middle = np.argwhere(fixed > 0.1).mean(axis=0)[::-1] * H + LONG.origin_mm
    grown = _moved(fixed, LONG, LONG, np.eye(3) / 1.02, middle * (1 - 1 / 1.02))
    rotation, shift = fit_surface((grown, 0.1), LONG, (fixed, 0.1), LONG, (np.eye(3), np.zeros(3)))
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-9), "growth is not applied"
    assert np.abs(rotation @ middle + shift - middle).max() < 0.1 * H


def test_a_round_bone_does_not_say_how_it_is_turned() -> None:
    shaft = voxels((60, 40, 40), lambda z, y, x: np.maximum(np.abs(np.hypot(y - 19.5, x - 19.5) - 7) - 2, np.abs(z - 29.5) - 22))
    rng, grid = np.random.default_rng(0), Grid(shaft.shape, H)
    one, other = ((0.03 + 0.17 * shaft + 0.01 * rng.standard_normal(shaft.shape)).astype(np.float32) for _ in range(2))
    found = CTRegistration(threshold=0.1, starts_deg=(0.0, 45.0), resolutions=(4,))(one, grid, other, grid)
    assert found.confidence < 0.5
    assert "another start ends" in found.doubts[0]


def test_upright() -> None:
    rod = np.where(voxels((60, 50, 50), lambda z, y, x: np.hypot(y - 24 - 0.2 * (z - 30), x - 25) - 5) > 0.5, 0.2, 0.02)
    rod[:8], rod[-8:] = 0.02, 0.02
    found = CTRegistration(threshold=0.1).upright(rod, Grid(rod.shape, H))
    assert found.angle_deg == pytest.approx(math.degrees(math.atan(0.2)), abs=1.5)
    centres = [np.argwhere(plane > 0.1).mean(axis=0) for plane in found.volume[15:45]]
    assert np.ptp(centres, axis=0).max() < 1.0


def forked(lost: int = 0, new: int = 0, fibula: bool = True) -> NDArray[np.float32]:
    """A ring, and from slice 20 on a thin rod that parts from it; ``lost`` voxels of thickness off the ring, ``new`` on it."""
    z, y, x = np.indices((80, 50, 60)).astype(float)
    wide = 12 + np.maximum(0, 20 - z) * 0.3
    ring = (np.hypot(y - 25, x - 22) < wide + new) & (np.hypot(y - 25, x - 22) > wide - 5 + lost)
    rod = np.hypot(y - 25, x - 25 - np.minimum(0.6 * z, 24)) < 3
    return np.where(ring | (rod & fibula), 0.2, 0.02).astype(np.float32)


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_composite_below_the_junction(upside_down: bool) -> None:
    order = slice(None, None, -1) if upside_down else slice(None)
    grid = Grid((80, 50, 60), 0.05)
    first, second = forked()[order], forked(lost=1)[order]
    found = RoICompositeCropper(threshold=0.1, slices=30)(first, second, grid)
    apart = next(z for z in range(80) if 25 + min(0.6 * z, 24) - 3 - 22 > 12 + max(0, 20 - z) * 0.3 + 1)
    place = 79 - found.junction if upside_down else found.junction
    assert abs(place - apart) <= 3
    assert found.confidence == 1
    assert set(np.unique(found.composite)) == {0, 60, 180}
    ring = math.pi * (8**2 - 7**2) * 30 * 0.05**3
    assert found.lost_mm3 == pytest.approx(ring, rel=0.05), "and no fibula in it"
    assert found.new_mm3 == 0
    assert found.proximal == ("top" if upside_down else "bottom")


def test_a_broken_cortex_near_the_knee_is_no_fibula() -> None:
    """A growth plate opens the cortex, and trabeculae inside it are pieces of their own: the junction stays where it was."""
    whole = forked()
    broken, (_, y, x) = whole.copy(), np.indices(whole.shape)
    broken[8:14] = np.where((np.abs(y[8:14] - 25) < 3) | (x[8:14] < 12), 0.02, broken[8:14])
    broken[4:16, 24:27, 20:23] = 0.2
    grid = Grid(whole.shape, 0.05)
    junction = RoICompositeCropper(threshold=0.1, slices=30)(whole, whole, grid).junction
    assert RoICompositeCropper(threshold=0.1, slices=30)(broken, broken, grid).junction == junction


def test_a_single_bone_has_no_junction() -> None:
    ring = forked(fibula=False)
    with pytest.raises(InputError, match="no slice cuts two bones"):
        RoICompositeCropper(threshold=0.1)(ring, ring, Grid(ring.shape, 0.05))


def test_few_slices_are_said() -> None:
    found = RoICompositeCropper(threshold=0.1, slices=300)(forked(), forked(new=1), Grid((80, 50, 60), 0.05))
    assert any("of 300 slices" in doubt for doubt in found.doubts)
    assert found.new_mm3 > 0


def test_change_over_weeks() -> None:
    shape = (20, 24, 24)
    thick = {
        week: measure(voxels(shape, plate(t, (0, 0, 1), (9.5, 11.5, 11.5))), Grid(shape, 0.01), threshold=0.5)
        for week, t in ((4, 9), (0, 6))
    }
    found = follow(thick)
    assert list(found.weeks) == [0, 4]
    assert found.missing == (1, 2, 3)
    difference, share = found.change("Tb_Th", 4)
    assert difference == pytest.approx(0.03, rel=0.02)
    assert share == pytest.approx(50, rel=0.02)
    assert "week 4" in found.table()
    with pytest.raises(InputError, match="two weeks"):
        follow({0: thick[0]})
