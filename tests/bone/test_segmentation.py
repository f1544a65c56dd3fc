"""Bones of phantoms whose labels are known: the right side and the right bone, or a low confidence."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.base import InputError
from fewview.bone import ReconCTSegmentation
from fewview.bone.segmentation.slice_order import slices_out_of_place
from fewview.data.phantom.animal import Animal, Pose, hind_quarters
from fewview.geometry import Grid
from limbs import THRESHOLD, two_limbs


@pytest.mark.parametrize(("seed", "swapped"), [(0, False), (3, True)])
def test_two_legs(seed: int, swapped: bool) -> None:
    limbs = two_limbs(seed, swapped=swapped)
    found = ReconCTSegmentation(threshold=THRESHOLD)(limbs.volume, limbs.grid)
    assert set(found.found) == set(limbs.truth)
    for name, truth in limbs.truth.items():
        mine = found.labels == found.names.index(name) + 1
        assert 2 * np.count_nonzero(mine & truth) / (mine.sum() + truth.sum()) > 0.95, name
    assert found.sure
    part, grid = found.stack("left tibia")
    inside = np.argwhere(part > THRESHOLD).mean(axis=0) * grid.voxel_mm + grid.origin_mm[::-1]
    truth = np.argwhere(limbs.truth["left tibia"]).mean(axis=0) * limbs.grid.voxel_mm + limbs.grid.origin_mm[::-1]
    assert np.abs(inside - truth).max() < 0.4, "a bone on its own stays where it is in the scan"


def test_one_leg_on_its_side() -> None:
    limbs = two_limbs(0)
    half = limbs.volume[:, :, : limbs.volume.shape[2] // 2]
    turned = np.ascontiguousarray(np.rot90(half, 1, (0, 2)))
    found = ReconCTSegmentation(threshold=THRESHOLD)(turned, Grid(turned.shape, limbs.grid.voxel_mm))
    assert set(found.found) == {"left femur", "left tibia"}


def test_what_holds_no_leg_is_refused() -> None:
    limbs = two_limbs(0)
    tibia = np.where(limbs.truth["left tibia"], limbs.volume, 0.03).astype(np.float32)
    with pytest.raises(InputError, match="one bone"):
        ReconCTSegmentation(threshold=THRESHOLD)(tibia, limbs.grid)
    with pytest.raises(InputError, match="nothing but"):
        ReconCTSegmentation()(np.zeros((8, 8, 8), np.uint8), Grid((8, 8, 8), 0.1))
    with pytest.raises(InputError, match="grey levels"):
        ReconCTSegmentation(threshold=75)(limbs.volume, limbs.grid)


def test_eight_bit_volumes_are_parted_at_75_of_255() -> None:
    limbs = two_limbs(0)
    levels = np.clip(limbs.volume / 0.25 * 255, 0, 255).astype(np.uint8)
    assert ReconCTSegmentation()(levels, limbs.grid).threshold == 75


GRID = Grid((116, 88, 96), 0.25)


def scanned(animal: Animal) -> np.ndarray:
    return (animal.volume + 0.01 * np.random.default_rng(0).standard_normal(GRID.shape)).astype(np.float32)


def test_bones_of_two_legs_that_touch() -> None:
    """The knees are so near to one another that the gap is bridged as a joint's is; the plane between them parts the legs."""
    animal = hind_quarters(GRID, Pose(yaw_deg=70, apart_mm=4.4), spine=False)
    found = ReconCTSegmentation(threshold=THRESHOLD)(scanned(animal), GRID)
    assert "the legs touch" in found.doubts[0]
    for name in ("left femur", "right femur", "left tibia", "right tibia"):
        truth = animal.mask(*{name, name.replace("tibia", "fibula")}) & (found.volume > THRESHOLD)
        mine = found.labels == found.names.index(name) + 1
        assert 2 * np.count_nonzero(mine & truth) / (mine.sum() + truth.sum()) > 0.95, name


def test_what_went_wrong_with_a_scan_is_not_passed_over() -> None:
    """Slices in the order of their names (1, 10, 100, 11, ...), in no order, or a field of view that cuts a leg: not sure, or in words."""
    animal = hind_quarters(GRID, Pose(apart_mm=12.5))
    volume, tool = scanned(animal), ReconCTSegmentation(threshold=THRESHOLD)
    assert tool(volume, GRID).sure
    by_name = tool(volume[sorted(range(len(volume)), key=str)], GRID)
    assert not by_name.sure
    assert "the slices are not in order" in by_name.doubts[-1]
    assert slices_out_of_place(volume[np.random.default_rng(1).permutation(len(volume))])
    cut = np.ascontiguousarray(volume[:, :, 22:])
    found = tool(cut, Grid(cut.shape, GRID.voxel_mm))
    assert not found.sure or "the field of view is too small" in found.doubts[-1]
