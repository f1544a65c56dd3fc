"""Volumes larger than the card: slabs of slices, whose projections add up and whose back-projections lie on one another, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ....base import InputError
from ....geometry import Grid

MOST_VOXELS = 2**31 - 1  # that a kernel can count, the border of the slab included


@dataclass(frozen=True)
class Slab:
    """Slices ``z`` of a grid, and the grid of these alone."""

    z: slice
    grid: Grid

    @classmethod
    def whole(cls, grid: Grid) -> Slab:
        """All of it."""
        return cls(slice(0, grid.shape[0]), grid)


def free_bytes(device: torch.device) -> int:
    """What is left on a card, with what torch keeps for later; elsewhere 2 GiB."""
    if device.type != "cuda":
        return 2 << 30
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(0.9 * free)


def slabs_of(grid: Grid, bytes_a_voxel: int, free: int) -> list[Slab]:
    """Slabs of nearly equal height, each with at most ``free`` bytes. InputError where not even one slice fits."""
    nz, ny, nx = grid.shape
    bordered = (ny + 3) * (nx + 3)
    most = min(free // (bytes_a_voxel * bordered), MOST_VOXELS // bordered) - 3
    if most < 1:
        raise InputError(
            f"one slice of {ny} x {nx} voxels needs {4 * bytes_a_voxel * bordered / 2**30:.2f} GiB and {free / 2**30:.2f} GiB are left",
            expected="room for one slice on the GPU",
            remedy="use larger voxels, or backend='numba'",
        )
    count = -(-nz // most)
    height = -(-nz // count)
    return [_slab(grid, z, min(z + height, nz)) for z in range(0, nz, height)]


def _slab(grid: Grid, begin: int, end: int) -> Slab:
    nz, ny, nx = grid.shape
    x, y, z = grid.center_mm
    middle = z + ((begin + end) / 2 - nz / 2) * grid.voxel_mm
    return Slab(slice(begin, end), Grid((end - begin, ny, nx), grid.voxel_mm, (x, y, middle)))
