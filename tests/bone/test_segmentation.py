"""Bones of phantoms whose labels are known: the right side and the right bone, or a low confidence."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.base import InputError
from fewview.bone import ReconCTSegmentation
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
