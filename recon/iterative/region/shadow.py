"""The shadow of a grid: the part of each view that rays through its box reach, in a window of one size that moves from view to view."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....data import Projections
from ....geometry import Grid, Scan

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Shadow:
    """A window of ``shape`` (rows, cols) pixels in each view, whose first pixel is at ``rows`` (n,) and ``cols`` (n,)."""

    rows: Index
    cols: Index
    shape: tuple[int, int]

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """The window of each view, from an array [view, row, col] of any unit; a copy."""
        (high, wide), starts = self.shape, zip(values, self.rows, self.cols, strict=True)
        return np.stack([view[row : row + high, col : col + wide] for view, row, col in starts])

    def views(self, projections: Projections) -> Projections:
        """The projections of these pixels alone."""
        return Projections(self.of(projections.values), self.scan(projections.scan), projections.meta)

    def scan(self, scan: Scan) -> Scan:
        """The scan of these pixels alone. Its panel lies elsewhere in each view, so it is no scan for FDK."""
        right = self.cols + (self.shape[1] - 1) / 2 - (scan.shape[1] - 1) / 2
        up = self.rows + (self.shape[0] - 1) / 2 - (scan.shape[0] - 1) / 2
        detector = scan.detector + right[:, None] * scan.u + up[:, None] * scan.v
        return Scan(self.shape, scan.source, detector, scan.u, scan.v, scan.angles_deg)


def in_shadow(projections: Projections, grid: Grid) -> Projections:
    """The projections of the window that holds the grid's shadow; all of them where there is no such window."""
    window = shadow(projections.scan, grid)
    return projections if window is None else window.views(projections)


def shadow(scan: Scan, grid: Grid, border: int = 2) -> Shadow | None:
    """The window that holds the shadow of the grid's box in every view, with ``border`` pixels more on each side where the panel has them;
    None where no view sees the box, or the box reaches to a source.
    """
    half = np.array(grid.size_mm) / 2
    corners = np.array(grid.center_mm) + half * np.array(list(itertools.product((-1, 1), repeat=3)))
    to_corner = corners[None] - scan.source[:, None]
    ahead = np.einsum("ncx,nx->nc", to_corner, scan.normal)
    if ahead.min() <= 0:
        return None
    reach = np.einsum("nx,nx->n", scan.detector - scan.source, scan.normal)
    on_panel = scan.source[:, None] + to_corner * (reach[:, None] / ahead)[..., None] - scan.first_pixel[:, None]
    steps = np.stack([scan.v, scan.u], axis=-1)
    places = np.einsum("nkx,ncx->nck", np.linalg.pinv(steps), on_panel)  # (row, col) of each corner
    low, high = np.floor(places.min(axis=1)).astype(np.intp) - border, np.ceil(places.max(axis=1)).astype(np.intp) + border + 1
    size = np.array(scan.shape)
    if ((high <= 0) | (low >= size)).any(axis=1).all():
        return None
    window = np.minimum((high - low).max(axis=0), size)  # a view that does not see the box shows a part of its border
    start = np.clip(low, 0, size - window)
    return Shadow(start[:, 0], start[:, 1], (int(window[0]), int(window[1])))
