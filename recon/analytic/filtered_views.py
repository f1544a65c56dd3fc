"""From projections to filtered views: weights and ramp, a few views at a time."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...geometry import Scan
from ...geometry.rotation import Orbit, pixel_directions
from ..projector.compiled.threads import in_threads
from .ramp import convolve_pairs, padded_length
from .redundancy import Coverage, full_circle_weight, short_scan_cell_weight

_WEIGHT_BYTES = 16 << 20  # ray weights held at once
_CACHE_BYTES = 1 << 19  # padded rows that a thread filters at once: from the projections to filtered views they stay in its cache


def filtered_views(
    values: NDArray[np.float32],
    scan: Scan,
    orbit: Orbit,
    covered: Coverage,
    response: NDArray[np.float32],
    views: slice,
    out: NDArray[np.float32],
    first_row: int = 0,
) -> None:
    """Write the views of a slice of ``values`` [view, row, col], weighted and ramp filtered, to ``out`` (view of the slice, row, col).

    ``response`` is `ramp_response` of the scan's columns. ``values`` and ``out`` may hold a part of the panel's rows, from ``first_row``
    on. Two rows are filtered at once, so that the numbers are the same to the last bit only if that is an even row and the part ends
    behind an odd one or with the panel (see `whole_pairs`).
    """
    rows, cols = out.shape[1], scan.shape[1]
    many = max(1, _WEIGHT_BYTES // (4 * rows * cols))
    few = 2 * max(1, min((rows + 1) // 2, _WEIGHT_BYTES // (8 * cols)))
    for begin in range(views.start, views.stop, many):
        part = slice(begin, min(begin + many, views.stop))
        vectors = np.stack(pixel_directions(scan, orbit, part), axis=1)
        target = out[begin - views.start : part.stop - views.start]
        for first in range(0, rows, few):
            stop = min(rows, first + few)
            weight = ray_weights(scan, orbit, covered, part, slice(first_row + first, first_row + stop))
            jobs = len(weight) * ((stop - first + 1) // 2)
            in_threads(_filter_pairs, jobs, response, values[part], weight, vectors, first, stop, first_row, target)


def _filter_pairs(begin, end, response, values, weight, vectors, first, stop, first_row, out):
    """Weigh and filter pairs of rows, counted through the views from row ``first`` to ``stop``: from ``values`` to ``out``."""
    length = padded_length(values.shape[2])
    size = max(1, _CACHE_BYTES // (8 * length))
    for at in range(begin, end, size):
        buffer = np.zeros((min(size, end - at), length, 2), dtype=np.float32)
        _weigh(at, buffer, values, weight, vectors, first, stop, first_row)
        convolve_pairs(buffer.view(np.complex64)[..., 0], response)
        _separate(at, buffer, out, first, stop)


def whole_pairs(rows: slice, panel_rows: int) -> slice:
    """At least these rows of the panel, from an even row on, so that they are filtered in the pairs in which the whole panel is."""
    return slice(rows.start // 2 * 2, min(panel_rows, -(-rows.stop // 2) * 2))


def ray_weights(scan: Scan, orbit: Orbit, covered: Coverage, views: slice, rows: slice) -> NDArray[np.float32]:
    """(view, row, col) or (view, 1, col): redundancy weight over the sample spacing at the axis (1/mm).

    The second shape where the fan angle is the same in all rows, that is where the panel's columns are parallel to the axis. The
    spacing is |d u_a - a u_d| / DSO for a pixel at depth d, a across, and column step u: with 1 / w^2 in the back-projection it is
    exact for a panel turned in any way, as long as the object does not change along the axis. (Put sin(g - g') = (s - s') (distance of
    the row from the source) / (r r') into the fan-beam formula, Kak & Slaney 1988, eq. 3.103; the ramp scales as 1 / length^2.)
    """
    depth, across, _ = pixel_directions(scan, orbit, views)
    same_in_rows = max(np.abs(c[:, 2]).max() / np.abs(c).max() for c in (depth, across)) < 1e-9
    row = np.arange(rows.start, rows.start + 1 if same_in_rows else rows.stop)[:, None]
    col = np.arange(scan.shape[1])
    d, a = (c[:, 0, None, None] + c[:, 1, None, None] * col + c[:, 2, None, None] * row for c in (depth, across))
    fan = np.arctan2(a, d)
    if covered.full:
        weight = full_circle_weight(fan, (float(fan[:, 0].min()), float(fan[:, 0].max())))
    else:
        weight = short_scan_cell_weight(covered.start[views, None, None], covered.end[views, None, None], fan, covered.range)
    spacing = np.abs(d[..., 0] * across[:, 1, None] - a[..., 0] * depth[:, 1, None]) / orbit.dso_mm[views, None]
    return (weight / spacing[..., None]).astype(np.float32)


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh(begin, buffer, values, weight, vectors, first, stop, first_row):  # pragma: no cover - compiled
    """Projections times weight times the cosine of the ray's angle to the central one; rows 2k and 2k + 1 as one complex row."""
    pairs, cols = (stop - first + 1) // 2, values.shape[2]
    even, odd = np.empty(cols, np.float32), np.empty(cols, np.float32)
    for job in range(begin, begin + len(buffer)):
        view, pair = job // pairs, job % pairs
        one = first + 2 * pair
        two = min(one + 1, stop - 1)
        _factors(vectors[view], first_row + one, weight[view, min(one - first, weight.shape[1] - 1)], even)
        _factors(vectors[view], first_row + two, weight[view, min(two - first, weight.shape[1] - 1)], odd)
        if two == one:
            odd[:] = 0
        upper, lower, row = values[view, one], values[view, two], buffer[job - begin]
        for col in range(cols):
            row[col, 0] = upper[col] * even[col]
            row[col, 1] = lower[col] * odd[col]


@njit(nogil=True, cache=True, error_model="numpy")
def _factors(c, r, weight, out):  # pragma: no cover - compiled
    """Weight times cosine along row ``r``."""
    d0, a0, h0 = np.float32(c[0, 0] + r * c[0, 2]), np.float32(c[1, 0] + r * c[1, 2]), np.float32(c[2, 0] + r * c[2, 2])
    d1, a1, h1 = np.float32(c[0, 1]), np.float32(c[1, 1]), np.float32(c[2, 1])
    for col in range(len(out)):
        n = np.float32(col)
        d, a, h = d0 + n * d1, a0 + n * a1, h0 + n * h1
        out[col] = weight[col] * (d / np.sqrt(d * d + a * a + h * h))


@njit(nogil=True, cache=True)
def _separate(begin, buffer, out, first, stop):  # pragma: no cover - compiled
    """Copy [job, col, 2], jobs from ``begin`` on, into [view, row, col]."""
    pairs = (stop - first + 1) // 2
    for job in range(begin, begin + len(buffer)):
        view, pair = job // pairs, job % pairs
        one = first + 2 * pair
        row, even, odd = buffer[job - begin], out[view, one], out[view, min(one + 1, stop - 1)]
        for col in range(out.shape[2]):
            odd[col] = row[col, 1]
        for col in range(out.shape[2]):  # after the other, which has no row of its own where their number is odd
            even[col] = row[col, 0]
