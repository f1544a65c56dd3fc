"""Do the views show anything beside a grid? Then a fit on the grid alone would have to put it inside."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ....base import InputError
from ....data import Projections
from ....data.multiresolution import bin_projections
from ....geometry import Grid
from ...physics.noise import ripple
from ...projector.operator import Operator
from ...projector.view_blocks import path_lengths

SEEN_BESIDE = 0.05  # of the largest attenuation: errors of the air level, blur and scatter stay below it, a limb's holder is above
_VIEWS, _COLS = 13, 128  # so few views and columns are looked at
_NOISE_SD = 4.5  # what single pixels of noise do not reach
_HIGH = 99.5  # per cent of the rays beside the grid: the object may be small
_BORDER = 4  # voxels by which the grid is enlarged here, because edges are not sharp


def covers_what_is_seen(projections: Projections, grid: Grid) -> bool:
    """Whether the grid's box holds the cylinder that the scan sees, but for a voxel."""
    fit = Grid.fit(projections.scan)
    room = np.asarray(grid.size_mm) / 2 - np.abs(np.subtract(grid.center_mm, fit.center_mm))
    return bool((room >= np.asarray(fit.size_mm) / 2 - 1.5 * grid.voxel_mm).all())


def require_whole_object(projections: Projections, grid: Grid, what: str, remedy: str) -> None:
    """InputError, with the number, where the views show more beside the grid than errors of the air level do."""
    if covers_what_is_seen(projections, grid):
        return
    beside = attenuation_beside(projections, grid)
    if beside >= SEEN_BESIDE:
        raise InputError(
            f"{what} on a part of the object: the views show {beside:.0%} of their largest value beside the grid",
            expected="a grid that holds all that the views show",
            remedy=remedy,
        )


def attenuation_beside(projections: Projections, grid: Grid) -> float:
    """How large line integrals are beside the grid, as a share of the largest of all, in the view where they are largest there; 0 where
    that is noise.
    """
    chosen = np.unique(np.linspace(0, len(projections) - 1, min(len(projections), _VIEWS)).round().astype(np.intp))
    small = bin_projections(projections[chosen], max(1, projections.scan.shape[1] // _COLS))
    nz, ny, nx = (n + _BORDER for n in grid.shape)
    larger = Grid((nz, ny, nx), grid.voxel_mm, grid.center_mm)
    beside = path_lengths(Operator(small.scan, larger), small.values) <= 0
    smooth = np.asarray(ndimage.convolve(small.values, np.full((1, 3, 3), 1 / 9, np.float32)))
    high = [float(np.percentile(view[there], _HIGH)) for view, there in zip(smooth, beside, strict=True) if there.any()]
    top, noise = float(np.percentile(small.values, 99)), ripple(small.values) / 3
    most = max(high, default=0.0)
    return most / top if most > _NOISE_SD * noise and top > 0 else 0.0
