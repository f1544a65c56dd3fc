"""Voxel-driven back-projection of filtered views into slices that see one height of the panel: fan beams and parallel beams.

Each view is then one line of detector columns. Voxels are taken `VOXELS` along x at a time: first their columns and weights, in loops
that any compiler turns into vector code, then two taps each. Columns are counted from that of the first voxel, found in float64, so
that float32 is as good on a wide panel as on a narrow one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .....geometry import Grid

VOXELS = 64
_LINES_A_PASS = 4  # lines of voxels that are filled while a view is in the first cache
_MOST_SLICES = 8  # beyond, loops along z are faster
_FLAT = 1e-3  # rows by which the height may differ within a slice
_FLAGS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}


def rows_met(grid: Grid, matrices: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(view, nz): the detector row that each slice meets, where that is one and the same for all of its voxels; else None.

    Of matrices (view, 3, 4) as `projection_matrices` makes them. None also for more slices than these loops are good for.
    """
    if grid.shape[0] > _MOST_SLICES:
        return None
    x, y = ((axis[0] - grid.voxel_mm, axis[-1] + grid.voxel_mm) for axis in (grid.x_mm, grid.y_mm))
    corners = np.array([[(a, b, z, 1.0) for a in x for b in y] for z in grid.z_mm])
    row, depth = (np.einsum("vj,zcj->vzc", matrices[:, i], corners) for i in (1, 2))
    if (depth <= 0).any():
        return None
    row /= depth
    return row.mean(axis=2) if float(np.ptp(row, axis=2).max()) <= _FLAT else None


def rows_read_at(met: NDArray[np.float64], rows: int) -> slice:
    """The rows (indices) that `backproject_slices` reads for slices at ``met`` (view, nz) of `rows_met`; none where they see none."""
    seen = met[(met > -2) & (met < rows + 1)]
    if not seen.size:
        return slice(0, 0)
    first, stop = (int(np.clip(edge, 0, rows - 1)) for edge in (np.floor(seen.min()), np.floor(seen.max()) + 1))
    return slice(first, stop + 1)


def backproject_slices(
    volume: NDArray[np.float32],
    grid: Grid,
    filtered: NDArray[np.float32],
    matrices: NDArray[np.float64],
    step: NDArray[np.float64],
    met: NDArray[np.float64],
    z: slice | None = None,
    held: tuple[int, int, int] | None = None,
) -> None:
    """Add to ``volume`` [z, y, x] (1/mm) the ``filtered`` views [view, row, col], each times ``step`` (view,) over w^2.

    They are read at the rows ``met`` (view, nz) of `rows_met`. ``z``: the slices of the grid that ``volume`` holds (default: all);
    ``held`` (first, stop, rows): which rows of a panel of so many the views hold (default: all).
    """
    z = slice(0, grid.shape[0]) if z is None else z
    first, _, count = (0, filtered.shape[1], filtered.shape[1]) if held is None else held
    for k in range(z.start, z.stop):
        views = np.flatnonzero((met[:, k] > -2) & (met[:, k] < count + 1))  # the panel fades to zero within these
        lines = _lines(filtered, first, count, views, met[views, k])
        flat = matrices[views][:, [0, 2]] @ _plane(grid, float(grid.z_mm[k]))
        _add_views(volume[k - z.start], lines, filtered.shape[2], np.ascontiguousarray(flat), step[views])


def _lines(
    filtered: NDArray[np.float32], first: int, count: int, views: NDArray[np.intp], rows: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(view, col + 1): the views, which hold rows from ``first`` on of ``count``, at those rows; the last column twice, since it is read
    with weight 0.

    A panel is extended by one row at either end and fades to zero within the next.
    """
    last = count - 1
    low = np.floor(rows).astype(np.intp)
    part = (rows - low).astype(np.float32)[:, None]
    lower, upper = (filtered[views, np.clip(k, 0, last) - first] * ((k >= -1) & (k <= last + 1))[:, None] for k in (low, low + 1))
    out = np.empty((len(views), filtered.shape[2] + 1), np.float32)
    out[:, :-1] = lower + part * (upper - lower)
    out[:, -1] = out[:, -2]
    return out


def _plane(grid: Grid, z_mm: float) -> NDArray[np.float64]:
    """(4, 3): (x, y, 1) in voxels of a slice -> (x, y, z, 1) in mm."""
    x, y, _ = grid.origin_mm
    return np.array([[grid.voxel_mm, 0, x], [0, grid.voxel_mm, y], [0, 0, z_mm], [0, 0, 1.0]])


@njit(inline="always", **_FLAGS)
def _taps(m, x, y, cols, step, index, part, weight):
    """For voxels x <= i < x + VOXELS of line y: the left column, the share of the right one, and what both count."""
    across, depth = m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]
    base = math.floor(min(max(across / depth, -1e6), 1e6))
    at, at_x = np.float32(across - base * depth), np.float32(m[0, 0] - base * m[1, 0])
    w, w_x = np.float32(depth), np.float32(m[1, 0])
    first, last, scale = np.float32(-base), np.float32(cols - 1 - base), np.float32(step)
    half = np.float32(0.5)
    for i in range(VOXELS):
        inverse = np.float32(1) / (w + np.float32(i) * w_x)
        col = (at + np.float32(i) * at_x) * inverse
        seen = (col >= first - half) & (col <= last + half)
        inside = min(max(col, first), last)
        low = np.floor(inside)
        index[i] = np.uint32(np.int32(low) + np.int32(base))
        part[i] = inside - low
        weight[i] = scale * inverse * inverse if seen else np.float32(0)


@njit(parallel=True, **_FLAGS)
def _add_views(image, lines, cols, matrices, step):
    """Add the views to ``image`` (ny, nx); ``matrices`` (view, 2, 3): voxel (x, y, 1) -> (column w, w)."""
    ny, nx = image.shape
    for job in prange((ny + _LINES_A_PASS - 1) // _LINES_A_PASS):
        index, part, weight = np.empty(VOXELS, np.uint32), np.empty(VOXELS, np.float32), np.empty(VOXELS, np.float32)
        for view in range(len(lines)):
            left = lines[view]
            right = left[1:]
            for y in range(job * _LINES_A_PASS, min(ny, (job + 1) * _LINES_A_PASS)):
                for x in range(0, nx, VOXELS):
                    _taps(matrices[view], x, y, cols, step[view], index, part, weight)
                    line = image[y, x : x + VOXELS]
                    for i in range(len(line)):
                        at = index[i]
                        line[i] += weight[i] * (left[at] + part[i] * (right[at] - left[at]))
