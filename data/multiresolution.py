"""A smaller copy of a reconstruction problem, with a binned detector and a coarser grid: the same physics at a fraction of the cost.

Volumes on other voxels are in `data.volumes.resample`.
"""

from __future__ import annotations

import numpy as np

from ..base.shapes import AnyViews, NewViews
from ..geometry import Grid
from ..geometry.transform import bin_pixels
from . import Projections
from .images.binning import bin_views


def bin_detector(values: AnyViews, factor: int) -> NewViews:
    """The views binned by ``factor`` both ways with `bin_views`; a side shorter than ``factor`` stays as it is."""
    return bin_views(values, *_steps(values.shape[1:], factor))


def bin_projections(projections: Projections, factor: int) -> Projections:
    """The same views on a detector with pixels ``factor`` times as large; ``meta["photons"]`` grows with the pixel."""
    if factor == 1:
        return projections
    down, across = _steps(projections.scan.shape, factor)
    meta = dict(projections.meta)
    if meta.get("photons"):
        meta["photons"] = float(meta["photons"]) * down * across
    return Projections(bin_views(projections.values, down, across), bin_pixels(projections.scan, down, across), meta)


def _steps(shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    rows, cols = (factor if n >= factor else 1 for n in shape)
    return rows, cols


def coarsening(projections: Projections, grid: Grid, most_voxels: int = 300_000, most_rays: int = 4 << 20) -> int:
    """The smallest power of two that brings grid and rays below these numbers, as long as 32 or more detector columns are left."""
    factor, cols = 1, projections.scan.shape[1]
    while cols // (2 * factor) >= 32 and (
        np.prod(grid.coarser(factor).shape, dtype=float) > most_voxels or projections.values.size > most_rays * factor**2
    ):
        factor *= 2
    return factor
