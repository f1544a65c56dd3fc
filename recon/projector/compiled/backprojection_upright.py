"""Voxel-driven back-projection onto lines along z, by bins of magnification (see `depth_bins`).

All voxels of a line see one detector column at one magnification. For a tile of lines and one view, the rows that the slices meet are read
at the few magnifications that occur in the tile, for the columns that occur at each, and turned from (z, col) to (col, z): then each line
of voxels is a blend of four contiguous runs, two columns by two magnifications. Several views' worth of this stays in the second cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .contiguous_runs import FLAGS, U, add_run, aligned_zeros, blend_to_fours, copy, eight_to_one, four_to_one, njit_inner, turn, turn_fours
from .threads import in_threads

TILE = 64  # voxel lines along x and y: a larger tile reads fewer bins twice, a smaller one stays in the cache
CHUNK = 16  # slices that are read at once: a line of the cache
TURNED = 32  # slices of a tile that are turned at once


@njit_inner
def _see(m, x0, y0, across, along, first, step, col, at, share):
    """For each line of a tile: its column, its place among the bins, and 1 / w^2, or a column of -1 where it is behind the source."""
    for j in range(along):
        y = y0 + j
        w_y, c_y = m[2, 1] * y + m[2, 3], m[0, 1] * y + m[0, 3]
        for i in range(across):
            w = m[2, 0] * (x0 + i) + w_y
            inverse = 1.0 / w
            k = j * across + i
            col[k] = (m[0, 0] * (x0 + i) + c_y) * inverse if w > 0 else -1.0
            at[k] = (inverse - first) / step
            share[k] = inverse * inverse


@njit_inner
def _needs(col, at, count, cols, low, high):
    """The first and last column that each bin needs, in ``low`` and ``high`` (-1 where none); returns the first and last bin."""
    for b in range(len(low)):
        low[b], high[b] = cols, -1
    for k in range(count):
        if col[k] >= -0.5 and col[k] <= cols - 0.5:
            c, b = min(int(max(col[k], 0.0)), max(cols - 2, 0)), U(int(at[k]))
            low[b], high[b] = min(low[b], c), max(high[b], c)
    lowest, highest = len(low), -1
    for b in range(len(low) - 1):
        if high[b] >= 0:
            lowest, highest = min(lowest, b), b + 1
    for b in range(highest, lowest - 1, -1):  # a line is between two bins and two columns
        if b > lowest:
            low[b], high[b] = min(low[b], low[b - 1]), max(high[b], high[b - 1])
        high[b] += 1 if high[b] >= 0 else 0
    return lowest, highest


@njit_inner
def _read_rows(panel, at, part, nz, width, plane, pitch, out, start, out_pitch):
    """Write what ``width`` columns of a panel hold, where `_rows_of` says, to lines along z in ``out``, ``out_pitch`` apart.

    As many slices as fill a line of the cache are blended to ``plane`` (z / 4, width, 4), ``pitch`` columns a row, and turned from there:
    four slices side by side are moved at once, and all of it stays in the first cache.
    """
    fours, lines = plane.view(np.float64), out.view(np.float64)
    for top in range(U(0), U(nz), U(CHUNK)):
        for z in range(top, top + U(CHUNK), U(4)):
            i, k, m, n = z, z + U(1), z + U(2), z + U(3)
            blend_to_fours(
                panel, at[0, i], at[1, i], part[0, i], part[1, i], at[0, k], at[1, k], part[0, k], part[1, k],
                at[0, m], at[1, m], part[0, m], part[1, m], at[0, n], at[1, n], part[0, n], part[1, n], plane, (z - top) * pitch, width,
            )  # fmt: skip
        turn_fours(fours, U(2) * pitch, width, lines, (start + top) // U(2), out_pitch // U(2))


@njit_inner
def _rows_of(held, row, slope, from_col, cols, at, part):
    """For each slice z, where a panel of ``cols`` columns has column ``from_col`` of the two rows about ``row + z slope``, and their parts.

    ``held`` (first, stop, rows): the rows that a panel holds, and those of the whole panel, which is extended by one row at either end
    and fades to zero within the next, so that a voxel plane half a pixel off (a fan-beam slice) is not lost.
    """
    begin, stop, rows = held
    for z in range(U(at.shape[1])):
        r = min(max(row + np.float64(z) * slope + 2.0, 0.0), rows + 3.0)
        i = int(r)
        above = np.float32(r - i)
        part[U(0), z] = np.float32(0) if i < 1 or i > rows + 2 else np.float32(1) - above
        part[U(1), z] = np.float32(0) if i > rows + 1 else above
        at[U(0), z] = U(from_col + (min(max(i - 2, begin), stop - 1) - begin) * cols)
        at[U(1), z] = U(from_col + (min(max(i - 1, begin), stop - 1) - begin) * cols)


@njit_inner
def _lay_out(lowest, highest, low, high, cols, start, used):
    """Where in the space of ``used`` lines and more the columns of each bin ``start``; returns how many lines are used then."""
    for b in range(lowest, highest + 1):
        start[b] = used
        high[b] = min(high[b], cols - 1)
        if high[b] >= 0:
            used += high[b] - low[b] + 1
    return used


@njit_inner
def _read_bins(m, views, view, held, cols, first, step, bottom, nz, pitch, met, low, high, start, space, plane, panel, at, part):
    """Write what each bin needs to ``space``: a line along z for each column, from ``start`` of the bin."""
    lowest, highest, left, right = met[0], met[1], cols, -1
    for b in range(lowest, highest + 1):
        if high[b] >= 0:
            left, right = min(left, low[b]), max(right, high[b])
    wide, rows = right - left + 1, held[1] - held[0]
    for r in range(rows):  # so that the many reads below stay close together
        copy(views, U(view * rows + r) * U(cols) + U(left), panel, U(r * wide), U(wide))
    for b in range(lowest, highest + 1):
        if high[b] >= 0:
            magnification = first + b * step
            slope, width = m[1, 2] * magnification, U(high[b] - low[b] + 1)
            _rows_of(held, m[1, 4] + m[1, 3] * magnification + bottom * slope, slope, low[b] - left, wide, at, part)
            _read_rows(panel, at, part, nz, width, plane, width | U(8), space, U(start[b]) * pitch, pitch)


@njit_inner
def _runs(weight, col, at, share, cols, low, start, pitch):
    """The four runs of a line and their weights."""
    inside = min(max(col, 0.0), cols - 1.0)
    c, b = min(int(inside), max(cols - 2, 0)), int(at)
    near, far = U(start[b] + c - low[b]) * pitch, U(start[b + 1] + c - low[b + 1]) * pitch
    right, deep, whole = inside - c, at - b, weight * share
    w0, w1 = np.float32(whole * (1.0 - right) * (1.0 - deep)), np.float32(whole * right * (1.0 - deep))
    w2, w3 = np.float32(whole * (1.0 - right) * deep), np.float32(whole * right * deep)
    next_col = pitch if cols > 1 else U(0)
    return near, near + next_col, far, far + next_col, w0, w1, w2, w3


@njit_inner
def _add_lines(total, weights, col, at, share, count, cols, low, start, space, pitch):
    """Add one view or two to each line of a tile; two at once, so that a line is read and written once for both."""
    two = len(weights) > 1
    for k in range(count):
        one_seen = col[0, k] >= -0.5 and col[0, k] <= cols - 0.5
        two_seen = two and col[1, k] >= -0.5 and col[1, k] <= cols - 0.5
        j = U(k) * pitch
        if one_seen and two_seen:
            i0, i1, i2, i3, w0, w1, w2, w3 = _runs(weights[0], col[0, k], at[0, k], share[0, k], cols, low[0], start[0], pitch)
            k0, k1, k2, k3, v0, v1, v2, v3 = _runs(weights[1], col[1, k], at[1, k], share[1, k], cols, low[1], start[1], pitch)
            eight_to_one(space, i0, i1, i2, i3, w0, w1, w2, w3, k0, k1, k2, k3, v0, v1, v2, v3, total, j, pitch)
        elif one_seen or two_seen:
            v = 0 if one_seen else 1
            i0, i1, i2, i3, w0, w1, w2, w3 = _runs(weights[v], col[v, k], at[v, k], share[v, k], cols, low[v], start[v], pitch)
            four_to_one(space, i0, i1, i2, i3, w0, w1, w2, w3, total, j, pitch)


@njit_inner
def _add_to(volume, total, x0, y0, across, along, pitch, part):
    """Add the lines of a tile to the volume, turned from (x, z) to (z, x) a few slices at a time."""
    nz, ny, nx = volume.shape
    flat = volume.reshape(-1)
    for j in range(along):
        for z in range(0, nz, TURNED):
            deep, wide = U(min(TURNED, nz - z)), U(across)
            turn(total, U(j * across * pitch + z), U(pitch), wide, deep, part, U(0), U(TILE))
            for k in range(deep):
                add_run(part, k * U(TILE), flat, (U(z) + k) * U(ny * nx) + U((y0 + j) * nx + x0), wide)


def backproject_upright(views, held, matrices, weights, bins, bottom, volume):
    """Add to ``volume`` (z, y, x), slices from ``bottom`` on, the filtered ``views`` (view, row, col), each times its weight over w^2.

    ``held`` (first, stop, rows): which rows of a panel of so many ``views`` holds; the slices must need no others (`rows_read`).

    ``matrices`` (view, 3, 5): voxel (x, y, z, 1) to (col w, row w, w), the row's with the part that grows with w taken out into the last
    column: row = m[1, 4] + (m[1, 2] z + m[1, 3]) / w. ``bins``: those in 1 / w.
    """
    nz, ny, nx = volume.shape
    pitch = -(-nz // CHUNK) * CHUNK
    tiles = -(-nx // TILE) * -(-ny // TILE)
    in_threads(_add_tiles, tiles, views, held, matrices, weights, bins.first, bins.step, int(bins.count.max()) + 2, bottom, pitch, volume)


@njit(**FLAGS)
def _add_tiles(begin, end, views, held, matrices, weights, first, step, most_bins, bottom, pitch, volume):
    """Add all views to the lines of tiles ``begin`` to ``end``; ``most_bins`` is more than any view has."""
    nz, ny, nx = volume.shape
    number, rows, cols = views.shape
    wide, flat = (nx + TILE - 1) // TILE, views.reshape(-1)
    plane, panel, space = aligned_zeros(CHUNK * (cols + 8)), np.empty(rows * cols, np.float32), np.zeros(0, np.float32)
    low, high, start = np.empty((2, most_bins), np.int64), np.empty((2, most_bins), np.int64), np.empty((2, most_bins), np.int64)
    row_at, row_part = np.empty((2, pitch), np.uint64), np.empty((2, pitch), np.float32)
    met, part = np.empty((2, 2), np.int64), np.empty(TILE * TURNED, np.float32)
    for tile in range(begin, end):
        x0, y0 = tile % wide * TILE, tile // wide * TILE
        across, along = min(TILE, nx - x0), min(TILE, ny - y0)
        count = across * along
        total = aligned_zeros(count * pitch)
        col, at, share = np.empty((2, count)), np.empty((2, count)), np.empty((2, count))
        for v in range(0, number, 2):
            used, few = 0, min(2, number - v)
            for j in range(few):
                _see(matrices[v + j], float(x0), float(y0), across, along, first[v + j], step[v + j], col[j], at[j], share[j])
                met[j, 0], met[j, 1] = _needs(col[j], at[j], count, cols, low[j], high[j])
                used = _lay_out(met[j, 0], met[j, 1], low[j], high[j], cols, start[j], used)
            if used * pitch > len(space):
                space = aligned_zeros(used * pitch * 2)
            for j in range(few):
                if met[j, 1] >= 0:
                    _read_bins(
                        matrices[v + j], flat, v + j, held, cols, first[v + j], step[v + j], bottom, nz, U(pitch), met[j],
                        low[j], high[j], start[j], space, plane, panel, row_at, row_part,
                    )  # fmt: skip
            _add_lines(total, weights[v : v + few], col, at, share, count, cols, low, start, space, U(pitch))
        _add_to(volume, total, x0, y0, across, along, pitch, part)
