"""Joseph's pair for rays in planes of constant z: fan beams, and parallel beams as fans with a far source.

Each plane is an image of its own, held twice, as lines along y for rays that run mostly along x and as lines along x for the others,
with zeros at both ends of a line so that no tap needs a check. A ray is taken `SLICES` slices at a time: first where it meets them, in
loops over equal steps that any compiler turns into vector code, then the two taps of each slice. Forward is parallel over rays, the
transpose over blocks of slices, each written by one thread; within a block a position is rounded to float32 relative to the block's
own start, so that its error does not grow with the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .....base.memory import require_memory
from ...joseph_rays import TIE, Rays

Array = NDArray[np.float32]
SLICES = 64  # a block: more cost precision and leave fewer blocks to share among cores, fewer cost time
EDGE = 4  # zeros before and behind a line
COLUMNS_A_PASS = 32  # neighbouring rays meet the same lines while these are in the first cache
RAYS_AT_ONCE = 1 << 17  # of which the transpose holds a table
_FLAT = 1e-6  # voxels by which a ray may leave its plane on its way through the grid
# No reassociation: the compiler would turn the sums into gathers of single values. No flags that assume no NaN or Inf.
_FLAGS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
RAY = np.dtype([("at", "f8"), ("step", "f8"), ("low", "i4"), ("high", "i4"), ("weight", "f4"), ("axis", "i4")])


def supports(rays: Rays) -> bool:
    """Whether all rays lie in planes of constant z."""
    if rays.rows != 1:
        return False
    last = rays.first + (rays.cols - 1) * rays.u
    climb = np.maximum(np.abs(rays.first[:, 2]), np.abs(last[:, 2]))
    if not climb.any():
        return True
    along = rays.first + np.clip(-_dot(rays.first, rays.u) / _dot(rays.u, rays.u), 0, rays.cols - 1)[:, None] * rays.u
    reach = np.linalg.norm(rays.source[:, :2], axis=1) + sum(rays.grid_shape)
    return bool((climb * reach <= _FLAT * np.linalg.norm(along[:, :2], axis=1)).all())


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return (a[:, :2] * b[:, :2]).sum(axis=1)


def project(volume: Array, rays: Rays) -> Array:
    """(nz, ny, nx) float32 in 1/mm -> (view, 1, col) float32 line integrals. InputError where memory is short."""
    out = np.zeros((len(rays), 1, rays.cols), np.float32)
    _require_memory(rays)
    for views, planes in _planes(rays):
        lines = np.zeros(places(rays.grid_shape[1:])[-1], np.float32)
        for image in both_ways(lines, rays.grid_shape[1:]):
            for z, share in planes:
                image[0] += share * volume[z]
        _project(lines, rays.grid_shape[1:], rays.packed, views, rays.voxel_mm, out)
    return out


def backproject(projections: Array, rays: Rays) -> Array:
    """Line integrals (view, row, col) float32 to a volume (nz, ny, nx) float32, the exact transpose of `project`.

    Takes a second volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    out = np.zeros(rays.grid_shape, np.float32)
    _require_memory(rays)
    shape, size = rays.grid_shape[1:], max(1, RAYS_AT_ONCE // rays.cols)
    for views, planes in _planes(rays):
        lines = np.zeros(places(shape)[-1], np.float32)
        for chunk in np.split(views, range(size, views.size, size)):
            table = np.empty((chunk.size, rays.cols), RAY)
            fill_table(rays.packed, chunk, shape, rays.voxel_mm, table)
            _backproject(projections, chunk, table, shape, lines)
        for image in both_ways(lines, shape):
            for z, share in planes:
                out[z] += share * image[0]
    return out


def _require_memory(rays: Rays) -> None:
    image = 4 * (2 * places(rays.grid_shape[1:])[-1] + rays.grid_shape[1] * rays.grid_shape[2])
    needed = image + 2 * RAY.itemsize * max(RAYS_AT_ONCE, rays.cols)
    require_memory(needed, f"two copies of a slice of shape {rays.grid_shape[1:]}")


def _planes(rays: Rays) -> Iterator[tuple[NDArray[np.intp], list[tuple[int, np.float32]]]]:
    """Views whose rays lie in one plane, and the slices of the volume on both sides of it with the share of each; none outside."""
    levels, which = np.unique(np.round(rays.source[:, 2], 7), return_inverse=True)
    for index, level in enumerate(levels):
        below = math.floor(min(max(level, -2.0), rays.grid_shape[0] + 1.0))
        part = np.float32(level - below)
        both = [(below, np.float32(1) - part), (below + 1, part)]
        planes = [(z, share) for z, share in both if 0 <= z < rays.grid_shape[0] and share > 0]
        if planes:
            yield np.flatnonzero(which == index), planes


@njit(**_FLAGS)
def _pitch(size):
    """From one line to the next: an odd number of cache lines, so that neighbouring lines do not compete for one place in the cache."""
    return ((size + 2 * EDGE + 15) // 16 | 1) * 16


@njit(**_FLAGS)
def places(shape):
    """(pitch, pitch, start, size): lines along y from 0 on and lines along x from ``start`` on, and how many values they take in all."""
    along_y, along_x = _pitch(shape[0]), _pitch(shape[1])
    start = shape[1] * along_y
    return along_y, along_x, start, start + shape[0] * along_x


def both_ways(lines: Array, shape: tuple[int, int], lanes: int = 1) -> tuple[Array, Array]:
    """Of flat lines with ``lanes`` values at each place: views [lane, y, x] of the lines along y and of the lines along x, in the same
    unit.
    """
    (ny, nx), (along_y, along_x, start, _) = shape, places(shape)
    by_y = lines[: start * lanes].reshape(nx, along_y, lanes)[:, EDGE : EDGE + ny]
    by_x = lines[start * lanes :].reshape(ny, along_x, lanes)[:, EDGE : EDGE + nx]
    return by_y.transpose(2, 1, 0), by_x.transpose(2, 0, 1)


@njit(parallel=True, **_FLAGS)
def fill_table(packed, views, shape, voxel_mm, table):
    """Write the rays of the given views into ``table`` (view, col)."""
    for view in prange(len(views)):
        for col in range(table.shape[1]):
            find_ray(table[view, col], packed[views[view]], col, shape, voxel_mm)


@njit(**_FLAGS)
def find_ray(ray, p, col, shape, voxel_mm):
    """Where a ray runs: at slice k of its main axis at ``at + k step``, inside the grid and in front of the source for low <= k < high."""
    dx, dy = p[3] + col * p[6], p[4] + col * p[7]
    along_x = abs(dx) * TIE >= abs(dy)
    main, other = (dx, dy) if along_x else (dy, dx)
    source, across = (p[0], p[1]) if along_x else (p[1], p[0])
    size, width = (shape[1], shape[0]) if along_x else (shape[0], shape[1])
    step = other / main
    at = across - source * step
    low, high = _inside(at, step, width, size)
    if main > 0:
        low = max(low, math.floor(min(max(source, -1.0), float(size))) + 1)
    else:
        high = min(high, math.ceil(min(max(source, 0.0), float(size))))
    ray.at, ray.step, ray.low, ray.high = at, step, low, high
    ray.weight = voxel_mm * math.sqrt(1.0 + step * step)
    ray.axis = 0 if along_x else 1


@njit(**_FLAGS)
def _inside(at, step, width, size):
    """The slices 0 <= k < size where -1 < at + k step < width; the zeros at the ends of a line forgive what rounding does to it."""
    if abs(step) < 1e-12:
        return (0, size) if -1.0 < at < width else (0, 0)
    one, two = (-1.0 - at) / step, (width - at) / step
    first, last = min(one, two), max(one, two)
    return math.ceil(min(max(first, 0.0), float(size))), math.floor(min(max(last, -1.0), size - 1.0)) + 1


@njit(inline="always", **_FLAGS)
def positions(ray, begin, place, pitch, index, part):
    """For slices begin <= k < begin + SLICES: the lower tap's place among the lines, and the share of the upper one."""
    at = ray.at + begin * ray.step
    base = math.floor(at)
    near, step = np.float32(at - base), np.float32(ray.step)
    place += begin * pitch + EDGE + base
    for j in range(SLICES):
        here = near + np.float32(j) * step
        low = np.floor(here)
        index[j] = np.uint32(np.int32(place) + np.int32(j) * np.int32(pitch) + np.int32(low))
        part[j] = here - low


@njit(parallel=True, **_FLAGS)
def _project(lines, shape, packed, views, voxel_mm, out):
    """Write the given views into ``out`` (view, 1, col)."""
    along_y, along_x, start, _ = places(shape)
    upper = lines[1:]
    cols = out.shape[2]
    groups = (cols + COLUMNS_A_PASS - 1) // COLUMNS_A_PASS
    blocks = (max(shape[0], shape[1]) + SLICES - 1) // SLICES
    for job in prange(len(views) * groups):
        view, first = views[job // groups], job % groups * COLUMNS_A_PASS
        index, part, table = np.empty(SLICES, np.uint32), np.empty(SLICES, np.float32), np.empty(COLUMNS_A_PASS, RAY)
        count = min(cols - first, COLUMNS_A_PASS)
        for i in range(count):
            find_ray(table[i], packed[view], first + i, shape, voxel_mm)
        sums = out[view, 0, first : first + count]
        for block in range(blocks):
            for col in range(count):
                ray, begin = table[col], block * SLICES
                low, high = max(ray.low - begin, 0), min(ray.high - begin, SLICES)
                if low >= high:
                    continue
                place, pitch = (0, along_y) if ray.axis == 0 else (start, along_x)
                positions(ray, begin, place, pitch, index, part)
                one = two = three = four = np.float32(0)
                j = low
                while j + 4 <= high:  # four sums, since each waits for its own last addition
                    a, b, c, d = index[j], index[j + 1], index[j + 2], index[j + 3]
                    one += lines[a] + part[j] * (upper[a] - lines[a])
                    two += lines[b] + part[j + 1] * (upper[b] - lines[b])
                    three += lines[c] + part[j + 2] * (upper[c] - lines[c])
                    four += lines[d] + part[j + 3] * (upper[d] - lines[d])
                    j += 4
                while j < high:
                    a = index[j]
                    one += lines[a] + part[j] * (upper[a] - lines[a])
                    j += 1
                sums[col] += ray.weight * ((one + two) + (three + four))


@njit(parallel=True, **_FLAGS)
def _backproject(projections, views, table, shape, lines):
    along_y, along_x, start, _ = places(shape)
    upper = lines[1:]
    cols = table.shape[1]
    blocks = (max(shape[0], shape[1]) + SLICES - 1) // SLICES
    for job in prange(2 * blocks):
        axis, begin = job & 1, job // 2 * SLICES
        place, pitch = (0, along_y) if axis == 0 else (start, along_x)
        index, part = np.empty(SLICES, np.uint32), np.empty(SLICES, np.float32)
        for view in range(len(views)):
            for col in range(cols):
                ray = table[view, col]
                low, high = max(ray.low - begin, 0), min(ray.high - begin, SLICES)
                if ray.axis != axis or low >= high:
                    continue
                value = ray.weight * projections[views[view], 0, col]
                positions(ray, begin, place, pitch, index, part)
                for j in range(low, high):
                    a, share = index[j], part[j] * value
                    lines[a] += value - share
                    upper[a] += share
