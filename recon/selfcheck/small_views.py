"""Small copies of the views for the self-check: block means of some rows of some views, and the geometry that goes with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base.shapes import LineIntegrals, ViewIndices
from ...data import Projections
from ...data.images.binning import bin_views
from ...geometry import Scan
from ...geometry.transform import bin_pixels, central_hit, crop


@dataclass(frozen=True, eq=False)
class SmallViews:
    """``values`` [view, row, col] float32, line integrals, of ``scan``; ``factor`` detector pixels a side make one of theirs."""

    values: LineIntegrals
    scan: Scan
    factor: int


def whole_views(projections: Projections, views: ViewIndices, cols: int) -> SmallViews:
    """The chosen views [view, row, col] binned to about ``cols`` columns."""
    return _binned(projections, views, slice(0, projections.scan.shape[0]), max(1, projections.scan.shape[1] // cols))


def middle_rows(projections: Projections, cols: int, rows: int) -> SmallViews:
    """About ``rows`` rows of all views around the plane in which the source turns, binned to about ``cols`` columns."""
    scan = projections.scan
    factor = max(1, scan.shape[1] // cols)
    off = central_hit(scan) - scan.detector
    row = float((np.einsum("ij,ij->i", off, scan.v) / np.einsum("ij,ij->i", scan.v, scan.v)).mean()) + (scan.shape[0] - 1) / 2
    count = min(scan.shape[0], rows * factor)
    first = int(np.clip(round(row - (count - 1) / 2), 0, scan.shape[0] - count))
    return _binned(projections, np.arange(len(scan)), slice(first, first + count), factor)


def _binned(projections: Projections, views: ViewIndices, rows: slice, factor: int) -> SmallViews:
    down = factor if rows.stop - rows.start >= factor else 1
    every = views.size == len(projections)
    scan = projections.scan if every else projections.scan[views]
    values = projections.values[:, rows] if every else projections.values[views, rows]
    return SmallViews(bin_views(values, down, factor), bin_pixels(crop(scan, rows=rows), down, factor), factor)
