"""Small copies of the views for the self-check: block means of some rows of some views, and the geometry that goes with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base.shapes import LineIntegrals, ViewIndices
from ...data import Projections
from ...data.images.binning import bin_views
from ...geometry import Scan
from ...geometry.transform import bin_pixels, central_hit, crop

_COLS, _ROWS, _PLANE_COLS, _PLANE_VIEWS, _FEWEST_VIEWS, _FEW_COLS, _FEW_VIEWS = 192, 17, 96, 40, 6, 64, 8


@dataclass(frozen=True, eq=False)
class SmallViews:
    """``values`` [view, row, col] float32, line integrals, of ``scan``; ``factor`` detector pixels a side make one of theirs."""

    values: LineIntegrals
    scan: Scan
    factor: int


@dataclass(frozen=True, eq=False)
class CheckViews:
    """All that the self-check looks at of the views of a ``scan``: rows around the ``middle``, a ``few`` whole views (numbered ``chosen``),
    and views for the planes that they share (None where there are too few).
    """

    scan: Scan
    middle: SmallViews
    few: SmallViews
    chosen: ViewIndices
    wide: SmallViews | None

    @classmethod
    def of(cls, projections: Projections) -> CheckViews:
        """Read from projections, or from what has ``values``, ``scan`` and a length like them."""
        count = len(projections)
        chosen, many = (np.unique(np.linspace(0, count - 1, min(count, n)).round().astype(np.intp)) for n in (_FEW_VIEWS, _PLANE_VIEWS))
        wide = whole_views(projections, many, _PLANE_COLS) if count >= _FEWEST_VIEWS else None
        middle, few = middle_rows(projections, _COLS, _ROWS), whole_views(projections, chosen, _FEW_COLS)
        return cls(projections.scan, middle, few, chosen, wide)


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
    values = np.stack([bin_views(projections.values[int(view), rows], down, factor) for view in views])
    return SmallViews(values, bin_pixels(crop(scan, rows=rows), down, factor), factor)
