"""Joseph's pair for upright panels, by depth bins (see `depth_bins`); the transpose takes the forward's steps backwards, weight by weight.

The volume is held as lines along z. Forward, a block of columns walks through the slices bin by bin: the two lines beside each path are
blended and shared between two bins; a full bin is turned from (col, z) to (z, col), and each row adds its two neighbours in z for all
columns at once. All inner loops run over contiguous memory. A line is in one slice of one bin at a time, so that what a block of
neighbouring columns and views reads stays in the cache.
"""

from __future__ import annotations

import math

import numpy as np
from numba import get_num_threads, njit

from .contiguous_runs import FLAGS, U, add_blend, clear, copy, four_to, four_to_one, four_to_two, njit_inner, turn, two_to_four, two_to_two
from .paths import clip_in_front, clip_to, column_path, neighbours
from .threads import in_threads

COLUMNS, VIEWS = 96, 8  # that walk together: neighbouring views read the same lines of voxels from the second cache
MOST_SLICES = 64  # of the main axis, that one thread adds to at once


@njit_inner
def _set_out(ray, begin, along, slices, shape, first, step, paths, walk):
    """For a block of columns: what a path is in ``paths`` (col, 7), depths in bins; next slice, end and direction in ``walk`` (col, 3).

    Walks go away from the source through ``slices`` of main axis ``along`` (-1: all slices of either).
    """
    _, ny, nx = shape
    for i in range(len(paths)):
        axis, a0, da, t0, dt, squared = column_path(ray, begin + i)
        size, size_a = (nx, ny) if axis == 0 else (ny, nx)
        low, high = slices if along >= 0 else (0, size)
        low, high = clip_to(low, high, a0, da, size_a)
        low, high = clip_in_front(low, high, t0, dt)
        high = max(low, high) if along < 0 or axis == along else low
        paths[i, 0], paths[i, 1], paths[i, 2], paths[i, 3], paths[i, 4] = axis, a0, da, (t0 - first) / step, dt / step
        paths[i, 5], paths[i, 6] = squared, abs(dt)
        if dt > 0:
            walk[i, 0], walk[i, 1], walk[i, 2] = low, high, 1
        else:
            walk[i, 0], walk[i, 1], walk[i, 2] = high - 1, low - 1, -1


@njit_inner
def _strides(axis, shape):
    """(size of the other axis, lines from slice to slice, lines along the other axis)."""
    _, ny, nx = shape
    return (ny, 1, nx) if axis == 0 else (nx, nx, 1)


@njit_inner
def _fill(lines, pitch, shape, bins, near, far, paths, walk, m, last):
    """Share the lines between bins m and m + 1, at ``near`` and ``far`` in ``bins``, for all columns of a block."""
    for i in range(len(paths)):
        k, size = walk[i, 0], U(i) * pitch
        size_a, stride, stride_a = _strides(paths[i, 0], shape)
        while k != walk[i, 1]:
            part = paths[i, 3] + k * paths[i, 4] - m
            if part >= 1.0 and not last:
                break
            i0, i1, w0, w1 = neighbours(k, paths[i, 1], paths[i, 2], stride, stride_a, size_a)
            to_far, to_near = np.float32(part), np.float32(1) - np.float32(part)
            k += walk[i, 2]
            part = paths[i, 3] + k * paths[i, 4] - m
            if k == walk[i, 1] or (part >= 1.0 and not last):
                two_to_two(lines, U(i0) * pitch, U(i1) * pitch, w0, w1, bins, near + size, far + size, to_near, to_far, pitch)
                break
            i2, i3, w2, w3 = neighbours(k, paths[i, 1], paths[i, 2], stride, stride_a, size_a)
            too_far, too_near = np.float32(part), np.float32(1) - np.float32(part)
            four_to_two(
                lines, U(i0) * pitch, U(i1) * pitch, U(i2) * pitch, U(i3) * pitch, w0, w1, w2, w3,
                bins, near + size, far + size, to_near, to_far, too_near, too_far, pitch,
            )  # fmt: skip
            k += walk[i, 2]
        walk[i, 0] = k


@njit_inner
def _empty(bins, near, pitch, paths, walk, m, last, lines, shape):
    """The transpose of `_fill`: add bins m and m + 1 to the lines."""
    far = U(len(paths)) * pitch - near  # bins are kept in two halves in turn
    for i in range(len(paths)):
        k, size = walk[i, 0], U(i) * pitch
        size_a, stride, stride_a = _strides(paths[i, 0], shape)
        while k != walk[i, 1]:
            part = paths[i, 3] + k * paths[i, 4] - m
            if part >= 1.0 and not last:
                break
            i0, i1, w0, w1 = neighbours(k, paths[i, 1], paths[i, 2], stride, stride_a, size_a)
            to_far, to_near = np.float32(part), np.float32(1) - np.float32(part)
            k += walk[i, 2]
            part = paths[i, 3] + k * paths[i, 4] - m
            if k == walk[i, 1] or (part >= 1.0 and not last):
                two_to_two(bins, near + size, far + size, to_near, to_far, lines, U(i0) * pitch, U(i1) * pitch, w0, w1, pitch)
                break
            i2, i3, w2, w3 = neighbours(k, paths[i, 1], paths[i, 2], stride, stride_a, size_a)
            too_far, too_near = np.float32(part), np.float32(1) - np.float32(part)
            two_to_four(
                bins, near + size, far + size, to_near, to_far, too_near, too_far,
                lines, U(i0) * pitch, U(i1) * pitch, U(i2) * pitch, U(i3) * pitch, w0, w1, w2, w3, pitch,
            )  # fmt: skip
            k += walk[i, 2]
        walk[i, 0] = k


@njit_inner
def _read_rows(plane, pitch, width, ray, depth, nz, rows, out, at):
    """Add to each row what it meets at ``depth`` of ``plane`` (1 + nz + 1, width), lines ``pitch`` apart, first and last zero."""
    bottom, step = ray[2] + depth * ray[5] + 1.0, depth * ray[11]
    one, two = -bottom / step, (nz + 1.0 - bottom) / step  # the rows that leave the grid; where all are at one height: all or none
    first, last = (min(one, two), max(one, two)) if abs(step) > 1e-12 else (0.0, float(rows))
    for r in range(int(max(first, 0.0)), int(min(max(last, -1.0) + 1.0, float(rows)))):
        z = bottom + r * step
        if 0.0 < z < nz + 1.0:
            below = int(z)
            part = np.float32(z - below)
            i = U(below) * pitch
            add_blend(plane, i, i + pitch, np.float32(1) - part, part, out, at + U(r) * width, width)


@njit_inner
def _write_rows(values, at, cols, width, ray, depth, nz, rows, plane, pitch):
    """The transpose of `_read_rows`, from rows of ``cols`` values: to each z what the rows less than one voxel away give."""
    bottom, step = ray[2] + depth * ray[5], depth * ray[11]
    inverse = 1.0 / step if abs(step) > 1e-12 else 1e12
    for z in range(nz):
        one, two = (z - 1.0 - bottom) * inverse, (z + 1.0 - bottom) * inverse
        first, last = max(0.0, math.ceil(min(one, two))), min(rows - 1.0, math.floor(max(one, two)))
        j = U(z + 1) * pitch
        if first > last:
            clear(plane, j, width)
        for r in range(int(first), int(last) + 1, 4):
            w0, w1 = _share(bottom + r * step - z, True), _share(bottom + (r + 1) * step - z, r + 1 <= last)
            w2, w3 = _share(bottom + (r + 2) * step - z, r + 2 <= last), _share(bottom + (r + 3) * step - z, r + 3 <= last)
            i0, i1 = at + U(r) * cols, at + U(min(r + 1, rows - 1)) * cols
            i2, i3 = at + U(min(r + 2, rows - 1)) * cols, at + U(min(r + 3, rows - 1)) * cols
            if r == int(first):
                four_to(values, i0, i1, i2, i3, w0, w1, w2, w3, plane, j, width)
            else:
                four_to_one(values, i0, i1, i2, i3, w0, w1, w2, w3, plane, j, width)


@njit_inner
def _share(distance, counts):
    return np.float32(max(0.0, 1.0 - abs(distance))) if counts else np.float32(0)


def project_upright(lines, pitch, shape, packed, views, targets, first, step, count, voxel_mm, out):
    """Add the line integrals of the given ``views`` to ``out[targets]`` (view, row, col)."""
    across = -(-out.shape[2] // COLUMNS)
    together = max(1, min(VIEWS, len(views) * across // (2 * get_num_threads())))  # fewer where threads would have nothing to do
    blocks = across * -(-len(views) // together)
    in_threads(_project_blocks, blocks, together, lines, U(pitch), shape, packed, views, targets, first, step, count, voxel_mm, out)


@njit(**FLAGS)
def _project_blocks(job, stop, together, lines, pitch, shape, packed, views, targets, first, step, count, voxel_mm, out):
    """Some of the blocks: a few columns of a few views each."""
    nz, rows, cols = shape[0], out.shape[1], out.shape[2]
    across = (cols + COLUMNS - 1) // COLUMNS
    for block in range(job, stop):
        begin, group = block % across * COLUMNS, block // across * together
        n, width = min(len(views) - group, together), min(COLUMNS, cols - begin)
        wide, size = U(width), U(width) * pitch
        apart = wide | U(8)  # lines a power of two apart would share few sets of the cache
        bins, plane = np.zeros(2 * n * width * int(pitch), np.float32), np.zeros((nz + 2) * (width + 8), np.float32)
        sums = np.zeros(n * rows * width, np.float32)
        paths, walk = np.empty((n, width, 7)), np.empty((n, width, 3), np.int64)
        most = 0
        for j in range(n):
            v = views[group + j]
            _set_out(packed[v], begin, -1, (0, 0), shape, first[v], step[v], paths[j], walk[j])
            most = max(most, count[v])
        for m in range(most):
            for j in range(n):
                v = views[group + j]
                if m >= count[v]:
                    continue
                near, far = U(2 * j + m % 2) * size, U(2 * j + (m + 1) % 2) * size
                _fill(lines, pitch, shape, bins, near, far, paths[j], walk[j], m, m == count[v] - 1)
                turn(bins, near, pitch, wide, U(nz), plane, apart, apart)
                clear(bins, near, size)
                _read_rows(plane, apart, wide, packed[v], first[v] + m * step[v], nz, rows, sums, U(j * rows) * wide)
        for j in range(n):
            ray = packed[views[group + j]]
            for r in range(rows):
                rise = ray[5] + r * ray[11]
                for i in range(width):
                    length = math.sqrt(paths[j, i, 5] + rise * rise) * paths[j, i, 6] * voxel_mm
                    out[targets[group + j], r, begin + i] += sums[(j * rows + r) * width + i] * np.float32(length)


def weighted(projections, sources, packed, views, voxel_mm, out):
    """Write ``projections[sources]`` times how far the rays of ``views`` run from slice to slice to ``out`` (view of these, row, col)."""
    in_threads(_weigh, len(views), projections, sources, packed, views, voxel_mm, out)


@njit(**FLAGS)
def _weigh(begin, end, projections, sources, packed, views, voxel_mm, out):
    """The same for views ``begin`` to ``end`` of those given."""
    _, rows, cols = projections.shape
    for j in range(begin, end):
        ray = packed[views[j]]
        across, along = np.empty(cols), np.empty(cols)
        for c in range(cols):
            _, _, _, _, dt, squared = column_path(ray, c)
            across[c], along[c] = squared, abs(dt) * voxel_mm
        for r in range(rows):
            rise = ray[5] + r * ray[11]
            for c in range(cols):
                out[j, r, c] = projections[sources[j], r, c] * np.float32(math.sqrt(across[c] + rise * rise) * along[c])


@njit_inner
def _add_block(
    values, view, packed, v, first, step, count, along, slices, shape, begin, width, pitch, lines, bins, panel, plane, paths, walk
):
    """Add columns begin to begin + width of one view to the lines of some slices."""
    _, rows, cols = values.shape
    nz, wide, size, flat = shape[0], U(width), U(width) * pitch, values.reshape(-1)
    _set_out(packed[v], begin, along, slices, shape, first[v], step[v], paths, walk)
    low, high = count[v], -1
    for i in range(width):
        if walk[i, 0] != walk[i, 1]:
            low = min(low, int(paths[i, 3] + walk[i, 0] * paths[i, 4]))
            high = max(high, int(paths[i, 3] + (walk[i, 1] - walk[i, 2]) * paths[i, 4]))
    low, high = max(low, 0), min(high, count[v] - 1)
    if high < low:
        return
    apart = wide | U(8)
    for r in range(rows):  # so that the many reads below stay close together
        copy(flat, U(view * rows + r) * U(cols) + U(begin), panel, U(r) * apart, wide)
    for m in range(low, high + 2):
        if m < count[v]:
            _write_rows(panel, U(0), apart, wide, packed[v], first[v] + m * step[v], nz, rows, plane, apart)
            turn(plane, apart, apart, U(nz), wide, bins, U(m % 2) * size, pitch)
        if low < m:
            _empty(bins, U((m - 1) % 2) * size, pitch, paths, walk, m - 1, m == count[v], lines, shape)


def backproject_upright(values, packed, views, first, step, count, along, slab, shape, pitch, lines):
    """Add to ``lines`` what `weighted` ``values`` of the given views give in columns whose main axis is ``along``.

    One thread at a time takes ``slab`` slices; their number does not change a bit of the result.
    """
    jobs = -(-shape[2 - along] // slab)
    in_threads(_add_slabs, jobs, values, packed, views, first, step, count, along, slab, shape, U(pitch), lines)


@njit(**FLAGS)
def _add_slabs(job, stop, values, packed, views, first, step, count, along, slab, shape, pitch, lines):
    """The same for slabs ``job`` to ``stop``."""
    nz, ny, nx = shape
    size, cols = (nx if along == 0 else ny), values.shape[2]
    wide = min(COLUMNS, cols)
    bins, plane = np.zeros(2 * wide * int(pitch), np.float32), np.zeros((nz + 2) * (wide + 8), np.float32)
    paths, walk = np.empty((wide, 7)), np.empty((wide, 3), np.int64)
    panel = np.empty(values.shape[1] * (wide + 8), np.float32)
    for number in range(job, stop):
        slices = (number * slab, min(size, (number + 1) * slab))
        for group in range(0, len(views), VIEWS):
            for begin in range(0, cols, COLUMNS):
                n = min(COLUMNS, cols - begin)
                for j in range(group, min(len(views), group + VIEWS)):
                    v = views[j]
                    _add_block(
                        values, j, packed, v, first, step, count, along, slices, shape, begin, n, pitch, lines, bins, panel, plane,
                        paths[:n], walk[:n],
                    )  # fmt: skip
