"""Joseph's projector and its transpose on a GPU: what a scan and a grid need there, kept, and the launches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton  # pyright: ignore[reportMissingImports]
from torch import Tensor

from ..joseph_rays import TIE, Rays
from .column_table import ColumnTable
from .gather_kernel import LINES, gather
from .ray_kernels import along_rays
from .turning import copy_turned, on_device_of
from .upright_kernels import forward, lengthened
from .voxel_driven import line_of

MOST_TAPS = 128  # rays that four voxels gather at most; where pixels are finer still, they are spread with atomics


@dataclass(frozen=True)
class Pair:
    """The pair for values of one type on one device; ``table`` is there where the scan is upright."""

    rays: Rays
    packed: Tensor
    voxel_mm: Tensor
    table: ColumnTable | None
    fields: Tensor
    crossing: Tensor

    @classmethod
    def of(cls, rays: Rays, device: torch.device, dtype: torch.dtype) -> Pair:
        """Everything is found in float64; upright tables are then rounded to ``dtype``."""
        table = ColumnTable.of(rays) if rays.upright().all() else None
        numbers = np.tile([rays.voxel_mm, TIE], (len(rays), 1))

        def there(values: np.ndarray, kind: torch.dtype) -> Tensor:
            return torch.from_numpy(values).to(device, kind)

        empty = np.zeros(0)
        return cls(
            rays, there(np.concatenate([rays.packed, numbers], axis=1), torch.float64), there(np.array([rays.voxel_mm]), dtype), table,
            there(empty if table is None else table.fields, dtype), there(empty if table is None else table.crossing, dtype)
        )  # fmt: skip

    @property
    def gathers(self) -> bool:
        """Whether the transpose is a gather, whose sums are always in the same order."""
        return self.table is not None and self.table.cols * self.table.rows <= MOST_TAPS

    def project(self, volume: Tensor) -> Tensor:
        """(nz, ny, nx) in 1/mm -> (view, row, col) line integrals."""
        rays = self.rays
        nz, ny, nx = volume.shape
        turned = self._bordered(volume)
        copy_turned(volume.permute(1, 2, 0), turned[1 : ny + 1, 1 : nx + 1, 1 : nz + 1])
        columns = torch.empty((len(rays), rays.cols, rays.rows), dtype=volume.dtype, device=volume.device)
        self._along_rays(turned, columns, transposed=False)
        return _turned(columns.permute(0, 2, 1))

    def backproject(self, lines: Tensor) -> Tensor:
        """Line integrals (view, row, col) to a volume (nz, ny, nx), the transpose of `project`."""
        if self.gathers:
            return _turned(self._gather(lines).permute(2, 0, 1))
        turned = self._bordered(lines)
        self._along_rays(turned, _turned(lines.permute(0, 2, 1)), transposed=True)
        nz, ny, nx = self.rays.grid_shape
        return _turned(turned[1 : ny + 1, 1 : nx + 1, 1 : nz + 1].permute(2, 0, 1))

    def _bordered(self, like: Tensor) -> Tensor:
        """[y + 1, x + 1, z + 1] of zeros: a border of one voxel before and two behind."""
        nz, ny, nx = self.rays.grid_shape
        return torch.zeros((ny + 3, nx + 3, nz + 3), dtype=like.dtype, device=like.device)

    def _along_rays(self, turned: Tensor, columns: Tensor, *, transposed: bool) -> None:
        rays = self.rays
        nz, ny, nx = rays.grid_shape
        fast = self.table is not None and not transposed
        line, count = line_of(rays.rows) if fast else (min(128, triton.next_power_of_2(rays.rows)), 128)
        blocks = (triton.cdiv(rays.rows, line), triton.cdiv(rays.cols, count // line), len(rays))
        size = (rays.rows, rays.cols, nx, ny, nz, turned.shape[2])
        with on_device_of(columns):
            if fast:
                launch: Any = forward[blocks]
                launch(turned, columns, self.fields, *size, self.voxel_mm, line, count, num_warps=1)
            else:
                launch = along_rays[blocks]
                launch(turned, columns, self.packed, *size, transposed, line, count, num_warps=1)

    def _gather(self, lines: Tensor) -> Tensor:
        """[y, x, z]."""
        rays, table = self.rays, self.table
        assert table is not None
        nz, ny, nx = rays.grid_shape
        pitch = -(-(rays.rows + 2 * table.rows) // 8) * 8
        held = torch.zeros((len(rays), rays.cols, pitch), dtype=lines.dtype, device=lines.device)
        volume = torch.zeros((ny, nx, nz), dtype=lines.dtype, device=lines.device)
        line, count = line_of(nz)
        turn: Any = lengthened[(triton.cdiv(rays.rows, 32), triton.cdiv(rays.cols, 32), len(rays))]
        with on_device_of(lines):
            turn(lines, held, self.fields, rays.rows, rays.cols, pitch, table.rows, self.voxel_mm, 32, 32)
            for along_y, slices, others in ((False, nx, ny), (True, ny, nx)):
                sum_up: Any = gather[(triton.cdiv(slices, count // line) * triton.cdiv(others, LINES), triton.cdiv(nz, line))]
                sum_up(
                    volume, held, self.fields, self.crossing, len(rays), nx, ny, nz, rays.cols, rays.rows, pitch, table.reach,
                    along_y, table.cols, table.rows, line, count, num_warps=1
                )  # fmt: skip
        return volume


def _turned(view: Tensor) -> Tensor:
    """A contiguous copy."""
    made = torch.empty(view.shape, dtype=view.dtype, device=view.device)
    copy_turned(view, made)
    return made
