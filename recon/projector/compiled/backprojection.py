"""Voxel-driven back-projection of filtered views on the CPU, compiled by numba.

As in `pair`, upright panels and those that can be resampled take the kernel with bins, whose inner loop is contiguous; small grids
and panels that lean far are computed voxel by voxel.

Some slices of a grid can be computed by themselves, from the rows of the panel that they need alone (`rows_read`). Places are counted
from the whole grid and the whole panel throughout, so that the numbers are the same to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....geometry import Grid, Scan
from ..joseph_rays import Rays
from ..projection_matrices import matrices_of
from . import backprojection_any, backprojection_upright, upright_panels
from .depth_bins import Bins, magnification_bins
from .pair import LEAST_VOXELS, MOST_BINS, SLAB

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Road:
    """How these views reach this grid: voxel by voxel, or by ``bins`` on the panels of ``seen``, resampled where there are ``panels``."""

    rays: Rays
    seen: Rays
    panels: upright_panels.Rectified | None
    bins: Bins | None

    @classmethod
    def of(cls, scan: Scan, grid: Grid) -> _Road:
        rays = Rays.of(scan, grid)
        seen, panels = rays, None
        if np.prod(grid.shape) < LEAST_VOXELS:
            return cls(rays, rays, None, None)
        if not rays.flat().all():
            panels = upright_panels.rectify(rays)
            seen = rays if panels is None else panels.rays
        bins = magnification_bins(seen)
        if not seen.flat().all() or bins.count.max() > MOST_BINS * max(grid.shape[1:]):
            return cls(rays, rays, None, None)
        return cls(rays, seen, panels, bins)

    @property
    def matrices(self) -> NDArray[np.float64]:
        """(view, 3, 5) of the panels of ``seen``, as `backprojection_upright` takes them."""
        seen = self.seen
        matrices = np.concatenate([matrices_of(seen.source, seen.first, seen.u, seen.v), np.zeros((len(seen), 3, 1))], axis=2)
        matrices[:, 1, 4] = -seen.first[:, 2] / seen.v[:, 2]  # the row at the source's height
        matrices[:, 1, 2], matrices[:, 1, 3] = 1 / seen.v[:, 2], -seen.source[:, 2] / seen.v[:, 2]
        return matrices

    def upright_rows(self, z: slice, bins: Bins) -> tuple[int, int]:
        """(first, stop) of the rows on the panels of ``seen`` that the slices read; not within the panel where they read none of it."""
        m = self.matrices[:, 1]
        rows = [
            m[:, 4] + (m[:, 2] * at + m[:, 3]) * (bins.first + step * bins.step)
            for at in (z.start, z.stop - 1)
            for step in (0, bins.count - 1)
        ]
        return int(np.floor(np.min(rows))), int(np.floor(np.max(rows))) + 2

    def voxel_rows(self, z: slice) -> tuple[int, int]:
        """The same on the given panels, for voxels that are projected one by one: at the corners of the box of the slices."""
        _, ny, nx = self.rays.grid_shape
        matrices = matrices_of(self.rays.source, self.rays.first, self.rays.u, self.rays.v)
        corners = np.array([(x, y, k, 1.0) for x in (0, nx - 1) for y in (0, ny - 1) for k in (z.start, z.stop - 1)])
        row, depth = (matrices[:, i] @ corners.T for i in (1, 2))
        return _between(row, depth, self.rays.rows)

    def shown_rows(self, upright: tuple[int, int]) -> tuple[int, int]:
        """(first, stop) of the given panels' rows from which `straightened` makes these rows of the upright ones."""
        assert self.panels is not None
        corners = np.array([(col, row, 1.0) for col in (0, self.seen.cols - 1) for row in (upright[0], upright[1] - 1)])
        row, depth = (self.panels.to_given[:, i] @ corners.T for i in (1, 2))
        first, stop = _between(row, depth, self.rays.rows)
        return first - 1, stop + 1  # the cubic kernel reaches two rows


def _between(row: NDArray[np.float64], depth: NDArray[np.float64], rows: int) -> tuple[int, int]:
    """The rows about those of corners (row w, w): all where a corner is behind the source, or nearly there."""
    if (depth <= 1e-6 * np.abs(depth).max()).any():
        return 0, rows
    row = row / depth
    return int(np.floor(row.min())), int(np.floor(row.max())) + 2


def _on_panel(first: int, stop: int, rows: int) -> slice:
    """The panel's own rows among ``first`` to ``stop``: it is extended by one row at either end, and fades within the next."""
    if stop < -1 or first > rows:
        return slice(0, 0)
    return slice(min(max(first, 0), rows - 1), max(min(stop, rows), 1))


def rows_read(scan: Scan, grid: Grid, z: slice) -> slice:
    """The rows of the panel that `backproject` reads in any of these views for the slices ``z`` of the grid; none where they see none."""
    road = _Road.of(scan, grid)
    if road.bins is None:
        return _on_panel(*road.voxel_rows(z), scan.shape[0])
    first, stop = road.upright_rows(z, road.bins)
    if road.panels is not None:
        held = _on_panel(first, stop, road.seen.rows)
        if held.stop == 0:
            return held
        first, stop = road.shown_rows((held.start, held.stop))
    return _on_panel(first, stop, scan.shape[0])


def backproject(
    volume: Array,
    scan: Scan,
    grid: Grid,
    views: Array,
    weights: NDArray[np.float64],
    z: slice | None = None,
    rows: slice | None = None,
) -> None:
    """Add to ``volume`` [z, y, x] the filtered ``views`` [view, row, col] of ``scan``, each times its weight (view,) over w^2, bilinearly.

    w is the voxel's depth below the source over the panel's. The panel is extended by one row at either end and fades to zero within the
    next; it ends half a pixel beyond its first and last column. ``z``: the slices of ``grid`` that ``volume`` holds (default: all);
    ``rows``: the rows of the panel that ``views`` hold (default: all), at least those of `rows_read`.
    """
    z, rows = slice(0, grid.shape[0]) if z is None else z, slice(0, scan.shape[0]) if rows is None else rows
    held = (rows.start, rows.stop, scan.shape[0])
    road = _Road.of(scan, grid)
    rays, bins = road.rays, road.bins
    if bins is None:
        matrices = matrices_of(rays.source, rays.first, rays.u, rays.v)
        backprojection_any.backproject_any(views, held, matrices, weights, z.start, volume)
        return
    if road.panels is not None:
        shown = _on_panel(*road.upright_rows(z, bins), road.seen.rows)
        if shown.stop == 0:
            return
        space = np.empty((len(rays), shown.stop - shown.start, road.seen.cols), np.float32)
        upright_panels.straightened(views, held, road.panels.to_given, shown.start, space)
        views, held = space, (shown.start, shown.stop, road.seen.rows)
    matrices = road.matrices
    number = -(-(z.stop - z.start) // SLAB)
    for i in range(number):
        part = slice(*((z.stop - z.start) * k // number for k in (i, i + 1)))
        backprojection_upright.backproject_upright(views, held, matrices, weights, bins, z.start + part.start, volume[part])
