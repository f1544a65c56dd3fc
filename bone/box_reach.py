"""Which voxels touch a mask, some steps on: a box around each voxel, row by row, so that memory is read in order and once."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray


def within_box(mask: NDArray[np.bool_], steps: int, deep: int) -> NDArray[np.bool_]:
    """All voxels [z, y, x] that have one of the mask no more than ``steps`` rows and columns and ``deep`` slices away.

    >>> within_box(np.array([[[True, False, False, False]]]), 2, 0).astype(int)
    array([[[1, 1, 1, 0]]])
    """
    near = np.empty(mask.shape, np.bool_)
    _grow(np.ascontiguousarray(mask).view(np.uint8), steps, deep, near.view(np.uint8))
    return near


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _grow(mask, steps, deep, near):  # pragma: no cover - compiled
    nz, ny, nx = mask.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        plane, row = np.zeros((ny, nx), np.uint8), np.empty(nx + 2 * steps, np.uint8)
        for k in range(max(z - deep, 0), min(z + deep + 1, nz)):
            for y in range(ny):
                for x in range(nx):
                    plane[y, x] |= mask[k, y, x]
        for y in range(ny):
            row[:] = 0
            for j in range(max(y - steps, 0), min(y + steps + 1, ny)):
                for x in range(nx):
                    row[x + steps] |= plane[j, x]
            for x in range(nx):
                near[z, y, x] = row[x]
            for i in range(1, 2 * steps + 1):
                for x in range(nx):
                    near[z, y, x] |= row[x + i]
