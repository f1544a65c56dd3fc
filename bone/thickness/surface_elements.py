"""Where the surface of bone is, in fractions of a voxel: a small disc in every voxel that has both phases around it.

The mask says what is bone; the grey values say where it ends (`column_heights`). What the discs of one sheet say about one another is then
averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .column_heights import REACH, disc_of_column
from .cut_cell import cut_cell
from .noise import NoiseLimits, noise_limits

SHARE_STEPS, AREA_STEPS = 255.0, 140.0  # how finely shares (0 to 1) and areas (0 to 1.75 square voxels) are stored
HALO = REACH + 2  # slices that tell where the surface of a slice is: a column, and the discs around it
_DEPTH_STEPS, _NORMAL_STEPS = 64.0, 127.0
_FARTHEST = 1.9  # voxels between a voxel's centre and its disc
_HOME = 0.55  # voxels along the axes between a voxel's centre and the middle of a disc that is its own
_BEND = 0.08  # voxels^2: a column's mean height lies below the surface that bends away from it (a twelfth, for slanting columns)
# Of the sum of the curvatures: how much less than its tangent plane a bent sheet cuts off, on average over a voxel; and by how much planes
# must move for the areas that they cut to add up to a sphere's, as voxels outside of it are more than those inside.
_BENT_SHARE, _BENT_AREA = 1 / 24, 1 / 48
_AGREEING = 4  # discs of one place, its own among them, without which it is noise
_SAME_SHEET = 0.7  # cosine between the normals of discs that are of one sheet of the surface


@dataclass(frozen=True, eq=False)
class Surface:
    """``ids`` [z, y, x]: the row of ``discs`` of each voxel that has one, -1 elsewhere; ``discs`` (n, 6): middle z, y, x in the volume and
    unit normal into bone, in voxels. ``share`` [z, y, x]: how much of a voxel is bone, in 1/255; ``area``: of the surface in it, in 1/140
    voxel^2.
    """

    ids: NDArray[np.int32]
    discs: NDArray[np.float32]
    share: NDArray[np.uint8]
    area: NDArray[np.uint8]


def find_surface(
    grey: NDArray[np.float32], bone: NDArray[np.bool_], *, limits: NoiseLimits | None = None, own: slice | None = None, first: int = 0
) -> Surface:
    """The surface of ``bone`` [z, y, x], placed by the ``grey`` values.

    Of a part of a volume: its noise ``limits``, the slices that are its ``own`` (the others, `HALO` to each side where the volume goes on,
    are looked at only), and the number in the volume of its ``first`` slice.
    """
    limits = limits or noise_limits(lambda z: (grey[z], bone[z]), grey.shape)
    alone, code = np.zeros((*grey.shape, 4), np.int8), np.zeros((*grey.shape, 4), np.int8)
    _fill(grey, bone, *limits, alone)
    share, area = np.empty(grey.shape, np.uint8), np.zeros(grey.shape, np.uint8)
    counts, inverse = np.zeros(grey.shape[0], np.int64), _inverse_lengths()
    _smooth(alone, _whether(alone), inverse, bone, code, share, area, counts)
    del alone
    if own is not None:
        code, share, area, counts, first = code[own], share[own], area[own], counts[own], first + own.start
    starts = np.concatenate([[0], np.cumsum(counts)])
    discs = np.empty((int(starts[-1]), 6), np.float32)
    ids = _whether(code)
    _write(code, ids, inverse, starts, discs, first)
    return Surface(ids, discs, share, area)


def _whether(code: NDArray[np.int8]) -> NDArray[np.int32]:
    """[z, y, x]: 0 where a voxel has no disc; the four bytes of its code read as one number."""
    return code.view(np.int32)[..., 0]


def _inverse_lengths() -> NDArray[np.float64]:
    """(square,): by the squared length of a normal in steps."""
    return 1 / np.sqrt(np.maximum(np.arange(3 * int(_NORMAL_STEPS) ** 2 + 1), 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _store(code, z, y, x, depth, mz, my, mx):  # pragma: no cover - compiled
    code[z, y, x, 0] = np.int8(np.rint(min(max(depth, -_FARTHEST), _FARTHEST) * _DEPTH_STEPS))
    code[z, y, x, 1] = np.int8(np.rint(mz * _NORMAL_STEPS))
    code[z, y, x, 2] = np.int8(np.rint(my * _NORMAL_STEPS))
    code[z, y, x, 3] = np.int8(np.rint(mx * _NORMAL_STEPS))


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _fill(grey, bone, tolerance, slope, code):  # pragma: no cover - compiled
    """code [z, y, x, 4]: distance and normal of the discs, each by itself, of the voxels that have both phases around them."""
    nz, ny, nx = grey.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        three, row = np.empty((ny, nx), np.uint8), np.empty(nx + 2, np.uint8)
        for y in range(ny):
            for x in range(nx):
                three[y, x] = bone[max(z - 1, 0), y, x] + bone[z, y, x] + bone[min(z + 1, nz - 1), y, x]
        for y in range(ny):
            for x in range(nx):
                row[x + 1] = three[max(y - 1, 0), x] + three[y, x] + three[min(y + 1, ny - 1), x]
            row[0], row[nx + 1] = row[1], row[nx]
            for x in range(nx):
                if 0 < row[x] + row[x + 1] + row[x + 2] < 27:
                    depth, gz, gy, gx = disc_of_column(grey, bone, z, y, x, tolerance, slope)
                    _store(code, z, y, x, depth, gz, gy, gx)


@njit(cache=True, nogil=True, error_model="numpy")
def _disc(code, inverse, z, y, x):  # pragma: no cover - compiled
    """(signed distance in voxels, unit normal z, y, x) of a voxel's disc."""
    mz, my, mx = np.int64(code[z, y, x, 1]), np.int64(code[z, y, x, 2]), np.int64(code[z, y, x, 3])
    norm = inverse[mz * mz + my * my + mx * mx]
    return code[z, y, x, 0] * (1 / _DEPTH_STEPS), mz * norm, my * norm, mx * norm


@njit(cache=True, nogil=True, error_model="numpy")
def _smoothed(code, has, inverse, z, y, x):  # pragma: no cover - compiled
    """A disc's distance and normal as the discs around it, of the same sheet, say, and how the sheet bends.

    The normal is zeros where too few agree.

    Height of a neighbour's middle, and of its tangent plane, above the place: the mean of the two is right for a curved sheet too.
    """
    nz, ny, nx = has.shape
    depth, mz, my, mx = _disc(code, inverse, z, y, x)
    total = height = sz = sy = sx = turn = way = 0.0
    agree = 0
    for k in range(max(z - 1, 0), min(z + 2, nz)):
        for j in range(max(y - 1, 0), min(y + 2, ny)):
            for i in range(max(x - 1, 0), min(x + 2, nx)):
                if has[k, j, i] == 0:
                    continue
                other, oz, oy, ox = _disc(code, inverse, k, j, i)
                along = oz * mz + oy * my + ox * mx
                if along < _SAME_SHEET:
                    continue
                vz, vy, vx = k - other * oz - z, j - other * oy - y, i - other * ox - x
                middle = vz * mz + vy * my + vx * mx
                off = vz * vz + vy * vy + vx * vx - middle * middle
                if abs(middle + depth) > 0.5 or off > 2.25:
                    continue
                share = 1.0 / ((0.25 + off) * (0.1 + other * other) * along)
                weight = share * along  # a disc far from its voxel is known less well
                agree += 1
                total += weight
                height += 0.5 * (weight * middle + share * (vz * oz + vy * oy + vx * ox))
                turn += weight * ((oz - mz) * vz + (oy - my) * vy + (ox - mx) * vx)
                way += weight * off
                sz, sy, sx = sz + weight * oz, sy + weight * oy, sx + weight * ox
    if agree < _AGREEING:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    norm = np.sqrt(sz * sz + sy * sy + sx * sx)
    bend = min(max(2 * turn / way, -1.5), 1.5) if way > 0 else 0.0  # the sum of the curvatures, negative where bone is convex
    return -height / total - _BEND * bend, sz / norm, sy / norm, sx / norm, bend


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _smooth(code, has, inverse, bone, out, share, area, counts):  # pragma: no cover - compiled
    """Discs averaged with those around them; what they cut from their voxels; and how many voxels of each slice hold their own middle."""
    nz, ny, nx = has.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        count = 0
        for y in range(ny):
            for x in range(nx):
                share[z, y, x] = 255 * bone[z, y, x]
            for x in range(nx):
                if has[z, y, x] == 0:
                    continue
                depth, mz, my, mx, bend = _smoothed(code, has, inverse, z, y, x)
                if mz == 0 and my == 0 and mx == 0:
                    continue
                _store(out, z, y, x, depth, mz, my, mx)
                part, _ = cut_cell(depth + _BENT_SHARE * bend, mz, my, mx)
                _, cut = cut_cell(depth + _BENT_AREA * bend, mz, my, mx)
                share[z, y, x] = np.uint8(np.rint(SHARE_STEPS * part))
                area[z, y, x] = np.uint8(np.rint(AREA_STEPS * cut))
                count += _is_home(out, inverse, z, y, x)
        counts[z] = count


@njit(cache=True, nogil=True, error_model="numpy")
def _is_home(code, inverse, z, y, x):  # pragma: no cover - compiled
    depth, mz, my, mx = _disc(code, inverse, z, y, x)
    return abs(depth) * max(abs(mz), abs(my), abs(mx)) <= _HOME


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _write(code, ids, inverse, starts, discs, first):  # pragma: no cover - compiled
    """The discs, and their rows in place of their codes: ``ids`` are the bytes of the codes."""
    nz, ny, nx = ids.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        at = starts[z]
        for y in range(ny):
            for x in range(nx):
                if ids[z, y, x] == 0 or not _is_home(code, inverse, z, y, x):
                    ids[z, y, x] = -1
                    continue
                depth, mz, my, mx = _disc(code, inverse, z, y, x)
                discs[at, 0], discs[at, 1], discs[at, 2] = first + z - depth * mz, y - depth * my, x - depth * mx
                discs[at, 3], discs[at, 4], discs[at, 5] = mz, my, mx
                ids[z, y, x] = at
                at += 1
