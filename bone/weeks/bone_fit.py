"""The last steps of a registration: the rigid motion under which the grey values at and around a bone, smoothed ever less, differ least;
then the one under which the surfaces of the bones lie on one another.

Streaks that stay where the scanner has them, and beam hardening, pull a fit of all grey values by some tenths of a degree about the long
axis. They pull that of the surfaces less: what lies far from a surface takes no part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...base.shapes import NewVoxelValues, VoxelValues
from ...data.volumes.rigid_fit import Similarity, fit_motion
from ...geometry import Grid
from ..masks import grown

_MOST_PLACES = 60_000  # at which grey values are compared
_AROUND = 3  # voxels around the bone that are compared, too
LOST = 0.2  # of the range of grey values at the surface: where they differ by more bone was lost, or is new
FREEDOMS = 7  # of the fit of surfaces: a rotation, a shift, and growth
_BRIGHT = 90.0  # percentile of the grey values of bone that stands for bone that fills its voxels

Motion = tuple[NDArray[np.float64], NDArray[np.float64]]
Ready = tuple[NDArray[np.float32], float]  # the grey values of a volume [z, y, x], and the level above which they are bone


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
    points, index = _places(bone, fixed_grid)
    ends = [Fitted(start, -1.0, 0.0) for start in starts]
    for sigma in sigmas:
        wanted = ndimage.gaussian_filter(fixed, sigma)[index].astype(np.float64)
        smooth = np.asarray(ndimage.gaussian_filter(moving, sigma * fixed_grid.voxel_mm / moving_grid.voxel_mm), dtype=np.float32)
        fitted = [fit_motion(smooth, moving_grid, points, wanted, Similarity(*end.motion)) for end in ends]
        broad = [max(end.broad, now.correlation) if sigma == sigmas[0] else end.broad for now, end in zip(fitted, ends, strict=True)]
        ends = [
            Fitted((now.motion.rotation, now.motion.shift), now.correlation, now.used, widest)
            for now, widest in zip(fitted, broad, strict=True)
        ]
    return ends


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What the fit of two surfaces compares: grey values between halfway to soft tissue and halfway to bone; what is beyond counts as these
    ends, ``fixed_ends`` and ``moving_ends``.

    Values are smoothed first: clipped as they are, sharp ones would say no more than on which side of the surface a voxel lies.
    ``points`` (x, y, z) in mm are at and around the fixed bone, ``index`` is where they are in its volume.
    """

    fixed: VoxelValues
    moving: NewVoxelValues
    moving_grid: Grid
    fixed_ends: tuple[float, float]
    moving_ends: tuple[float, float]
    points: NDArray[np.float64]
    index: tuple[NDArray[np.intp], ...]

    @classmethod
    def of(cls, moving: Ready, moving_grid: Grid, fixed: Ready, fixed_grid: Grid, most: int = _MOST_PLACES) -> Surfaces:
        """At no more than about ``most`` places."""
        points, index = _places(fixed[0] > fixed[1], fixed_grid, most)
        smooth = np.asarray(ndimage.gaussian_filter(fixed[0], 1.0), dtype=np.float32)
        other = np.asarray(ndimage.gaussian_filter(moving[0], fixed_grid.voxel_mm / moving_grid.voxel_mm), dtype=np.float32)
        return cls(smooth, other, moving_grid, _halfway(smooth, fixed), _halfway(other, moving), points, index)

    @property
    def wanted(self) -> NDArray[np.float64]:
        """The grey values of the fixed bone at the points: (point,), in the unit of the volumes."""
        return np.clip(self.fixed[self.index], *self.fixed_ends).astype(np.float64)

    @property
    def near(self) -> NewVoxelValues:
        """Those of the moving one, everywhere."""
        return np.clip(self.moving, *self.moving_ends)

    def fitted(self, start: Motion) -> Similarity:
        """The motion near ``start`` under which they differ least. The bone may have grown: growth about its middle is found with it."""
        given = self.near, self.moving_grid, self.points, self.wanted, Similarity(*start)
        return fit_motion(*given, freedoms=FREEDOMS, tolerated=LOST).motion


def fit_surface(moving: Ready, moving_grid: Grid, fixed: Ready, fixed_grid: Grid, start: Motion) -> Motion:
    """The motion near ``start`` under which the grey values next to the surface of bone differ least. Growth is not applied."""
    surfaces = Surfaces.of(moving, moving_grid, fixed, fixed_grid)
    found, middle = surfaces.fitted(start), surfaces.points.mean(axis=0)
    return found.rotation, found.places(middle[None])[0] - found.rotation @ middle


def _places(bone: NDArray[np.bool_], grid: Grid, most: int = _MOST_PLACES) -> tuple[NDArray[np.float64], tuple[NDArray[np.intp], ...]]:
    """(points (x, y, z) in mm at and around bone, where they are in the volume)."""
    places = np.argwhere(grown(bone, _AROUND))
    places = places[:: max(1, math.ceil(len(places) / most))]
    return places[:, ::-1] * grid.voxel_mm + grid.origin_mm, tuple(places.T)


def _halfway(smooth: NDArray[np.float32], sharp: Ready) -> tuple[float, float]:
    """The smoothed grey values halfway from the threshold to what is no bone, and halfway to the brighter parts of bone."""
    bone, level = sharp[0] > sharp[1], sharp[1]
    soft = float(np.median(smooth[~bone])) if not bone.all() else level
    return min(level, (level + soft) / 2), max(level, (level + float(np.percentile(smooth[bone], _BRIGHT))) / 2)
