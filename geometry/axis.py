"""The axis of rotation of a scan, found from where the sources were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """A point of the axis in the plane of the sources (mm), and its unit direction (along +z for an unmoved scan)."""

    point_mm: NDArray[np.float64]
    direction: NDArray[np.float64]


def rotation_axis(source: NDArray[np.float64], detector: NDArray[np.float64]) -> Axis:
    """Fit the circle that the sources lie on: centre and normal, whatever rigid motion the scan went through.

    Fewer than three distinct sources, or sources along a line, do not define a circle: the axis is then z through the origin,
    the convention of every scan that was not moved. The direction has a non-negative z (or y, or x) component.
    """
    default = Axis(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    if len(source) < 3:
        return default
    mean = source.mean(axis=0)
    centred = source - mean
    _, spread, basis = np.linalg.svd(centred, full_matrices=False)
    if spread[1] <= 1e-6 * spread[0] or spread[0] == 0:
        return default
    plane, direction = basis[:2], np.cross(basis[0], basis[1])
    xy = centred @ plane.T
    design = np.column_stack([2 * xy, np.ones(len(xy))])
    center, *_ = np.linalg.lstsq(design, (xy**2).sum(axis=1), rcond=None)
    point = mean + center[:2] @ plane
    point = np.where(np.abs(point) < 1e-12 * np.abs(source).max(), 0.0, point)  # rounding noise of a scan about the origin
    lead = direction[np.argmax(np.abs(direction) > 1e-9 * np.abs(direction).max())] if abs(direction[2]) < 1e-9 else direction[2]
    return Axis(point, direction * (1.0 if lead >= 0 else -1.0) + 0.0)
