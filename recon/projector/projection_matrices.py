"""Where a voxel is seen: the matrices that take a point to its detector column and row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...geometry import Grid, Scan


def projection_matrices(scan: Scan) -> NDArray[np.float64]:
    """(view, 3, 4): voxel (x, y, z, 1) in mm -> (col w, row w, w); w is the voxel's depth below the source over the panel's."""
    return matrices_of(scan.source, scan.first_pixel - scan.source, scan.u, scan.v)


def matrices_of(
    source: NDArray[np.float64], first: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(view, 3, 4) of vectors (view, 3): source, the way from it to the first pixel, column and row step, in any one unit of length."""
    inverse = np.linalg.inv(np.stack([u, v, first], axis=2))
    offset = -np.einsum("vij,vj->vi", inverse, source)
    return np.concatenate([inverse, offset[:, :, None]], axis=2).astype(np.float64)


def upright(matrices: NDArray[np.float64], grid: Grid) -> bool:
    """Whether, by the matrices (view, 3, 4) of pixels, a line of voxels along z meets one detector column at one depth in every view."""
    drift = np.abs(matrices[:, [0, 2], 2]) * grid.size_mm[2]
    far = np.array([np.abs(grid.x_mm).max(), np.abs(grid.y_mm).max(), 0.0, 1.0])
    return bool((drift <= 1e-7 * (np.abs(matrices[:, [0, 2]]) @ far)).all())
