"""A region inside a larger object: the voxels of the whole that are reconstructed coarsely, and the views without what lies outside.

A ray through a region also passes through what lies before and behind it. A fit on the region alone puts all of that inside, and most of
it on the rim. So the whole is reconstructed first, on coarse voxels and with views binned alike; its line integrals outside the region are
subtracted from the views; and the fit is made on the region with a margin, which takes up what the coarse voxels got wrong beside it.
Coarse voxels are whole blocks of the region's voxels, so that none lies across the border.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....data import Projections
from ....geometry import Grid, Scan
from ...projector.operator import Operator
from .shadow import Shadow, shadow

_LEAST_VOXELS = 1 << 21  # the whole has about as many coarse voxels as the region has fine ones, or so many
_LEAST_BLOCKS = 4  # coarse voxels across the region
_FINEST = 2  # the least ratio of the voxels


@dataclass(frozen=True, eq=False)
class Region:
    """``grid`` is the region with its margin, ``cut`` the part of it that was asked for, and ``whole`` the coarse grid of all that the
    views see, in which the region is the block ``block``. ``factor`` is the ratio of the voxels.
    """

    grid: Grid
    cut: tuple[slice, slice, slice]
    whole: Grid
    block: tuple[slice, slice, slice]
    factor: int
    window: Shadow

    def without_outside(self, projections: Projections, whole: NDArray[np.float32]) -> Projections:
        """The views, all of their pixels or those of the region's shadow, less the line integrals of the ``whole`` [z, y, x] in 1/mm
        outside the region.

        The number of photons no longer says how noisy they are, and is left out of their ``meta``.
        """
        outside = whole.copy()
        outside[self.block] = 0
        scan, values = projections.scan, projections.values.copy()
        for k in range(len(projections)):  # view by view: no third array of the data's size
            values[k] -= Operator(scan[[k]], self.whole)(outside)[0]
        return Projections(values, scan, {name: value for name, value in projections.meta.items() if name != "photons"})

    def with_margin(self, volume: NDArray[Any], fill: Any = None) -> NDArray[Any]:
        """A volume [z, y, x] of the asked part, any unit, on the grid with its margin: its border repeated, or ``fill``."""
        pads = [(c.start, n - c.stop) for c, n in zip(self.cut, self.grid.shape, strict=True)]
        return np.pad(volume, pads, mode="edge") if fill is None else np.pad(volume, pads, constant_values=fill)

    def described(self, method: str, beside: float, seconds: float) -> Mapping[str, Any]:
        """What was done, for the record."""
        return {
            "outside": f"subtracted, from {method} of the whole on voxels of {self.whole.voxel_mm:.6g} mm",
            "outside_seen": beside,
            "outside_shape": list(self.whole.shape),
            "outside_voxel_mm": self.whole.voxel_mm,
            "outside_margin": self.cut[0].start,
            "outside_seconds": seconds,
        }


def region_of(scan: Scan, grid: Grid) -> Region:
    """The region that a grid is of what a scan sees; InputError where it lies outside the field of view."""
    seen = _seen(scan, grid.voxel_mm)
    voxels = math.prod(seen.shape) / max(math.prod(grid.shape), _LEAST_VOXELS)
    factor = max(_FINEST, min(math.ceil(voxels ** (1 / 3) - 1e-9), min(grid.shape) // _LEAST_BLOCKS))
    inner, cut = _padded(grid, factor)
    window = shadow(scan, inner)
    if window is None or not grid.coarser(-(-max(grid.shape) // 48)).in_cylinder(scan).any():
        radius, half, _ = scan.field_of_view_mm
        place = np.array(grid.center_mm) - scan.axis_point_mm
        up = float(place @ scan.axis.direction)
        out = float(np.linalg.norm(place - up * scan.axis.direction))
        raise InputError(
            f"no ray of the scan meets the grid in every view: its middle is {out:.4g} mm from the axis, {up:.4g} mm above the sources",
            expected=f"a part of the field of view, {radius:.4g} mm about the axis and {half:.4g} mm up and down",
        )
    coarse = factor * grid.voxel_mm
    low, high = inner.origin_mm - grid.voxel_mm / 2, inner.origin_mm + (np.array(inner.shape[::-1]) - 0.5) * grid.voxel_mm
    center, half = np.array(seen.center_mm), np.array(seen.size_mm) / 2
    before = np.maximum(0, np.ceil((low - (center - half)) / coarse - 1e-6)).astype(int)
    after = np.maximum(0, np.ceil((center + half - high) / coarse - 1e-6)).astype(int)
    inside = np.array(inner.shape[::-1]) // factor
    nx, ny, nz = (int(n) for n in before + inside + after)
    x, y, z = (float(c) for c in low + (inside + after - before) * coarse / 2)
    bx, by, bz = (slice(int(b), int(b + n)) for b, n in zip(before, inside, strict=True))
    return Region(inner, cut, Grid((nz, ny, nx), coarse, (x, y, z)), (bz, by, bx), factor, window)


def _seen(scan: Scan, voxel_mm: float) -> Grid:
    """The box of all that some view sees: on the far side of the axis a cone reaches higher than at the axis itself."""
    fit = Grid.fit(scan, voxel_mm)
    higher = 1 + scan.field_of_view_mm.radius_mm / scan.dso_mm
    return Grid((math.ceil(fit.shape[0] * higher), *fit.shape[1:]), voxel_mm, fit.center_mm)


def _padded(grid: Grid, factor: int) -> tuple[Grid, tuple[slice, slice, slice]]:
    """The grid with a margin of one coarse voxel on each side, or more on the far one so that coarse voxels fill it; and where it was."""
    nz, ny, nx = (-(-(n + 2 * factor) // factor) * factor for n in grid.shape)
    shift = [(n - m) / 2 - factor for n, m in zip((nx, ny, nz), grid.shape[::-1], strict=True)]
    x, y, z = (c + s * grid.voxel_mm for c, s in zip(grid.center_mm, shift, strict=True))
    cz, cy, cx = (slice(factor, factor + n) for n in grid.shape)
    return Grid((nz, ny, nx), grid.voxel_mm, (x, y, z)), (cz, cy, cx)
