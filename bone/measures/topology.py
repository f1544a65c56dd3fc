"""How a network hangs together: its Euler number, counted in a region with what lies on the region's border shared fairly."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy import ndimage

from ..masks import box_around, counted, largest


def purified(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of bone (26 neighbours), its closed cavities (6 neighbours) filled: what connectivity is defined for."""
    out = np.zeros_like(bone)
    if bone.any():
        near = box_around(bone)
        piece = largest(bone[near])
        found, count = ndimage.label(~piece)  # type: ignore[misc]
        labels: NDArray[np.integer] = np.asarray(found, dtype=np.int32)
        out[near] = labels != 1 + int(np.argmax(_sizes(labels, count, bone.shape, near))) if count > 1 else piece
    return out


def _sizes(labels: NDArray[np.integer], count: int, shape: tuple[int, ...], near: tuple[slice, ...]) -> NDArray[np.integer]:
    """Voxels of each piece of what is not bone, in a volume of ``shape``: a face of the box ``near`` that is not on its border goes on."""
    sizes = counted(labels, count)
    for axis, side in enumerate(near):
        for beyond, end in ((side.start, 0), (shape[axis] - side.stop, -1)):
            if beyond > 0:
                face = [0] * labels.ndim
                face[axis] = end
                sizes[labels[tuple(face)] - 1] += beyond * (math.prod(shape) // shape[axis])
    return sizes


def euler_number(bone: NDArray[np.bool_], region: NDArray[np.bool_] | None = None) -> float:
    """The Euler number of bone, voxels that touch being joined, inside a region (the whole array unless given).

    Corners, edges, sides and voxels are counted with alternating sign (Odgaard and Gundersen, Bone 14 (1993) 173). One on the border of
    the region counts by the share of the voxels around it that are in the region, so that the numbers of parts add up to that of the whole.

    >>> float(euler_number(np.pad(np.ones((2, 2, 2), bool), 1)))
    1.0
    """
    if not bone.any():
        return 0.0
    near = box_around(bone)  # the cells that touch bone
    inside = np.ones(bone[near].shape, np.bool_) if region is None else region[near]
    return float(_sum(np.pad(bone[near], 1).view(np.uint8), np.pad(inside, 1).view(np.uint8), _shares()).sum())


def _shares() -> NDArray[np.float64]:
    """[bone, region]: what a corner adds, its cells among them, from the bits of its 8 voxels that are bone, and that are in the region.

    A cell reaches back from the corner's last voxel by 0 or 1 along z, y and x; bit z + 2 y + 4 x is the voxel so far back.
    """
    bits = np.arange(256)
    table = np.zeros((256, 256))
    for cell in range(8):
        voxels = sum(1 << voxel for voxel in range(8) if voxel & ~cell == 0)
        dimension = 3 - cell.bit_count()
        inside = np.array([(n & voxels).bit_count() for n in range(256)]) / voxels.bit_count()
        table += (-1) ** dimension * np.outer((bits & voxels) > 0, inside)
    return table


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _sum(bone, region, shares):  # pragma: no cover - compiled
    nz, ny, nx = bone.shape
    sums = np.zeros(nz)
    for z_ in prange(1, nz):
        z = np.int64(z_)
        total = 0.0
        for y in range(1, ny):
            own = inside = 0
            for x in range(nx):
                column = bone[z, y, x] + 2 * bone[z - 1, y, x] + 4 * bone[z, y - 1, x] + 8 * bone[z - 1, y - 1, x]
                around = region[z, y, x] + 2 * region[z - 1, y, x] + 4 * region[z, y - 1, x] + 8 * region[z - 1, y - 1, x]
                # the columns of the last x are bits 4 to 7
                own, inside = np.int64((own & 15) * 16 + column), np.int64((inside & 15) * 16 + around)
                total += shares[own, inside]
        sums[z] = total
    return sums
