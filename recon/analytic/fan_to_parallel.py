"""Rebinning: the parallel-beam sinogram that a fan-beam scan holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ...geometry import Scan
from ...geometry.rotation import Orbit, pixel_directions
from .redundancy import Coverage


@dataclass(frozen=True)
class ParallelSinogram:
    """``values`` (angle, col) line integrals, the rotation axis half-way between the outer columns; ``angles_deg`` over half a turn."""

    values: NDArray[np.float32]
    pixel_mm: float
    angles_deg: NDArray[np.float64]


def rebin(sinogram: NDArray[np.float32], scan: Scan, orbit: Orbit, covered: Coverage) -> ParallelSinogram:
    """Turn a fan-beam ``sinogram`` (view, col) of a regular scan into parallel beams, by linear interpolation in view and column.

    The ray (b, g) is the parallel ray of angle b - g at distance DSO sin g from the axis (Kak & Slaney 1988, eq. 3.137-138, where g has
    the other sign). A line that was measured from both sides is the mean of the two; one that was not measured is 0.
    """
    order = np.argsort(covered.position, kind="stable")
    position, rows = covered.position[order], sinogram[order]
    if covered.full:
        position, rows = np.append(position, position[0] + 2 * np.pi), np.concatenate([rows, rows[:1]])
    depth, across = (c.mean(axis=0) for c in pixel_directions(scan, orbit, slice(None))[:2])
    dso = float(orbit.dso_mm.mean())
    count = int(np.ceil(np.pi / np.median(covered.width) - 1e-6))
    theta = (np.arange(count) + 0.5) * np.pi / count
    distance, pixel = _distances(scan, depth, across, dso)
    fan = np.arcsin(distance / dso)

    total, seen = np.zeros((count, distance.size)), np.zeros((count, distance.size))
    for sign in (1.0, -1.0):
        g = sign * fan
        b = (theta[:, None] + g + (np.pi if sign < 0 else 0.0)) % (2 * np.pi)
        col = (np.tan(g) * depth[0] - across[0]) / (across[1] - np.tan(g) * depth[1])
        measured = (b <= covered.range) & (col >= -0.5) & (col <= scan.shape[1] - 0.5)
        view = np.interp(b + (2 * np.pi if covered.full else 0.0) * (b < position[0]), position, np.arange(position.size))
        values = map_coordinates(rows, [view, np.broadcast_to(col, view.shape)], order=1, mode="nearest", output=np.float64)
        total += np.where(measured, values, 0.0)
        seen += measured
    first = int(covered.position.argmin())
    begin = orbit.angle[first] - covered.position[first]
    return ParallelSinogram((total / np.maximum(seen, 1)).astype(np.float32), pixel, np.degrees(begin + theta))


def _distances(scan: Scan, depth: NDArray[np.float64], across: NDArray[np.float64], dso: float) -> tuple[NDArray[np.float64], float]:
    """Distances from the axis that the panel's columns see, about the axis, and their spacing: the pixel scaled to the axis."""
    ends = np.array([0, scan.shape[1] - 1])
    fan = np.arctan2(across[0] + across[1] * ends, depth[0] + depth[1] * ends)
    middle = depth[0] + depth[1] * ends.mean()
    pixel = float(abs(across[1]) * dso / middle)
    half = int(np.ceil(dso * np.abs(np.sin(fan)).max() / pixel))
    return (np.arange(-half, half + 1) * pixel).astype(np.float64), pixel
