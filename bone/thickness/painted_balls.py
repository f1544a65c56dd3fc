"""The map of local thickness: every voxel of a phase takes the diameter of the largest ball that holds it.

Balls of many voxels are painted on a coarser lattice, where they are as small as the others: the cost does not grow with their size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

_LARGEST = 6.0  # radius in cells of a lattice of the balls that are painted on it
_SKIN = 0.3  # cells: voxels that touch a ball with their edge are held by it
_SLAB = 16
FILLINGS = 12


@dataclass(frozen=True, eq=False)
class Canvas:
    """Slices from ``first`` on: which are ``bone``, the ``map`` of diameters in voxels (0: none yet), ``plate`` (0 to 255), [z, y, x]."""

    first: int
    bone: NDArray[np.bool_]
    map: NDArray[np.float32]
    plate: NDArray[np.uint8]

    @classmethod
    def blank(cls, bone: NDArray[np.bool_], first: int = 0) -> Canvas:
        """With nothing painted, on the mask ``bone`` [z, y, x]."""
        return cls(first, bone, np.zeros(bone.shape, np.float32), np.zeros(bone.shape, np.uint8))


def paint(balls: NDArray[np.float32], phase: bool, canvas: Canvas) -> None:
    """Write the diameters of balls (n, 5), whose z is counted in the volume, at the voxels of a phase; what no ball reaches stays 0."""
    level, rest = 0, balls
    while len(rest):
        fine = rest[:, 3] < _LARGEST * 2**level
        if fine.any():
            _paint_level(rest[fine], level, phase, canvas)
        rest, level = rest[~fine], level + 1


def fill_gaps(phase: bool, canvas: Canvas, among: NDArray[np.bool_] | None = None) -> None:
    """Layer by layer, `FILLINGS` times, voxels of a phase, ``among`` some [z, y, x], that no ball reached take what is beside them."""
    _fill(_empty(phase, canvas, among), phase, canvas.bone, canvas.map, canvas.plate)


def _paint_level(balls: NDArray[np.float32], level: int, phase: bool, canvas: Canvas) -> None:
    cell, bone = 2**level, canvas.bone
    start = canvas.first // cell
    scaled = balls.copy()
    scaled[:, :3] = (balls[:, :3] + 0.5) / cell - 0.5
    scaled[:, 3] /= cell
    depth, height, width = (-(-n // cell) for n in (canvas.first + len(bone), *bone.shape[1:]))
    shape = (depth - start, height, width)
    if level:
        scaled = _largest_of_each_cell(scaled, (height, width))
    scaled[:, 0] -= start
    scaled = scaled[np.argsort(scaled[:, 0], kind="stable")]
    reach = float(scaled[:, 3].max(initial=0)) + 1
    edges = np.searchsorted(scaled[:, 0], np.arange(0, shape[0] + _SLAB, _SLAB)[:, None] + np.array([-reach, reach]))
    if level == 0:
        _paint(scaled, edges, bone, phase, canvas.map, canvas.plate)
        return
    coarse, coarse_plate = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    _paint(scaled, edges, np.ones(shape, np.bool_), True, coarse, coarse_plate)
    _take(coarse, coarse_plate, level, canvas.first - start * cell, phase, bone, canvas.map, canvas.plate)


def _largest_of_each_cell(balls: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Of balls whose centres are in one cell of slices of ``shape`` the largest."""
    z, y, x = np.rint(balls[:, :3]).astype(np.int64).T
    cells = (z * shape[0] + np.clip(y, 0, shape[0] - 1)) * shape[1] + np.clip(x, 0, shape[1] - 1)
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
def _take(coarse, coarse_plate, level, shift, phase, bone, map_, plate):  # pragma: no cover - compiled
    """A coarse map's diameters, in its cells, to the voxels in them; the first slice is the cell's slice ``shift``."""
    nz, ny, nx = bone.shape
    for z_ in prange(nz):
        z = np.int64(z_)
        for y in range(ny):
            for x in range(nx):
                if bone[z, y, x] == phase:
                    value = coarse[(z + shift) >> level, y >> level, x >> level] * (1 << level)
                    if value > map_[z, y, x]:
                        map_[z, y, x] = value
                        plate[z, y, x] = coarse_plate[(z + shift) >> level, y >> level, x >> level]


def _empty(phase: bool, canvas: Canvas, among: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """The places, in the flat map, of the voxels of a phase that no ball reached; slice by slice."""
    size, found = canvas.bone[0].size, []
    for z, (bone, drawn) in enumerate(zip(canvas.bone, canvas.map, strict=True)):
        empty = (drawn == 0) & (bone == phase)
        found.append(z * size + np.flatnonzero(empty if among is None else empty & among[z]))
    return np.concatenate(found)


def _fill(empty: NDArray[np.int64], phase: bool, bone: NDArray[np.bool_], map_: NDArray[np.float32], plate: NDArray[np.uint8]) -> None:
    """Layer by layer, empty voxels take what their neighbours have."""
    for _ in range(FILLINGS):
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
