"""Joseph's pair where detector columns are parallel to z: all rays of a column share one path in (x, y), and that is what makes it fast.

Volumes are held as lines along z. In each slice a column's rays lie between two neighbouring lines: these are blended once, and the
rows are then samples of the blended line at equal steps; the transpose spreads the rows onto a line and that onto the two. Both inner
loops run on sixteen lanes where the CPU has them (`lanes`). Forward is parallel over blocks of views and columns, the transpose over
slabs of slices, each written by one thread. Positions are carried in float64 and rounded to float32 within a block of sixteen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ..simd.line_sampling import (
    LERP_STEP_MAX,
    MARGIN,
    PERMUTE,
    SPREAD_STEP_MIN,
    SPREAD_STEP_TWO,
    blend16,
    lerp16,
    spread16_2,
    spread16_3,
    spread16_4,
    spread16_5,
    spread16_8,
)
from ..simd.vector16 import LANES
from .joseph_numba_any import clip_in_front, clip_to
from .joseph_rays import TIE

_FLAGS: Any = {"cache": True, "nogil": True, "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
Array = NDArray[np.float32]
VIEWS_A_PASS, COLUMNS_A_PASS = 8, 16  # neighbouring views and columns meet the same lines while these are in the cache
SLICES_A_SLAB = 8


@njit(parallel=True, **_FLAGS)
def to_lines(volume: Array, padded: int) -> Array:
    """(nz, ny, nx) -> lines along z (ny * nx, padded), zero beyond nz, as one flat array."""
    nz, ny, nx = volume.shape
    lines = np.zeros(ny * nx * padded, np.float32)
    for y in prange(ny):
        for begin in range(0, nx, LANES):
            for z in range(nz):
                for x in range(begin, min(nx, begin + LANES)):
                    lines[(y * nx + x) * padded + z] = volume[z, y, x]
    return lines


@njit(parallel=True, **_FLAGS)
def add_lines(lines: Array, padded: int, volume: Array) -> None:
    """Add lines along z, as `to_lines` makes them, to ``volume`` (nz, ny, nx)."""
    nz, ny, nx = volume.shape
    for y in prange(ny):
        for begin in range(0, nx, LANES):
            for z in range(nz):
                for x in range(begin, min(nx, begin + LANES)):
                    volume[z, y, x] += lines[(y * nx + x) * padded + z]


@njit(**_FLAGS)
def _path(ray, col):
    """(main axis, a0, da, t0, dt, x-y length squared) of a column: at slice k it is at a0 + k da, and t0 + k dt along its rays."""
    dx, dy = ray[3] + col * ray[6], ray[4] + col * ray[7]
    squared = dx * dx + dy * dy
    if abs(dx) * TIE >= abs(dy):
        dt, t0 = 1.0 / dx, -ray[0] / dx
        return 0, ray[1] + t0 * dy, dt * dy, t0, dt, squared
    dt, t0 = 1.0 / dy, -ray[1] / dy
    return 1, ray[0] + t0 * dx, dt * dx, t0, dt, squared


@njit(**_FLAGS)
def _climb(ray, rows):
    """(z of the source, rise of the lowest row's ray, rise from row to row) per unit along the ray; rows counted upwards."""
    if ray[11] < 0:
        return ray[2], ray[5] + (rows - 1) * ray[11], -ray[11]
    return ray[2], ray[5], ray[11]


@njit(**_FLAGS)
def _pair(k, a0, da, stride, stride_a, size_a):
    """The two lines of slice k about the path, and the share of each; a line beyond the border has no share."""
    at = a0 + k * da
    low = math.floor(at)
    w1 = np.float32(at - low)
    w0 = np.float32(1) - w1
    if low < 0 or low >= size_a:
        w0 = np.float32(0)
    if low < -1 or low >= size_a - 1:
        w1 = np.float32(0)
    i0 = k * stride + min(max(low, 0), size_a - 1) * stride_a
    i1 = k * stride + min(max(low + 1, 0), size_a - 1) * stride_a
    return i0, i1, w0, w1


@njit(**_FLAGS)
def _rows_inside(bottom, step, nz, rows):
    """The rows r with -1 < bottom + r step < nz."""
    inverse = 1.0 / step
    first, last = (-1.0 - bottom) * inverse, (nz - bottom) * inverse
    return math.ceil(min(max(first, 0.0), float(rows))), math.floor(min(max(last, -1.0), rows - 1.0)) + 1


@njit(**_FLAGS)
def _weight(squared, rise, dt, voxel_mm):
    return np.float32(math.sqrt(squared + rise * rise) * abs(dt) * voxel_mm)


@njit(parallel=True, **_FLAGS)
def project_upright(lines, shape, padded, packed, views, voxel_mm, out):
    """Write the line integrals of the given ``views`` into ``out`` (view, row, col)."""
    nz, ny, nx = shape
    _, rows, cols = out.shape
    column = (rows + LANES - 1) // LANES * LANES
    column_jobs = (cols + COLUMNS_A_PASS - 1) // COLUMNS_A_PASS
    view_jobs = (len(views) + VIEWS_A_PASS - 1) // VIEWS_A_PASS
    for job in prange(view_jobs * column_jobs):
        chosen = views[job // column_jobs * VIEWS_A_PASS : (job // column_jobs + 1) * VIEWS_A_PASS]
        begin = job % column_jobs * COLUMNS_A_PASS
        width = min(cols - begin, COLUMNS_A_PASS)
        sums = np.zeros(len(chosen) * width * column, np.float32)
        line = np.zeros(padded + 2 * MARGIN, np.float32)
        for i in range(width):
            for j in range(len(chosen)):
                ray, at = packed[chosen[j]], (j * width + i) * column
                source_z, rise, step_z = _climb(ray, rows)
                axis, a0, da, t0, dt, squared = _path(ray, begin + i)
                size, size_a, stride, stride_a = (nx, ny, 1, nx) if axis == 0 else (ny, nx, nx, 1)
                low, high = clip_to(0, size, a0, da, size_a)
                low, high = clip_in_front(low, high, t0, dt)
                for k in range(low, high):
                    i0, i1, w0, w1 = _pair(k, a0, da, stride, stride_a, size_a)
                    t = t0 + k * dt
                    bottom, step = source_z + t * rise, t * step_z
                    first, last = _rows_inside(bottom, step, nz, rows)
                    if first < last:
                        _sample(lines, i0 * padded, i1 * padded, w0, w1, nz, line, bottom, step, first, last, sums, at)
                for r in range(rows):
                    sums[at + r] *= _weight(squared, rise + r * step_z, dt, voxel_mm)
        for j in range(len(chosen)):
            down = packed[chosen[j], 11] < 0
            for r in range(rows):
                row = rows - 1 - r if down else r
                for i in range(width):
                    out[chosen[j], row, begin + i] = sums[(j * width + i) * column + r]


@njit(**_FLAGS)
def _sample(lines, i0, i1, w0, w1, nz, line, bottom, step, first, last, sums, at):
    """Blend two lines of the volume, and add the samples of the blend at rows first <= r < last to ``sums[at + r]``."""
    begin = max(0, math.floor(bottom + step * first)) // LANES * LANES
    end = min(nz, math.floor(bottom + step * (last - 1)) + 2)
    if PERMUTE and step <= LERP_STEP_MAX:
        for z in range(begin, end, LANES):
            blend16(lines, i0 + z, i1 + z, w0, w1, line, MARGIN + z)
        narrow = np.float32(step)
        for r in range(first // LANES * LANES, last, LANES):
            z = bottom + step * r
            base = math.floor(z)
            lerp16(line, MARGIN + base, np.float32(z - base), narrow, sums, at + r)
        return
    for z in range(begin, end):
        line[MARGIN + z] = w0 * lines[i0 + z] + w1 * lines[i1 + z]
    for r in range(first, last):
        z = bottom + step * r
        base = math.floor(z)
        low, high = line[MARGIN + base], line[MARGIN + base + 1]
        sums[at + r] += low + np.float32(z - base) * (high - low)


@njit(parallel=True, **_FLAGS)
def to_columns(projections, packed, views, voxel_mm, columns):
    """(view, row, col) -> columns (view, col, MARGIN + row upwards + MARGIN) of the given views, times the weights of their rays."""
    _, rows, cols = projections.shape
    tiles = (cols + LANES - 1) // LANES
    for job in prange(len(views) * tiles):
        view, begin = job // tiles, job % tiles * LANES
        ray = packed[views[view]]
        _, rise, step_z = _climb(ray, rows)
        for col in range(begin, min(cols, begin + LANES)):
            _, _, _, _, dt, squared = _path(ray, col)
            for r in range(rows):
                row = rows - 1 - r if ray[11] < 0 else r
                weight = _weight(squared, rise + r * step_z, dt, voxel_mm)
                columns[view, col, MARGIN + r] = projections[views[view], row, col] * weight


@njit(parallel=True, **_FLAGS)
def backproject_upright(columns, packed, views, rows, along, shape, padded, lines):
    """Add to ``lines`` what the columns of the given views whose main axis is ``along`` give; one slab of slices a thread."""
    nz, ny, nx = shape
    _, cols, length = columns.shape
    flat = columns.reshape(-1)
    size, size_a, stride, stride_a = (nx, ny, 1, nx) if along == 0 else (ny, nx, nx, 1)
    for slab in prange((size + SLICES_A_SLAB - 1) // SLICES_A_SLAB):
        begin, end = slab * SLICES_A_SLAB, min(size, (slab + 1) * SLICES_A_SLAB)
        line = np.zeros(padded + 2 * MARGIN, np.float32)
        for view in range(len(views)):
            ray = packed[views[view]]
            source_z, rise, step_z = _climb(ray, rows)
            for col in range(cols):
                axis, a0, da, t0, dt, _ = _path(ray, col)
                if axis != along:
                    continue
                at = (view * cols + col) * length + MARGIN
                low, high = clip_to(begin, end, a0, da, size_a)
                low, high = clip_in_front(low, high, t0, dt)
                for k in range(low, high):
                    i0, i1, w0, w1 = _pair(k, a0, da, stride, stride_a, size_a)
                    t = t0 + k * dt
                    bottom, step = source_z + t * rise, t * step_z
                    first, last = _rows_inside(bottom, step, nz, rows)
                    if first < last:
                        _spread(flat, at, bottom, step, first, last, nz, line, lines, i0 * padded, i1 * padded, w0, w1)


@njit(**_FLAGS)
def _spread(flat, at, bottom, step, first, last, nz, line, lines, i0, i1, w0, w1):
    """The transpose of `_sample`: from the rows ``flat[at + r]`` to two lines of the volume."""
    begin = max(0, math.floor(bottom + step * first))
    end = min(nz, math.floor(bottom + step * (last - 1)) + 2)
    if PERMUTE and step >= SPREAD_STEP_MIN:
        inverse = 1.0 / step
        narrow, narrow_inverse = np.float32(step), np.float32(inverse)
        for z in range(begin // LANES * LANES, end, LANES):
            row = (z - 1 - bottom) * inverse
            base = math.floor(row)
            part = np.float32(row - base)
            if step >= 1.0:
                spread16_2(flat, at + base, part, narrow_inverse, narrow, lines, i0 + z, i1 + z, w0, w1)
            elif step >= 2.0 / 3.0:
                spread16_3(flat, at + base, part, narrow_inverse, narrow, lines, i0 + z, i1 + z, w0, w1)
            elif step >= SPREAD_STEP_TWO:
                spread16_4(flat, at + base, part, narrow_inverse, narrow, lines, i0 + z, i1 + z, w0, w1)
            elif step >= 0.4:
                spread16_5(flat, at + base, part, narrow_inverse, narrow, lines, i0 + z, i1 + z, w0, w1)
            else:
                spread16_8(flat, at + base, part, narrow_inverse, narrow, lines, i0 + z, i1 + z, w0, w1)
        return
    for z in range(begin - 1, end + 1):
        line[MARGIN + z] = np.float32(0)
    for r in range(first, last):
        z = bottom + step * r
        base = math.floor(z)
        upper = np.float32(z - base) * flat[at + r]
        line[MARGIN + base] += flat[at + r] - upper
        line[MARGIN + base + 1] += upper
    for z in range(begin, end):
        lines[i0 + z] += w0 * line[MARGIN + z]
        lines[i1 + z] += w1 * line[MARGIN + z]
