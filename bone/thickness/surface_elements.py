"""Where the surface of bone is, in fractions of a voxel: a small disc in every voxel that has both phases around it.

The mask says what is bone; the grey values say where it ends. Along the axis nearest to the normal, the share of bone of the voxels
from the darkest to the brightest around the step is summed: that is how far bone reaches in this column, whatever the blur, as long as
it is symmetric (the height function of the volume-of-fluid method, Cummins, Francois and Kothe, Comput Struct 83 (2005) 425). Grey values
between two voxels are not interpolated: that would misplace the surface of a sharp image by up to a tenth of a voxel. What the discs of
one sheet say about one another is then averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .cut_cell import cut_area, cut_share

REACH = 4  # voxels along the column to both sides
SHARE_STEPS, AREA_STEPS = 255.0, 140.0  # how finely shares (0 to 1) and areas (0 to 1.75 square voxels) are stored
_DEPTH_STEPS, _NORMAL_STEPS = 64.0, 127.0
_FARTHEST = 1.9  # voxels between a voxel's centre and its disc
_HOME = 0.55  # voxels along the axes between a voxel's centre and the middle of a disc that is its own
_LEAST_SLOPE = 0.2  # of the step from the surroundings to bone, a voxel
_NOISE, _MOST_NOISE = 3.0, 0.3  # dips in a column that are passed over: in standard deviations, and at most this share of the step
_BEND = 0.08  # voxels^2: a column's mean height lies below the surface that bends away from it (a twelfth, for slanting columns)
_AGREEING = 4  # discs of one place, its own among them, without which it is noise
_SAME_SHEET = 0.7  # cosine between the normals of discs that are of one sheet of the surface


@dataclass(frozen=True, eq=False)
class Surface:
    """``ids`` [z, y, x]: the row of ``discs`` of each voxel that has one, -1 elsewhere; ``discs`` (n, 6): middle z, y, x and unit normal
    into bone, in voxels. ``share`` [z, y, x]: how much of a voxel is bone, in 1/255; ``area``: of the surface in it, in 1/140 voxel^2.
    """

    ids: NDArray[np.int32]
    discs: NDArray[np.float32]
    share: NDArray[np.uint8]
    area: NDArray[np.uint8]


def find_surface(grey: NDArray[np.float32], bone: NDArray[np.bool_]) -> Surface:
    """The surface of ``bone`` [z, y, x], placed by the ``grey`` values."""
    first, code = np.zeros((*grey.shape, 4), np.int8), np.zeros((*grey.shape, 4), np.int8)
    _fill(grey, bone, *_noise_limits(grey, bone), first)
    share, area = np.empty(grey.shape, np.uint8), np.empty(grey.shape, np.uint8)
    counts = np.zeros(grey.shape[0], np.int64)
    _smooth(first, bone, code, share, area, counts)
    del first
    starts = np.concatenate([[0], np.cumsum(counts)])
    ids, discs = np.empty(grey.shape, np.int32), np.empty((int(starts[-1]), 6), np.float32)
    _write(code, starts, ids, discs)
    return Surface(ids, discs, share, area)


def _noise_limits(grey: NDArray[np.float32], bone: NDArray[np.bool_]) -> tuple[float, float]:
    """(dips in a column, slopes in grey value a voxel) that may be noise; 0 for an image without noise.

    Dips: three standard deviations of neighbours away from the surface, at most 0.3 of the step from the surroundings to bone. Slopes: a
    share of the step, where there is noise: in a voxel that the surface does not touch the gradient is nothing else.
    """
    stride = max(1, round((grey.size / 2**21) ** 0.5))
    lines, phase = grey[::stride, ::stride], bone[::stride, ::stride]
    same = (phase[..., :-3] == phase[..., 1:-2]) & (phase[..., 1:-2] == phase[..., 2:-1]) & (phase[..., 2:-1] == phase[..., 3:])
    if not same.any() or bone.all() or not bone.any():
        return 0.0, 0.0
    noise = 1.4826 / np.sqrt(2) * float(np.median(np.abs(lines[..., 2:-1] - lines[..., 1:-2])[same]))
    step = max(float(lines[phase].mean() - lines[~phase].mean()), 0.0) if phase.any() and not phase.all() else 0.0
    return min(_NOISE * noise, _MOST_NOISE * step), min(noise, _LEAST_SLOPE * step)


@njit(cache=True, nogil=True)
def _has_both(bone, z, y, x):  # pragma: no cover - compiled
    nz, ny, nx = bone.shape
    own = bone[z, y, x]
    for k in range(max(z - 1, 0), min(z + 2, nz)):
        for j in range(max(y - 1, 0), min(y + 2, ny)):
            for i in range(max(x - 1, 0), min(x + 2, nx)):
                if bone[k, j, i] != own:
                    return True
    return False


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _at(grey, z, y, x, axis, step):  # pragma: no cover - compiled
    """The grey value some steps along an axis; at the border the last voxel counts on."""
    nz, ny, nx = grey.shape
    if axis == 0:
        return grey[min(max(z + step, 0), nz - 1), y, x]
    if axis == 1:
        return grey[z, min(max(y + step, 0), ny - 1), x]
    return grey[z, y, min(max(x + step, 0), nx - 1)]


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _raw(grey, bone, z, y, x, tolerance, slope):  # pragma: no cover - compiled
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


@njit(cache=True, nogil=True)
def _store(code, z, y, x, depth, mz, my, mx):  # pragma: no cover - compiled
    code[z, y, x, 0] = np.int8(np.rint(min(max(depth, -_FARTHEST), _FARTHEST) * _DEPTH_STEPS))
    code[z, y, x, 1] = np.int8(np.rint(mz * _NORMAL_STEPS))
    code[z, y, x, 2] = np.int8(np.rint(my * _NORMAL_STEPS))
    code[z, y, x, 3] = np.int8(np.rint(mx * _NORMAL_STEPS))


@njit(cache=True, nogil=True, parallel=True)
def _fill(grey, bone, tolerance, slope, code):  # pragma: no cover - compiled
    """code [z, y, x, 4]: distance and normal of the discs, each by itself."""
    nz, ny, nx = grey.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        for y in range(ny):
            for x in range(nx):
                if _has_both(bone, z, y, x):
                    depth, gz, gy, gx = _raw(grey, bone, z, y, x, tolerance, slope)
                    _store(code, z, y, x, depth, gz, gy, gx)


@njit(cache=True, nogil=True)
def _has_disc(code, z, y, x):  # pragma: no cover - compiled
    return code[z, y, x, 1] != 0 or code[z, y, x, 2] != 0 or code[z, y, x, 3] != 0


@njit(cache=True, nogil=True)
def _disc(code, z, y, x):  # pragma: no cover - compiled
    """(signed distance in voxels, unit normal z, y, x) of a voxel's disc."""
    mz, my, mx = np.float64(code[z, y, x, 1]), np.float64(code[z, y, x, 2]), np.float64(code[z, y, x, 3])
    norm = 1.0 / np.sqrt(mz * mz + my * my + mx * mx)
    return code[z, y, x, 0] / _DEPTH_STEPS, mz * norm, my * norm, mx * norm


@njit(cache=True, nogil=True)
def _smoothed(code, z, y, x):  # pragma: no cover - compiled
    """A disc's distance and normal as the discs around it, of the same sheet, say, and how the sheet bends.

    The normal is zeros where too few agree.

    Height of a neighbour's middle, and of its tangent plane, above the place: the mean of the two is right for a curved sheet too.
    """
    nz, ny, nx, _ = code.shape
    depth, mz, my, mx = _disc(code, z, y, x)
    total = height = sz = sy = sx = turn = way = 0.0
    agree = 0
    for k in range(max(z - 1, 0), min(z + 2, nz)):
        for j in range(max(y - 1, 0), min(y + 2, ny)):
            for i in range(max(x - 1, 0), min(x + 2, nx)):
                if not _has_disc(code, k, j, i):
                    continue
                other, oz, oy, ox = _disc(code, k, j, i)
                along = oz * mz + oy * my + ox * mx
                if along < _SAME_SHEET:
                    continue
                vz, vy, vx = k - other * oz - z, j - other * oy - y, i - other * ox - x
                middle = vz * mz + vy * my + vx * mx
                off = vz * vz + vy * vy + vx * vx - middle * middle
                if abs(middle + depth) > 0.5 or off > 2.25:
                    continue
                weight = 1.0 / ((0.25 + off) * (0.1 + other * other))  # a disc far from its voxel is known less well
                agree += 1
                total += weight
                height += weight * 0.5 * (middle + (vz * oz + vy * oy + vx * ox) / along)
                turn += weight * ((oz - mz) * vz + (oy - my) * vy + (ox - mx) * vx)
                way += weight * off
                sz, sy, sx = sz + weight * oz, sy + weight * oy, sx + weight * ox
    if agree < _AGREEING:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    norm = np.sqrt(sz * sz + sy * sy + sx * sx)
    bend = min(max(2 * turn / way, -1.5), 1.5) if way > 0 else 0.0  # the sum of the curvatures, negative where bone is convex
    return -height / total - _BEND * bend, sz / norm, sy / norm, sx / norm, bend


@njit(cache=True, nogil=True, parallel=True)
def _smooth(code, bone, out, share, area, counts):  # pragma: no cover - compiled
    """Discs averaged with those around them; what they cut from their voxels; and how many voxels of each slice hold their own middle."""
    nz, ny, nx, _ = code.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        count = 0
        for y in range(ny):
            for x in range(nx):
                share[z, y, x] = 255 if bone[z, y, x] else 0
                area[z, y, x] = 0
                if not _has_disc(code, z, y, x):
                    continue
                depth, mz, my, mx, bend = _smoothed(code, z, y, x)
                if mz == 0 and my == 0 and mx == 0:
                    continue
                _store(out, z, y, x, depth, mz, my, mx)
                depth += bend / 24  # what a bent sheet cuts off, on average over the voxel
                share[z, y, x] = np.uint8(np.rint(SHARE_STEPS * cut_share(depth, mz, my, mx)))
                area[z, y, x] = np.uint8(np.rint(AREA_STEPS * cut_area(depth, mz, my, mx)))
                count += _is_home(out, z, y, x)
        counts[z] = count


@njit(cache=True, nogil=True)
def _is_home(code, z, y, x):  # pragma: no cover - compiled
    depth, mz, my, mx = _disc(code, z, y, x)
    return abs(depth) * max(abs(mz), abs(my), abs(mx)) <= _HOME


@njit(cache=True, nogil=True, parallel=True)
def _write(code, starts, ids, discs):  # pragma: no cover - compiled
    nz, ny, nx, _ = code.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        at = starts[z]
        for y in range(ny):
            for x in range(nx):
                ids[z, y, x] = -1
                if _has_disc(code, z, y, x) and _is_home(code, z, y, x):
                    depth, mz, my, mx = _disc(code, z, y, x)
                    ids[z, y, x] = at
                    discs[at, 0], discs[at, 1], discs[at, 2] = z - depth * mz, y - depth * my, x - depth * mx
                    discs[at, 3], discs[at, 4], discs[at, 5] = mz, my, mx
                    at += 1
