"""How a network hangs together: its Euler number, counted in a region with what lies on the region's border shared fairly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ...masks import Mask, box_around
from ...stack.cut import Cut
from ...stack.joined import box_of_slabs, join


def purified(bone: Callable[[slice], Mask], cut: Cut) -> Callable[[slice], Mask]:
    """The largest connected piece of bone (26 neighbours), its closed cavities (6 neighbours) filled: what connectivity is defined for.
    Like ``bone`` a function that gives the mask [z, y, x] of each slab.
    """
    box = box_of_slabs(bone, cut, 1)
    if box is None:
        return bone
    sides = box[1:]
    pieces = join(lambda own: bone(own)[:, *sides], cut, corners=True)

    def piece(own: slice) -> Mask:
        return pieces.is_piece(own, pieces.largest)

    spaces = join(lambda own: ~piece(own), cut, corners=False, more=lambda own, labels, sizes: _add_beyond(labels, sizes, cut.shape, sides))

    def pure(own: slice) -> Mask:
        out = np.zeros((own.stop - own.start, *cut.shape[1:]), bool)
        out[:, *sides] = ~spaces.is_piece(own, spaces.largest) if spaces.sizes.any() else True
        return out

    return pure


def _add_beyond(labels: NDArray[np.int32], sizes: NDArray[np.int64], shape: tuple[int, ...], sides: tuple[slice, slice]) -> None:
    """Add to the sizes of pieces of what is not bone, labels [z, y, x] of a box: a side of it that is not on the border goes on."""
    _, ny, nx = shape
    for axis, (side, width, across) in enumerate(zip(sides, (ny, nx), (nx, ny), strict=True)):
        for beyond, end in ((side.start, 0), (width - side.stop, -1)):
            if beyond > 0:
                for plane in labels:
                    sizes[plane[(end, 0) if axis == 0 else (0, end)]] += beyond * across


def euler_number(bone: Mask, region: Mask | None = None) -> float:
    """The Euler number of bone [z, y, x], voxels that touch being joined, inside a region (the whole array unless given).

    Corners, edges, sides and voxels are counted with alternating sign (Odgaard and Gundersen, Bone 14 (1993) 173). One on the border of
    the region counts by the share of the voxels around it that are in the region, so that the numbers of parts add up to that of the whole.

    >>> float(euler_number(np.pad(np.ones((2, 2, 2), bool), 1)))
    1.0
    """
    nz, ny, nx = bone.shape
    inside = np.ones(bone.shape, bool) if region is None else region
    return euler_of_slabs(lambda own: bone[own], lambda own: inside[own], Cut((nz, ny, nx), nz))


def euler_of_slabs(bone: Callable[[slice], Mask], region: Callable[[slice], Mask], cut: Cut) -> float:
    """`euler_number` of masks [z, y, x] that are made slab by slab."""
    shares, total = _shares(), 0.0
    below = np.zeros((2, 1, *cut.shape[1:]), bool)
    for own in cut.slabs:
        both = [np.concatenate([under, mask(own)]) for under, mask in zip(below, (bone, region), strict=True)]
        below = np.stack([mask[-1:] for mask in both])
        ends = (0, own.stop == cut.shape[0])
        if both[0].any():
            near = (slice(None), *box_around(np.asarray(both[0].any(axis=0))))
            padded = (np.pad(mask[near], (ends, (1, 1), (1, 1))).view(np.uint8) for mask in both)
            total += float(_sum(*padded, shares).sum())
    return total


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
