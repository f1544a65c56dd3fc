"""Voxel-driven back-projection of filtered views on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ..geometry import Grid, Scan
from .orbit import Orbit
from .vector16 import NEAR_STEP, add_line, add_line_near, has_permute, load16, store16

_FAST = {"reassoc", "contract", "nsz", "arcp"}
_SLACK = 32  # zeros between two detector columns, so that sixteen voxels may reach beyond the panel


@dataclass(frozen=True)
class Columns:
    """Filtered views for back-projection: detector columns one after the other in ``flat``, each ``pitch`` values long.

    A column holds 0, the first row again, the rows, the last row again, and zeros: the panel is extended by one row at either end and
    fades to zero within the next, so that a voxel plane half a pixel off (a fan-beam slice) is not lost.
    """

    flat: NDArray[np.float32]
    views: int
    rows: int
    cols: int

    @classmethod
    def empty(cls, views: int, rows: int, cols: int) -> Columns:
        """Columns of zeros."""
        return cls(np.zeros(cls.size(views, rows, cols), dtype=np.float32), views, rows, cols)

    @staticmethod
    def size(views: int, rows: int, cols: int) -> int:
        """How many float32 values that many views take."""
        return views * cols * (rows + 4 + _SLACK) + 2 * _SLACK

    @property
    def pitch(self) -> int:
        """Values from one column to the next."""
        return self.rows + 4 + _SLACK

    @property
    def data(self) -> NDArray[np.float32]:
        """(view, col, pitch) view of the values; row r of the panel is at ``[..., r + 2]``."""
        return self.flat[_SLACK : _SLACK + self.views * self.cols * self.pitch].reshape(self.views, self.cols, self.pitch)


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
    """True where a line of voxels along z meets one detector column at one depth in every view: the fast path."""
    drift = np.abs(matrices[:, [0, 2, 3], 2]) * grid.size_mm[2]
    far = np.array([np.abs(grid.x_mm).max(), np.abs(grid.y_mm).max(), 0.0, 1.0])
    return bool((drift <= 1e-7 * (np.abs(matrices[:, [0, 2, 3]]) @ far)).all())


def backproject(
    volume: NDArray[np.float32], grid: Grid, columns: Columns, matrices: NDArray[np.float64], step: NDArray[np.float64], fast: bool
) -> None:
    """Add to ``volume`` [z, y, x] the filtered views, each times ``step`` (view,) and (DSO / depth)^2, bilinearly interpolated.

    ``fast`` may be set where `upright` holds.
    """
    shape = (columns.views, columns.cols, columns.rows)
    if fast:
        _upright_views(volume, grid.origin_mm, grid.voxel_mm, columns.flat, shape, matrices, step, has_permute())
    else:
        _any_views(volume, grid.origin_mm, grid.voxel_mm, columns.flat, shape, matrices, step)


@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def _upright_views(volume, origin, voxel, flat, shape, matrices, step, permute):  # pragma: no cover - compiled
    """Threads take boxes of 16 x 4 voxel columns; within one, 4 x 4 columns stay in the L1 cache while all views are added."""
    nz, ny, nx = volume.shape
    nviews, ncols, nrows = shape
    pitch = nrows + 4 + _SLACK
    across, depth_z = (nx + 15) // 16, (nz + 15) // 16 * 16
    for job in prange(across * ((ny + 3) // 4)):
        y0, x0 = job // across * 4, job % across * 16
        total = np.zeros(64 * depth_z, np.float32)
        one, two = np.empty(16, np.int64), np.empty(16, np.int64)
        begin, end = np.empty(16, np.int64), np.empty(16, np.int64)
        left, right = np.empty(16, np.float32), np.empty(16, np.float32)
        first, slope = np.empty(16, np.float32), np.empty(16, np.float32)
        for part in range(4):
            for view in range(nviews):
                m = matrices[view]
                for i in range(16):  # what is constant along z
                    x = origin[0] + (x0 + part * 4 + i % 4) * voxel
                    y = origin[1] + (y0 + i // 4) * voxel
                    inverse = 1.0 / (m[2, 0] * x + m[2, 1] * y + m[2, 3])
                    col = (m[0, 0] * x + m[0, 1] * y + m[0, 3]) * inverse
                    seen = (inverse > 0) & (col >= -0.5) & (col <= ncols - 0.5)
                    col = min(max(col, 0.0), ncols - 1.0)
                    c = min(int(col), max(ncols - 2, 0))
                    one[i] = _SLACK + (view * ncols + c) * pitch
                    two[i] = _SLACK + (view * ncols + min(c + 1, ncols - 1)) * pitch
                    depth = m[3, 0] * x + m[3, 1] * y + m[3, 3]
                    scale = step[view] / (depth * depth)
                    right[i] = scale * (col - c)
                    left[i] = scale - scale * (col - c)
                    dr = m[1, 2] * voxel * inverse
                    r0 = (m[1, 0] * x + m[1, 1] * y + m[1, 2] * origin[2] + m[1, 3]) * inverse + 2.0
                    first[i], slope[i] = r0, dr
                    enter, leave = -r0 / dr, (nrows + 3 - r0) / dr
                    low, high = min(enter, leave), max(enter, leave)
                    begin[i] = int(min(max(low, 0.0), nz)) & -16
                    end[i] = int(min(max(high + 1.0, 0.0), nz)) if seen else 0
                for i in range(16):
                    target = (part * 16 + i) * depth_z
                    row0, dr, a, b = first[i], slope[i], left[i], right[i]
                    if permute and abs(dr) <= NEAR_STEP:
                        back = min(np.float32(15) * dr, np.float32(0))
                        for z in range(begin[i], end[i], 16):
                            row = row0 + np.float32(z) * dr
                            k = math.floor(row + back)
                            sixteen = load16(total, target + z)
                            sixteen = add_line_near(sixteen, flat, one[i] + k, two[i] + k, a, b, row - np.float32(k), dr)
                            store16(total, target + z, sixteen)
                    else:
                        for z in range(begin[i], end[i], 16):
                            row = row0 + np.float32(z) * dr
                            sixteen = load16(total, target + z)
                            sixteen = add_line(sixteen, flat, one[i], two[i], a, b, row, dr, np.float32(nrows + 3))
                            store16(total, target + z, sixteen)
        for z in range(nz):
            for j in range(min(4, ny - y0)):
                for i in range(min(16, nx - x0)):
                    volume[z, y0 + j, x0 + i] += total[(i // 4 * 16 + j * 4 + i % 4) * depth_z + z]


@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def _any_views(volume, origin, voxel, flat, shape, matrices, step):  # pragma: no cover - compiled
    """Every voxel on its own: rolled, tilted and moved scans."""
    nz, ny, nx = volume.shape
    nviews, ncols, nrows = shape
    pitch = nrows + 4 + _SLACK
    for job in prange(nz * ny):
        iz, iy = job // ny, job % ny
        y, z = origin[1] + iy * voxel, origin[2] + iz * voxel
        total = np.zeros(nx, np.float32)
        for view in range(nviews):
            m = matrices[view]
            h0 = m[0, 1] * y + m[0, 2] * z + m[0, 3]
            h1 = m[1, 1] * y + m[1, 2] * z + m[1, 3]
            h2 = m[2, 1] * y + m[2, 2] * z + m[2, 3]
            h3 = m[3, 1] * y + m[3, 2] * z + m[3, 3]
            base = _SLACK + view * ncols * pitch
            for ix in range(nx):
                x = origin[0] + ix * voxel
                inverse = 1.0 / (h2 + m[2, 0] * x)
                col, row = (h0 + m[0, 0] * x) * inverse, (h1 + m[1, 0] * x) * inverse + 2.0
                if inverse > 0 and col >= -0.5 and col <= ncols - 0.5 and row >= 0.0 and row <= nrows + 3.0:
                    col = min(max(col, 0.0), ncols - 1.0)
                    c, r = int(col), int(row)
                    fc, fr = np.float32(col - c), np.float32(row - r)
                    at = base + c * pitch + r
                    to = base + min(c + 1, ncols - 1) * pitch + r
                    one = flat[at] + fr * (flat[at + 1] - flat[at])
                    two = flat[to] + fr * (flat[to + 1] - flat[to])
                    depth = h3 + m[3, 0] * x
                    total[ix] += np.float32(step[view] / (depth * depth)) * (one + fc * (two - one))
        for ix in range(nx):
            volume[iz, iy, ix] += total[ix]
