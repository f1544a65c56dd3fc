"""Rays that were measured twice, once in each direction: the strictest test of a scan's geometry, and one of the cheapest.

The line through the sources of two views that nearly face each other crosses both panels. Its line integral is in both images, whatever
the object, and a hardened beam hardens alike in both directions. A wrong axis, a wrong step, a rolled panel or a wrong sense of rotation
looks for the ray in the wrong place. Neighbouring rays of both views that cross in the same distance from the axis at an angle of less than
a degree count as well: of a parallel beam, whose views face each other or do not, these are all there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...base.shapes import Angles, Float, Floats, LineIntegrals
from ...geometry import Scan
from ...geometry.transform import turn_views
from .small_views import SmallViews

_SAME_RAY_DEG, _MOST_APART_DEG = 1.0, 3.0
_MOST_PAIRS, _MOST_VIEWS, _MOST_OFFSETS, _ROW_STEP, _MOST_ROWS = 160, 360, 5, 2, 5
_PAIRS_FOR_ALL = 14
_SMOOTH_PX = 0.7


@dataclass(frozen=True)
class Change:
    """A change to the geometry: axis shift in (binned) pixels, roll and step in degrees and percent, sense of rotation."""

    axis_px: float = 0.0
    roll_deg: float = 0.0
    step_percent: float = 0.0
    reverse: bool = False


class OppositeRays:
    """The disagreement of rays that were measured twice as a function of the geometry; the views are prepared once."""

    def __init__(self, small: SmallViews) -> None:
        flat = small.values.shape[1] < 4
        blur = (0, 0 if flat else _SMOOTH_PX, _SMOOTH_PX)
        self.scan = small.scan
        self.values = np.asarray(gaussian_filter(small.values, blur), dtype=np.float32)
        self.rows = np.zeros(1) if flat else _ROW_STEP * np.arange(-(_MOST_ROWS // 2), _MOST_ROWS // 2 + 1, dtype=np.float64)
        self.travelled = travelled_deg(self.scan)
        pixel = float(np.linalg.norm(self.scan.u, axis=1).mean())
        per_degree = float(np.radians(self.scan.dsd_mm / pixel))
        self.reach = _SAME_RAY_DEG / 2 * per_degree
        if not self.tells_sense:  # of parallel views, those that nearly face each other are taken
            step = float(np.median(np.abs(np.diff(self.travelled)))) if len(self.scan) > 1 else 0.0
            self.reach = float(np.clip(1.05 * step, _SAME_RAY_DEG, _MOST_APART_DEG)) / 2 * per_degree
        self.spread = float(self.values.var(dtype=np.float64))
        self._known: dict[tuple[float, bool], list[tuple[Floats, Floats]]] = {}
        self.candidates = self._facing_pairs(reverse=False), self._facing_pairs(reverse=True)

    @property
    def count(self) -> int:
        """How many pairs of views are compared."""
        return len(self.candidates[0])

    @property
    def free(self) -> tuple[str, ...]:
        """The changes that can be found: few pairs show the axis only, and a single row shows no roll."""
        told = ("axis_px", "step_percent", "roll_deg")
        return told[:1] if self.count < _PAIRS_FOR_ALL else told[:2] if self.rows.size == 1 else told

    @property
    def tells_sense(self) -> bool:
        """Whether the sense of rotation can show: a parallel beam sees the mirrored object turn the other way just as well."""
        return bool(self.reach < self.scan.shape[1])

    def _facing_pairs(self, reverse: bool) -> NDArray[np.intp]:
        """(pair, 2): views whose common ray lies on both panels, or within reach of it, thinned evenly."""
        views = np.unique(np.linspace(0, len(self.scan) - 1, min(len(self.scan), _MOST_VIEWS)).round().astype(np.intp))
        first, second = np.triu_indices(views.size, 1)
        pairs = np.stack([views[first], views[second]], axis=1)
        cosine = np.cos(np.radians(self.travelled[pairs[:, 1]] - self.travelled[pairs[:, 0]]))
        pairs = pairs[cosine < 0]
        ends = self._epipoles(pairs, Change(reverse=reverse))
        on = np.all([(c > -self.reach) & (c < self.scan.shape[1] - 1 + self.reach) for c, _ in ends], axis=0)
        pairs = pairs[on]
        return pairs[np.linspace(0, len(pairs) - 1, _MOST_PAIRS).round().astype(np.intp)] if len(pairs) > _MOST_PAIRS else pairs

    def _epipoles(self, pairs: NDArray[np.intp], change: Change) -> list[tuple[Floats, Floats]]:
        """(col, row) in either view of the line through both sources, in the changed geometry without its axis shift and roll."""
        moved = self._turned(change)
        out = []
        for here, there in (pairs.T, pairs[:, ::-1].T):
            source, normal = moved.source[here], moved.normal[here]
            ray = moved.source[there] - source
            to_panel = np.einsum("ij,ij->i", moved.detector[here] - source, normal)
            along = np.einsum("ij,ij->i", ray, normal)
            with np.errstate(divide="ignore", invalid="ignore"):
                off = source + np.where(along > 0, to_panel / along, np.nan)[:, None] * ray - moved.detector[here]
            u, v = moved.u[here], moved.v[here]
            col, row = (np.einsum("ij,ij->i", off, w) / np.einsum("ij,ij->i", w, w) for w in (u, v))
            out.append((col + (self.scan.shape[1] - 1) / 2, row + (self.scan.shape[0] - 1) / 2))
        return out

    def _turned(self, change: Change) -> Scan:
        if not (change.step_percent or change.reverse):
            return self.scan
        further = change.step_percent / 100
        return turn_views(self.scan, self.travelled * (-2 - further if change.reverse else further))

    def sides(self, change: Change) -> tuple[Float[NDArray[np.float64], "pair ray row"], Float[NDArray[np.float64], "pair ray row"]]:
        """The line integrals [pair, ray, row] of the same rays in either view, NaN where one does not see them."""
        pairs = self.candidates[change.reverse]
        key = change.step_percent, change.reverse  # the axis and the roll move what is read, not where the sources are
        if key not in self._known:
            self._known[key] = self._epipoles(pairs, change)
        (col_1, row_1), (col_2, row_2) = self._known[key]
        offset = self._offsets(col_1, col_2)
        slope = np.tan(np.radians(change.roll_deg))
        middle = (self.scan.shape[1] - 1) / 2
        said = []
        for view, col, row in ((pairs[:, 0], col_1[:, None] + offset, row_1), (pairs[:, 1], col_2[:, None] - offset, row_2)):
            at_row = row[:, None, None] + self.rows - slope * (col[:, :, None] - middle)
            at_col = col[:, :, None] + change.axis_px + slope * self.rows
            said.append(_between_pixels(self.values, view[:, None, None], at_row, at_col))
        return said[0], said[1]

    def _offsets(self, col_1: Floats, col_2: Floats) -> Floats:
        """[pair, ray]: columns from the common ray to rays that are nearly opposite and on both panels, NaN where there are none."""
        last = self.scan.shape[1] - 1
        low = np.maximum(np.maximum(-self.reach, -col_1), col_2 - last)
        high = np.minimum(np.minimum(self.reach, last - col_1), col_2)
        count = int(np.clip(np.nanmax(high - low, initial=0), 0, 64 if self.reach > last else _MOST_OFFSETS - 1)) + 1
        share = np.linspace(0, 1, count) if count > 1 else np.full(1, 0.5)
        return np.where((high >= low)[:, None], low[:, None] + (high - low)[:, None] * share, np.nan)

    def energy(self, change: Change) -> float:
        """Mean square of the disagreement over the variance of the views: 0 the same, about 2 nothing in common; NaN without any ray."""
        one, two = self.sides(change)
        seen = np.isfinite(one) & np.isfinite(two)
        if np.count_nonzero(seen) < 8:
            return np.nan
        return float(((one[seen] - two[seen]) ** 2).mean()) / self.spread if self.spread > 0 else np.nan


def _between_pixels(values: LineIntegrals, view: NDArray[np.intp], row: Floats, col: Floats) -> Floats:
    """Bilinear samples of the views at (row, col), NaN beyond the outer pixels' centres."""
    _, rows, cols = values.shape
    if rows == 1:  # all rays are in the plane of the source, but for rounding
        row = np.where(np.isfinite(row), 0.0, np.nan)
    with np.errstate(invalid="ignore"):
        inside = (row >= 0) & (row <= rows - 1) & (col >= 0) & (col <= cols - 1)
    row, col = np.where(inside, row, 0.0), np.where(inside, col, 0.0)
    low_row, low_col = np.minimum(row.astype(np.intp), max(rows - 2, 0)), np.minimum(col.astype(np.intp), max(cols - 2, 0))
    f, g = row - low_row, col - low_col
    at = (view * rows + low_row) * cols + low_col
    down, across = (cols if rows > 1 else 0), (1 if cols > 1 else 0)
    flat = values.ravel()
    upper = flat[at] * (1 - g) + flat[at + across] * g
    lower = flat[at + down] * (1 - g) + flat[at + down + across] * g
    return np.where(inside, upper * (1 - f) + lower * f, np.nan)


def travelled_deg(scan: Scan) -> Angles:
    """(view,): signed angle about the axis from the first view, unwrapped with the help of the labels ``angles_deg``."""
    axis = scan.axis
    arm = scan.source - axis.point_mm
    arm = arm - np.outer(arm @ axis.direction, axis.direction)
    angle = np.degrees(np.arctan2(np.cross(arm[0], arm) @ axis.direction, arm @ arm[0]))
    label = scan.angles_deg - scan.angles_deg[0]
    apart = [np.abs((angle - sign * label + 180) % 360 - 180).max() for sign in (1, -1)]
    hint = label if apart[0] <= apart[1] else -label
    return np.asarray(angle + 360 * np.round((hint - angle) / 360), dtype=np.float64)
