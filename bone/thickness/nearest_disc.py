"""For every voxel a disc of the surface that is nearest to it, or next to the nearest, and how far its middle is, in voxels.

The nearest voxel that holds a disc is found exactly, axis by axis (lower envelopes of parabolas: Felzenszwalb and Huttenlocher, Theory
Comput 8 (2012) 415).
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .surface_elements import Surface

DISC = 0.55  # voxels: radius of a disc
_NONE = np.int32(2**30)
_LINES = 16  # that are worked on together, so that memory is read in rows


def nearest_discs(surface: Surface) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(row of the disc of the nearest voxel that has one, -1 where there is none; distance to its middle in voxels, or infinity)."""
    nearest, squared = np.empty(surface.ids.shape, np.int32), np.empty(surface.ids.shape, np.int32)
    _along_x(surface.ids, nearest, squared)
    _along_y(nearest, squared)
    _along_z(nearest, squared)
    distance = squared.view(np.float32)
    _measure(surface.discs, nearest, distance)
    return nearest, distance


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _along_x(ids, nearest, squared):  # pragma: no cover - compiled
    nz, ny, nx = ids.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        for y in range(ny):
            last = -1
            for x in range(nx):
                if ids[z, y, x] >= 0:
                    last = x
                nearest[z, y, x] = -1 if last < 0 else ids[z, y, last]
                squared[z, y, x] = _NONE if last < 0 else (x - last) ** 2
            last = -1
            for x in range(nx - 1, -1, -1):
                if ids[z, y, x] >= 0:
                    last = x
                if last >= 0 and (last - x) ** 2 < squared[z, y, x]:
                    nearest[z, y, x] = ids[z, y, last]
                    squared[z, y, x] = (last - x) ** 2


@njit(cache=True, nogil=True, error_model="numpy")
def _envelope(square, found, new_square, new_found, vertex, start):  # pragma: no cover - compiled
    """One line: min over j of square[j] + (i - j)^2, and what was found there."""
    n, top = square.size, -1
    for j in range(n):
        if found[j] < 0:
            continue
        at = -1e18
        while top >= 0:
            v = vertex[top]
            at = ((square[j] + j * j) - (square[v] + v * v)) / (2.0 * (j - v))
            if at > start[top]:
                break
            top -= 1
        top += 1
        vertex[top] = j
        start[top] = at if top > 0 else -1e18
    if top < 0:
        new_found[:] = -1
        new_square[:] = _NONE
        return
    k = 0
    for i in range(n):
        while k < top and start[k + 1] < i:
            k += 1
        v = vertex[k]
        new_square[i] = square[v] + (i - v) ** 2
        new_found[i] = found[v]


@njit(cache=True, nogil=True, error_model="numpy")
def _plane(nearest, squared):  # pragma: no cover - compiled
    """Envelopes along the first axis of two planes, some lines at a time."""
    n, width = nearest.shape
    square, found = np.empty((_LINES, n), np.int64), np.empty((_LINES, n), np.int32)
    new_square, new_found = np.empty((_LINES, n), np.int64), np.empty((_LINES, n), np.int32)
    vertex, start = np.empty(n, np.int64), np.empty(n)
    for x0 in range(0, width, _LINES):
        lines = min(_LINES, width - x0)
        for i in range(n):
            for k in range(lines):
                square[k, i] = squared[i, x0 + k]
                found[k, i] = nearest[i, x0 + k]
        for k in range(lines):
            _envelope(square[k], found[k], new_square[k], new_found[k], vertex, start)
        for i in range(n):
            for k in range(lines):
                squared[i, x0 + k] = new_square[k, i]
                nearest[i, x0 + k] = new_found[k, i]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _along_y(nearest, squared):  # pragma: no cover - compiled
    for z_ in prange(nearest.shape[0]):
        z = np.int64(z_)
        _plane(nearest[z], squared[z])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _along_z(nearest, squared):  # pragma: no cover - compiled
    for y_ in prange(nearest.shape[1]):
        y = np.int64(y_)
        _plane(nearest[:, y], squared[:, y])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _measure(discs, nearest, distance):  # pragma: no cover - compiled
    nz, ny, nx = nearest.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        for y in range(ny):
            for x in range(nx):
                n = nearest[z, y, x]
                if n < 0:
                    distance[z, y, x] = np.inf
                else:
                    distance[z, y, x] = np.sqrt((z - discs[n, 0]) ** 2 + (y - discs[n, 1]) ** 2 + (x - discs[n, 2]) ** 2)
