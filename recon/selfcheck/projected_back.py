"""Does the volume reproduce the views? A coarse copy of it is projected into a few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base.shapes import LineIntegrals, Volume
from ...data import Projections
from ...data.volumes.resample import thumbnail
from ...geometry import Grid
from ..projector.operator import Operator
from .small_views import whole_views

_COLS, _VIEWS, _MOST_VOXELS_A_SIDE = 64, 8, 96
_INNER_ROWS = 0.6  # of the panel: rays beyond it leave the volume through its top or bottom
_COVERED = 0.9  # of the field of view


@dataclass(frozen=True)
class ProjectedBack:
    """``errors`` maps a view to its relative error, ``error`` is that of all, ``scale`` the factor on the volume that makes it
    smallest, namely ``error_scaled``.

    ``whole``: the grid covers what the views see; else the errors say nothing. ``views`` holds the small views [view, row, col].
    """

    error: float
    error_scaled: float
    errors: dict[int, float]
    scale: float
    whole: bool
    views: LineIntegrals


def project_back(projections: Projections, volume: Volume, grid: Grid) -> ProjectedBack:
    """Compare ``volume`` [z, y, x] in 1/mm on ``grid`` with evenly chosen views of ``projections``, binned to about 64 columns."""
    count = len(projections)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _VIEWS)).round().astype(np.intp))
    small = whole_views(projections, chosen, _COLS)
    coarse, coarse_grid = thumbnail(volume, grid, _MOST_VOXELS_A_SIDE)
    said = Operator(small.scan, coarse_grid)(coarse)
    rows = small.scan.shape[0]
    edge = round(rows * (1 - _INNER_ROWS) / 2)
    inner = slice(edge, rows - edge)
    measured, again = small.values[:, inner].astype(np.float64), said[:, inner].astype(np.float64)
    energy, left = (measured**2).sum(axis=(1, 2)), ((again - measured) ** 2).sum(axis=(1, 2))
    total, power = float(energy.sum()), float((again**2).sum())
    error = float(np.sqrt(left.sum() / total)) if total > 0 else np.nan
    each = {int(view): float(np.sqrt(e / w)) for view, e, w in zip(chosen, left, energy, strict=True) if w > 0}
    common = float((again * measured).sum())
    scale = common / power if power > 0 else np.nan
    scaled = float(np.sqrt(max(0.0, 1 - common**2 / (power * total)))) if power > 0 and total > 0 else error
    return ProjectedBack(error, scaled, each, scale, _covers(projections, grid), small.values)


def _covers(projections: Projections, grid: Grid) -> bool:
    """Whether the grid holds the cylinder that the views see, but for a tenth."""
    scan = projections.scan
    radius, half_height, _ = scan.field_of_view_mm
    fit = Grid.fit(scan)
    offset = np.abs(np.subtract(grid.center_mm, fit.center_mm))
    x, y, z = (np.asarray(grid.size_mm) / 2 - offset).tolist()
    high = min(half_height, fit.size_mm[2] / 2)
    return min(x, y) >= _COVERED * radius and z >= min(_COVERED * high, high - grid.voxel_mm)
