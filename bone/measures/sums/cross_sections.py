"""Quantities of the cross-sections: areas, and the polar moment of inertia about the centroid of each slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...masks import filled, grown


def bone_areas(share: NDArray[np.float32], voxel_mm: float) -> NDArray[np.float64]:
    """(slice,) mm^2 of bone; ``share`` [z, y, x] is how much of each voxel is bone."""
    return share.sum(axis=(1, 2), dtype=np.float64) * voxel_mm**2


def polar_moments(share: NDArray[np.float32], voxel_mm: float) -> NDArray[np.float64]:
    """(slice,) mm^4: the integral of the squared distance to the centroid over the bone of a slice, which is Imax + Imin."""
    _, ny, nx = share.shape
    y, x = np.arange(ny, dtype=np.float64), np.arange(nx, dtype=np.float64)
    rows, cols = share.sum(axis=2, dtype=np.float64), share.sum(axis=1, dtype=np.float64)
    area = rows.sum(axis=1)
    safe = np.where(area > 0, area, 1)
    second = (rows @ y**2 - (rows @ y) ** 2 / safe) + (cols @ x**2 - (cols @ x) ** 2 / safe)
    return (second + area / 6) * voxel_mm**4  # a voxel by itself has h^4 / 6


def filled_areas(share: NDArray[np.float32], voxel_mm: float) -> NDArray[np.float64]:
    """(slice,) mm^2 inside the outer contour: bone, and what it encloses in the slice.

    Voxels within two steps of the outside count by their share of bone, those further in as a whole.
    """
    areas = np.zeros(len(share))
    for z, plane in enumerate(share):
        near_outside = grown(~filled(plane > 0), 2)
        areas[z] = np.where(near_outside, plane, 1).sum(dtype=np.float64)
    return areas * voxel_mm**2
