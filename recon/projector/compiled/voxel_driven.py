"""Voxel-driven back-projection onto lines along z, by bins of magnification (see `depth_bins`).

All voxels of a line see one detector column at one magnification. For a tile of lines and one view, the rows that the slices meet are read
at the few magnifications that occur in the tile, for the columns that occur at each, and turned from (z, col) to (col, z): then each line
of voxels is a blend of four contiguous runs, two columns by two magnifications. Several views' worth of this stays in the second cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .loops import FLAGS, U, blend_to, clear, four_to_one, turn

TILE = 48  # voxel lines along x and y: a larger tile reads fewer bins twice, a smaller one stays in the cache


@njit(**FLAGS)
def _find(m, x0, y0, across, count, cols, first, step, where, share, low, high):
    """For each line of a tile: column and bin, or -1 where it is not on the panel, in ``where`` (line, 2); the part of the way to the next
    column and bin and 1 / w^2 in ``share`` (line, 3); and the columns that each bin needs. Returns the bins that occur, or (0, -1)."""
    lowest, highest = len(low), -1
    for i in range(count):
        x, y = x0 + i % across, y0 + i // across
        where[i, 0] = -1
        w = m[2, 0] * x + m[2, 1] * y + m[2, 3]
        if w <= 0:
            continue
        inverse = 1.0 / w
        col = (m[0, 0] * x + m[0, 1] * y + m[0, 3]) * inverse
        if not (col >= -0.5 and col <= cols - 0.5):
            continue
        col = min(max(col, 0.0), cols - 1.0)
        c = min(int(col), max(cols - 2, 0))
        at = (inverse - first) / step
        b = int(at)
        where[i, 0], where[i, 1] = c, b
        share[i, 0], share[i, 1], share[i, 2] = col - c, at - b, inverse * inverse
        if b < lowest:
            for j in range(b, min(lowest, len(low))):
                low[j], high[j] = cols, -1
            lowest = b
        if b + 1 > highest:
            for j in range(max(highest + 1, b), b + 2):
                low[j], high[j] = cols, -1
            highest = b + 1
        low[b], high[b] = min(low[b], c), max(high[b], c + 1)
        low[b + 1], high[b + 1] = min(low[b + 1], c), max(high[b + 1], c + 1)
    return lowest, highest


@njit(**FLAGS)
def _read_rows(views, at, rows, cols, row, slope, nz, width, plane):
    """Write to ``plane`` (z, width) what the columns from ``at`` hold at rows ``row + z slope``.

    The panel is extended by one row at either end and fades to zero within the next, so that a voxel plane half a pixel off (a fan-beam
    slice) is not lost.
    """
    for z in range(nz):
        r = row + z * slope + 2.0
        j = U(z) * width
        if not (r > 0.0 and r < rows + 3.0):
            clear(plane, j, width)
            continue
        i = int(r)
        above = np.float32(r - i)
        below = np.float32(1) - above
        if i < 1:
            below = np.float32(0)
        if i > rows + 1:
            above = np.float32(0)
        one, two = min(max(i - 2, 0), rows - 1), min(max(i - 1, 0), rows - 1)
        blend_to(views, at + U(one) * U(cols), at + U(two) * U(cols), below, above, plane, j, width)


@njit(**FLAGS)
def _add_view(total, m, weight, x0, y0, across, count, views, view, rows, cols, first, step, nz, pitch, space, plane, bins):
    """Add one view to a tile of ``count`` lines, ``across`` of them along x; returns the space for bins, made larger where needed."""
    where, share, low, high, start = bins
    lowest, highest = _find(m, x0, y0, across, count, cols, first, step, where, share, low, high)
    size = 0
    for b in range(lowest, highest + 1):
        start[b] = size
        if high[b] >= 0:
            high[b] = min(high[b], cols - 1)
            size += high[b] - low[b] + 1
    if size * int(pitch) > len(space):
        space = np.zeros(size * int(pitch) * 5 // 4, np.float32)
    for b in range(lowest, highest + 1):
        if high[b] >= 0:
            magnification = first + b * step
            width = U(high[b] - low[b] + 1)
            row, slope = m[1, 4] + m[1, 3] * magnification, m[1, 2] * magnification
            _read_rows(views, U(view * rows) * U(cols) + U(low[b]), rows, cols, row, slope, nz, width, plane)
            turn(plane, U(0), width, U(nz), width, space, U(start[b]) * pitch, pitch)
    next_col = pitch if cols > 1 else U(0)
    for i in range(count):
        c, b = where[i, 0], where[i, 1]
        if c < 0:
            continue
        near, far = U(start[b] + c - low[b]) * pitch, U(start[b + 1] + c - low[b + 1]) * pitch
        all_ = weight * share[i, 2]
        right, deep = share[i, 0], share[i, 1]
        w0, w1 = np.float32(all_ * (1.0 - right) * (1.0 - deep)), np.float32(all_ * right * (1.0 - deep))
        w2, w3 = np.float32(all_ * (1.0 - right) * deep), np.float32(all_ * right * deep)
        four_to_one(space, near, near + next_col, far, far + next_col, w0, w1, w2, w3, total, U(i) * pitch, pitch)
    return space


@njit(parallel=True, **FLAGS)
def backproject_upright(views, matrices, weights, first, step, most_bins, pitch, volume):
    """Add to ``volume`` (z, y, x) the filtered ``views`` (view, row, col), each times its weight over w^2.

    ``matrices`` (view, 3, 5): voxel (x, y, z, 1) to (col w, row w, w), the row's with the part that grows with w taken out into the last
    column: row = m[1, 4] + (m[1, 2] z + m[1, 3]) / w. ``first``, ``step``: of the bins in 1 / w; none of more than ``most_bins`` occurs.
    """
    nz, ny, nx = volume.shape
    number, rows, cols = views.shape
    flat, wide = views.reshape(-1), (nx + TILE - 1) // TILE
    for job in prange(wide * ((ny + TILE - 1) // TILE)):
        x0, y0 = job % wide * TILE, job // wide * TILE
        across, along = min(TILE, nx - x0), min(TILE, ny - y0)
        total, plane = np.zeros(across * along * pitch, np.float32), np.empty(nz * cols, np.float32)
        where, share = np.empty((across * along, 2), np.int64), np.empty((across * along, 3))
        low, high, start = np.empty(most_bins, np.int64), np.empty(most_bins, np.int64), np.empty(most_bins, np.int64)
        bins = (where, share, low, high, start)
        space = np.zeros(0, np.float32)
        for v in range(number):
            space = _add_view(
                total, matrices[v], weights[v], float(x0), float(y0), across, across * along, flat, v, rows, cols, first[v], step[v], nz,
                U(pitch), space, plane, bins,
            )  # fmt: skip
        for z in range(nz):
            for j in range(along):
                for i in range(across):
                    volume[z, y0 + j, x0 + i] += total[(j * across + i) * pitch + z]
