"""Volumes written slab by slab: the files are those of `write_volume`, whatever the order of the slabs."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import ngff_zarr
import numpy as np
import pytest
from fewview.data import read_volume, write_volume
from fewview.data.volumes.slabs.zarr_pyramid import ZarrPyramid, halved
from fewview.data.volumes.volume_format import Kept, format_to_write
from fewview.geometry import Grid

GRID = Grid((21, 7, 9), 0.25, (0.5, -1.0, 3.0))
NAMES = ("v.ome.tif", "v.h5", "v.ome.zarr", "v")


def values(grid: Grid = GRID) -> np.ndarray:
    return np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)


def in_slabs(path: Path, volume: np.ndarray, grid: Grid, height: int, order: int) -> Path:
    slabs = format_to_write(path).slabs
    assert slabs is not None
    file = pickle.loads(pickle.dumps(slabs(path, grid, height)))
    file.create()
    for begin in list(range(0, len(volume), height))[::order]:
        file.write(begin, np.zeros_like(volume[begin : begin + height]))  # the slab of a worker that was lost
        file.write(begin, volume[begin : begin + height])
    file.finish(Kept({"method": "fdk"}), float(volume.min()), float(volume.max()))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_slabs_in_any_order_make_the_volume(name: str, tmp_path: Path) -> None:
    for height, order in ((4, 1), (8, -1), (21, 1)):
        path = in_slabs(
            tmp_path / f"{height}" / name if (tmp_path / f"{height}").mkdir() is None else tmp_path, values(), GRID, height, order
        )
        found, grid, _ = read_volume(path)
        assert (grid.shape, grid.voxel_mm, grid.center_mm) == (GRID.shape, GRID.voxel_mm, GRID.center_mm)
        wanted = read_volume(write_volume(values(), tmp_path / f"{height}" / f"whole_{name}", grid=GRID))[0] if name == "v" else values()
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["v.ome.tif", "v.h5"])
def test_the_same_volume_makes_the_same_file(name: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    one, two = in_slabs(tmp_path / "a" / name, values(), GRID, 4, 1), in_slabs(tmp_path / "b" / name, values(), GRID, 10, -1)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("height", [16, 12, 5, 200])
def test_levels_of_a_pyramid_are_means_of_eight(height: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With chunks as large as those of a real volume; levels are written with the slabs, or by the end."""
    grid = Grid((37, 300, 20), 0.1)
    path = in_slabs(tmp_path / "v.ome.zarr", values(grid), grid, height, -1)
    images = ngff_zarr.from_ngff_zarr(path).images
    assert [image.data.shape for image in images] == [(37, 300, 20), (19, 150, 10), (10, 75, 5)]
    whole = values(grid)
    padded = np.full((38, 300, 20), np.nan, np.float32)
    padded[:37] = whole
    mean = np.nanmean(padded.reshape(19, 2, 150, 2, 10, 2), axis=(1, 3, 5))
    np.testing.assert_allclose(np.asarray(images[1].data), mean, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(images[2].data), halved(np.asarray(images[1].data)))
    for level, image in enumerate(images):
        assert image.scale["x"] == pytest.approx(0.1 * 2**level)
        first = grid.origin_mm + 0.05 * (2**level - 1)  # the middle of the first voxel of the level
        assert [image.translation[axis] for axis in "xyz"] == pytest.approx(first.tolist())


def test_a_pyramid_says_its_chunks(tmp_path: Path) -> None:
    path = in_slabs(tmp_path / "v.ome.zarr", values(), GRID, 4, 1)
    assert json.loads((path / ".zattrs").read_text())["fewview_chunks_stored"] == 6
    assert ZarrPyramid(path, Grid((983, 983, 672), 0.01), 192).chunk(0) == (96, 128, 128)
