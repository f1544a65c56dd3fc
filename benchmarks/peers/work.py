"""One piece of work for all implementations, and how fewview itself does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...base import UnknownNameError
from ...base.shapes import LineIntegrals, Volume
from ...data import Projections
from ...geometry import Grid, Scan, skyscan_1276
from ...recon import Operator, fdk

Result = Volume | LineIntegrals  # what a task makes: a volume in 1/mm, or line integrals (dimensionless)
TASKS = ("forward", "adjoint", "fdk")
# (volume shape, detector rows, cols): A is the work that peers were measured on; every grid fills the field of view with 1.5 pixel voxels.
CONES = {"small": ((43, 64, 64), 64, 96), "medium": ((86, 128, 128), 128, 192), "A": ((171, 256, 256), 256, 384)}
FAN = "F"  # one slice of 256 x 256 and a fan beam: 180 views of 560 pixels over a full turn
SIZES = (*CONES, FAN)
OURS = "fewview"


@dataclass(frozen=True)
class Work:
    """One piece of work for all: a body inside the grid, its line integrals, and their back-projection and FDK by fewview."""

    scan: Scan
    grid: Grid
    volume: Volume
    projections: LineIntegrals

    def every(self, step: int) -> Work:
        """The same work with every ``step``-th view, for implementations that would take minutes."""
        return Work(self.scan[::step], self.grid, self.volume, self.projections[::step])

    @property
    def giga_updates(self) -> float:
        """The number of voxels times views, in 1e9."""
        return self.volume.size * len(self.scan) / 1e9

    def __str__(self) -> str:
        (nz, ny, nx), (rows, cols) = self.grid.shape, self.scan.shape
        return f"{nx} x {ny} x {nz} voxels, {len(self.scan)} views of {cols} x {rows} pixels"


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
    if size not in SIZES:
        raise UnknownNameError("size of the speed benchmark", size, SIZES)
    scan, grid = _fan() if size == FAN else _cone(size)
    z, y, x = (axis.astype(np.float32) for axis in np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij", sparse=True))
    volume = np.zeros(grid.shape, np.float32)
    random = np.random.default_rng(0)
    half = np.array(grid.size_mm) / 2
    for _ in range(12):
        middle, radius = random.uniform(-0.45, 0.45, 3) * half, random.uniform(0.1, 0.35, 3) * half
        middle[2] *= grid.shape[0] > 1  # a single slice meets every blob
        distance = sum(((a - m) / r) ** 2 for a, m, r in zip((x, y, z), middle, radius, strict=True))
        volume += random.uniform(0.02, 0.1) * np.clip(1.5 - 1.5 * np.asarray(distance), 0, 1).astype(np.float32)
    return Work(scan, grid, volume, Operator(scan, grid)(volume))


def _cone(size: str) -> tuple[Scan, Grid]:
    shape, rows, cols = CONES[size]
    return skyscan_1276(rows, cols, voxel_mm=0.1), Grid(shape, voxel_mm=0.15)


def _fan() -> tuple[Scan, Grid]:
    scan = Scan.circular(dso_mm=500, dsd_mm=1000, rows=1, cols=560, pixel_mm=1, angles_deg=np.arange(180) * 2.0)
    return scan, Grid((1, 256, 256), voxel_mm=1)


def own_contenders(work: Work) -> list[Contender]:
    """fewview itself."""
    A, measured = Operator(work.scan, work.grid), Projections(work.projections, work.scan)
    return [
        Contender(OURS, "forward", work, lambda: A(work.volume)),
        Contender(OURS, "adjoint", work, lambda: A.T(work.projections)),
        Contender(OURS, "fdk", work, lambda: fdk(measured, work.grid)),
    ]
