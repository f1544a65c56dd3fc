"""The map of local thickness: every voxel of a phase takes the diameter of the largest ball that holds it.

Balls of many voxels are painted on a coarser lattice, where they are as small as the others: the cost does not grow with their size.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

_LARGEST = 6.0  # radius in cells of a lattice of the balls that are painted on it
_SKIN = 0.3  # cells: voxels that touch a ball with their edge are held by it
_SLAB = 16
_FILLINGS = 12


def paint(balls: NDArray[np.float32], phase: bool, bone: NDArray[np.bool_], map_: NDArray[np.float32], plate: NDArray[np.uint8]) -> None:
    """Write into ``map_`` (diameters in voxels) and ``plate`` (0 to 255) at the voxels of a phase; what no ball reaches stays NaN."""
    level, rest = 0, balls
    while len(rest):
        fine = rest[:, 3] < _LARGEST * 2**level
        if fine.any() or level == 0:
            _paint_level(rest[fine], level, phase, bone, map_, plate)
        rest, level = rest[~fine], level + 1
    _fill(_empty(phase, bone, map_), phase, bone, map_, plate)


def _paint_level(
    balls: NDArray[np.float32], level: int, phase: bool, bone: NDArray[np.bool_], map_: NDArray[np.float32], plate: NDArray[np.uint8]
) -> None:
    cell = 2**level
    scaled = balls.copy()
    scaled[:, :3] = (balls[:, :3] + 0.5) / cell - 0.5
    scaled[:, 3] /= cell
    shape = bone.shape if level == 0 else tuple(-(-n // cell) for n in bone.shape)
    if level:
        scaled = _largest_of_each_cell(scaled, shape)
    order = np.argsort(scaled[:, 0], kind="stable")
    scaled = scaled[order]
    reach = float(scaled[:, 3].max(initial=0)) + 1
    edges = np.searchsorted(scaled[:, 0], np.arange(0, shape[0] + _SLAB, _SLAB)[:, None] + np.array([-reach, reach]))
    if level == 0:
        _paint(scaled, edges, bone, phase, map_, plate)
        return
    coarse, coarse_plate = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    _paint(scaled, edges, np.ones(shape, np.bool_), True, coarse, coarse_plate)
    _take(coarse, coarse_plate, level, phase, bone, map_, plate)


def _largest_of_each_cell(balls: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Of balls whose centres are in one cell the largest."""
    place = np.rint(balls[:, :3]).astype(np.int64)
    cells = np.ravel_multi_index(tuple(np.clip(place[:, a], 0, shape[a] - 1) for a in range(3)), shape)
    order = np.lexsort((-balls[:, 3], cells))
    return balls[order[np.concatenate([[True], np.diff(cells[order]) > 0])]]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _paint(balls, edges, bone, phase, map_, plate):  # pragma: no cover - compiled
    nz, ny, nx = bone.shape
    for slab_ in prange((nz + _SLAB - 1) // _SLAB):
        slab = np.int64(slab_)
        low, high = slab * _SLAB, min((slab + 1) * _SLAB, nz)
        for b in range(edges[slab, 0], edges[slab + 1, 1]):
            cz, cy, cx, radius = balls[b, 0], balls[b, 1], balls[b, 2], balls[b, 3]
            value, kind = np.float32(2 * radius), np.uint8(np.rint(255 * balls[b, 4]))
            outer = radius + _SKIN
            for z in range(max(low, int(np.ceil(cz - outer))), min(high, int(np.floor(cz + outer)) + 1)):
                wide = outer * outer - (z - cz) ** 2
                half = np.sqrt(max(wide, 0.0))
                for y in range(max(0, int(np.ceil(cy - half))), min(ny, int(np.floor(cy + half)) + 1)):
                    chord = np.sqrt(max(wide - (y - cy) ** 2, 0.0))
                    for x in range(max(0, int(np.ceil(cx - chord))), min(nx, int(np.floor(cx + chord)) + 1)):
                        if map_[z, y, x] < value and bone[z, y, x] == phase:
                            map_[z, y, x] = value
                            plate[z, y, x] = kind


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _take(coarse, coarse_plate, level, phase, bone, map_, plate):  # pragma: no cover - compiled
    """A coarse map's diameters, in its cells, to the voxels in them."""
    nz, ny, nx = bone.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        for y in range(ny):
            for x in range(nx):
                if bone[z, y, x] == phase:
                    value = coarse[z >> level, y >> level, x >> level] * (1 << level)
                    if value > map_[z, y, x]:
                        map_[z, y, x] = value
                        plate[z, y, x] = coarse_plate[z >> level, y >> level, x >> level]


def _empty(phase: bool, bone: NDArray[np.bool_], map_: NDArray[np.float32]) -> NDArray[np.int64]:
    """The places, in the flat map, of the voxels of a phase that no ball reached; slice by slice."""
    size = bone[0].size
    return np.concatenate([z * size + np.flatnonzero((map_[z] == 0) & (bone[z] == phase)) for z in range(len(bone))])


def _fill(empty: NDArray[np.int64], phase: bool, bone: NDArray[np.bool_], map_: NDArray[np.float32], plate: NDArray[np.uint8]) -> None:
    """Layer by layer, empty voxels take what their neighbours have."""
    for _ in range(_FILLINGS):
        values, kinds = np.zeros(empty.size, np.float32), np.zeros(empty.size, np.uint8)
        _from_neighbours(empty, phase, bone, map_, plate, values, kinds)
        map_.ravel()[empty], plate.ravel()[empty] = values, kinds
        left = values == 0
        if left.all():
            break
        empty = empty[left]


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _from_neighbours(empty, phase, bone, map_, plate, values, kinds):  # pragma: no cover - compiled
    nz, ny, nx = bone.shape
    for n_ in prange(empty.size):
        n = np.int64(n_)
        x = empty[n] % nx
        rest = empty[n] // nx
        y, z = rest % ny, rest // ny
        for k in range(max(z - 1, 0), min(z + 2, nz)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for i in range(max(x - 1, 0), min(x + 2, nx)):
                    if bone[k, j, i] == phase and map_[k, j, i] > values[n]:
                        values[n], kinds[n] = map_[k, j, i], plate[k, j, i]
