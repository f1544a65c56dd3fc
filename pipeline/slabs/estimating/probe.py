"""How fast is this machine at each step of a run by slabs? Small samples of the work itself."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....base.record import sha256
from ....base.shapes import ViewValues, Volume
from ....data import Projections
from ....data.scans.air_level import border_air
from ....data.scans.flat_and_dark import flat_field
from ....data.scans.raw import RawSource
from ....geometry import Grid, Scan
from ....recon.analytic.feldkamp import view_blocks
from ....recon.analytic.feldkamp_slabs import SlabFdk

_IMAGES, _STRIP = 3, 64
_WRITTEN = 32 << 20  # bytes written to find out how fast the disk is


@dataclass
class Took:
    """Seconds of a sample by the clock (``wall``) and of the processor (``cpu``, of all threads)."""

    wall: float = 0.0
    cpu: float = 0.0

    def times(self, factor: float) -> Took:
        """So many of them."""
        return Took(self.wall * factor, self.cpu * factor)

    def plus(self, other: Took) -> Took:
        """One after the other."""
        return Took(self.wall + other.wall, self.cpu + other.cpu)


@contextmanager
def timed() -> Iterator[Took]:
    """The seconds that the ``with`` block takes, which are filled in at its end."""
    took, wall, cpu = Took(), time.perf_counter(), time.process_time()
    yield took
    took.wall, took.cpu = time.perf_counter() - wall, time.process_time() - cpu


def image_time(source: RawSource | Projections) -> Took:
    """To hash, decode and judge one image, and to take its logarithm."""
    if isinstance(source, Projections):
        return Took()
    correct, _ = flat_field(source.flat, source.dark, source.scan.shape)
    chosen = np.unique(np.linspace(0, len(source.views) - 1, _IMAGES).round().astype(int))
    with timed() as took:
        for view in chosen:
            name = source.views.name(int(view))
            if name and Path(name).is_file():
                sha256(name)
                sha256(name)  # again when it was read
            image = np.asarray(source.views[int(view)])
            intensity = correct(image)
            border_air(intensity)
            np.minimum(image, image.min())
            np.maximum(image, image.max())
            logarithm = np.log(intensity, out=np.zeros_like(intensity), where=intensity > 0)
            np.isfinite(1 - logarithm).all()
            np.abs(np.diff(logarithm, axis=1)).max()  # as the search for stray pixels does
    return took.times(1 / len(chosen))


def filter_time(fdk: SlabFdk, rows: slice) -> Took:
    """To filter these rows of one view."""
    values = np.zeros((2, rows.stop - rows.start, fdk.scan.shape[1]), np.float32)
    fdk.filtered(values, slice(0, 2), rows.start)
    with timed() as took:
        fdk.filtered(values, slice(0, 2), rows.start)
    return took.times(0.5)


def voxel_time(scan: Scan, grid: Grid, height: int) -> Took:
    """To add one view to one voxel of a slab, on average: a few strips of slabs, and as many views as are summed at once."""
    block = view_blocks(scan)[0]
    views = np.unique(np.linspace(0, len(scan) - 1, block.stop - block.start).round().astype(int))
    part, total, voxels = scan[views], Took(), 0
    for strip in _strips(grid, height):
        fdk, z = SlabFdk(part, strip), slice(0, strip.shape[0])
        rows = fdk.rows(z)
        if not rows.stop:
            continue
        values = np.ones((len(part), rows.stop - rows.start, scan.shape[1]), np.float32)
        volume = np.zeros(strip.shape, np.float32)
        _add(fdk, volume, values, rows.start)  # the first time it is compiled, and memory comes from the system
        took = _add(fdk, volume, values, rows.start)
        total, voxels = total.plus(took), voxels + int(np.prod(strip.shape)) * len(part)
    return total.times(1 / max(1, voxels))


def _add(fdk: SlabFdk, volume: Volume, values: ViewValues, first: int) -> Took:
    with timed() as took:
        fdk.add(volume, lambda v, r: np.ascontiguousarray(values[v, r.start - first : r.stop - first]), slice(0, len(volume)))
    return took


def _strips(grid: Grid, height: int) -> Iterator[Grid]:
    """Strips along x at several places of the first, the middle and the next to last slab."""
    nz, ny, nx = grid.shape
    high, wide = min(height, nz), min(_STRIP, ny)
    for z, y in ((0, 0.5), (0.5, 0.12), (0.5, 0.5), (0.75, 0.3)):
        first = min(int(z * nz) // high * high, nz - high)
        start = min(max(0, int(y * ny) - wide // 2), ny - wide)
        middle = grid.origin_mm + grid.voxel_mm * np.array([(nx - 1) / 2, start + (wide - 1) / 2, first + (high - 1) / 2])
        yield Grid((high, wide, nx), grid.voxel_mm, (float(middle[0]), float(middle[1]), float(middle[2])))


def byte_time(folder: Path) -> Took:
    """To write one byte of many to the disk of a folder."""
    block = np.random.default_rng(0).bytes(_WRITTEN)
    with timed() as took, tempfile.TemporaryFile(dir=folder) as file:
        file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return took.times(1 / _WRITTEN)
