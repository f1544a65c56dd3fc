"""The path of a detector column through the grid, where all rays of a column share one path in (x, y).

``ray`` is a row of `Rays.packed`: source, first pixel, column step and row step, three numbers each, in voxels. A path is (main axis, a0,
da, t0, dt, x-y length squared): in slice k across its main axis it is at a0 + k da on the other axis, and at t0 + k dt along its rays,
where t is 0 at the source and 1 on the panel.
"""

from __future__ import annotations

import math

import numpy as np

from ..joseph_rays import TIE
from .contiguous_runs import njit_inner


@njit_inner
def column_path(ray, col):
    """The path of column ``col``."""
    dx, dy = ray[3] + col * ray[6], ray[4] + col * ray[7]
    squared = dx * dx + dy * dy
    if abs(dx) * TIE >= abs(dy):
        dt, t0 = 1.0 / dx, -ray[0] / dx
        return 0, ray[1] + t0 * dy, dt * dy, t0, dt, squared
    dt, t0 = 1.0 / dy, -ray[1] / dy
    return 1, ray[0] + t0 * dx, dt * dx, t0, dt, squared


@njit_inner
def clip_to(low, high, at, step, size):
    """The part of slices low <= k < high where -1 < at + k step < size; only a bound: the taps themselves are checked."""
    if abs(step) < 1e-12:
        return (low, high) if -1.0 < at < size else (low, low)
    first, last = (-1.0 - at) / step, (size - at) / step
    if first > last:
        first, last = last, first
    low = max(low, math.ceil(max(first, -1.0)))
    return low, max(low, min(high, math.floor(min(last, 1e9)) + 1))


@njit_inner
def clip_in_front(low, high, t0, dt):
    """The part of slices low <= k < high in front of the source: t0 + k dt > 0."""
    behind = min(max(-t0 / dt, -1.0), 1e9)
    if dt > 0:
        return max(low, math.floor(behind) + 1), high
    return low, min(high, math.ceil(behind))


@njit_inner
def neighbours(k, a0, da, stride, stride_a, size_a):
    """The two lines of slice k beside the path, and the share of each; a line beyond the border has no share."""
    at = a0 + k * da
    low = math.floor(at)
    w1 = np.float32(at - low)
    w0 = np.float32(1) - w1
    if low < 0 or low >= size_a:
        w0 = np.float32(0)
    if low < -1 or low >= size_a - 1:
        w1 = np.float32(0)
    i0 = k * stride + min(max(low, 0), size_a - 1) * stride_a
    i1 = k * stride + min(max(low + 1, 0), size_a - 1) * stride_a
    return i0, i1, w0, w1
