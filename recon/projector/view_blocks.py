"""The operator in blocks of views: what a solver computes from rays never needs more than a block of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray
from torch import Tensor

from .joseph_rays import Rays

Values: TypeAlias = Any  # float32: a numpy array or a torch tensor
LEAST_RAYS = 1 << 20  # in a block: fewer do not pay for the walk over the volume that each block costs


@runtime_checkable
class Linear(Protocol):
    """What a solver needs of an operator: ``A(x)`` and ``A.T(y)``; `Operator` is one, a matrix in a test another."""

    @property
    def T(self) -> Callable[[Any], Any]:
        """The adjoint."""
        ...

    def __call__(self, x: Any, /) -> Any:
        """The forward projection."""
        ...


@dataclass(frozen=True)
class Block:
    """Some views, as a slice or by their numbers, and the operator of these alone."""

    views: slice | NDArray[np.intp]
    A: Linear


def split_views(views: int, rays_a_view: int, voxels: int) -> list[slice]:
    """Blocks of nearly equal size, none with more rays than half the voxels or `LEAST_RAYS` (but at least one view).

    >>> split_views(5, 1 << 19, 100)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    most = max(1, max(voxels // 2, LEAST_RAYS) // max(1, rays_a_view))
    count = -(-views // most)
    size = -(-views // count)
    return [slice(begin, min(begin + size, views)) for begin in range(0, views, size)]


def reciprocal(path: Values, longest: float | None = None, least: float = 1e-3) -> Values:
    """1 / path (any shape, mm), and 0 where the path is shorter than ``least`` of the longest: such rays and voxels hold almost nothing."""
    floor = least * float(path.max() if longest is None else longest)
    where = torch.where if isinstance(path, torch.Tensor) else np.where
    return where(path > floor, 1 / path.clip(max(floor, 1e-30)), 0.0)


def ray_scales(A: Linear, ones: Values) -> Values:
    """R of SIRT in 1/mm: 1 / path length of each ray [view, row, col], 0 where that is below a thousandth of the box's diagonal."""
    grid: Any = getattr(A, "grid", None)
    return reciprocal(path_lengths(A, ones), None if grid is None else float(np.linalg.norm(grid.size_mm)))


def path_lengths(A: Linear, ones: Values) -> Values:
    """How far each ray runs inside the grid's box, in mm [view, row, col]: from the geometry where there is one, else ``A(ones)``."""
    scan, grid = getattr(A, "scan", None), getattr(A, "grid", None)
    if scan is None or grid is None:
        return A(ones)
    rays = Rays.of(scan, grid)
    if isinstance(ones, torch.Tensor):
        return _chords_torch(rays, ones.device)
    out = np.empty((len(rays), rays.rows, rays.cols), np.float32)
    _chords(rays.packed, np.array(rays.grid_shape[::-1], np.float64), rays.voxel_mm, out)
    return out


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _chords(packed, sides, voxel_mm, out):  # pragma: no cover - compiled
    """Lengths of rays within the box -1/2 <= (x, y, z) <= sides - 1/2, in front of the source (Kay and Kajiya's slabs, 1986)."""
    views, rows, cols = out.shape
    for job in prange(views * rows):
        view, row = job // rows, job % rows
        ray = packed[view]
        for col in range(cols):
            near, far, squared = 0.0, 1e300, 0.0
            for axis in range(3):
                d = ray[3 + axis] + col * ray[6 + axis] + row * ray[9 + axis]
                squared += d * d
                low, high = -0.5 - ray[axis], sides[axis] - 0.5 - ray[axis]
                if abs(d) < 1e-12:
                    if low > 0 or high < 0:
                        far = -1.0
                else:
                    one, two = low / d, high / d
                    near, far = max(near, min(one, two)), min(far, max(one, two))
            out[view, row, col] = np.float32(max(0.0, far - near) * np.sqrt(squared) * voxel_mm)


def _chords_torch(rays: Rays, device: torch.device) -> Tensor:
    """`_chords` on a device, all rays at once."""
    packed = torch.from_numpy(rays.packed).to(device)[:, :, None, None]
    col = torch.arange(rays.cols, dtype=torch.float64, device=device)
    row = torch.arange(rays.rows, dtype=torch.float64, device=device)[:, None]
    near, far, squared = torch.zeros_like(packed[:, 0]), torch.full_like(packed[:, 0], 1e300), torch.zeros_like(packed[:, 0])
    for axis, side in enumerate(rays.grid_shape[::-1]):
        d = packed[:, 3 + axis] + col * packed[:, 6 + axis] + row * packed[:, 9 + axis]
        squared = squared + d * d
        low, high = -0.5 - packed[:, axis], side - 0.5 - packed[:, axis]
        along = d.abs() < 1e-12
        one, two = low / torch.where(along, 1.0, d), high / torch.where(along, 1.0, d)
        near = torch.where(along, near, torch.maximum(near, torch.minimum(one, two)))
        far = torch.where(along, torch.where((low > 0) | (high < 0), -1.0, far), torch.minimum(far, torch.maximum(one, two)))
    return ((far - near).clamp(min=0) * squared.sqrt() * rays.voxel_mm).float()
