"""Voxel-driven back-projection of filtered views on the CPU, compiled by numba.

As in `pair`, upright panels and those that can be resampled take the kernel with bins, whose inner loop is contiguous; small grids
and panels that lean far are computed voxel by voxel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....geometry import Grid, Scan
from ..joseph_rays import Rays
from ..projection_matrices import matrices_of
from . import backprojection_any, backprojection_upright, upright_panels
from .depth_bins import magnification_bins
from .loops import padded
from .pair import LEAST_VOXELS, MOST_BINS, SLAB

Array = NDArray[np.float32]


def backproject(volume: Array, scan: Scan, grid: Grid, views: Array, weights: NDArray[np.float64]) -> None:
    """Add to ``volume`` [z, y, x] the filtered ``views`` [view, row, col] of ``scan``, each times its weight (view,) over w^2, bilinearly.

    w is the voxel's depth below the source over the panel's. The panel is extended by one row at either end and fades to zero within the
    next; it ends half a pixel beyond its first and last column.
    """
    rays = Rays.of(scan, grid)
    seen, panels = rays, None
    if np.prod(grid.shape) >= LEAST_VOXELS and not rays.flat().all():
        panels = upright_panels.rectify(rays)
        seen = rays if panels is None else panels.rays
    bins = magnification_bins(seen)
    if np.prod(grid.shape) < LEAST_VOXELS or not seen.flat().all() or bins.count.max() > MOST_BINS * max(grid.shape[1:]):
        backprojection_any.backproject_any(views, matrices_of(rays.source, rays.first, rays.u, rays.v), weights, volume)
        return
    if panels is not None:
        space = np.empty((len(rays), seen.rows, seen.cols), np.float32)
        upright_panels.straightened(views, panels.to_given, space)
        views = space
    for slices in seen.slabs(SLAB):
        slab = seen.slab(slices)  # with the bins of the whole grid, so that there is no seam between slabs
        matrices = np.concatenate([matrices_of(slab.source, slab.first, slab.u, slab.v), np.zeros((len(slab), 3, 1))], axis=2)
        matrices[:, 1, 4] = -slab.first[:, 2] / slab.v[:, 2]  # the row at the source's height
        matrices[:, 1, 2], matrices[:, 1, 3] = 1 / slab.v[:, 2], -slab.source[:, 2] / slab.v[:, 2]
        most, pitch = int(bins.count.max()) + 2, padded(slab.grid_shape[0])
        backprojection_upright.backproject_upright(views, matrices, weights, bins.first, bins.step, most, pitch, volume[slices])
