"""One piece of work for all implementations, and how fewview itself does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...base import UnknownNameError
from ...base.shapes import LineIntegrals, Volume
from ...data import Projections
from ...geometry import Grid, Scan, skyscan_1276
from ...recon import Operator, fdk
from ...recon.projector.backend import find_backend

Result = Volume | LineIntegrals | Tensor  # what a task makes: a volume in 1/mm, or line integrals (dimensionless)
TASKS = ("forward", "adjoint", "fdk")
# (volume shape, detector rows, cols): A is the work that peers were measured on; every grid fills the field of view with 1.5 pixel voxels.
CONES = {"small": ((43, 64, 64), 64, 96), "medium": ((86, 128, 128), 128, 192), "A": ((171, 256, 256), 256, 384)}
FAN = "F"  # one slice of 256 x 256 and a fan beam: 180 views of 560 pixels over a full turn
CUBES = {"256": 256, "512": 512, "1024": 1024}  # n^3 voxels, 260 views of n x n pixels, a pixel a voxel: for a GPU
SIZES = (*CONES, FAN, *CUBES)
OURS = "fewview"


@dataclass(frozen=True)
class Work:
    """One piece of work for all: a body inside the grid, its line integrals, and their back-projection and FDK by fewview."""

    scan: Scan
    grid: Grid
    volume: Volume
    projections: LineIntegrals
    backend: str = "numba"  # of fewview

    def every(self, step: int) -> Work:
        """The same work with every ``step``-th view, for implementations that would take minutes."""
        return Work(self.scan[::step], self.grid, self.volume, self.projections[::step], self.backend)

    @property
    def giga_updates(self) -> float:
        """The number of voxels times views, in 1e9."""
        return self.volume.size * len(self.scan) / 1e9

    def __str__(self) -> str:
        return in_words(self.scan, self.grid)


@dataclass(frozen=True)
class Contender:
    """``run()`` does ``task`` of ``work`` and returns [view, row, col] or [z, y, x] like fewview's own arrays. Only this call is timed.

    ``needs_correlation`` is the least correlation with fewview's result at which both are taken to have done the same.
    """

    name: str
    task: str
    work: Work
    run: Callable[[], Result]
    needs_correlation: float = 0.99


def make_work(size: str = "A") -> Work:
    """A scan of the SkyScan 1276, or a fan beam, and smooth blobs that end inside the grid: at its border implementations differ."""
    scan, grid = geometry_of(size)
    backend = "triton" if size in CUBES else "numba"
    find_backend(backend)
    where = torch.device("cuda" if size in CUBES else "cpu")
    x, y, z = (torch.from_numpy(axis).to(where, torch.float32) for axis in (grid.x_mm, grid.y_mm, grid.z_mm))
    volume = torch.zeros(grid.shape, device=where)
    random = np.random.default_rng(0)
    half = np.array(grid.size_mm) / 2
    for _ in range(12):
        middle, radius = random.uniform(-0.45, 0.45, 3) * half, random.uniform(0.1, 0.35, 3) * half
        middle[2] *= grid.shape[0] > 1  # a single slice meets every blob
        dx, dy, dz = (((axis - m) / r) ** 2 for axis, m, r in zip((x, y, z), middle.tolist(), radius.tolist(), strict=True))
        volume += random.uniform(0.02, 0.1) * (1.5 - 1.5 * (dz[:, None, None] + dy[:, None] + dx)).clamp(0, 1)
    body = volume.cpu().numpy()
    return Work(scan, grid, body, Operator(scan, grid, backend)(body), backend)


def geometry_of(size: str) -> tuple[Scan, Grid]:
    """Scan and grid of a size; UnknownNameError for a size that there is not."""
    if size not in SIZES:
        raise UnknownNameError("size of the speed benchmark", size, SIZES)
    if size in CUBES:
        n = CUBES[size]
        return skyscan_1276(n, n, voxel_mm=0.1), Grid((n, n, n), voxel_mm=0.1)
    if size == FAN:
        return _fan()
    shape, rows, cols = CONES[size]
    return skyscan_1276(rows, cols, voxel_mm=0.1), Grid(shape, voxel_mm=0.15)


def _fan() -> tuple[Scan, Grid]:
    scan = Scan.circular(dso_mm=500, dsd_mm=1000, rows=1, cols=560, pixel_mm=1, angles_deg=np.arange(180) * 2.0)
    return scan, Grid((1, 256, 256), voxel_mm=1)


def in_words(scan: Scan, grid: Grid) -> str:
    """How many voxels, views and pixels."""
    (nz, ny, nx), (rows, cols) = grid.shape, scan.shape
    return f"{nx} x {ny} x {nz} voxels, {len(scan)} views of {cols} x {rows} pixels"


def own_contenders(work: Work) -> list[Contender]:
    """fewview itself."""
    A, measured = Operator(work.scan, work.grid, work.backend), Projections(work.projections, work.scan)
    return [
        Contender(OURS, "forward", work, lambda: A(work.volume)),
        Contender(OURS, "adjoint", work, lambda: A.T(work.projections)),
        Contender(OURS, "fdk", work, lambda: fdk(measured, work.grid, backend=work.backend)),
    ]
