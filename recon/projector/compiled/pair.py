"""Joseph's projector on the CPU, compiled by numba: single precision, all cores.

Fan beams, and scans of a few rows and slices, have exact loops of their own (`fan`). The views of a cone beam go one of three ways.
Upright panels, and those that can be resampled to upright ones, take the kernels with depth bins, whose inner loops are contiguous; their
lines are shared between bins, which differs from `joseph_torch` by about 0.1 % on smooth bodies. Small grids, where that saves nothing,
and panels that lean far or look along z take the exact kernels, one ray at a time. Each way's transpose is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import get_num_threads
from numpy.typing import NDArray

from ....base.memory import require_memory
from ..joseph_rays import Rays
from . import pair_any, pair_upright, upright_panels
from .contiguous_runs import add_lines, aligned_zeros, padded, to_lines
from .depth_bins import Bins, depth_bins
from .fan import few_rows, planes

Array = NDArray[np.float32]
_BLOCK_BYTES = 16 << 20  # views that are resampled or weighted at once: they should stay in the last cache
SLAB = 192  # slices at once: what a tile of the grid needs should stay in the cache, however high the grid is
LEAST_VOXELS = 1 << 17  # a grid of fewer voxels than about 51^3 is computed ray by ray
MOST_BINS = 0.75  # bins for each slice of the grid; with more, a bin saves nothing


@dataclass(frozen=True)
class _Fast:
    """Views that take the kernels with bins: ``views`` of the rays given, by ``rays`` (of all views), resampled if there are ``panels``."""

    views: NDArray[np.intp]
    rays: Rays
    bins: Bins
    panels: upright_panels.Rectified | None

    @property
    def steps(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """The bins as the compiled loops take them."""
        return self.bins.first, self.bins.step, self.bins.count

    def within(self, slices: slice) -> _Fast:
        """The same views through a slab of the grid, with the same bins, so that there is no seam between slabs."""
        return replace(self, rays=self.rays.slab(slices))

    def blocks(self) -> list[NDArray[np.intp]]:
        """The views, a few at a time."""
        size = max(1, _BLOCK_BYTES // (4 * self.rays.rows * self.rays.cols))
        return np.split(self.views, range(size, self.views.size, size))


def project(volume: Array, rays: Rays) -> Array:
    """(nz, ny, nx) float32 in 1/mm -> (view, row, col) float32 line integrals.

    Takes a slab of the volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    for few in (planes, few_rows):
        if few.supports(rays):
            return few.project(volume, rays)
    shape = (len(rays), rays.rows, rays.cols)
    require_memory(4 * int(np.prod(shape)) + _working_bytes(rays), f"projections of shape {shape} and a copy of a slab of the volume")
    out = np.zeros(shape, np.float32)
    ways, slow = _ways(rays)
    for slices in rays.slabs(SLAB) if ways else ():
        lines = to_lines(volume[slices], padded(slices.stop - slices.start))
        for way in ways:
            _project_fast(lines, way.within(slices), out)
    if slow.size:
        pair_any.project_any(volume, rays.packed, slow, rays.voxel_mm, out)
    return out


def backproject(projections: Array, rays: Rays) -> Array:
    """Line integrals (view, row, col) float32 to a volume (nz, ny, nx) float32, the exact transpose of `project`.

    Takes a slab of the volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    for few in (planes, few_rows):
        if few.supports(rays):
            return few.backproject(projections, rays)
    nz, ny, nx = rays.grid_shape
    require_memory(4 * nz * ny * nx + _working_bytes(rays), f"a volume of shape {rays.grid_shape} and a copy of a slab of it")
    out = np.zeros(rays.grid_shape, np.float32)
    ways, slow = _ways(rays)
    for slices in rays.slabs(SLAB) if ways else ():
        pitch = padded(slices.stop - slices.start)
        lines = aligned_zeros(ny * nx * pitch)
        for way in ways:
            _backproject_fast(projections, way.within(slices), lines)
        add_lines(lines, pitch, out[slices])
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


def _project_fast(lines: Array, way: _Fast, out: Array) -> None:
    """Add to ``out`` (view, row, col) the line integrals through the lines of a slab."""
    rays, pitch = way.rays, padded(way.rays.grid_shape[0])
    for views in way.blocks():
        if way.panels is None:
            pair_upright.project_upright(lines, pitch, rays.grid_shape, rays.packed, views, views, *way.steps, rays.voxel_mm, out)
            continue
        space, order = np.zeros((len(views), rays.rows, rays.cols), np.float32), np.arange(len(views))
        pair_upright.project_upright(lines, pitch, rays.grid_shape, rays.packed, views, order, *way.steps, rays.voxel_mm, space)
        upright_panels.resample(space, way.panels.to_upright, views, out)


def _backproject_fast(projections: Array, way: _Fast, lines: Array) -> None:
    """Add to the lines of a slab what the views give."""
    rays, pitch = way.rays, padded(way.rays.grid_shape[0])
    for views in way.blocks():
        given, source = projections, views
        if way.panels is not None:
            given, source = np.zeros((len(views), rays.rows, rays.cols), np.float32), np.arange(len(views))
            upright_panels.spread(projections, way.panels.to_upright, views, given)
        values = np.empty((len(views), rays.rows, rays.cols), np.float32)
        pair_upright.weighted(given, source, rays.packed, views, rays.voxel_mm, values)
        for along in (0, 1):
            share = -(-rays.grid_shape[2 - along] // (2 * get_num_threads()))  # it does not change a bit of the result
            at_once = max(8, min(pair_upright.MOST_SLICES, share))
            pair_upright.backproject_upright(values, rays.packed, views, *way.steps, along, at_once, rays.grid_shape, pitch, lines)


def _working_bytes(rays: Rays) -> int:
    nz, ny, nx = rays.grid_shape
    return 4 * ny * nx * padded(min(nz, SLAB)) + 2 * _BLOCK_BYTES
