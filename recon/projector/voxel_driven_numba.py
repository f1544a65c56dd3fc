"""Voxel-driven back-projection of filtered views on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ...geometry import Grid, Scan
from ..simd.vector16 import NEAR_STEP, add_line, add_line_near, add_points, has_permute, load16, store16

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
        return (views * cols + 1) * (rows + 4 + _SLACK) + 2 * _SLACK  # one column more, which is read with weight 0

    @property
    def pitch(self) -> int:
        """Values from one column to the next."""
        return self.rows + 4 + _SLACK

    @property
    def data(self) -> NDArray[np.float32]:
        """(view, col, pitch) view of the values; row r of the panel is at ``[..., r + 2]``."""
        return self.flat[_SLACK : _SLACK + self.views * self.cols * self.pitch].reshape(self.views, self.cols, self.pitch)


def projection_matrices(scan: Scan) -> NDArray[np.float64]:
    """(view, 3, 4): voxel (x, y, z, 1) in mm -> (col w, row w, w); w is the voxel's depth below the source over the panel's."""
    inverse = np.linalg.inv(np.stack([scan.u, scan.v, scan.first_pixel - scan.source], axis=2))
    offset = -np.einsum("vij,vj->vi", inverse, scan.source)
    return np.concatenate([inverse, offset[:, :, None]], axis=2).astype(np.float64)


def upright(matrices: NDArray[np.float64], grid: Grid) -> bool:
    """Of matrices (view, 3, 4): True where a line of voxels along z meets one detector column at one depth in every view: the fast path."""
    drift = np.abs(matrices[:, [0, 2], 2]) * grid.size_mm[2]
    far = np.array([np.abs(grid.x_mm).max(), np.abs(grid.y_mm).max(), 0.0, 1.0])
    return bool((drift <= 1e-7 * (np.abs(matrices[:, [0, 2]]) @ far)).all())


def backproject(
    volume: NDArray[np.float32], grid: Grid, columns: Columns, matrices: NDArray[np.float64], step: NDArray[np.float64], fast: bool
) -> None:
    """Add to ``volume`` [z, y, x] the filtered views, each times ``step`` (view,) over w^2, bilinearly interpolated.

    ``fast`` may be set where `upright` holds.
    """
    shape = (columns.views, columns.cols, columns.rows)
    if fast:
        _upright_views(volume, grid.origin_mm, grid.voxel_mm, columns.flat, shape, matrices, step, has_permute())
    else:
        _any_views(volume, grid.origin_mm, grid.voxel_mm, columns.flat, shape, matrices, step)


@njit(fastmath=_FAST, error_model="numpy", cache=True)
def _lines(out, m, x0, y0, z0, voxel, nrows, step):  # pragma: no cover - compiled
    """What is constant along z, for 4 x 4 lines of voxels: column, 1 / w, weight, first row, row step, z at which it enters and leaves.

    Scalars and one output, so that the compiler turns the loop into vector code.
    """
    col_x, col_y, col_1 = m[0, 0], m[0, 1], m[0, 3]
    row_x, row_y, row_1 = m[1, 0], m[1, 1], m[1, 2] * z0 + m[1, 3]
    w_x, w_y, w_1 = m[2, 0], m[2, 1], m[2, 3]
    row_z, top = m[1, 2] * voxel, nrows + 3.0
    for i in range(16):
        x, y = x0 + np.float64(i & 3) * voxel, y0 + np.float64(i >> 2) * voxel
        inverse = 1.0 / (w_x * x + w_y * y + w_1)
        row = (row_x * x + row_y * y + row_1) * inverse + 2.0
        slope = row_z * inverse
        one, other = -row / slope, (top - row) / slope
        out[i] = (col_x * x + col_y * y + col_1) * inverse
        out[16 + i] = inverse
        out[32 + i] = step * inverse * inverse
        out[48 + i] = row
        out[64 + i] = slope
        out[80 + i] = min(one, other)
        out[96 + i] = max(one, other)


@njit(parallel=True, nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _upright_views(volume, origin, voxel, flat, shape, matrices, step, permute):  # pragma: no cover - compiled
    """Threads take boxes of 16 x 4 voxel columns; within one, 4 x 4 columns stay in the L1 cache while all views are added."""
    nz, ny, nx = volume.shape
    nviews, ncols, nrows = shape
    pitch = nrows + 4 + _SLACK
    across, depth_z = (nx + 15) // 16, (nz + 15) // 16 * 16
    for job in prange(across * ((ny + 3) // 4)):
        y0, x0 = job // across * 4, job % across * 16
        total = np.zeros(64 * depth_z, np.float32)
        lines = np.empty(7 * 16)
        for part in range(4):
            x, y = origin[0] + (x0 + part * 4) * voxel, origin[1] + y0 * voxel
            for view in range(nviews):
                _lines(lines, matrices[view], x, y, origin[2], voxel, nrows, step[view])
                for i in range(16):
                    col, front = lines[i], lines[16 + i]
                    if not (front > 0 and col >= -0.5 and col <= ncols - 0.5):
                        continue
                    col = min(max(col, 0.0), ncols - 1.0)
                    c = min(int(col), max(ncols - 2, 0))
                    one = _SLACK + (view * ncols + c) * pitch
                    two = one + pitch * min(1, ncols - 1)
                    right = np.float32(lines[32 + i] * (col - c))
                    left = np.float32(lines[32 + i]) - right
                    row0, dr = np.float32(lines[48 + i]), np.float32(lines[64 + i])
                    begin = int(min(max(lines[80 + i], 0.0), nz)) & -16
                    end = int(min(max(lines[96 + i] + 1.0, 0.0), nz))
                    target = (part * 16 + i) * depth_z
                    if permute and abs(dr) <= NEAR_STEP:
                        back = min(np.float32(15) * dr, np.float32(0)) + np.float32(64)
                        for z in range(begin, end, 16):
                            row = row0 + np.float32(z) * dr
                            k = int(row + back) - 64  # floor: a call of math.floor would spill the registers
                            sixteen = load16(total, target + z)
                            sixteen = add_line_near(sixteen, flat, one + k, two + k, left, right, row - np.float32(k), dr)
                            store16(total, target + z, sixteen)
                    else:
                        for z in range(begin, end, 16):
                            row = row0 + np.float32(z) * dr
                            sixteen = load16(total, target + z)
                            sixteen = add_line(sixteen, flat, one, two, left, right, row, dr, np.float32(nrows + 3))
                            store16(total, target + z, sixteen)
        for z in range(nz):
            for j in range(min(4, ny - y0)):
                for i in range(min(16, nx - x0)):
                    volume[z, y0 + j, x0 + i] += total[(i // 4 * 16 + j * 4 + i % 4) * depth_z + z]


@njit(parallel=True, nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _any_views(volume, origin, voxel, flat, shape, matrices, step):  # pragma: no cover - compiled
    """Rolled, tilted and moved scans: sixteen voxels along z at a time, each on its own detector column."""
    nz, ny, nx = volume.shape
    nviews, ncols, nrows = shape
    pitch = nrows + 4 + _SLACK
    limits = (np.float32(ncols - 1), np.float32(nrows + 3))
    across, depth_z = (nx + 3) // 4, (nz + 15) // 16 * 16
    for job in prange(across * ((ny + 3) // 4)):
        y0, x0 = job // across * 4, job % across * 4
        total = np.zeros(16 * depth_z, np.float32)
        for view in range(nviews):
            m = matrices[view]
            base = _SLACK + view * ncols * pitch
            c, r, w = m[0, 2] * voxel, (m[1, 2] + 2 * m[2, 2]) * voxel, m[2, 2] * voxel
            slope = (np.float32(c), np.float32(r), np.float32(w))
            for i in range(16):
                x, y = origin[0] + (x0 + i % 4) * voxel, origin[1] + (y0 + i // 4) * voxel
                c0 = m[0, 0] * x + m[0, 1] * y + m[0, 2] * origin[2] + m[0, 3]
                w0 = m[2, 0] * x + m[2, 1] * y + m[2, 2] * origin[2] + m[2, 3]
                r0 = m[1, 0] * x + m[1, 1] * y + m[1, 2] * origin[2] + m[1, 3] + 2 * w0  # two rows lie before the panel's first
                for chunk in range(0, nz, 16):
                    first = (np.float32(c0 + chunk * c), np.float32(r0 + chunk * r), np.float32(w0 + chunk * w))
                    at = i * depth_z + chunk
                    store16(total, at, add_points(load16(total, at), flat, base, pitch, limits, np.float32(step[view]), first, slope))
        for z in range(nz):
            for j in range(min(4, ny - y0)):
                for i in range(min(4, nx - x0)):
                    volume[z, y0 + j, x0 + i] += total[(j * 4 + i) * depth_z + z]
