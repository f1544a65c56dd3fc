"""Voxel-driven back-projection of filtered views on a GPU, and its transpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray
from torch import Tensor

from ....geometry import Grid, Scan
from ..projection_matrices import projection_matrices, upright
from .turning import on_device_of
from .voxel_kernels import add_views, spread_views


def held_shape(views: int, rows: int, cols: int) -> tuple[int, int, int]:
    """(view, col, row) of filtered views as the kernels read them: row r of the panel is at r + 2.

    Before it lie 0 and the first row again, behind it the last row again and zeros: the panel is extended by one row at either end and
    fades to zero within the next, so that a plane of voxels half a pixel off (a fan-beam slice) is not lost.
    """
    return views, cols, -(-(rows + 5) // 8) * 8


@dataclass(frozen=True)
class VoxelDriven:
    """Where the voxels of a grid fall on the views of a scan, on ``matrices.device``.

    ``matrices`` (view, 12) float32: voxel index (x, y, z, 1) -> (col w, row w, w); ``steps`` (view,) weight of a view.
    """

    matrices: Tensor
    steps: Tensor
    grid_shape: tuple[int, int, int]
    rows: int
    cols: int
    upright: bool

    @classmethod
    def of(cls, scan: Scan, grid: Grid, steps: NDArray[np.float64], device: torch.device) -> VoxelDriven:
        """The sums for a scan and a grid, with the weights ``steps`` (view,) of the views; everything is found in
        float64 and rounded once.
        """
        given = projection_matrices(scan)
        kept = torch.from_numpy(index_matrices(given, grid).reshape(len(scan), 12).astype(np.float32)).to(device)
        return cls(kept, torch.from_numpy(steps.astype(np.float32)).to(device), grid.shape, *scan.shape, upright(given, grid))

    def add(self, volume: Tensor, held: Tensor, first: int) -> None:
        """Add to ``volume`` [y, x, z] float32 (1/mm) the filtered views ``held`` (`held_shape`; float32, bf16 or fp16) from view ``first``
        on.
        """
        line, count = line_of(volume.shape[2])
        self._launch(add_views, volume, held, first, line, count, (2 * count // line, 2))

    def spread(self, volume: Tensor, held: Tensor, first: int) -> None:
        """The transpose of `add`: add ``volume`` [y, x, z] to ``held`` (float32), in the same unit."""
        line, count = line_of(volume.shape[2])
        self._launch(spread_views, volume, held, first, line, count, (count // line, 1))

    def _launch(self, kernel: Any, volume: Tensor, held: Tensor, first: int, line: int, count: int, lines: tuple[int, int]) -> None:
        ny, nx, nz = volume.shape
        blocks = (triton.cdiv(nx, lines[0]) * triton.cdiv(ny, lines[1]), triton.cdiv(nz, line))
        with on_device_of(volume):
            kernel[blocks](
                volume, held, self.matrices, self.steps, first, len(held), nx, ny, nz, self.cols, self.rows, held.shape[2], held.stride(0),
                self.upright, line, count, num_warps=1
            )  # fmt: skip


def line_of(length: int) -> tuple[int, int]:
    """Places on a line, and in all of a program of one warp, for lines of ``length`` places.

    A lane has every 32nd place of a line: what is the same all along it is found once for all of them, and the loop is short enough for
    the cache of instructions. Of lines of 32 to 256 places those are taken that waste least beyond the end.
    """
    if length < 32:
        return int(triton.next_power_of_2(length)), 128
    best = min((32, 64, 128, 256), key=lambda line: -(-length // line) * line * (1 + 32 / line))
    return best, best


def index_matrices(matrices: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """(view, 3, 4) of voxel indices, from `projection_matrices` of mm."""
    origin = np.append(grid.origin_mm, 1.0)
    return np.concatenate([matrices[:, :, :3] * grid.voxel_mm, (matrices @ origin)[:, :, None]], axis=2)
