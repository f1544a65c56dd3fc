"""A volume measured slab by slab has the numbers of the whole at once: whatever is cut, joined, or wider than a slab."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from bodies import plates, rod, sphere, tube, voxels
from fewview.base import InputError
from fewview.bone import CompartmentSettings, Measured, measure
from fewview.bone.measures import measuring
from fewview.bone.measures.sums.topology import euler_number, euler_of_slabs, purified
from fewview.bone.stack.cut import Cut
from fewview.bone.stack.joined import join
from fewview.bone.stack.slab_plan import SlabPlan, plan_slabs
from fewview.bone.stack.sliced import packed
from fewview.data import open_volume, read_volume, write_volume
from fewview.data.phantom.piece import tibia_piece
from fewview.data.volumes.slabs.stored import StoredVolume
from fewview.geometry import Grid
from numpy.typing import NDArray
from scipy import ndimage

GRID = Grid((34, 66, 66), 0.043)


def piece() -> NDArray[np.float32]:
    """Of a phantom's tibia, blurred and noisy, next to nothing of it in its first slices."""
    noise = 0.01 * np.random.default_rng(0).standard_normal(GRID.shape, dtype=np.float32)
    return (ndimage.gaussian_filter(tibia_piece(GRID, seed=0, t_mm=1.4), 0.7) + noise).astype(np.float32)


def same(m: Measured, whole: Measured, rel: float = 1e-5) -> None:
    assert dict(m) == pytest.approx(dict(whole), rel=rel, nan_ok=True)
    assert len(m.slices) == len(whole.slices)
    for row, other in zip(m.slices, whole.slices, strict=True):
        assert dict(row) == pytest.approx(dict(other), rel=1e-4, nan_ok=True)


def test_a_tibia_in_slabs_of_any_height(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = piece()
    whole = measure(volume, GRID, threshold=0.1, region="auto")
    assert whole["Tb_Th"] > 0
    assert whole["Ct_Th"] > 0
    for slab in (7, 16):
        m = measure(volume, GRID, threshold=0.1, region="auto", slab=slab)
        same(m, whole)
        assert m.settings["slabs"] == -(-34 // slab)
        np.testing.assert_array_equal(m.maps["compartments"], whole.maps["compartments"])
        np.testing.assert_allclose(m.maps["thickness"], whole.maps["thickness"], rtol=1e-5)
    monkeypatch.setattr(CompartmentSettings, "halo", lambda self, voxel_mm: 0)
    assert dict(measure(volume, GRID, threshold=0.1, region="auto", slab=7)) != pytest.approx(dict(whole), rel=1e-3, nan_ok=True)


def test_a_region_of_ones_own_and_a_threshold_that_is_found() -> None:
    volume = piece()
    z, y, x = np.ogrid[:34, :66, :66]
    ball = ((z - 17) / 13) ** 2 + ((y - 30) / 16) ** 2 + ((x - 33) / 16) ** 2 < 1
    whole = measure(volume, GRID, region=ball)
    m = measure(volume, GRID, region=ball, slab=9)
    assert m.settings["threshold"] == whole.settings["threshold"]
    same(m, whole)


@pytest.mark.shared_data
def test_a_real_head_in_slabs(shared_data: Path) -> None:
    values, grid, _ = read_volume(shared_data / "mouse_head" / "A_J_.nii.gz")
    middle = tuple(slice(n // 2 - k, n // 2 + k) for n, k in zip(grid.shape, (20, 28, 28), strict=True))
    part, own = np.asarray(values[middle], dtype=np.float32), Grid((40, 56, 56), grid.voxel_mm)
    whole = measure(part, own)
    assert whole["Tb_Th"] > 0
    same(measure(part, own, slab=11), whole)


def test_pieces_and_cavities_that_reach_through_slabs() -> None:
    """Two columns, one hollow for many slabs, that only join in the last slice; and an island that is thicker but shorter."""
    bone = np.zeros((30, 20, 30), bool)
    bone[2:28, 4:11, 3:10], bone[2:28, 4:7, 14:17], bone[27, 4, 3:17] = True, True, True
    bone[5:25, 6:9, 5:8] = False  # a cavity
    bone[9:20, 4:14, 20:29] = True  # an island
    joined = np.zeros_like(bone)
    joined[2:28, 4:11, 3:10], joined[2:28, 4:7, 14:17], joined[27, 4, 3:17] = True, True, True
    for height in (1, 4, 7, 30):
        cut = Cut((30, 20, 30), height)
        pure = purified(lambda z: bone[z], cut)
        np.testing.assert_array_equal(np.concatenate([pure(own) for own in cut.slabs]), joined)
        assert euler_of_slabs(pure, lambda z: np.ones_like(bone[z]), cut) == 1


def test_noise_in_slabs_hangs_together_as_in_one() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((21, 22, 23)), 1.0)
    bone, region = noise > 0.03, np.random.default_rng(2).random(noise.shape) < 0.7
    pieces, count = ndimage.label(bone, np.ones((3, 3, 3)))  # type: ignore[misc]
    sizes = np.sort(np.bincount(pieces.ravel())[1:])
    for height in (1, 2, 8):
        cut = Cut((21, 22, 23), height)
        found = join(lambda z: bone[z], cut, corners=True).sizes
        np.testing.assert_array_equal(np.sort(found[found > 0]), sizes)
        assert euler_of_slabs(lambda z: bone[z], lambda z: region[z], cut) == pytest.approx(euler_number(bone, region))
    assert count > 3


def spaced() -> tuple[NDArray[np.float32], Grid]:
    """Plates across the slices, 4 thick and 26 apart: the balls between them reach through three slabs of 8."""
    return voxels((90, 24, 24), plates(4, 30, (1, 0.06, 0), (45, 12, 12))), Grid((90, 24, 24), 0.01)


def _only(cut: Cut, reach: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "plan_slabs", lambda shape, halo, slab: SlabPlan(cut, reach, most, halo))


def test_more_is_looked_at_where_spaces_are_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, grid = spaced()
    whole = measure(volume, grid, threshold=0.5)
    assert whole["Tb_Sp"] == pytest.approx(0.26, rel=0.03)
    _only(Cut(grid.shape, 8), 16, 90, monkeypatch)
    m = measure(volume, grid, threshold=0.5)
    assert 16 < m.settings["around_slab"] < 90
    same(m, whole)


def test_what_is_too_wide_for_slabs_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, grid = spaced()
    whole = measure(volume, grid, threshold=0.5)
    _only(Cut(grid.shape, 8), 16, 16, monkeypatch)
    m = measure(volume, grid, threshold=0.5)
    assert math.isnan(m["Tb_Sp"])
    assert "16 slices on both sides of a slab" in m.notes["Tb_Sp"]
    assert m["Tb_Th"] == pytest.approx(whole["Tb_Th"], rel=1e-5)
    assert m["Conn_D"] == pytest.approx(whole["Conn_D"])


def test_wide_spaces_outside_do_not_count_inside_a_thin_wall() -> None:
    """Balls of more than 48 voxels lie against a wall of 5, and are painted on a lattice of 16: they made this bore 0.75 mm wide."""
    center = (5.5, 69.6, 69.3)
    body = voxels((12, 140, 140), tube(34, 24, (1, 0, 0), center), 2)
    m = measure(body, Grid(body.shape, 0.01), threshold=0.5, region="trabecular", compartments=CompartmentSettings(0.05, 0.02, 0.03, 0.05))
    assert m["Tb_Sp"] == pytest.approx(0.24, rel=0.03)


def test_slices_in_files_are_measured_as_in_memory(tmp_path: Path) -> None:
    body = 0.2 * voxels((20, 24, 24), rod(7, (1, 0.2, 0.1), (9.5, 11.5, 11.5)))
    grid = Grid(body.shape, 0.01)
    for name, exact in (("slices", False), ("body.h5", True), ("body.ome.tif", True), ("body.ome.zarr", True)):
        write_volume(body, tmp_path / name, grid=grid)
        stored, own, facts = open_volume(tmp_path / name)
        values, read_grid, read_facts = read_volume(tmp_path / name)
        assert isinstance(stored, StoredVolume) or not stored.flags.owndata  # a map of the file
        assert (own, facts) == (read_grid, read_facts)
        np.testing.assert_array_equal(stored[3:7], values[3:7])
        same(measure(stored, own, threshold=0.1, slab=6), measure(values, own, threshold=0.1))
        if exact:
            np.testing.assert_array_equal(stored[:], body)
    with pytest.raises(IndexError, match="successive"):
        stored[::2]


def test_masks_and_labels_keep_what_they_hold() -> None:
    rng = np.random.default_rng(0)
    for array in (rng.random((9, 5, 7)) < 0.3, rng.integers(0, 4, (9, 5, 7), dtype=np.uint8)):
        kept = packed([array[:4], array[4:]])
        assert kept.shape == array.shape
        np.testing.assert_array_equal(kept[2:6], array[2:6])
        np.testing.assert_array_equal(kept[:], array)


def test_slabs_fit_the_memory() -> None:
    gib = 2**30
    assert plan_slabs((512, 512, 512), 76, None, 8 * gib).cut.is_whole
    plan = plan_slabs((2048, 1000, 1000), 76, None, 16 * gib)
    assert 1 < len(plan.cut.slabs) < 200
    assert plan.needed_bytes <= 8 * gib
    assert plan.reach <= plan.most < 2048
    small = plan_slabs((2048, 1000, 1000), 76, None, 8 * gib)
    assert small.cut.height < plan.cut.height
    assert "slabs of" in small.said()


@pytest.mark.parametrize(
    ("slab", "free", "words"),
    [
        (None, 2**30, "slabs of 1 of 2700 slices of 2000 x 2000 voxels, with 76 slices on both sides"),
        (2000, 2**34, "give a smaller --slab"),
        (0, 2**34, "slab is 0"),
    ],
)
def test_memory_that_is_too_small_is_said_before(slab: int | None, free: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan_slabs((2700, 2000, 2000), 76, slab, free)


def test_bad_values_are_found_in_slabs_too() -> None:
    body = voxels((16, 16, 16), sphere(8, (7.5, 7.5, 7.5)), 2)
    with pytest.raises(InputError, match="NaN"):
        measure(np.where(body > 0.9, np.nan, body), Grid(body.shape, 0.01), threshold=0.5, slab=5)
    with pytest.raises(InputError, match="the region is empty"):
        measure(body, Grid(body.shape, 0.01), threshold=0.5, slab=5, region=np.zeros(body.shape, bool))
