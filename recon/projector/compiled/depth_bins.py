"""Depth bins: what lets the kernels for upright panels read and write nothing but contiguous memory.

A ray of detector row r is at height z = z_source + t h(r) at depth t (0 at the source, 1 on the panel). The rows sample a line of voxels
along z at a spacing that changes with the depth, which would mean a scattered read for every sample. Instead, lines are added up in a
few depth bins t_m, each line shared between its two neighbours in proportion, and the rows are read from the bins, once for each bin
instead of once for each line. Because z is linear in t, the two heights of a shared line have the right mean; what is left is a blur
along z of at most ``(h dt)^2 / 8`` times the second derivative, as of linear interpolation itself with samples ``h dt`` apart.
Back-projection does the same with the magnification 1 / t, in which the row is linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..joseph_rays import Rays

VOXELS_APART = 0.7  # neighbouring depth bins of the pair, at the outermost ray
ROWS_APART = 1.0  # neighbouring magnification bins of FDK's back-projection, at the outermost slice


@dataclass(frozen=True)
class Bins:
    """For every view: bins at ``first + m step``, m = 0 .. ``count`` - 1; (view,) each."""

    first: NDArray[np.float64]
    step: NDArray[np.float64]
    count: NDArray[np.int64]


def depth_range(rays: Rays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(view,) smallest and largest t that the grid and one voxel around it reach, dimensionless and not below 0: depth is linear in x and
    y.
    """
    (_, ny, nx), s, f, u = rays.grid_shape, rays.source, rays.first, rays.u
    across = f[:, 0] * u[:, 1] - f[:, 1] * u[:, 0]
    t = [((x - s[:, 0]) * u[:, 1] - (y - s[:, 1]) * u[:, 0]) / across for x in (-1, nx) for y in (-1, ny)]
    low = np.maximum(np.min(t, axis=0), 0.0)
    return low, np.maximum(np.max(t, axis=0), low)


def depth_bins(rays: Rays) -> Bins:
    """Bins in t for the projector pair: `VOXELS_APART` apart along the outermost ray that meets the grid."""
    low, high = depth_range(rays)
    top = rays.first[:, 2] + (rays.rows - 1) * rays.v[:, 2]
    rise = np.maximum(np.abs(rays.first[:, 2]), np.abs(top))
    reach = np.maximum(np.abs(-1 - rays.source[:, 2]), np.abs(rays.grid_shape[0] - rays.source[:, 2]))
    rise = np.minimum(rise, reach / np.maximum(low, 1e-9))
    count = np.maximum(2, np.ceil((high - low) * rise / VOXELS_APART).astype(np.int64) + 1)
    return Bins(low, np.maximum(high - low, 1e-9) * (1 + 1e-12) / (count - 1), count)


def magnification_bins(rays: Rays) -> Bins:
    """Bins in 1 / t for back-projection: `ROWS_APART` apart at the outermost slice, or the panel's edge if that is nearer."""
    low, high = depth_range(rays)
    least, most = 1 / np.maximum(high, 1e-9), 1 / np.maximum(low, 1e-9)
    nz, rise = rays.grid_shape[0], rays.v[:, 2]
    lift = np.maximum(np.abs(rays.source[:, 2]), np.abs(nz - 1 - rays.source[:, 2])) / np.abs(rise)  # rows per unit of 1 / t
    zero = -rays.first[:, 2] / rise  # the row at the source's height
    lift = np.minimum(lift, np.maximum(np.abs(zero + 2), np.abs(rays.rows + 1 - zero)) / least)
    step = ROWS_APART / np.maximum(lift, 1e-9)
    first = np.floor(least / step)
    return Bins(first * step, step, np.ceil(np.minimum(most / step - first, 1e9)).astype(np.int64) + 2)
