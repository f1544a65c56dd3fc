"""A smaller copy of a reconstruction: binned detector, coarser grid. Same physics, a fraction of the cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Scan
from . import Projections


def bin_detector(values: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Means over ``factor`` x ``factor`` pixels of [view, row, col]; a shorter side stays, pixels left over at the far ends go."""
    down, across = (factor if n >= factor else 1 for n in values.shape[1:])
    rows, cols = values.shape[1] // down, values.shape[2] // across
    out = np.empty((len(values), rows, cols), np.float32)
    for view, binned in zip(values, out, strict=True):
        view[: rows * down, : cols * across].reshape(rows, down, cols, across).mean(axis=(1, 3), dtype=np.float32, out=binned)
    return out


def bin_projections(projections: Projections, factor: int) -> Projections:
    """The same views on a detector with pixels ``factor`` times as large; ``meta["photons"]`` grows with the pixel."""
    if factor == 1:
        return projections
    scan, (rows, cols) = projections.scan, projections.scan.shape
    steps = [factor if n >= factor else 1 for n in (rows, cols)]
    # The middle of the binned panel, in old pixels from the middle of the old one: not zero where pixels were dropped.
    shift = [(n // f * f - n) / 2 for n, f in zip((rows, cols), steps, strict=True)]
    binned = Scan(
        (rows // steps[0], cols // steps[1]),
        scan.source,
        scan.detector + shift[0] * scan.v + shift[1] * scan.u,
        scan.u * steps[1],
        scan.v * steps[0],
        scan.angles_deg,
    )
    meta = dict(projections.meta)
    if meta.get("photons"):
        meta["photons"] = float(meta["photons"]) * steps[0] * steps[1]
    return Projections(bin_detector(projections.values, factor), binned, meta)


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
