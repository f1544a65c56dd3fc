"""Joseph's projector on the CPU, compiled by numba: single precision, all cores.

A fan beam has loops of its own (`fan_numba`). The views of a cone beam go one of three ways. Upright panels, and those that can be resampled to upright ones, take the kernels with depth bins, whose inner
loops are contiguous; their lines are shared between bins, which differs from `joseph_torch` by less than 0.1 % on smooth bodies. Small
grids, where that saves nothing, and panels that lean far or look along z take the exact kernels, one ray at a time. Each way's transpose
is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base.memory import require_memory
from . import fan_numba
from .compiled import joseph_any, joseph_upright, rectified
from .compiled.depth_bins import Bins, depth_bins
from .compiled.loops import add_lines, padded, to_lines
from .joseph_rays import Rays

Array = NDArray[np.float32]
_BLOCK_BYTES = 16 << 20  # views that are resampled or weighted at once: they should stay in the last cache
LEAST_VOXELS = 1 << 17  # a grid of fewer voxels than about 51^3 is computed ray by ray
MOST_BINS = 0.75  # bins for each slice of the grid; with more, a bin saves nothing


@dataclass(frozen=True)
class _Way:
    """Views that go the same way: ``views`` of the rays given, by ``rays`` (of all views) and ``bins``, resampled if ``panels`` is given."""

    views: NDArray[np.intp]
    rays: Rays
    bins: Bins | None = None
    panels: rectified.Rectified | None = None


def project(volume: Array, rays: Rays) -> Array:
    """(nz, ny, nx) float32 in 1/mm -> (view, row, col) float32 line integrals.

    Takes a second volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    if fan_numba.supports(rays):
        return fan_numba.project(volume, rays)
    shape = (len(rays), rays.rows, rays.cols)
    require_memory(4 * (int(np.prod(shape)) + _line_elements(rays)) + _BLOCK_BYTES, f"projections of shape {shape} and a copy of the volume")
    out = np.zeros(shape, np.float32)
    lines = None
    for way in _ways(rays):
        if way.bins is None:
            joseph_any.project_any(volume, way.rays.packed, way.views, rays.voxel_mm, out)
            continue
        lines = to_lines(volume, padded(rays.grid_shape[0])) if lines is None else lines
        for views in _blocks(way):
            _project_fast(lines, way, views, out)
    return out


def backproject(projections: Array, rays: Rays) -> Array:
    """(view, row, col) float32 -> (nz, ny, nx) float32, the exact transpose of `project`.

    Takes a second volume and a block of views beside the two arrays. Raises InputError where memory is short.
    """
    if fan_numba.supports(rays):
        return fan_numba.backproject(projections, rays)
    needed = 4 * (int(np.prod(rays.grid_shape)) + _line_elements(rays)) + 2 * _BLOCK_BYTES
    require_memory(needed, f"a volume of shape {rays.grid_shape} and its working copy")
    out = np.zeros(rays.grid_shape, np.float32)
    lines = None
    for way in _ways(rays):
        if way.bins is None:
            joseph_any.backproject_any(projections, way.rays.packed, way.views, rays.voxel_mm, out)
            continue
        lines = np.zeros(_line_elements(rays), np.float32) if lines is None else lines
        for views in _blocks(way):
            _backproject_fast(projections, way, views, lines)
    if lines is not None:
        add_lines(lines, padded(rays.grid_shape[0]), out)
    return out


def _ways(rays: Rays) -> list[_Way]:
    """Which views go which way; a view's way does not depend on the other views."""
    upright, every = rays.upright(), np.arange(len(rays))
    fast, other = every[upright], every[~upright]
    if np.prod(rays.grid_shape) < LEAST_VOXELS:
        return [_Way(every, rays)]
    ways, slow = [], []
    for views, panels in ((fast, None), (other, rectified.rectify(rays) if other.size else None)):
        seen = rays if panels is None else panels.rays
        bins = depth_bins(seen)
        able = seen.upright()[views] & (bins.count[views] <= MOST_BINS * max(rays.grid_shape[1:]))
        ways.append(_Way(views[able], seen, bins, panels))
        slow.append(views[~able])
    return [way for way in [*ways, _Way(np.sort(np.concatenate(slow)), rays)] if way.views.size]


def _blocks(way: _Way) -> list[NDArray[np.intp]]:
    size = max(1, _BLOCK_BYTES // (4 * way.rays.rows * way.rays.cols))
    return np.split(way.views, range(size, way.views.size, size))


def _project_fast(lines: Array, way: _Way, views: NDArray[np.intp], out: Array) -> None:
    rays, bins = way.rays, way.bins
    assert bins is not None
    arguments = (bins.first[views], bins.step[views], bins.count[views], rays.voxel_mm)
    space = np.zeros((len(views), rays.rows, rays.cols), np.float32)
    joseph_upright.project_upright(lines, padded(rays.grid_shape[0]), rays.grid_shape, rays.packed[views], np.arange(len(views)), *arguments, space)
    if way.panels is None:
        out[views] = space
    else:
        seen = np.empty((len(views), *out.shape[1:]), np.float32)
        rectified.resample(space, way.panels.to_upright[views], seen)
        out[views] = seen


def _backproject_fast(projections: Array, way: _Way, views: NDArray[np.intp], lines: Array) -> None:
    rays, bins, pitch = way.rays, way.bins, padded(way.rays.grid_shape[0])
    assert bins is not None
    seen = projections[views]
    if way.panels is not None:
        space = np.zeros((len(views), rays.rows, rays.cols), np.float32)
        rectified.spread(seen, way.panels.to_upright[views], space)
        seen = space
    packed, order = rays.packed[views], np.arange(len(views))
    values = np.empty((len(views), rays.rows, rays.cols), np.float32)
    joseph_upright.weighted(seen, packed, order, rays.voxel_mm, values)
    for along in (0, 1):
        joseph_upright.backproject_upright(
            values, packed, order, bins.first[views], bins.step[views], bins.count[views], along, rays.grid_shape, pitch, lines
        )


def _line_elements(rays: Rays) -> int:
    return rays.grid_shape[1] * rays.grid_shape[2] * padded(rays.grid_shape[0])
