"""Which voxels lie within a ball's radius of a mask: exact, slice by slice and then across the slices, on all cores.

Distances beyond the radius are not asked for: what each axis adds is looked for no further than the radius (the lower envelope of
Felzenszwalb and Huttenlocher, Theory Comput 8 (2012) 415, cut off there).
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

_FAR = 60_000  # more than any squared distance that is asked for, and with one added still 16 bits
MOST_REACH = 70.0  # voxels: the radius whose square may be added to _FAR


def within_reach(mask: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """All voxels [z, y, x] no further than ``reach`` voxels (at most 70) from the mask, which may be empty.

    >>> within_reach(np.array([[[True, False, False, False]]]), 2.0).astype(int)
    array([[[1, 1, 1, 0]]])
    """
    steps, most = int(reach), int(reach * reach)
    squared = np.empty(mask.shape, np.uint16)
    _in_slices(np.ascontiguousarray(mask), steps, squared)
    near = np.empty(mask.shape, np.bool_)
    _across_slices(squared, steps, most, near)
    return near


@njit(cache=True, nogil=True)
def _along_row(mask, steps, out):  # pragma: no cover - compiled
    """Squared distance along a row to its nearest voxel of the mask; _FAR beyond the steps."""
    nx = mask.shape[0]
    away = steps + 1
    for x in range(nx):
        away = 0 if mask[x] else away + 1
        out[x] = away * away if away <= steps else _FAR
    away = steps + 1
    for x in range(nx - 1, -1, -1):
        away = 0 if mask[x] else away + 1
        if away <= steps and away * away < out[x]:
            out[x] = away * away


@njit(cache=True, nogil=True, parallel=True)
def _in_slices(mask, steps, squared):  # pragma: no cover - compiled
    """squared [z, y, x]: squared distance in the slice; _FAR or more where it is beyond the steps."""
    nz, ny, nx = mask.shape
    for z in prange(nz):
        rows = np.empty((ny, nx), np.uint16)
        for y in range(ny):
            _along_row(mask[z, y], steps, rows[y])
        for y in range(ny):
            squared[z, y] = rows[y]
            for k in range(max(0, y - steps), min(ny, y + steps + 1)):
                more = np.uint16((k - y) ** 2)
                for x in range(nx):
                    squared[z, y, x] = min(squared[z, y, x], np.uint16(rows[k, x] + more))


@njit(cache=True, nogil=True, parallel=True)
def _across_slices(squared, steps, most, near):  # pragma: no cover - compiled
    nz, ny, nx = squared.shape
    for y in prange(ny):
        least = np.empty(nx, np.uint16)
        for z in range(nz):
            least[:] = squared[z, y]
            for k in range(max(0, z - steps), min(nz, z + steps + 1)):
                more = np.uint16((k - z) ** 2)
                for x in range(nx):
                    least[x] = min(least[x], np.uint16(squared[k, y, x] + more))
            for x in range(nx):
                near[z, y, x] = least[x] <= most
