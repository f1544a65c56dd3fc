"""A reconstruction method of one's own: projected Landweber, that is small steps down the gradient of |Ax - b|^2, x >= 0.

    fewview recon SCAN --method docs/my_method.py:landweber --views 26 --out mine.ome.tif

A function ``(projections, grid) -> volume`` is all it takes: the volume is [z, y, x], float32, in 1/mm.
"""

import numpy as np
from fewview.data import Projections
from fewview.geometry import Grid
from fewview.recon import Operator

STEPS = 30


def landweber(projections: Projections, grid: Grid) -> np.ndarray:
    """Landweber, Am. J. Math. 73 (1951) 615, with x >= 0 and the step that SIRT's row and column sums allow."""
    A = Operator(projections.scan, grid)
    rays = A(np.ones(A.domain_shape, np.float32))
    voxels = A.T(np.ones(A.range_shape, np.float32))
    row = np.divide(1, rays, out=np.zeros_like(rays), where=rays > 1e-3 * rays.max())
    col = np.divide(1, voxels, out=np.zeros_like(voxels), where=voxels > 1e-3 * voxels.max())
    x = np.zeros(A.domain_shape, np.float32)
    for _ in range(STEPS):
        x = np.maximum(0, x + col * A.T(row * (projections.values - A(x))))
    return x
