"""Bodies whose measures theory gives, as a scanner without blur would see them: each voxel holds its share of the body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Depth = Callable[[NDArray, NDArray, NDArray], NDArray]


def _about(center: Sequence[float], z: NDArray, y: NDArray, x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    return z - center[0], y - center[1], x - center[2]


def _unit(normal: Sequence[float]) -> NDArray:
    return np.asarray(normal, float) / np.linalg.norm(normal)


def plate(thickness: float, normal: Sequence[float], center: Sequence[float]) -> Depth:
    """Signed distance to the surface in voxels, negative inside."""
    n = _unit(normal)

    def depth(z: NDArray, y: NDArray, x: NDArray) -> NDArray:
        dz, dy, dx = _about(center, z, y, x)
        return np.abs(dz * n[0] + dy * n[1] + dx * n[2]) - thickness / 2

    return depth


def rod(diameter: float, axis: Sequence[float], center: Sequence[float]) -> Depth:
    n = _unit(axis)

    def depth(z: NDArray, y: NDArray, x: NDArray) -> NDArray:
        dz, dy, dx = _about(center, z, y, x)
        along = dz * n[0] + dy * n[1] + dx * n[2]
        return np.sqrt(np.maximum(dz**2 + dy**2 + dx**2 - along**2, 0)) - diameter / 2

    return depth


def sphere(diameter: float, center: Sequence[float]) -> Depth:
    def depth(z: NDArray, y: NDArray, x: NDArray) -> NDArray:
        dz, dy, dx = _about(center, z, y, x)
        return np.sqrt(dz**2 + dy**2 + dx**2) - diameter / 2

    return depth


def tube(outer: float, inner: float, axis: Sequence[float], center: Sequence[float]) -> Depth:
    """Between two diameters."""
    wall, bore = rod(outer, axis, center), rod(inner, axis, center)
    return lambda z, y, x: np.maximum(wall(z, y, x), -bore(z, y, x))


def plates(thickness: float, period: float, normal: Sequence[float], center: Sequence[float]) -> Depth:
    """Parallel plates: BV/TV is thickness / period, separation is period - thickness."""
    n = _unit(normal)

    def depth(z: NDArray, y: NDArray, x: NDArray) -> NDArray:
        dz, dy, dx = _about(center, z, y, x)
        along = dz * n[0] + dy * n[1] + dx * n[2]
        return np.abs(along - period * np.round(along / period)) - thickness / 2

    return depth


def voxels(shape: tuple[int, int, int], depth: Depth, samples: int = 4) -> NDArray[np.float32]:
    """[z, y, x]: the share of each voxel that is inside, by ``samples``^3 points in those that the surface cuts."""
    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
    at = depth(z, y, x)
    share = (at < 0).astype(np.float32)
    cut = np.flatnonzero(np.abs(at).ravel() < 0.9)
    zc, yc, xc = (a.ravel()[cut] for a in (z, y, x))
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    inside = np.zeros(cut.size)
    for dz in steps:
        for dy in steps:
            for dx in steps:
                inside += depth(zc + dz, yc + dy, xc + dx) < 0
    share.ravel()[cut] = inside / samples**3
    return share
