"""Joseph's projector on the CPU, compiled by numba: single precision, all cores.

Fan beams, and scans of a few rows and slices, have exact loops of their own (`fan`). The views of a cone beam go one of three ways.
Upright panels, and those that can be resampled to upright ones, take the kernels with depth bins, whose inner loops are contiguous; their
lines are shared between bins, which differs from `joseph_torch` by about 0.1 % on smooth bodies. Small grids, where that saves nothing,
and panels that lean far or look along z take the exact kernels, one ray at a time. Each way's transpose is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import get_num_threads
from numpy.typing import NDArray

from ....base.memory import require_memory
from ..joseph_rays import Rays
from . import pair_any, pair_upright, upright_panels
from .depth_bins import Bins, depth_bins
from .fan import few_rows, planes
from .loops import add_lines, padded, to_lines

Array = NDArray[np.float32]
_BLOCK_BYTES = 16 << 20  # views that are resampled or weighted at once: they should stay in the last cache
LEAST_VOXELS = 1 << 17  # a grid of fewer voxels than about 51^3 is computed ray by ray
MOST_BINS = 0.75  # bins for each slice of the grid; with more, a bin saves nothing


@dataclass(frozen=True)
class _Fast:
    """Views that take the kernels with bins: ``views`` of the rays given, by ``rays`` (of all views), resampled if there are ``panels``."""

    views: NDArray[np.intp]
    rays: Rays
    bins: Bins
    panels: upright_panels.Rectified | None


def project(volume: Array, rays: Rays) -> Array:
    """(nz, ny, nx) float32 in 1/mm -> (view, row, col) float32 line integrals.

    Takes a second volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    for few in (planes, few_rows):
        if few.supports(rays):
            return few.project(volume, rays)
    shape = (len(rays), rays.rows, rays.cols)
    require_memory(
        4 * (int(np.prod(shape)) + _line_elements(rays)) + _BLOCK_BYTES, f"projections of shape {shape} and a copy of the volume"
    )
    out = np.zeros(shape, np.float32)
    ways, slow = _ways(rays)
    lines = to_lines(volume, padded(rays.grid_shape[0])) if ways else volume
    for way in ways:
        for views in _blocks(way):
            _project_fast(lines, way, views, out)
    if slow.size:
        pair_any.project_any(volume, rays.packed, slow, rays.voxel_mm, out)
    return out


def backproject(projections: Array, rays: Rays) -> Array:
    """Line integrals (view, row, col) float32 to a volume (nz, ny, nx) float32, the exact transpose of `project`.

    Takes a second volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    for few in (planes, few_rows):
        if few.supports(rays):
            return few.backproject(projections, rays)
    needed = 4 * (int(np.prod(rays.grid_shape)) + _line_elements(rays)) + 2 * _BLOCK_BYTES
    require_memory(needed, f"a volume of shape {rays.grid_shape} and its working copy")
    out = np.zeros(rays.grid_shape, np.float32)
    ways, slow = _ways(rays)
    if ways:
        lines = np.zeros(_line_elements(rays), np.float32)
        for way in ways:
            for views in _blocks(way):
                _backproject_fast(projections, way, views, lines)
        add_lines(lines, padded(rays.grid_shape[0]), out)
    if slow.size:
        pair_any.backproject_any(projections, rays.packed, slow, rays.voxel_mm, out)
    return out


def _ways(rays: Rays) -> tuple[list[_Fast], NDArray[np.intp]]:
    """The views that take the kernels with bins, and those that do not; a view's way does not depend on the other views."""
    every, upright = np.arange(len(rays)), rays.upright()
    if np.prod(rays.grid_shape) < LEAST_VOXELS:
        return [], every
    ways, slow = [], []
    for views, panels in ((every[upright], None), (every[~upright], None if upright.all() else upright_panels.rectify(rays))):
        seen = rays if panels is None else panels.rays
        bins = depth_bins(seen)
        able = seen.upright()[views] & (bins.count[views] <= MOST_BINS * max(rays.grid_shape[1:]))
        ways.append(_Fast(views[able], seen, bins, panels))
        slow.append(views[~able])
    return [way for way in ways if way.views.size], np.sort(np.concatenate(slow))


def _blocks(way: _Fast) -> list[NDArray[np.intp]]:
    size = max(1, _BLOCK_BYTES // (4 * way.rays.rows * way.rays.cols))
    return np.split(way.views, range(size, way.views.size, size))


def _project_fast(lines: Array, way: _Fast, views: NDArray[np.intp], out: Array) -> None:
    rays, pitch = way.rays, padded(way.rays.grid_shape[0])
    bins = (way.bins.first, way.bins.step, way.bins.count)
    if way.panels is None:
        pair_upright.project_upright(lines, pitch, rays.grid_shape, rays.packed, views, views, *bins, rays.voxel_mm, out)
        return
    space = np.empty((len(views), rays.rows, rays.cols), np.float32)
    pair_upright.project_upright(lines, pitch, rays.grid_shape, rays.packed, views, np.arange(len(views)), *bins, rays.voxel_mm, space)
    upright_panels.resample(space, way.panels.to_upright, views, out)


def _backproject_fast(projections: Array, way: _Fast, views: NDArray[np.intp], lines: Array) -> None:
    rays, pitch, source = way.rays, padded(way.rays.grid_shape[0]), views
    if way.panels is not None:
        space = np.zeros((len(views), rays.rows, rays.cols), np.float32)
        upright_panels.spread(projections, way.panels.to_upright, views, space)
        projections, source = space, np.arange(len(views))
    values = np.empty((len(views), rays.rows, rays.cols), np.float32)
    pair_upright.weighted(projections, source, rays.packed, views, rays.voxel_mm, values)
    for along in (0, 1):
        bins = (way.bins.first, way.bins.step, way.bins.count)
        share = -(-rays.grid_shape[2 - along] // (2 * get_num_threads()))  # slabs do not change a bit of the result
        slab = max(8, min(pair_upright.MOST_SLICES, share))
        pair_upright.backproject_upright(values, rays.packed, views, *bins, along, slab, rays.grid_shape, pitch, lines)


def _line_elements(rays: Rays) -> int:
    return rays.grid_shape[1] * rays.grid_shape[2] * padded(rays.grid_shape[0])
