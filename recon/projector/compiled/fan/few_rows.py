"""Joseph's pair for a few slices: scans of some detector rows, and single rows that climb.

The slices of a voxel lie side by side, padded to `LANES`. Where a ray's column of the panel meets a slice across its main axis, two
such groups are blended once for all detector rows; a row then weighs the group with max(0, 1 - |z - z of the ray|), which is the linear
interpolation along z and is zero beyond the grid. That is one long loop over places and slices for each row, with no address that
depends on a value, so that any compiler turns it into vector code. Rays are found as in `planes`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .....base.memory import require_memory
from ...joseph_rays import Rays
from .planes import COLUMNS_A_PASS, RAY, RAYS_AT_ONCE, SLICES, both_ways, fill_table, find_ray, places, positions

Array = NDArray[np.float32]
LANES = 8
_MOST_ROWS = 16
_SLICE = np.repeat(np.arange(SLICES, dtype=np.float32), LANES)  # of each place in a block of groups, and z
_Z = np.tile(np.arange(LANES, dtype=np.float32), SLICES)
_FLAGS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
_SUM_FLAGS: Any = _FLAGS | {"fastmath": {"reassoc", "contract", "nsz", "arcp"}}


def supports(rays: Rays) -> bool:
    """Whether there are few slices and rows, and all rays of a detector column share one path in (x, y)."""
    return rays.grid_shape[0] <= LANES and rays.rows <= _MOST_ROWS and bool(rays.upright().all())


def project(volume: Array, rays: Rays) -> Array:
    """(nz, ny, nx) float32 in 1/mm -> (view, row, col) float32 line integrals. InputError where memory is short."""
    _require_memory(rays)
    out = np.zeros((len(rays), rays.rows, rays.cols), np.float32)
    groups = np.zeros(LANES * places(rays.grid_shape[1:])[-1], np.float32)
    for slices in both_ways(groups, rays.grid_shape[1:], LANES):
        slices[: len(volume)] = volume
    _project(groups, rays.grid_shape, rays.packed, rays.voxel_mm, out)
    return out


def backproject(projections: Array, rays: Rays) -> Array:
    """Line integrals (view, row, col) float32 to a volume (nz, ny, nx) float32, the exact transpose of `project`.

    Takes a second volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    _require_memory(rays)
    shape, packed, size = rays.grid_shape, rays.packed, max(1, RAYS_AT_ONCE // rays.cols)
    out, groups = np.zeros(shape, np.float32), np.zeros(LANES * places(shape[1:])[-1], np.float32)
    for begin in range(0, len(rays), size):
        views = np.arange(begin, min(begin + size, len(rays)))
        table = np.empty((views.size, rays.cols), RAY)
        fill_table(packed, views, shape[1:], rays.voxel_mm, table)
        _backproject(projections, packed, views, table, shape, groups)
    for slices in both_ways(groups, shape[1:], LANES):
        out += slices[: len(out)]
    return out


def _require_memory(rays: Rays) -> None:
    needed = 4 * (LANES * places(rays.grid_shape[1:])[-1] + rays.grid_shape[0] * rays.grid_shape[1] * rays.grid_shape[2])
    require_memory(needed + RAY.itemsize * max(RAYS_AT_ONCE, rays.cols), f"two copies of a volume of shape {rays.grid_shape}")


@njit(**_FLAGS)
def _climb(p, axis, col, begin, row):
    """(height of a row's ray at slice ``begin``, its rise from slice to slice, how much longer it is than its path in (x, y))."""
    dx, dy = p[3] + col * p[6], p[4] + col * p[7]
    source, step = (p[0], dx) if axis == 0 else (p[1], dy)
    dz = p[5] + row * p[11]
    height = p[2] + (begin - source) / step * dz
    return np.float32(height), np.float32(dz / step), np.float32(math.sqrt(1.0 + dz * dz / (dx * dx + dy * dy)))


@njit(**_FLAGS)
def _blend(groups, at, part, group, to):
    """The group between two neighbours."""
    for z in range(np.uint64(LANES)):
        lower = groups[at + z]
        group[to + z] = lower + part * (groups[at + z + np.uint64(LANES)] - lower)


@njit(**_FLAGS)
def _share(groups, at, part, group, to):
    """The transpose of `_blend`."""
    for z in range(np.uint64(LANES)):
        upper = part * group[to + z]
        groups[at + z] += group[to + z] - upper
        groups[at + z + np.uint64(LANES)] += upper


@njit(**_SUM_FLAGS)
def _sum(group, slice_, z, height, rise):
    total = np.float32(0)
    for i in range(len(group)):
        share = np.float32(1) - abs(z[i] - height - slice_[i] * rise)
        total += group[i] * (share if share > np.float32(0) else np.float32(0))
    return total


@njit(**_FLAGS)
def _spread(group, slice_, z, height, rise, value):
    """The transpose of `_sum`."""
    for i in range(len(group)):
        share = np.float32(1) - abs(z[i] - height - slice_[i] * rise)
        group[i] += value * (share if share > np.float32(0) else np.float32(0))


@njit(parallel=True, **_FLAGS)
def _project(groups, shape, packed, voxel_mm, out):
    along_y, along_x, start, _ = places(shape[1:])
    _, rows, cols = out.shape
    jobs = (cols + COLUMNS_A_PASS - 1) // COLUMNS_A_PASS
    blocks = (max(shape[1], shape[2]) + SLICES - 1) // SLICES
    for job in prange(len(packed) * jobs):
        view, begin_col = job // jobs, job % jobs * COLUMNS_A_PASS
        index, part, table = np.empty(SLICES, np.uint32), np.empty(SLICES, np.float32), np.empty(COLUMNS_A_PASS, RAY)
        group = np.empty(_SLICE.size, np.float32)
        count = min(cols - begin_col, COLUMNS_A_PASS)
        for i in range(count):
            find_ray(table[i], packed[view], begin_col + i, shape[1:], voxel_mm)
        for block in range(blocks):
            for i in range(count):
                ray, col, begin = table[i], begin_col + i, block * SLICES
                low, high = max(ray.low - begin, 0), min(ray.high - begin, SLICES)
                if low >= high:
                    continue
                place, pitch = (0, along_y) if ray.axis == 0 else (start, along_x)
                positions(ray, begin, place, pitch, index, part)
                for j in range(low, high):
                    _blend(groups, np.uint64(index[j]) * np.uint64(LANES), part[j], group, np.uint64(j) * np.uint64(LANES))
                first, last = low * LANES, high * LANES
                for row in range(rows):
                    height, rise, longer = _climb(packed[view], ray.axis, col, begin, row)
                    out[view, row, col] += ray.weight * longer * _sum(group[first:last], _SLICE[first:last], _Z[first:last], height, rise)


@njit(parallel=True, **_FLAGS)
def _backproject(projections, packed, views, table, shape, groups):
    along_y, along_x, start, _ = places(shape[1:])
    _, rows, cols = projections.shape
    blocks = (max(shape[1], shape[2]) + SLICES - 1) // SLICES
    for job in prange(2 * blocks):
        axis, begin = job & 1, job // 2 * SLICES
        place, pitch = (0, along_y) if axis == 0 else (start, along_x)
        index, part = np.empty(SLICES, np.uint32), np.empty(SLICES, np.float32)
        group = np.empty(_SLICE.size, np.float32)
        for i in range(len(views)):
            view = views[i]
            for col in range(cols):
                ray = table[i, col]
                low, high = max(ray.low - begin, 0), min(ray.high - begin, SLICES)
                if ray.axis != axis or low >= high:
                    continue
                positions(ray, begin, place, pitch, index, part)
                group[:] = np.float32(0)
                first, last = low * LANES, high * LANES
                for row in range(rows):
                    height, rise, longer = _climb(packed[view], axis, col, begin, row)
                    value = ray.weight * longer * projections[view, row, col]
                    _spread(group[first:last], _SLICE[first:last], _Z[first:last], height, rise, value)
                for j in range(low, high):
                    _share(groups, np.uint64(index[j]) * np.uint64(LANES), part[j], group, np.uint64(j) * np.uint64(LANES))
