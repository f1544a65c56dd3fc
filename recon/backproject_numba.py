"""Voxel-driven back-projection of filtered views on the CPU."""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ..geometry import Grid, Scan
from .orbit import Orbit

_FAST = {"reassoc", "contract", "nsz", "arcp"}
_TILE = 16


def projection_matrices(scan: Scan, orbit: Orbit) -> NDArray[np.float64]:
    """(view, 4, 4): voxel (x, y, z, 1) in mm -> (col w, row w, w, depth / DSO).

    Depth is the voxel's distance from the source along the ray through the axis; FDK weighs a voxel by (DSO / depth)^2.
    """
    rows, cols = scan.shape
    first = scan.detector - scan.source - (cols - 1) / 2 * scan.u - (rows - 1) / 2 * scan.v
    inverse = np.linalg.inv(np.stack([scan.u, scan.v, first], axis=2))
    depth = -orbit.outward / orbit.dso_mm[:, None]
    linear = np.concatenate([inverse, depth[:, None, :]], axis=1)
    offset = -np.einsum("vij,vj->vi", linear, scan.source)
    return np.concatenate([linear, offset[:, :, None]], axis=2).astype(np.float64)


def upright(matrices: NDArray[np.float64], grid: Grid) -> bool:
    """True where a voxel column along z meets one detector column at one depth in every view: the fast path."""
    nz = grid.shape[0]
    drift = np.abs(matrices[:, [0, 2, 3], 2]) * nz * grid.voxel_mm
    x, y = np.abs(grid.x_mm).max(), np.abs(grid.y_mm).max()
    scale = np.abs(matrices[:, [0, 2, 3]]) @ np.array([x, y, 0.0, 1.0])
    return bool((drift <= 1e-7 * scale).all())


def backproject(
    volume: NDArray[np.float32],
    grid: Grid,
    columns: NDArray[np.float32],
    matrices: NDArray[np.float64],
    step: NDArray[np.float64],
    fast: bool,
) -> None:
    """Add to ``volume`` [z, y, x] the filtered views ``columns`` [view, col, row], each times ``step`` (view,) and (DSO / depth)^2."""
    kernel = _upright_views if fast else _any_views
    kernel(volume, grid.origin_mm, grid.voxel_mm, columns, matrices, step)


@njit(parallel=True, fastmath=_FAST, cache=True)
def _upright_views(volume, origin, voxel, columns, matrices, step):  # pragma: no cover - compiled
    nz, ny, nx = volume.shape
    nviews, ncols, nrows = columns.shape
    tiles = (nx + _TILE - 1) // _TILE
    for job in prange(ny * tiles):
        iy, ix0 = job // tiles, (job % tiles) * _TILE
        y = origin[1] + iy * voxel
        width = min(_TILE, nx - ix0)
        total = np.zeros((_TILE, nz), np.float32)
        line = np.zeros(nrows + 3, np.float32)
        for view in range(nviews):
            m = matrices[view]
            for i in range(width):
                x = origin[0] + (ix0 + i) * voxel
                w = m[2, 0] * x + m[2, 1] * y + m[2, 3]
                if w <= 0:
                    continue
                col = (m[0, 0] * x + m[0, 1] * y + m[0, 3]) / w
                if col < -0.5 or col > ncols - 0.5:
                    continue
                col = min(max(col, 0.0), ncols - 1.0)
                c = min(int(col), max(ncols - 2, 0))
                c1 = min(c + 1, ncols - 1)
                depth = m[3, 0] * x + m[3, 1] * y + m[3, 3]
                scale = step[view] / (depth * depth)
                right = np.float32(scale * (col - c))
                left = np.float32(scale) - right
                dr = m[1, 2] * voxel / w
                r0 = (m[1, 0] * x + m[1, 1] * y + m[1, 2] * origin[2] + m[1, 3]) / w
                # z with -0.5 <= row <= nrows - 0.5; the line has one row more at either end, so that the row index is row + 1
                za, zb = (-0.5 - r0) / dr, (nrows - 0.5 - r0) / dr
                z0 = int(max(0.0, math.ceil(min(za, zb))))
                z1 = int(min(nz - 1.0, math.floor(max(za, zb)))) + 1
                if z1 <= z0:
                    continue
                ra, rb = r0 + z0 * dr, r0 + (z1 - 1) * dr
                low, high = int(max(0.0, min(ra, rb))), int(min(nrows - 1.0, max(ra, rb) + 1.0)) + 1
                one, two = columns[view, c], columns[view, c1]
                for r in range(low, high):
                    line[r + 1] = left * one[r] + right * two[r]
                line[low] = line[low + 1]
                line[high + 1] = line[high]
                first, slope = np.float32(r0 + 1.0), np.float32(dr)
                target = total[i]
                for z in range(z0, z1):
                    row = first + np.float32(z) * slope
                    k = int(row)
                    a = line[k]
                    target[z] += a + (row - np.float32(k)) * (line[k + 1] - a)
        for z in range(nz):
            for i in range(width):
                volume[z, iy, ix0 + i] += total[i, z]


@njit(parallel=True, fastmath=_FAST, cache=True)
def _any_views(volume, origin, voxel, columns, matrices, step):  # pragma: no cover - compiled
    nz, ny, nx = volume.shape
    nviews, ncols, nrows = columns.shape
    tiles = (nx + _TILE - 1) // _TILE
    for job in prange(ny * tiles):
        iy, ix0 = job // tiles, (job % tiles) * _TILE
        y = origin[1] + iy * voxel
        width = min(_TILE, nx - ix0)
        total = np.zeros((_TILE, nz), np.float32)
        for view in range(nviews):
            m = matrices[view]
            q = columns[view]
            for i in range(width):
                x = origin[0] + (ix0 + i) * voxel
                h0 = m[0, 0] * x + m[0, 1] * y + m[0, 3]
                h1 = m[1, 0] * x + m[1, 1] * y + m[1, 3]
                h2 = m[2, 0] * x + m[2, 1] * y + m[2, 3]
                h3 = m[3, 0] * x + m[3, 1] * y + m[3, 3]
                for iz in range(nz):
                    z = origin[2] + iz * voxel
                    w = h2 + m[2, 2] * z
                    if w <= 0:
                        continue
                    inverse = 1.0 / w
                    col, row = (h0 + m[0, 2] * z) * inverse, (h1 + m[1, 2] * z) * inverse
                    if col < -0.5 or col > ncols - 0.5 or row < -0.5 or row > nrows - 0.5:
                        continue
                    col, row = min(max(col, 0.0), ncols - 1.0), min(max(row, 0.0), nrows - 1.0)
                    c, r = int(col), int(row)
                    c1, r1 = min(c + 1, ncols - 1), min(r + 1, nrows - 1)
                    fc, fr = np.float32(col - c), np.float32(row - r)
                    one = q[c, r] + fr * (q[c, r1] - q[c, r])
                    two = q[c1, r] + fr * (q[c1, r1] - q[c1, r])
                    depth = h3 + m[3, 2] * z
                    total[i, iz] += np.float32(step[view] / (depth * depth)) * (one + fc * (two - one))
        for z in range(nz):
            for i in range(width):
                volume[z, iy, ix0 + i] += total[i, z]


def threads() -> int:
    """Threads that the kernels use."""
    return numba.get_num_threads()
