"""Joseph's projector on the CPU, compiled by numba: single precision, all cores, the exact pair of `joseph_torch`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...base.memory import require_memory
from ..simd.line_sampling import MARGIN
from ..simd.vector16 import LANES
from . import fan_numba, few_rows_numba
from .joseph_numba_any import backproject_any, project_any
from .joseph_numba_upright import add_lines, backproject_upright, project_upright, to_columns, to_lines
from .joseph_rays import Rays

Array = NDArray[np.float32]
_BLOCK_BYTES = 12 << 20  # views that are back-projected at once: they should stay in the last cache


def project(volume: Array, rays: Rays) -> Array:
    """(nz, ny, nx) float32 in 1/mm -> (view, row, col) float32 line integrals.

    Takes a second volume beside the two arrays. Raises InputError where memory is short.
    """
    for special in (fan_numba, few_rows_numba):
        if special.supports(rays):
            return special.project(volume, rays)
    shape = (len(rays), rays.rows, rays.cols)
    padded = _padded(rays)
    require_memory(4 * (int(np.prod(shape)) + _line_elements(rays)), f"projections of shape {shape} and a copy of the volume")
    packed, (upright, other) = rays.packed, _sorted_views(rays)
    out = np.zeros(shape, np.float32)
    if upright.size:
        project_upright(to_lines(volume, padded), rays.grid_shape, padded, packed, upright, rays.voxel_mm, out)
    if other.size:
        project_any(volume, packed, other, rays.voxel_mm, out)
    return out


def backproject(projections: Array, rays: Rays) -> Array:
    """(view, row, col) float32 -> (nz, ny, nx) float32, the exact transpose of `project`.

    Takes a second volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    for special in (fan_numba, few_rows_numba):
        if special.supports(rays):
            return special.backproject(projections, rays)
    nz, ny, nx = rays.grid_shape
    padded, line = _padded(rays), rays.rows + 2 * MARGIN
    block = max(1, min(len(rays), _BLOCK_BYTES // (4 * rays.cols * line)))
    needed = 4 * (nz * ny * nx + _line_elements(rays) + block * rays.cols * line)
    require_memory(needed, f"a volume of shape {rays.grid_shape} and its working copy")
    packed, (upright, other) = rays.packed, _sorted_views(rays)
    out = np.zeros(rays.grid_shape, np.float32)
    if upright.size:
        lines = np.zeros(_line_elements(rays), np.float32)
        columns = np.zeros((block, rays.cols, line), np.float32)
        for views in np.split(upright, range(block, upright.size, block)):
            to_columns(projections, packed, views, rays.voxel_mm, columns)
            for along in (0, 1):
                backproject_upright(columns, packed, views, rays.rows, along, rays.grid_shape, padded, lines)
        add_lines(lines, padded, out)
    if other.size:
        backproject_any(projections, packed, other, rays.voxel_mm, out)
    return out


def _sorted_views(rays: Rays) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The views that the fast loops can take, and all others."""
    upright = rays.upright()
    return np.flatnonzero(upright), np.flatnonzero(~upright)


def _padded(rays: Rays) -> int:
    return -(-rays.grid_shape[0] // LANES) * LANES


def _line_elements(rays: Rays) -> int:
    return rays.grid_shape[1] * rays.grid_shape[2] * _padded(rays)
