"""How far bone reaches in a column of grey values: the surface's distance from a voxel, and its normal.

Along the axis nearest to the normal, the share of bone of the voxels from the darkest to the brightest around the step is summed: that is
how far bone reaches in this column, whatever the blur, as long as it is symmetric (the height function of the volume-of-fluid method,
Cummins, Francois and Kothe, Comput Struct 83 (2005) 425). Grey values between two voxels are not interpolated: that would misplace the
surface of a sharp image by up to a tenth of a voxel.
"""

from __future__ import annotations

import numpy as np
from numba import njit

REACH = 4  # voxels along the column to both sides


@njit(cache=True, nogil=True, error_model="numpy")
def _gradient(grey, z, y, x):  # pragma: no cover - compiled
    """Central differences, smoothed across with 3, 10, 3 (Scharr); at the border the last voxel counts on."""
    nz, ny, nx = grey.shape
    gz = gy = gx = 0.0
    for k in range(-1, 2):
        wk = 10.0 if k == 0 else 3.0
        zz = min(max(z + k, 0), nz - 1)
        for j in range(-1, 2):
            wj = 10.0 if j == 0 else 3.0
            yy = min(max(y + j, 0), ny - 1)
            for i in range(-1, 2):
                wi = 10.0 if i == 0 else 3.0
                value = grey[zz, yy, min(max(x + i, 0), nx - 1)]
                gz += k * wj * wi * value
                gy += j * wk * wi * value
                gx += i * wk * wj * value
    return gz, gy, gx


@njit(cache=True, nogil=True, error_model="numpy")
def _at(grey, z, y, x, axis, step):  # pragma: no cover - compiled
    """The grey value some steps along an axis; at the border the last voxel counts on."""
    nz, ny, nx = grey.shape
    if axis == 0:
        return grey[min(max(z + step, 0), nz - 1), y, x]
    if axis == 1:
        return grey[z, min(max(y + step, 0), ny - 1), x]
    return grey[z, y, min(max(x + step, 0), nx - 1)]


@njit(cache=True, nogil=True, error_model="numpy")
def _plateau(grey, z, y, x, axis, step, sign, tolerance):  # pragma: no cover - compiled
    """(level, steps to its start): a column's values rise (``sign`` 1) or fall to a plateau; dips of the tolerance do not end it."""
    best, end = sign * grey[z, y, x], 0
    while end < REACH:
        value = sign * _at(grey, z, y, x, axis, (end + 1) * step)
        if end > 0 and (value < best - tolerance or (tolerance == 0 and value == best)):
            break
        end += 1
        best = max(best, value)
    total, count, begin = 0.0, 0, -1
    for k in range(end + 1):
        value = sign * _at(grey, z, y, x, axis, k * step)
        if value >= best - tolerance:
            total, count = total + value, count + 1
            if begin < 0:
                begin = k
    return sign * total / count, begin


@njit(cache=True, nogil=True, error_model="numpy")
def _height(grey, z, y, x, axis, step, tolerance):  # pragma: no cover - compiled
    """How far along the column the surface is from the voxel's centre, positive towards bone; NaN where the column is flat."""
    high, bright = _plateau(grey, z, y, x, axis, step, 1.0, tolerance)
    low, dark = _plateau(grey, z, y, x, axis, -step, -1.0, tolerance)
    if not high > low:
        return np.nan
    share = 0.0
    for k in range(-dark, bright + 1):
        share += min(max((_at(grey, z, y, x, axis, k * step) - low) / (high - low), 0.0), 1.0)
    return bright + 0.5 - share


@njit(cache=True, nogil=True, error_model="numpy")
def disc_of_column(grey, bone, z, y, x, tolerance, slope):  # pragma: no cover - compiled
    """(signed distance, normal z, y, x) of a voxel's disc; a normal of zeros where there is none."""
    gz, gy, gx = _gradient(grey, z, y, x)
    norm = np.sqrt(gz * gz + gy * gy + gx * gx)
    if not norm > 512 * slope:  # the sum of the weights, two voxels apart
        return 0.0, 0.0, 0.0, 0.0
    gz, gy, gx = gz / norm, gy / norm, gx / norm
    if abs(gz) >= abs(gy) and abs(gz) >= abs(gx):
        axis, along = 0, gz
    elif abs(gy) >= abs(gx):
        axis, along = 1, gy
    else:
        axis, along = 2, gx
    height = _height(grey, z, y, x, axis, 1 if along > 0 else -1, tolerance)
    if np.isnan(height):
        return 0.0, 0.0, 0.0, 0.0
    depth = -height * abs(along)
    depth = max(depth, -0.5) if bone[z, y, x] else min(depth, 0.5)  # never far from where the threshold is crossed
    return depth, gz, gy, gx
