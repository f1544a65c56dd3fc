"""Do the views of a cone-beam scan contradict each other? Epipolar consistency: a test of the geometry without any reconstruction.

A plane through two source positions cuts the object; Grangeat's relation (P. Grangeat, Lecture Notes in Mathematics 1497 (1991) 66)
gives the derivative of the object's plane integral from either view alone, as the derivative of a line integral across the panel. Both
values agree when the geometry is right. The idea for alignment is that of C. Debbeler et al., Fully3D (2013) 53, and A. Aichert et al.,
IEEE Trans. Med. Imaging 34 (2015) 2205. Every pair of views counts, so that few views do nearly as well as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter1d

from ...base.shapes import Bool, Float, Floats, Int, LineIntegrals, ViewValues
from ...geometry import Scan

_CUT = 0.02  # what is left of the largest value at the panel's edge and counts as nothing

Differences = Float[NDArray[np.float64], "pair plane"]  # of line integrals over the planes that two views share, in their unit


@dataclass(frozen=True, eq=False)
class LineTable:
    """``values`` [view, slope, intercept]: derivative of line integrals across the panel along ``row = slope col + intercept`` (pixels from
    the panel's middle); NaN where the object leaves the panel over its upper or lower edge along the line.
    """

    values: NDArray[np.float32]
    slopes: Floats
    intercepts: Floats

    @classmethod
    def of(cls, smooth: LineIntegrals, scan: Scan, steepest: float = 0.6) -> LineTable:
        """Lines of cosine-weighted views, up to ``steepest`` rows a column; ``scan`` gives the weights."""
        rows, cols = scan.shape
        oblong = float(np.linalg.norm(scan.v, axis=1).mean() / np.linalg.norm(scan.u, axis=1).mean())
        slopes = np.linspace(-steepest, steepest, 2 * int(np.ceil(steepest * cols / 2)) + 1, dtype=np.float64)
        intercepts = np.arange(rows, dtype=np.float64) - np.float64((rows - 1) / 2)
        sums = np.empty((len(scan), slopes.size, rows), dtype=np.float32)
        threshold = _CUT * float(np.percentile(smooth[:: max(1, len(scan) // 16)], 99.9))
        weighted = np.ascontiguousarray((smooth * _cosines(scan)).transpose(0, 2, 1))
        _line_sums(weighted, slopes, np.float32(threshold), sums)
        across = np.gradient(sums, axis=2) * ((1 + (slopes * oblong) ** 2) / oblong)[None, :, None]
        return cls(across.astype(np.float32), slopes, intercepts)


def _cosines(scan: Scan) -> ViewValues:
    """The cosine between each ray and the panel's normal."""
    rows, cols = scan.shape
    col, row = (np.arange(cols) - (cols - 1) / 2)[None, None, :], (np.arange(rows) - (rows - 1) / 2)[None, :, None]
    center = scan.detector - scan.source
    depth = np.abs(np.einsum("ij,ij->i", center, scan.normal))
    square = np.zeros((len(scan), rows, cols))
    for axis in range(3):
        square += (center[:, axis, None, None] + col * scan.u[:, axis, None, None] + row * scan.v[:, axis, None, None]) ** 2
    return (depth[:, None, None] / np.sqrt(square)).astype(np.float32)


class Epipolar:
    """The contradiction between views as a function of the geometry; the data are prepared once.

    ``smooth_px`` is the width of the Gaussian that the views are smoothed with, ``most_pairs`` how many pairs of views count at most
    (a fixed, even choice of those up to ``widest_deg`` apart), ``planes`` how many planes through each pair, evenly over the field of
    view's height, ``steepest`` how many rows a column their lines on the panel may climb. The nearer two sources are to facing each
    other, the closer their planes come together on the axis: with ``gather_planes`` they are laid only as far as their lines are
    not too steep, and what they say is scaled to equal steps.
    """

    def __init__(
        self,
        values: LineIntegrals,
        scan: Scan,
        smooth_px: float,
        *,
        most_pairs: int = 4000,
        planes: int | None = None,
        widest_deg: float = 175.0,
        steepest: float = 0.6,
        gather_planes: bool = False,
    ) -> None:
        smooth = gaussian_filter(np.asarray(values, dtype=np.float32), (0, smooth_px, smooth_px))
        self.smooth: NDArray[np.float32] = np.asarray(smooth, dtype=np.float32)
        self.scan = scan
        self.pairs = view_pairs(scan, most_pairs, widest_deg)
        self.planes = planes or max(16, 3 * scan.shape[0] // 4)
        self.steepest = steepest
        self.climb = steepest if gather_planes else np.inf
        self.table = LineTable.of(self.smooth, scan, steepest)

    def weigh(self, scan: Scan) -> None:
        """Take the cosine weights from a better geometry."""
        self.table = LineTable.of(self.smooth, scan, self.steepest)

    def sides(self, scan: Scan) -> Float[NDArray[np.float64], "pair plane 2"]:
        """What either view of each pair says of their common planes (line integrals summed, dimensionless), NaN where it cannot tell."""
        _, half, _ = scan.field_of_view_mm
        heights = scan.field_of_view_height_mm + 0.95 * half * np.linspace(-1, 1, self.planes)
        out = np.empty((len(self.pairs), self.planes, 2))
        source, detector = scan.source - scan.axis_point_mm, scan.detector - scan.axis_point_mm
        t, step = self.table, self.table.slopes[1] - self.table.slopes[0]
        _look_up(
            source, detector, scan.u, scan.v, scan.normal, scan.axis.direction,
            t.values, t.slopes[0], step, t.intercepts[0], self.pairs, heights, self.climb, out,
        )  # fmt: skip
        return out


def view_pairs(scan: Scan, most: int, widest_deg: float = 175.0) -> Int[NDArray[np.int64], "pair 2"]:
    """(pair, 2): pairs of views 20 to ``widest_deg`` apart around the axis, thinned evenly to ``most``."""
    first, second = np.triu_indices(len(scan), 1)
    apart = apart_deg(scan, np.stack([first, second], axis=1))
    kept = np.flatnonzero((apart >= 20) & (apart <= widest_deg))
    if kept.size > most:
        kept = np.sort(np.random.default_rng(0).permutation(kept)[:most])
    return np.stack([first[kept], second[kept]], axis=1).astype(np.int64)


def apart_deg(scan: Scan, pairs: Int[NDArray, "pair 2"]) -> Float[NDArray[np.float64], "pair"]:
    """(pair,): the angle around the axis between the sources of two views, 0 to 180."""
    axis = scan.axis
    arm = scan.source - axis.point_mm
    arm = arm - np.outer(arm @ axis.direction, axis.direction)
    arm /= np.linalg.norm(arm, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip(np.einsum("ij,ij->i", arm[pairs[:, 0]], arm[pairs[:, 1]]), -1, 1)))


def whitened(difference: Differences, valid: Bool[NDArray, "pair plane"]) -> Differences:
    """Differences [pair, plane] summed along the planes, less their running mean, so that white noise of the detector stays white."""
    width = max(5, difference.shape[1] // 2)
    filled = np.where(valid, difference, 0.0)
    total = np.cumsum(filled, axis=1) * valid
    weight = uniform_filter1d(valid.astype(np.float64), width, axis=1, mode="constant")
    mean = uniform_filter1d(total, width, axis=1, mode="constant") / np.maximum(weight, 1 / width)
    return np.where(valid, total - mean, 0.0)


@njit(parallel=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, cache=True)
def _line_sums(views, slopes, threshold, out):  # pragma: no cover - compiled
    """Sums along ``row = intercept + slope col``; ``views`` [view, col, row]: all intercepts take the same step from column to column."""
    count, cols, rows = views.shape
    for task in prange(count * slopes.size):
        i, a = task // slopes.size, task % slopes.size
        total = np.zeros(rows, np.float32)
        lowest, highest = 0, rows  # intercepts whose lines leave the panel only where there is nothing
        for col in range(cols):
            step = slopes[a] * (col - (cols - 1) / 2)
            low = int(np.floor(step))
            f = np.float32(step - low)
            g = np.float32(1) - f
            first, last = max(0, -low), min(rows, rows - 1 - low)
            for b in range(first, last):
                total[b] += g * views[i, col, b + low] + f * views[i, col, b + low + 1]
            if views[i, col, 0] > threshold:
                lowest = max(lowest, first)
            if views[i, col, rows - 1] > threshold:
                highest = min(highest, last)
        for b in range(rows):
            out[i, a, b] = total[b] if lowest <= b < highest else np.nan


@njit(parallel=True, nogil=True, cache=True)
def _look_up(source, detector, u, v, normal, axis, table, slope_0, slope_step, intercept_0, pairs, heights, climb, out):  # pragma: no cover
    center = 0.5 * (heights[0] + heights[-1])
    for q in prange(pairs.shape[0]):
        i, j = pairs[q, 0], pairs[q, 1]
        base = source[j] - source[i]
        base = base / np.sqrt((base * base).sum())
        up = axis - (axis * base).sum() * base
        up = up / np.sqrt((up * up).sum())
        side = np.cross(base, up)
        middle = 0.5 * (source[i] + source[j])
        reach, level = -(middle * side).sum(), (middle * up).sum()
        scale = min(1.0, climb * abs(reach) / (0.5 * (heights[-1] - heights[0])))
        for h in range(heights.size):
            height = scale * (heights[h] - center) + center
            n = up - (height - level) / reach * side  # the plane through both sources that meets the axis at this height
            n = n / np.sqrt((n * n).sum())
            for which in range(2):
                k = pairs[q, which]
                n_v = (n * v[k]).sum()
                x = (-(n * u[k]).sum() / n_v - slope_0) / slope_step
                y = -(n * (detector[k] - source[k])).sum() / n_v - intercept_0
                if not (x >= 0 and x < table.shape[1] - 1 and y >= 0 and y < table.shape[2] - 1):
                    out[q, h, which] = np.nan
                    continue
                a, b = int(x), int(y)
                f, g = x - a, y - b
                low = (1 - g) * table[k, a, b] + g * table[k, a, b + 1]
                high = (1 - g) * table[k, a + 1, b] + g * table[k, a + 1, b + 1]
                tilt = (n * normal[k]).sum()
                out[q, h, which] = scale * ((1 - f) * low + f * high) / (1 - tilt * tilt)
