"""A smaller copy of a reconstruction: binned detector, coarser grid. Same physics, a fraction of the cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..geometry.transform import bin_pixels
from . import Projections
from .images.binning import bin_views


def bin_detector(values: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """`bin_views` of [view, row, col] by ``factor`` both ways; a side shorter than that stays as it is."""
    return bin_views(values, *_steps(values.shape[1:], factor))


def bin_projections(projections: Projections, factor: int) -> Projections:
    """The same views on a detector with pixels ``factor`` times as large; ``meta["photons"]`` grows with the pixel."""
    if factor == 1:
        return projections
    down, across = _steps(projections.scan.shape, factor)
    meta = dict(projections.meta)
    if meta.get("photons"):
        meta["photons"] = float(meta["photons"]) * down * across
    return Projections(bin_views(projections.values, down, across), bin_pixels(projections.scan, down, across), meta)


def _steps(shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    rows, cols = (factor if n >= factor else 1 for n in shape)
    return rows, cols


def coarsen(volume: NDArray[Any], factor: int) -> NDArray[Any]:
    """Means over blocks of ``factor`` voxels a side of [z, y, x]: a volume on ``grid`` as one on ``grid.coarser(factor)`` (padded by its
    edges).
    """
    pads = [(-n % factor) for n in volume.shape]
    padded = np.pad(volume, [(p // 2, p - p // 2) for p in pads], mode="edge") if any(pads) else volume
    z, y, x = (n // factor for n in padded.shape)
    return padded.reshape(z, factor, y, factor, x, factor).mean(axis=(1, 3, 5), dtype=np.float32)


def refine(volume: NDArray[np.float32], coarse: Grid, fine: Grid) -> NDArray[np.float32]:
    """A coarse volume [z, y, x] on a finer grid, by linear interpolation between voxel centres (the nearest value outside them)."""
    out = volume
    for axis, (old, new) in enumerate(zip((coarse.z_mm, coarse.y_mm, coarse.x_mm), (fine.z_mm, fine.y_mm, fine.x_mm), strict=True)):
        at = np.clip((new - old[0]) / coarse.voxel_mm, 0, len(old) - 1)
        low = np.minimum(at.astype(np.intp), max(len(old) - 2, 0))
        weight = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, len(old) - 1)
        out = np.take(out, low, axis=axis) * (1 - weight) + np.take(out, high, axis=axis) * weight
    return np.ascontiguousarray(out, dtype=np.float32)


def coarsening(projections: Projections, grid: Grid, most_voxels: int = 300_000, most_rays: int = 4 << 20) -> int:
    """The least power of two that brings grid and rays to these numbers, with 32 detector columns or more left."""
    factor, cols = 1, projections.scan.shape[1]
    while cols // (2 * factor) >= 32 and (
        np.prod(grid.coarser(factor).shape, dtype=float) > most_voxels or projections.values.size > most_rays * factor**2
    ):
        factor *= 2
    return factor
