"""Volumes on other voxels. There is one function for each need:

`resample`  any grid to any other. Larger voxels get the average of what they cover, so that totals are kept; smaller ones are
            interpolated linearly. What lies outside the old grid is zero. This is the function to use where nothing special is asked for.
`coarsen`   voxels larger by a whole factor over the whole of the old grid, whose edges are repeated where blocks are not full: the small
            problem on which a method's strength is chosen must have an object of the same density up to its edge.
`refine`    voxels smaller by a whole factor, by cubic convolution: what the simulator projects, so that nothing is simulated and
            reconstructed on the same voxels, and smooth objects stay smooth.
`thumbnail` at most so many voxels a side, as fast as possible, for a check of a volume against its views.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import AnyVolume, Float, FloatVolume, NewVolume, Volume
from ...geometry import Grid


def resample(volume: FloatVolume, grid: Grid, to: Grid) -> NewVolume:
    """The volume on the voxels of the grid ``to`` instead of ``grid``, in the same unit; zero outside ``grid``.

    Each larger voxel gets the exact average of the volume that it covers, so that totals are kept and nothing aliases. Smaller voxels are
    interpolated linearly between voxel centres. The work is one product with a small matrix along each axis.

    >>> resample(np.tile(np.arange(4.0), (2, 2, 1)), Grid((2, 2, 4), 1.0), Grid((1, 1, 2), 2.0))
    array([[[0.5, 2.5]]], dtype=float32)
    """
    if volume.shape != grid.shape:
        raise InputError(f"the volume has shape {volume.shape}", expected=f"{grid.shape}, as its grid says")
    weights = _overlap if to.voxel_mm >= grid.voxel_mm * (1 - 1e-9) else _linear
    z, y, x = (weights(grid, to, axis) for axis in (2, 1, 0))
    out = np.asarray(volume, dtype=np.float32)
    out = np.tensordot(z, out, axes=(1, 0))
    out = np.einsum("jy,zyx->zjx", y, out, optimize=True)
    return np.ascontiguousarray(out @ x.T, dtype=np.float32)


def _edges(grid: Grid, axis: int) -> NDArray[np.float64]:
    return grid.origin_mm[axis] + (np.arange(grid.shape[2 - axis] + 1) - 0.5) * grid.voxel_mm


def _overlap(grid: Grid, to: Grid, axis: int) -> Float[NDArray[np.float32], "out in"]:
    old, new = _edges(grid, axis), _edges(to, axis)
    shared = np.minimum(new[1:, None], old[None, 1:]) - np.maximum(new[:-1, None], old[None, :-1])
    return (np.maximum(shared, 0) / to.voxel_mm).astype(np.float32)


def _linear(grid: Grid, to: Grid, axis: int) -> Float[NDArray[np.float32], "out in"]:
    count = grid.shape[2 - axis]
    place = (to.origin_mm[axis] + np.arange(to.shape[2 - axis]) * to.voxel_mm - grid.origin_mm[axis]) / grid.voxel_mm
    weights = np.maximum(0, 1 - np.abs(np.clip(place, 0, count - 1)[:, None] - np.arange(count)[None, :]))
    weights[(place < -0.5) | (place > count - 0.5)] = 0  # the border voxels reach half a voxel beyond their centres
    return weights.astype(np.float32)


def coarsen(volume: AnyVolume, factor: int) -> NewVolume:
    """Means over blocks of ``factor`` voxels a side: a volume on ``grid`` becomes one on ``grid.coarser(factor)``, in the same unit.

    Where the blocks do not fill the volume, its outermost voxels are repeated.
    """
    pads = [(-n % factor) for n in volume.shape]
    padded = np.pad(volume, [(p // 2, p - p // 2) for p in pads], mode="edge") if any(pads) else volume
    z, y, x = (n // factor for n in padded.shape)
    return padded.reshape(z, factor, y, factor, x, factor).mean(axis=(1, 3, 5), dtype=np.float32)


def refine(volume: Volume, grid: Grid, factor: int) -> tuple[NewVolume, Grid]:
    """The volume on voxels ``factor`` times smaller, by cubic convolution (Keys 1981) kept within the range of the input, and its grid."""
    if factor == 1:
        return volume, grid
    low, high = volume.min(), volume.max()
    for axis in range(3):
        volume = _refined_along(volume, axis, factor)
    nz, ny, nx = (n * factor for n in grid.shape)
    return np.clip(volume, low, high), Grid((nz, ny, nx), grid.voxel_mm / factor, grid.center_mm)


def _refined_along(volume: NDArray[np.float32], axis: int, factor: int) -> NDArray[np.float32]:
    count = volume.shape[axis]
    place = (np.arange(count * factor) + 0.5) / factor - 0.5
    base = np.floor(place).astype(int)
    f = (place - base).astype(np.float32)
    weights = (f * (-0.5 + f * (1 - 0.5 * f)), 1 + f * f * (-2.5 + 1.5 * f), f * (0.5 + f * (2 - 1.5 * f)), f * f * (-0.5 + 0.5 * f))
    shape = [1, 1, 1]
    shape[axis] = -1
    terms = (np.take(volume, np.clip(base + k - 1, 0, count - 1), axis) * w.reshape(shape) for k, w in enumerate(weights))
    total = next(terms)
    for term in terms:
        total += term
    return total


def thumbnail(volume: Volume, grid: Grid, most: int) -> tuple[NewVolume, Grid]:
    """A small copy with at most ``most`` voxels a side, and its grid: means of blocks, for a quick look.

    Blocks of four voxels a side or more take two slices for the whole block, so that half of the volume is not even read. What does not
    fill a block at the far ends is left out. A volume too thin for such blocks stays as it is.
    """
    factor, slices = thumbnail_slices(grid, most)
    if not factor:
        return volume, grid
    whole = grid.shape[0] // factor * factor
    if len(slices) < factor:
        near = volume[slices[0] : whole : factor] + volume[slices[1] : whole : factor]
        small = _block_mean(near, (1, factor, factor)) / np.float32(2)
    else:
        small = _block_mean(volume, (factor, factor, factor))
    return small, thumbnail_grid(grid, factor)


def thumbnail_slices(grid: Grid, most: int) -> tuple[int, tuple[int, ...]]:
    """(voxels a side of a block of `thumbnail`, which slices of a block it takes); the first is 0 for a grid that stays as it is."""
    factor = max(1, -(-max(grid.shape) // most))
    if min(grid.shape) < factor:  # a slice or two: voxels are cubes, so that a thin grid stays as it is
        return 0, ()
    return factor, (factor // 4, factor - 1 - factor // 4) if factor >= 4 else tuple(range(factor))


def thumbnail_grid(grid: Grid, factor: int) -> Grid:
    """The grid of the blocks of `thumbnail`; what does not fill a block at the far ends is left out."""
    nz, ny, nx = (n // factor for n in grid.shape)
    lost = [n % factor for n in grid.shape]
    x, y, z = (c - lost[2 - axis] * grid.voxel_mm / 2 for axis, c in enumerate(grid.center_mm))
    return Grid((nz, ny, nx), grid.voxel_mm * factor, (x, y, z))


def thumbnail_planes(slab: Volume, first: int, grid: Grid, most: int) -> tuple[list[int], NewVolume]:
    """(slices of the grid, their block means [slice, y, x]): what `thumbnail` takes from a slab [z, y, x] that begins with slice ``first``,
    in the unit of the slab.
    """
    factor, slices = thumbnail_slices(grid, most)
    whole = grid.shape[0] // factor * factor if factor else 0
    chosen = [z for z in range(first, min(first + len(slab), whole)) if z % factor in slices]
    return chosen, _block_mean(slab[np.array(chosen, int) - first], (1, max(1, factor), max(1, factor)))


def _block_mean(values: NDArray[np.float32], factors: tuple[int, ...]) -> NDArray[np.float32]:
    """Means over blocks of ``factors`` elements along each axis, the first axis first; what is left over at the far ends is dropped."""
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        whole = values.shape[axis] // factor * factor
        before = (slice(None),) * axis
        total = values[(*before, slice(0, whole, factor))].astype(np.float32)
        for k in range(1, factor):  # faster than a mean over a short axis
            total += values[(*before, slice(k, whole, factor))]
        values = total * np.float32(1 / factor)
    return values
