"""The last step of a registration: the rigid motion under which the grey values at and around a bone, smoothed ever less, differ least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...data.volumes.rigid_fit import Similarity, fit_motion
from ...geometry import Grid
from ..masks import grown

_MOST_PLACES = 60_000  # at which grey values are compared
_AROUND = 3  # voxels around the bone that are compared, too

Motion = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The ``motion`` (rotation, shift in mm) and how well it fits: ``correlation`` of the grey values, ``used``: share of places.

    ``broad``: the correlation where the climb with the widest smoothing ended. Bones of two animals that lie alike have a high one,
    though their finer shapes differ.
    """

    motion: Motion
    correlation: float
    used: float
    broad: float = -1.0


def fit_rigid(
    moving: NDArray[np.float32],
    moving_grid: Grid,
    fixed: NDArray[np.float32],
    fixed_grid: Grid,
    bone: NDArray[np.bool_],
    starts: Sequence[Motion],
    sigmas: Sequence[float] = (4.0, 2.0, 1.0),
) -> list[Fitted]:
    """The motions in which the climbs from ``starts`` end: fixed point p is at rotation @ p + shift in the moving volume.

    ``bone`` [z, y, x]: of the fixed volume; ``sigmas``: of the smoothing, in voxels of the fixed volume, one after the other.
    """
    places = np.argwhere(grown(bone, _AROUND))
    places = places[:: max(1, math.ceil(len(places) / _MOST_PLACES))]
    points = places[:, ::-1] * fixed_grid.voxel_mm + fixed_grid.origin_mm
    ends = [Fitted(start, -1.0, 0.0) for start in starts]
    for sigma in sigmas:
        wanted = ndimage.gaussian_filter(fixed, sigma)[tuple(places.T)].astype(np.float64)
        smooth = np.asarray(ndimage.gaussian_filter(moving, sigma * fixed_grid.voxel_mm / moving_grid.voxel_mm), dtype=np.float32)
        fitted = [fit_motion(smooth, moving_grid, points, wanted, Similarity(*end.motion)) for end in ends]
        broad = [max(end.broad, now.correlation) if sigma == sigmas[0] else end.broad for now, end in zip(fitted, ends, strict=True)]
        ends = [
            Fitted((now.motion.rotation, now.motion.shift), now.correlation, now.used, widest)
            for now, widest in zip(fitted, broad, strict=True)
        ]
    return ends
