"""Put a volume on another grid: averages over larger voxels, interpolates linearly to smaller ones."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ...base import InputError
from ...geometry import Grid


def resample(volume: Float[NDArray, "z y x"], grid: Grid, to: Grid) -> Float[NDArray, "z2 y2 x2"]:
    """``volume`` on ``grid`` -> float32 volume on ``to``; zero outside the old grid.

    Larger voxels take the exact volume average of what they cover (so totals are kept and nothing aliases); smaller ones are
    interpolated linearly between voxel centres. Separable, one small matrix an axis.

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


def _overlap(grid: Grid, to: Grid, axis: int) -> Float[NDArray, "out in"]:
    old, new = _edges(grid, axis), _edges(to, axis)
    shared = np.minimum(new[1:, None], old[None, 1:]) - np.maximum(new[:-1, None], old[None, :-1])
    return (np.maximum(shared, 0) / to.voxel_mm).astype(np.float32)


def _linear(grid: Grid, to: Grid, axis: int) -> Float[NDArray, "out in"]:
    count = grid.shape[2 - axis]
    place = (to.origin_mm[axis] + np.arange(to.shape[2 - axis]) * to.voxel_mm - grid.origin_mm[axis]) / grid.voxel_mm
    weights = np.maximum(0, 1 - np.abs(np.clip(place, 0, count - 1)[:, None] - np.arange(count)[None, :]))
    weights[(place < -0.5) | (place > count - 0.5)] = 0  # the border voxels reach half a voxel beyond their centres
    return weights.astype(np.float32)
