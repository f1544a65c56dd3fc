"""Does the volume reproduce the views? A coarse copy of it is projected into a few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base.shapes import LineIntegrals, Volume
from ...geometry import Grid, Scan
from ..projector.operator import Operator
from .small_views import CheckViews

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


def project_back(views: CheckViews, coarse: Volume, coarse_grid: Grid, grid: Grid) -> ProjectedBack:
    """Compare a ``coarse`` copy [z, y, x] in 1/mm, on ``coarse_grid``, of a volume on ``grid`` with a few of the views."""
    small, chosen = views.few, views.chosen
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
    return ProjectedBack(error, scaled, each, scale, _covers(views.scan, grid), small.values)


def _covers(scan: Scan, grid: Grid) -> bool:
    """Whether the grid holds the cylinder that the views see, but for a tenth."""
    radius, half_height, _ = scan.field_of_view_mm
    fit = Grid.fit(scan)
    offset = np.abs(np.subtract(grid.center_mm, fit.center_mm))
    x, y, z = (np.asarray(grid.size_mm) / 2 - offset).tolist()
    high = min(half_height, fit.size_mm[2] / 2)
    return min(x, y) >= _COVERED * radius and z >= min(_COVERED * high, high - grid.voxel_mm)
