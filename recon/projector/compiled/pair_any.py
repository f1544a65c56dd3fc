"""Joseph's pair for any detector: one ray at a time. Forward in parallel over rays, transposed in parallel over slabs of slices.

A slab belongs to one thread, so that nothing is written twice at once; the price is that each slab walks over all rays. So thin slabs
cost more than they share out: with 16 of two slices a grid of 32 slices took 23 ms on one thread, with 2 of sixteen 5.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..joseph_rays import TIE
from .contiguous_runs import FLAGS, njit_inner
from .paths import clip_in_front, clip_to
from .threads import in_threads

SLABS, LEAST_SLICES = 16, 12  # at most so many slabs, and of no fewer slices, whatever the number of threads: it decides about rounding
Array = NDArray[np.float32]


@njit_inner
def _main_axis(dx, dy, dz):
    x, y, z = abs(dx), abs(dy), abs(dz)
    if x * TIE >= y and x * TIE >= z:
        return 0
    return 1 if y * TIE >= z else 2


@njit_inner
def _line(ray, row, col):
    """(main axis, a0, da, b0, db, t0, dt, |D|/|D_main|): at slice k the ray is at a0 + k da, b0 + k db, and t0 + k dt along itself."""
    dx = ray[3] + col * ray[6] + row * ray[9]
    dy = ray[4] + col * ray[7] + row * ray[10]
    dz = ray[5] + col * ray[8] + row * ray[11]
    norm = math.sqrt(dx * dx + dy * dy + dz * dz)
    axis = _main_axis(dx, dy, dz)
    if axis == 0:
        dt, t0 = 1.0 / dx, -ray[0] / dx
        return axis, ray[1] + t0 * dy, dt * dy, ray[2] + t0 * dz, dt * dz, t0, dt, norm * abs(dt)
    if axis == 1:
        dt, t0 = 1.0 / dy, -ray[1] / dy
        return axis, ray[0] + t0 * dx, dt * dx, ray[2] + t0 * dz, dt * dz, t0, dt, norm * abs(dt)
    dt, t0 = 1.0 / dz, -ray[2] / dz
    return axis, ray[0] + t0 * dx, dt * dx, ray[1] + t0 * dy, dt * dy, t0, dt, norm * abs(dt)


@njit_inner
def _slices(low, high, line, size_a, size_b):
    """The slices low <= k < high that the ray meets inside the grid and in front of the source."""
    _, a0, da, b0, db, t0, dt, _ = line
    low, high = clip_to(low, high, a0, da, size_a)
    low, high = clip_to(low, high, b0, db, size_b)
    return clip_in_front(low, high, t0, dt)


@njit_inner
def _interior(low, high, line, size_a, size_b):
    """The slices low <= k < high where all four taps are inside the grid, with room for rounding."""
    if min(size_a, size_b) < 2:
        return low, low
    _, a0, da, b0, db, _, _, _ = line
    first, last = clip_to(low, high, a0 - 1.001, da, size_a - 2.002)
    first, last = clip_to(first, last, b0 - 1.001, db, size_b - 2.002)
    return min(first, high), min(last, high)


def project_any(volume: Array, packed: NDArray[np.float64], chosen: NDArray[np.intp], voxel_mm: float, out: Array) -> None:
    """Write the line integrals of the ``chosen`` views into ``out`` (view, row, col); ``packed`` is `Rays.packed`."""
    in_threads(_project_rows, len(chosen) * out.shape[1], volume, packed, chosen, voxel_mm, out)


@njit(**FLAGS)
def _project_rows(begin, stop, volume, packed, chosen, voxel_mm, out):
    """The same for rows ``begin`` to ``stop`` of the chosen views, counted through them."""
    sizes = (volume.shape[2], volume.shape[1], volume.shape[0])
    strides = (1, sizes[0], sizes[0] * sizes[1])
    flat = volume.ravel()
    _, rows, cols = out.shape
    for job in range(begin, stop):
        view, row = chosen[job // rows], job % rows
        for col in range(cols):
            line = _line(packed[view], row, col)
            axis, a0, da, b0, db, _, _, length = line
            a, b = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
            size_a, size_b, step, step_a, step_b = sizes[a], sizes[b], strides[axis], strides[a], strides[b]
            low, high = _slices(0, sizes[axis], line, size_a, size_b)
            first, last = _interior(low, high, line, size_a, size_b)
            total = np.float32(0)
            for k in range(low, first):
                total += _read(flat, k * step, a0 + k * da, b0 + k * db, size_a, size_b, step_a, step_b)
            for k in range(first, last):
                at_a, at_b = a0 + k * da, b0 + k * db
                ia, ib = int(at_a), int(at_b)
                fa, fb = np.float32(at_a - ia), np.float32(at_b - ib)
                at = k * step + ia * step_a + ib * step_b
                lower = flat[at] + fa * (flat[at + step_a] - flat[at])
                upper = flat[at + step_b] + fa * (flat[at + step_b + step_a] - flat[at + step_b])
                total += lower + fb * (upper - lower)
            for k in range(last, high):
                total += _read(flat, k * step, a0 + k * da, b0 + k * db, size_a, size_b, step_a, step_b)
            out[view, row, col] = total * np.float32(length * voxel_mm)


@njit_inner
def _read(flat, start, at_a, at_b, size_a, size_b, step_a, step_b):
    """Interpolate where some of the four taps may be outside."""
    ia, ib = math.floor(at_a), math.floor(at_b)
    fa, fb = np.float32(at_a - ia), np.float32(at_b - ib)
    total = np.float32(0)
    for j in range(2):
        for i in range(2):
            if 0 <= ia + i < size_a and 0 <= ib + j < size_b:
                share = (fa if i else np.float32(1) - fa) * (fb if j else np.float32(1) - fb)
                total += share * flat[start + (ia + i) * step_a + (ib + j) * step_b]
    return total


@njit_inner
def _add(flat, start, at_a, at_b, size_a, size_b, step_a, step_b, value):
    """The transpose of `_read`."""
    ia, ib = math.floor(at_a), math.floor(at_b)
    fa, fb = np.float32(at_a - ia), np.float32(at_b - ib)
    for j in range(2):
        for i in range(2):
            if 0 <= ia + i < size_a and 0 <= ib + j < size_b:
                share = (fa if i else np.float32(1) - fa) * (fb if j else np.float32(1) - fb)
                flat[start + (ia + i) * step_a + (ib + j) * step_b] += share * value


def backproject_any(projections: Array, packed: NDArray[np.float64], chosen: NDArray[np.intp], voxel_mm: float, out: Array) -> None:
    """Add the transpose of `project_any`, from views (view, row, col), to ``out`` (nz, ny, nx): one pass for each main axis that occurs."""
    for axis in range(3):
        views = chosen[_may_run_along(packed[chosen], axis, projections.shape[1], projections.shape[2])]
        if views.size:
            slabs = min(max(out.shape[2 - axis] // LEAST_SLICES, 1), SLABS)
            in_threads(_backproject_along, slabs, axis, slabs, views, projections, packed, voxel_mm, out)


def _may_run_along(packed: NDArray[np.float64], axis: int, rows: int, cols: int) -> NDArray[np.bool_]:
    """Whether a view may have rays with this main axis: a cone of directions is convex, so four corners that agree settle it."""
    first, u, v = packed[:, None, 3:6], packed[:, None, 6:9], packed[:, None, 9:12]
    row, col = (np.array(c)[:, None] for c in ([0, 0, rows - 1, rows - 1], [0, cols - 1, 0, cols - 1]))
    corner = first + col * u + row * v
    x, y, z = np.moveaxis(np.abs(corner), -1, 0)
    main = np.where((x * TIE >= y) & (x * TIE >= z), 0, np.where(y * TIE >= z, 1, 2))
    sign = np.sign(np.take_along_axis(corner, main[..., None], axis=2)[..., 0])
    same = (main == main[:, :1]).all(axis=1) & (sign == sign[:, :1]).all(axis=1)
    return ~same | (main[:, 0] == axis)


@njit(**FLAGS)
def _backproject_along(from_slab, to_slab, axis, slabs, views, projections, packed, voxel_mm, out):
    """Add what rays along ``axis`` give to some of the ``slabs`` into which its slices are divided."""
    sizes = (out.shape[2], out.shape[1], out.shape[0])
    strides = (1, sizes[0], sizes[0] * sizes[1])
    a, b = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
    size_a, size_b, step, step_a, step_b = sizes[a], sizes[b], strides[axis], strides[a], strides[b]
    flat = out.reshape(-1)
    _, rows, cols = projections.shape
    for slab in range(from_slab, to_slab):
        begin, end = slab * sizes[axis] // slabs, (slab + 1) * sizes[axis] // slabs
        for view in views:
            for row in range(rows):
                for col in range(cols):
                    line = _line(packed[view], row, col)
                    if line[0] != axis:
                        continue
                    _, a0, da, b0, db, _, _, length = line
                    low, high = _slices(begin, end, line, size_a, size_b)
                    first, last = _interior(low, high, line, size_a, size_b)
                    value = projections[view, row, col] * np.float32(length * voxel_mm)
                    for k in range(low, first):
                        _add(flat, k * step, a0 + k * da, b0 + k * db, size_a, size_b, step_a, step_b, value)
                    for k in range(first, last):
                        at_a, at_b = a0 + k * da, b0 + k * db
                        ia, ib = int(at_a), int(at_b)
                        fa, fb = np.float32(at_a - ia), np.float32(at_b - ib)
                        at = k * step + ia * step_a + ib * step_b
                        upper = value * fb
                        lower = value - upper
                        flat[at] += lower - fa * lower
                        flat[at + step_a] += fa * lower
                        flat[at + step_b] += upper - fa * upper
                        flat[at + step_b + step_a] += fa * upper
                    for k in range(last, high):
                        _add(flat, k * step, a0 + k * da, b0 + k * db, size_a, size_b, step_a, step_b, value)
