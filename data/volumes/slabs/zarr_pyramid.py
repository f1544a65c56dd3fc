"""OME-Zarr (OME-NGFF 0.4, Zarr 2) from slabs, with coarser levels for viewers: raw chunks, each written under another name and renamed.

https://ngff.openmicroscopy.org/0.4/ and the Zarr storage specification, version 2. Chunks are not compressed: the noise of float32 voxels
hardly can be, and every slab would cost a second pass.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....base.shapes import NewVolume, Volume, VoxelValues
from ....geometry import Grid
from ..volume_format import Kept

CHUNK = 128  # voxels a side, at most
_SMALLEST = 128  # voxels across the coarsest level, at most


@dataclass(frozen=True)
class ZarrPyramid:
    """Level 0 has the voxels of ``grid``, and each further one voxels of twice the size, the means of eight (at odd ends of fewer).

    ``height``: the slices of a slab. A slab begins at a multiple of it, and its chunks are its own, so that slabs can be written at the
    same time, and again. As many levels as ``height`` can be halved are written with each slab, and the others by `finish`.
    """

    path: Path
    grid: Grid
    height: int

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return 1 + max(0, math.ceil(math.log2(max(self.grid.shape) / _SMALLEST)))

    @property
    def with_slabs(self) -> int:
        """How many levels are written with each slab."""
        halved = (self.height & -self.height).bit_length()
        return min(self.levels, halved if self.height < self.grid.shape[0] else self.levels)

    def shape(self, level: int) -> tuple[int, int, int]:
        """The voxels (z, y, x) of a level."""
        nz, ny, nx = (-(-n // 2**level) for n in self.grid.shape)
        return nz, ny, nx

    def chunk(self, level: int) -> tuple[int, int, int]:
        """The voxels (z, y, x) of a chunk: along z a whole number of chunks is a slab."""
        high = self.height >> level if level < self.with_slabs else CHUNK
        if high > CHUNK:
            high = next((n for n in range(CHUNK, CHUNK // 4, -1) if high % n == 0), high)
        return max(1, min(high, self.shape(level)[0])), CHUNK, CHUNK

    def create(self) -> None:
        """Make the folder with its metadata."""
        self.path.mkdir()
        _write_json(self.path / ".zgroup", {"zarr_format": 2})
        for level in range(self.levels):
            folder = self.path / str(level)
            folder.mkdir()
            facts = {"shape": self.shape(level), "chunks": self.chunk(level), "dtype": "<f4", "compressor": None, "fill_value": 0.0}
            _write_json(folder / ".zarray", {"zarr_format": 2, **facts, "order": "C", "filters": None, "dimension_separator": "."})
        _write_json(self.path / ".zattrs", self._attributes())

    def _attributes(self) -> dict[str, object]:
        x, y, z = (float(c) for c in self.grid.origin_mm)
        datasets = []
        for level in range(self.levels):
            voxel = self.grid.voxel_mm * 2**level
            shift = (voxel - self.grid.voxel_mm) / 2
            scale = {"type": "scale", "scale": [voxel] * 3}
            place = {"type": "translation", "translation": [z + shift, y + shift, x + shift]}
            datasets.append({"path": str(level), "coordinateTransformations": [scale, place]})
        axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
        chunks = math.prod(-(-n // size) for n, size in zip(self.shape(0), self.chunk(0), strict=True))
        multiscales = [{"version": "0.4", "name": "volume", "axes": axes, "datasets": datasets}]
        return {"multiscales": multiscales, "fewview_chunks_stored": chunks}

    def there(self) -> bool:
        """Whether it was made and is still there."""
        return self.path.exists()

    def write(self, first: int, slab: Volume) -> None:
        """Write the chunks of slices [z, y, x] in 1/mm from ``first`` on, in as many levels as a slab fills."""
        values: VoxelValues = slab
        for level in range(self.with_slabs):
            values = halved(values) if level else values
            self._write_chunks(level, first >> level, values)

    def finish(self, kept: Kept, low: float, high: float) -> None:
        """Write the coarsest levels, each from the one before."""
        for level in range(self.with_slabs, self.levels):
            high_of_chunk = self.chunk(level)[0]
            for begin in range(0, self.shape(level)[0], high_of_chunk):
                below = self._read(level - 1, 2 * begin, min(2 * (begin + high_of_chunk), self.shape(level - 1)[0]))
                self._write_chunks(level, begin, halved(below))

    def _write_chunks(self, level: int, first: int, values: VoxelValues) -> None:
        chunk = self.chunk(level)
        for (k, j, i), part in _parts(values, chunk):
            whole = np.zeros(chunk, "<f4")
            whole[: part.shape[0], : part.shape[1], : part.shape[2]] = part
            place = self.path / str(level) / f"{first // chunk[0] + k}.{j}.{i}"
            there = place.with_name(f".{place.name}.part")
            with there.open("wb") as file:
                file.write(whole.reshape(-1).data.cast("B"))
                os.fsync(file.fileno())
            os.replace(there, place)

    def _read(self, level: int, begin: int, end: int) -> NDArray[np.float32]:
        """Slices [z, y, x] of a level that is complete."""
        (_, ny, nx), (deep, wide, long) = self.shape(level), self.chunk(level)
        out = np.empty((end - begin, ny, nx), np.float32)
        for k in range(begin // deep, -(-end // deep)):
            low, high = max(begin, k * deep), min(end, (k + 1) * deep)
            for j in range(-(-ny // wide)):
                for i in range(-(-nx // long)):
                    part = np.fromfile(self.path / str(level) / f"{k}.{j}.{i}", "<f4").reshape(deep, wide, long)
                    room = out[low - begin : high - begin, j * wide : (j + 1) * wide, i * long : (i + 1) * long]
                    room[...] = part[low - k * deep : high - k * deep, : room.shape[1], : room.shape[2]]
        return out


def halved(values: VoxelValues) -> NewVolume:
    """Means of blocks of 2 x 2 x 2 voxels [z, y, x], and at an odd end of those that there are; two slices at a time, to save memory."""
    nz, ny, nx = (-(-n // 2) for n in values.shape)
    out = np.empty((nz, ny, nx), np.float32)
    for k in range(nz):
        out[k] = _halved(values[2 * k : 2 * k + 2])[0]
    return out


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    for axis in range(3):
        ahead = (slice(None),) * axis
        even, odd = values[(*ahead, slice(0, None, 2))], values[(*ahead, slice(1, None, 2))]
        mean = even.astype(np.float32)
        both = mean[(*ahead, slice(0, odd.shape[axis]))]
        both += odd
        both *= np.float32(0.5)
        values = mean
    return values


def _parts(values: VoxelValues, chunk: tuple[int, int, int]) -> Iterator[tuple[tuple[int, int, int], NDArray[np.float32]]]:
    deep, wide, long = chunk
    for k in range(0, values.shape[0], deep):
        for j in range(0, values.shape[1], wide):
            for i in range(0, values.shape[2], long):
                yield (k // deep, j // wide, i // long), values[k : k + deep, j : j + wide, i : i + long]


def _write_json(path: Path, facts: object) -> None:
    path.write_text(json.dumps(facts, indent=4), encoding="utf-8")
