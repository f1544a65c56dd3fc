"""Voxel-driven back-projection for any panel: each voxel is projected by itself."""

from __future__ import annotations

import numpy as np
from numba import njit

from .contiguous_runs import FLAGS
from .threads import in_threads


def backproject_any(views, held, matrices, weights, bottom, volume):
    """Add to ``volume`` (z, y, x), slices from ``bottom`` on, the filtered ``views`` (view, row, col), each times its weight over w^2,
    bilinearly interpolated.

    ``matrices`` (view, 3, 4): voxel (x, y, z, 1) to (col w, row w, w). ``held`` and the panel's edges are those of
    `backprojection_upright`.
    """
    in_threads(_add_rows, volume.shape[0] * volume.shape[1], views, held, matrices, weights, bottom, volume)


@njit(**FLAGS)
def _add_rows(first, stop, views, held, matrices, weights, bottom, volume):
    """Add all views to rows ``first`` to ``stop`` of the volume, counted through its slices."""
    _, ny, nx = volume.shape
    number, _, cols = views.shape
    begin, end, rows = held
    for job in range(first, stop):
        k, y = job // ny, job % ny
        z = bottom + k
        for v in range(number):
            m = matrices[v]
            c0, r0, w0 = m[0, 1] * y + m[0, 2] * z + m[0, 3], m[1, 1] * y + m[1, 2] * z + m[1, 3], m[2, 1] * y + m[2, 2] * z + m[2, 3]
            for x in range(nx):
                w = w0 + m[2, 0] * x
                if w <= 0:
                    continue
                inverse = 1.0 / w
                col, row = (c0 + m[0, 0] * x) * inverse, (r0 + m[1, 0] * x) * inverse + 2.0
                if not (col >= -0.5 and col <= cols - 0.5 and row > 0.0 and row < rows + 3.0):
                    continue
                col = min(max(col, 0.0), cols - 1.0)
                c, r = min(int(col), max(cols - 2, 0)), int(row)
                right, above = col - c, row - r
                below = 1.0 - above if r >= 1 else 0.0
                above = above if r <= rows + 1 else 0.0
                one, two = min(max(r - 2, begin), end - 1) - begin, min(max(r - 1, begin), end - 1) - begin
                d = min(c + 1, cols - 1)
                left = below * views[v, one, c] + above * views[v, two, c]
                other = below * views[v, one, d] + above * views[v, two, d]
                volume[k, y, x] += np.float32(weights[v] * inverse * inverse * (left + right * (other - left)))
