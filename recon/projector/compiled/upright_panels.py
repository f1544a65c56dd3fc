"""Rolled, tilted and moved panels as upright ones: the same rays, sampled on a panel whose columns are parallel to z.

The kernels for upright panels are many times faster than those for any panel, and a panel is seldom upright to the last digit. A view on
one panel and a view on another from the same source hold the same line integrals, so a view can be resampled by one homography, here by
Keys' cubic convolution (IEEE Trans. Acoust. Speech Signal Process. 29 (1981) 1153, a = -1/2), whose error falls with the third power of the
pixel size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ..joseph_rays import Rays
from .contiguous_runs import FLAGS, njit_inner

LEAST_UPRIGHT = 0.7  # cosine of the largest angle between a panel's normal and the horizontal plane that is resampled
MARGIN = 2  # pixels beyond the panel, which the cubic kernel reaches


@dataclass(frozen=True)
class Rectified:
    """``rays``: those of upright panels that show all that the given panels show.

    ``to_upright`` and ``to_given`` (view, 3, 3): homogeneous (col, row, 1) of one panel to (col w, row w, w) of the other; a point at
    depth t on a ray of the upright panel is at depth t w, w from ``to_given``, on that of the given panel.
    """

    rays: Rays
    to_upright: NDArray[np.float64]
    to_given: NDArray[np.float64]


def rectify(rays: Rays) -> Rectified | None:
    """Upright panels for all views, or None where a panel leans too far for that."""
    normal = np.cross(rays.u, rays.v)
    level = np.hypot(normal[:, 0], normal[:, 1])
    if (level < LEAST_UPRIGHT * np.linalg.norm(normal, axis=1)).any():
        return None
    width, height = np.linalg.norm(rays.u, axis=1), np.linalg.norm(rays.v, axis=1)
    sideways = np.abs(rays.u[:, 2]) / width > np.abs(rays.v[:, 2]) / height  # a panel that lies on its side: its rows run along z
    along, up = np.where(sideways[:, None], rays.v, rays.u), np.where(sideways, rays.u[:, 2], rays.v[:, 2])
    across = np.stack([-normal[:, 1], normal[:, 0], np.zeros(len(rays))], axis=1) / level[:, None]
    across *= np.where((across * along).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    u = across * np.where(sideways, height, width)[:, None]
    v = np.zeros_like(u)
    v[:, 2] = np.copysign(np.where(sideways, width, height), up)
    middle = rays.first + (rays.cols - 1) / 2 * rays.u + (rays.rows - 1) / 2 * rays.v
    given = np.stack([rays.u, rays.v, rays.first], axis=2)
    about_middle = np.linalg.solve(np.stack([u, v, middle], axis=2), given)
    corners = np.array([(c, r, 1.0) for c in (0, rays.cols - 1) for r in (0, rays.rows - 1)]).T
    seen = about_middle @ corners
    if (seen[:, 2] <= 0).any():
        return None
    seen = seen[:, :2] / seen[:, 2:]
    low, high = np.floor(seen.min(axis=2)) - MARGIN, np.ceil(seen.max(axis=2)) + MARGIN
    cols, rows = (int(n) + 1 for n in (high - low).max(axis=0))
    first = middle + low[:, :1] * u + low[:, 1:] * v
    to_upright: NDArray[np.float64] = np.linalg.solve(np.stack([u, v, first], axis=2), given).astype(np.float64)
    return Rectified(replace(rays, first=first, u=u, v=v, rows=rows, cols=cols), to_upright, np.linalg.inv(to_upright).astype(np.float64))


@njit_inner
def _keys(part, weights):
    """Keys' four weights for a point ``part`` of the way from the second to the third sample."""
    x, y = part, 1.0 - part
    weights[0] = -0.5 * x * y * y
    weights[1] = 1.0 + x * x * (1.5 * x - 2.5)
    weights[2] = 1.0 + y * y * (1.5 * y - 2.5)
    weights[3] = -0.5 * y * x * x


@njit(parallel=True, **FLAGS)
def resample(upright, to_upright, chosen, out):
    """Add to ``out[chosen]`` (view, row, col) what the panels show of views on ``upright`` panels (view of these, row', col')."""
    _, rows, cols = out.shape
    for job in prange(len(chosen) * rows):
        number, row = job // rows, job % rows
        view = chosen[number]
        h, wc, wr = to_upright[view], np.empty(4), np.empty(4)
        for col in range(cols):
            w = h[2, 0] * col + h[2, 1] * row + h[2, 2]
            c, r = (h[0, 0] * col + h[0, 1] * row + h[0, 2]) / w, (h[1, 0] * col + h[1, 1] * row + h[1, 2]) / w
            ic, ir = int(c), int(r)
            _keys(c - ic, wc)
            _keys(r - ir, wr)
            total = 0.0
            for j in range(4):
                line = upright[number, ir - 1 + j]
                total += wr[j] * (wc[0] * line[ic - 1] + wc[1] * line[ic] + wc[2] * line[ic + 1] + wc[3] * line[ic + 2])
            out[view, row, col] += total


@njit(parallel=True, **FLAGS)
def spread(given, to_upright, chosen, out):
    """Add the transpose of `resample` to ``out`` (view of these, row', col')."""
    _, rows, cols = given.shape
    for number in prange(len(chosen)):
        view = chosen[number]
        h, wc, wr = to_upright[view], np.empty(4), np.empty(4)
        for row in range(rows):
            for col in range(cols):
                w = h[2, 0] * col + h[2, 1] * row + h[2, 2]
                c, r = (h[0, 0] * col + h[0, 1] * row + h[0, 2]) / w, (h[1, 0] * col + h[1, 1] * row + h[1, 2]) / w
                ic, ir = int(c), int(r)
                _keys(c - ic, wc)
                _keys(r - ir, wr)
                for j in range(4):
                    share = given[view, row, col] * wr[j]
                    for i in range(4):
                        out[number, ir - 1 + j, ic - 1 + i] += np.float32(share * wc[i])


@njit(parallel=True, **FLAGS)
def straightened(given, held, to_given, bottom, out):
    """Write to ``out`` (view, row', col'), rows from ``bottom`` on, what upright panels show of filtered views on the ``given`` panels,
    over w^2.

    ``held`` (first, stop, rows): which rows of a panel of so many ``given`` holds; no others may be needed. As in `backprojection_upright`,
    a panel is extended by one row at either end, fades to zero within the next, and ends half a pixel beyond its first and last column.
    """
    views, rows, cols = out.shape
    given_cols = given.shape[2]
    begin, stop, given_rows = held
    for job in prange(views * rows):
        view, line_out = job // rows, job % rows
        row = bottom + line_out
        h, wc, wr = to_given[view], np.empty(4), np.empty(4)
        for col in range(cols):
            w = h[2, 0] * col + h[2, 1] * row + h[2, 2]
            c, r = (h[0, 0] * col + h[0, 1] * row + h[0, 2]) / w, (h[1, 0] * col + h[1, 1] * row + h[1, 2]) / w
            fade = min(1.0, min(r + 2.0, given_rows + 1.0 - r))
            out[view, line_out, col] = 0
            if w <= 0 or fade <= 0 or c < -0.5 or c > given_cols - 0.5:
                continue
            c, r = min(max(c, 0.0), given_cols - 1.0), min(max(r, 0.0), given_rows - 1.0)
            ic, ir = int(c), int(r)
            _keys(c - ic, wc)
            _keys(r - ir, wr)
            total = 0.0
            for j in range(4):
                line = given[view, min(max(ir - 1 + j, begin), stop - 1) - begin]
                for i in range(4):
                    total += wr[j] * wc[i] * line[min(max(ic - 1 + i, 0), given_cols - 1)]
            out[view, line_out, col] = total * fade / (w * w)
