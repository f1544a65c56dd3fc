"""How a network hangs together: its Euler number, counted in a region with what lies on the region's border shared fairly."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy import ndimage

from ..masks import largest


def purified(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of bone (26 neighbours), its closed cavities (6 neighbours) filled: what connectivity is defined for."""
    bone = largest(bone)
    labels, count = ndimage.label(~bone)  # type: ignore[misc]
    if count > 1:
        bone = labels != 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return bone


def euler_number(bone: NDArray[np.bool_], region: NDArray[np.bool_] | None = None) -> float:
    """The Euler number of bone, voxels that touch being joined, inside a region (the whole array unless given).

    Corners, edges, sides and voxels are counted with alternating sign (Odgaard and Gundersen, Bone 14 (1993) 173). One on the border of
    the region counts by the share of the voxels around it that are in the region, so that the numbers of parts add up to that of the whole.

    >>> float(euler_number(np.pad(np.ones((2, 2, 2), bool), 1)))
    1.0
    """
    inside = np.ones(bone.shape, np.bool_) if region is None else region
    return float(_euler(np.pad(bone, 1), np.pad(inside, 1)).sum())


@njit(cache=True, nogil=True)
def _cell(bone, region, z, y, x, dz, dy, dx):  # pragma: no cover - compiled
    """The share of the voxels around a cell that are in the region, if any of them is bone; the cell reaches back by 0 or 1 along axes."""
    any_bone, inside, count = False, 0, 0
    for k in range(dz + 1):
        for j in range(dy + 1):
            for i in range(dx + 1):
                any_bone |= bone[z - k, y - j, x - i]
                inside += region[z - k, y - j, x - i]
                count += 1
    return inside / count if any_bone else 0.0


@njit(cache=True, nogil=True, parallel=True)
def _euler(bone, region):  # pragma: no cover - compiled
    nz, ny, nx = bone.shape
    sums = np.zeros(nz)
    for z_ in prange(1, nz):
        z = np.int64(z_)
        total = 0.0
        for y in range(1, ny):
            for x in range(1, nx):
                for cell in range(8):
                    dz, dy, dx = cell & 1, (cell >> 1) & 1, (cell >> 2) & 1
                    dimension = 3 - dz - dy - dx
                    sign = -1.0 if dimension & 1 else 1.0
                    total += sign * _cell(bone, region, z, y, x, dz, dy, dx)
        sums[z] = total
    return sums
