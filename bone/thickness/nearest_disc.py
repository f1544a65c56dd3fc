"""For every voxel a disc of the surface that is nearest to it, or next to the nearest, and how far its middle is, in voxels.

The nearest voxel that holds a disc is found exactly, axis by axis (lower envelopes of parabolas: Felzenszwalb and Huttenlocher, Theory
Comput 8 (2012) 415).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .layer import Layer

DISC = 0.55  # voxels: radius of a disc
_NONE = np.int32(2**30)
_ROWS = 32  # that are put together from all layers at a time
_LINES = 16  # that are worked on together, so that memory is read in rows


def nearest_in_slices(ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(row of the disc that is nearest in the same slice, -1 where there is none; squared distance between the voxels), both [z, y, x]."""
    nearest, squared = np.empty(ids.shape, np.int32), np.empty(ids.shape, np.int32)
    _along_x(ids, nearest, squared)
    _along_y(nearest, squared)
    return nearest, squared


def nearest_across_slices(layers: Sequence[Layer], own: slice) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    """What lies nearest to the slices ``own``, in any slice of the layers, which lie on one another.

    (discs (n, 6) of all layers, their z counted from the first of ``own``; row of the disc of the nearest voxel that has one, -1 where
    there is none; distance to its middle in voxels, or infinity), the last two [z, y, x]. A layer that is by itself is written over.
    """
    first, (_, ny, nx) = own.start - layers[0].own.start, layers[0].nearest.shape
    alone = len(layers) == 1 and layers[0].own == own
    shape = (own.stop - own.start, ny, nx)
    nearest = layers[0].nearest if alone else np.empty(shape, np.int32)
    squared = layers[0].squared if alone else np.empty(shape, np.int32)
    starts = np.concatenate([[0], np.cumsum([len(layer.discs) for layer in layers])]).astype(np.int32)
    for y in range(0, ny, _ROWS):
        rows = slice(y, y + _ROWS)
        found = np.concatenate([_shifted(layer.nearest[:, rows], start) for layer, start in zip(layers, starts, strict=False)])
        square = np.concatenate([layer.squared[:, rows] for layer in layers])
        _along_z(found, square)
        nearest[:, rows], squared[:, rows] = found[first : first + len(nearest)], square[first : first + len(nearest)]
    discs = layers[0].discs if alone else np.concatenate([layer.discs for layer in layers])
    if own.start:
        discs = discs - np.array([own.start, 0, 0, 0, 0, 0], np.float32)
    distance = squared.view(np.float32)
    _measure(discs, nearest, distance)
    return discs, nearest, distance


def _shifted(nearest: NDArray[np.int32], start: np.int32) -> NDArray[np.int32]:
    return np.where(nearest < 0, nearest, nearest + start) if start else nearest


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
