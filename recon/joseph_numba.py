"""Joseph's projector on the CPU, compiled by numba: single precision, all cores, the exact pair of `joseph_torch`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .joseph_numba_any import backproject_any, project_any
from .joseph_rays import Rays

Array = NDArray[np.float32]


def project(volume: Array, rays: Rays) -> Array:
    """(nz, ny, nx) float32 in 1/mm -> (view, row, col) float32 line integrals."""
    out = np.zeros((len(rays), rays.rows, rays.cols), np.float32)
    project_any(volume, rays.packed, rays.voxel_mm, out)
    return out


def backproject(projections: Array, rays: Rays) -> Array:
    """(view, row, col) float32 -> (nz, ny, nx) float32, the exact transpose of `project`."""
    out = np.zeros(rays.grid_shape, np.float32)
    backproject_any(projections, rays.packed, rays.voxel_mm, out)
    return out
