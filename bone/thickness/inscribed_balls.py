"""The largest balls inside a phase: at the voxels next to its middle surface, their centres moved onto it.

Away from where a ball touches the surface the next ball is larger by the step: such a voxel's ball is inside a neighbour's. From the
voxels that are left a centre climbs to where the distance to the discs around it is largest. The middle of a plate that lies between
two layers of voxels is found so, which no distance at the voxels themselves can tell.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .nearest_disc import DISC

_INSIDE = 0.75  # a neighbour's ball that is larger by this share of the step between them holds this one, near enough
_FARTHEST = 0.95  # voxels along the axes that a centre is moved at most
_FIRST_STEP, _LAST_STEP, _CLIMBS = 0.4, 0.04, 12
_TOUCHING = 0.25  # voxels beyond the nearest disc: what is so near touches the ball, and their mean is its radius
_ALONG = 0.9  # voxels beside the foot of the perpendicular up to which a disc is asked how far its plane is
_FAR = np.float32(1e9)
_SAME_BALL = 0.2  # share of the radius by which a disc may be off and still tell a plate from a rod


def inscribed_balls(
    discs: NDArray[np.float32],
    bone: NDArray[np.bool_],
    phase: bool,
    nearest: NDArray[np.int32],
    distance: NDArray[np.float32],
    centers: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """(n, 5): centre z, y, x and radius in voxels of the balls of a phase, and how like a plate it is there, 0 (rod) to 1 (plate).

    ``centers`` [z, y, x]: the voxels at which balls are looked for (all of the phase unless given).
    """
    middle = np.empty(bone.shape, np.bool_)
    _find_middle(bone, phase, distance, middle)
    if centers is not None:
        middle &= centers
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(middle.reshape(len(middle), -1), axis=1))])
    balls = np.empty((int(starts[-1]), 5), np.float32)
    _write(discs, bone, phase, nearest, distance, middle, starts, balls)
    return balls[balls[:, 3] > 0]


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(discs, bone, phase, nearest, z, y, x, ids, local):  # pragma: no cover - compiled
    """The different discs that a voxel and its neighbours of the same phase found, about the voxel; how many."""
    nz, ny, nx = bone.shape
    count = 0
    for k in range(max(z - 1, 0), min(z + 2, nz)):
        for j in range(max(y - 1, 0), min(y + 2, ny)):
            for i in range(max(x - 1, 0), min(x + 2, nx)):
                other = nearest[k, j, i]
                new = other >= 0 and bone[k, j, i] == phase
                for n in range(count - 1, -1, -1):
                    if ids[n] == other:
                        new = False
                        break
                if new:
                    ids[count] = other
                    local[count, 0], local[count, 1], local[count, 2] = discs[other, 0] - z, discs[other, 1] - y, discs[other, 2] - x
                    local[count, 3], local[count, 4], local[count, 5] = discs[other, 3], discs[other, 4], discs[other, 5]
                    count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _gap(local, n, z, y, x):  # pragma: no cover - compiled
    """(distance to a disc, height over its plane, squared way along the plane from its middle)."""
    dz, dy, dx = z - local[n, 0], y - local[n, 1], x - local[n, 2]
    height = dz * local[n, 3] + dy * local[n, 4] + dx * local[n, 5]
    square = max(dz * dz + dy * dy + dx * dx - height * height, 0.0)
    if square <= DISC * DISC:
        return abs(height), height, square
    beyond = np.sqrt(square) - DISC
    return np.sqrt(height * height + beyond * beyond), height, square


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(local, count, gaps, z, y, x):  # pragma: no cover - compiled
    """The distance to the nearest disc; those to all are noted."""
    least = 1e9
    for n in range(count):
        gaps[n], _, _ = _gap(local, n, z, y, x)
        least = min(least, gaps[n])
    return least


@njit(cache=True, nogil=True, error_model="numpy")
def _away(local, count, gaps, most, z, y, x):  # pragma: no cover - compiled
    """The direction away from all discs that are nearer than ``most``; zeros where there is none."""
    az = ay = ax = 0.0
    for n in range(count):
        if gaps[n] < most and gaps[n] > 0:
            dz, dy, dx = z - local[n, 0], y - local[n, 1], x - local[n, 2]
            height = dz * local[n, 3] + dy * local[n, 4] + dx * local[n, 5]
            lz, ly, lx = dz - height * local[n, 3], dy - height * local[n, 4], dx - height * local[n, 5]
            along = np.sqrt(lz * lz + ly * ly + lx * lx)
            rest = 0.0 if along <= DISC else 1 - DISC / along
            az += (height * local[n, 3] + rest * lz) / gaps[n]
            ay += (height * local[n, 4] + rest * ly) / gaps[n]
            ax += (height * local[n, 5] + rest * lx) / gaps[n]
    norm = np.sqrt(az * az + ay * ay + ax * ax)
    if norm < 1e-3:
        return 0.0, 0.0, 0.0
    return az / norm, ay / norm, ax / norm


@njit(cache=True, nogil=True, error_model="numpy")
def _is_within(room, z, y, x):  # pragma: no cover - compiled
    return -room[0] <= z <= room[1] and -room[2] <= y <= room[3] and -room[4] <= x <= room[5]


@njit(cache=True, nogil=True, error_model="numpy")
def _climb(local, count, gaps, tried, room):  # pragma: no cover - compiled
    """(centre about the voxel, radius, whether it came to rest): a centre moved uphill in steps that get smaller.

    ``room``: voxels to the first and to the last voxel along the axes; beyond them there are no discs that would hold it.
    """
    z = y = x = 0.0
    step, inside = _FIRST_STEP, True
    radius = _nearest(local, count, gaps, z, y, x)
    az, ay, ax = _away(local, count, gaps, radius + 0.5 * step, z, y, x)
    for _ in range(_CLIMBS):
        moved = False
        if az != 0 or ay != 0 or ax != 0:
            wz, wy, wx = z + step * az, y + step * ay, x + step * ax
            further = _nearest(local, count, tried, wz, wy, wx)
            if further > radius and _is_within(room, wz, wy, wx):
                inside = max(abs(wz), abs(wy), abs(wx)) <= _FARTHEST
                if not inside:
                    break
                z, y, x, radius, moved = wz, wy, wx, further, True
                gaps, tried = tried, gaps
        if not moved:
            step *= 0.5
            if step < _LAST_STEP:
                break
        az, ay, ax = _away(local, count, gaps, radius + 0.5 * step, z, y, x)
    return z, y, x, radius, inside


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_radius(local, count, z, y, x, radius, sign):  # pragma: no cover - compiled
    """Between the nearest disc and the mean of those that touch: of many that are a little off the nearest is too near, and of many
    balls the largest too large.
    """
    total, touching = 0.0, 0
    for n in range(count):
        gap, height, square = _gap(local, n, z, y, x)
        if gap < radius + _TOUCHING and square < _ALONG * _ALONG and sign * height > 0:
            total += sign * height
            touching += 1
    return 0.5 * (radius + total / touching) if touching else radius


@njit(cache=True, nogil=True, error_model="numpy")
def _most(bone, phase, distance, z, y, x, cz, cy, cx):  # pragma: no cover - compiled
    """What the distances at the voxels around allow at a centre: no more than one of them and the way to it."""
    nz, ny, nx = bone.shape
    least = 1e9
    for k in range(max(z - 1, 0), min(z + 2, nz)):
        for j in range(max(y - 1, 0), min(y + 2, ny)):
            for i in range(max(x - 1, 0), min(x + 2, nx)):
                way = np.sqrt((k - z - cz) ** 2 + (j - y - cy) ** 2 + (i - x - cx) ** 2)
                least = min(least, way + (distance[k, j, i] if bone[k, j, i] == phase else 0.5))
    return least


@njit(cache=True, nogil=True, error_model="numpy")
def _plateness(local, count, cz, cy, cx, radius):  # pragma: no cover - compiled
    """1 where all that touches the ball lies along one line through its centre (a plate), 0 where it lies all around (a rod).

    The mean of n n^T over the normals of what touches the ball has one eigenvalue of 1 for a plate, two of 1/2 for a rod. The largest is
    found by the power method.
    """
    zz = yy = xx = zy = zx = yx = 0.0
    touching = 0
    for n in range(count):
        gap, _, _ = _gap(local, n, cz, cy, cx)
        if gap > (1 + _SAME_BALL) * radius + 0.3:
            continue
        mz, my, mx = local[n, 3], local[n, 4], local[n, 5]
        zz, yy, xx, zy, zx, yx = zz + mz * mz, yy + my * my, xx + mx * mx, zy + mz * my, zx + mz * mx, yx + my * mx
        touching += 1
    vz, vy, vx, value = 0.6, 0.5, 0.62, 0.0
    for _ in range(8):
        wz, wy, wx = zz * vz + zy * vy + zx * vx, zy * vz + yy * vy + yx * vx, zx * vz + yx * vy + xx * vx
        value = np.sqrt(wz * wz + wy * wy + wx * wx)
        if value == 0:
            return 1.0
        vz, vy, vx = wz / value, wy / value, wx / value
    return min(max(2 * value / touching - 1, 0.0), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _own_distances(bone, phase, distance, rows):  # pragma: no cover - compiled
    """rows [y, x + 1]: distances in a slice of the voxels of a phase, and less than any distance elsewhere."""
    ny, nx = bone.shape
    for y in range(ny):
        rows[y, 0] = rows[y, nx + 1] = -_FAR
        for x in range(nx):
            rows[y, x + 1] = distance[y, x] if bone[y, x] == phase else -_FAR


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _find_middle(bone, phase, distance, middle):  # pragma: no cover - compiled
    """Voxels whose ball no neighbour's ball holds: that is larger by less than a share of the step to it."""
    nz, ny, nx = bone.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        planes, most = np.empty((3, ny, nx + 2), np.float32), np.empty(nx, np.float32)
        for k in range(max(z - 1, 0), min(z + 2, nz)):
            _own_distances(bone[k], phase, distance[k], planes[k - z + 1])
        for y in range(ny):
            most[:] = -_FAR
            for k in range(max(z - 1, 0) - z, min(z + 2, nz) - z):
                for j in range(max(y - 1, 0) - y, min(y + 2, ny) - y):
                    for i in range(-1, 2):
                        if k != 0 or j != 0 or i != 0:
                            _raise_to(planes[k + 1, y + j], 1 + i, np.float32(_INSIDE * np.sqrt(k * k + j * j + i * i)), most)
            for x in range(nx):
                own = planes[1, y, x + 1]
                middle[z, y, x] = most[x] <= own and 0.05 < own < 1e6


@njit(cache=True, nogil=True, error_model="numpy")
def _raise_to(row, first, less, most):  # pragma: no cover - compiled
    for x in range(most.size):
        value = row[first + x] - less
        most[x] = value if value > most[x] else most[x]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _write(discs, bone, phase, nearest, distance, middle, starts, balls):  # pragma: no cover - compiled
    """The balls; a radius of 0 where a centre did not come to rest near its voxel: another voxel is nearer to it."""
    nz, ny, nx = bone.shape
    sign = 1.0 if phase else -1.0
    for z_ in prange(nz):
        z = np.int64(z_)
        at = starts[z]
        ids, local, gaps, tried = np.empty(27, np.int32), np.empty((27, 6)), np.empty(27), np.empty(27)
        for y in range(ny):
            for x in range(nx):
                if not middle[z, y, x]:
                    continue
                count = _gather(discs, bone, phase, nearest, z, y, x, ids, local)
                cz, cy, cx, radius, rests = _climb(local, count, gaps, tried, (z, nz - 1 - z, y, ny - 1 - y, x, nx - 1 - x))
                if not rests:
                    balls[at, 3] = 0
                else:
                    plate = _plateness(local, count, cz, cy, cx, radius)
                    radius = _mean_radius(local, count, cz, cy, cx, radius, sign)
                    radius = min(radius, _most(bone, phase, distance, z, y, x, cz, cy, cx))
                    balls[at, 0], balls[at, 1], balls[at, 2], balls[at, 3], balls[at, 4] = z + cz, y + cy, x + cx, radius, plate
                at += 1
