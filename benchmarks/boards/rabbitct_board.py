"""The board of RabbitCT: the back-projection of its filtered views, against its reference volumes and by the clock.

The folder has ``RabbitInput.rct`` (or a ``.rctd``) and references ``Reference128.vol`` to ``Reference1024.vol``, uint16 in Hounsfield
units.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...base import InputError, MissingBackendError
from ...base.memory import require_memory
from ...base.psnr import psnr_db
from ...base.shapes import Volume
from ...data.scans.public.rabbitct import ENDINGS, RabbitViews, rabbit_views
from ...geometry import Grid
from ...recon.projector.backend import Backend, fdk_backend
from .board import Board, Result

EDGE_MM = 256.0
PEAK_HU = 4095.0
_BLOCK = 16  # views summed at once


def backprojected(views: RabbitViews, size: int, backend: Backend) -> tuple[Volume, float]:
    """The sum of 1/w^2 times the filtered views on size^3 voxels of a cube of 256 mm, and the seconds without reading."""
    assert backend.fdk_sum is not None
    grid = Grid((size, size, size), EDGE_MM / size)
    require_memory(4 * size**3, f"a volume of {size}^3 voxels")
    volume, seconds = np.zeros(grid.shape, np.float32), 0.0
    for start in range(0, len(views.scan), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(views.scan)))
        held, scan = views[block], views.scan[block]
        begin = time.perf_counter()
        backend.fdk_sum(volume, scan, grid, held, np.ones(len(scan)))
        seconds += time.perf_counter() - begin
    return volume, seconds


def in_hounsfield(volume: Volume, factors: tuple[float, float]) -> Volume:
    """As the benchmark makes Hounsfield units of a sum: rounded, 0 where the sum is not positive, and at most 4095."""
    units = np.floor(np.float32(factors[0]) * volume + np.float32(factors[1]) + np.float32(0.5))
    return np.minimum(np.where(volume > 0, units, 0), PEAK_HU).astype(np.float32)


def _score(file: Path, method: str) -> Iterator[Result]:
    views = rabbit_views(file)
    for reference in sorted(file.parent.glob("*.vol"), key=_size):
        size = _size(reference)
        if reference.stat().st_size != 2 * size**3:
            raise InputError(f"{reference} has {reference.stat().st_size} bytes", expected=f"{2 * size**3}, uint16 of {size}^3 voxels")
        volume, seconds = backprojected(views, size, _backend(method))
        truth = np.fromfile(reference, "<u2").reshape(size, size, size)
        error = float(np.mean((in_hounsfield(volume, views.hounsfield).astype(np.float64) - truth) ** 2))
        speed = f"{len(views.scan) * size**3 / max(seconds, 1e-9) / 1e9:.3g} giga voxel updates a second"
        yield Result(size, psnr_db(max(error, 1e-8), data_range=PEAK_HU), seconds, speed)


def _size(reference: Path) -> int:
    found = re.search(r"(\d+)\.vol$", reference.name)
    if found is None:
        raise InputError(f"{reference} has no size in its name", expected="Reference256.vol, as RabbitCT names it")
    return int(found[1])


def _backend(name: str) -> Backend:
    chosen = fdk_backend(name)
    if chosen.fdk_sum is None:
        raise MissingBackendError(f"backend {name} filters and sums in one", expected="one that sums filtered views: numba")
    return chosen


def _scenes(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and "geometry" not in p.name.lower())
    if not files or not any(folder.glob("*.vol")):
        raise InputError(f"{folder} holds no scene", expected="RabbitInput.rct (or .rctd) and a Reference256.vol")
    return files


RABBITCT = Board(
    name="rabbitct",
    measure="PSNR against RabbitCT's reference volume in Hounsfield units, data range 4095, and seconds of the back-projection without "
    "reading, as its runner has them. A method here is a backend.",
    column="PSNR, dB",
    cases="{0}^3 voxels",
    scenes=_scenes,
    score=_score,
    methods=("numba",),
    unpublished="The ranking of RabbitCT was a page on the web, by machine; none of its rows is copied here.",
    known=_backend,
)
