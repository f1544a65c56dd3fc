"""The motion under which the grey values of a volume, at some places, differ least from those that are wanted there.

Gauss-Newton steps, damped (Levenberg-Marquardt). The grey values may be a factor and an offset apart, which are found in each step.
Places that do not fit, where something was lost or is new, are passed over (Tukey's weights). Nothing is random: the same input gives the
same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...base.shapes import Float, Volume, VolumeMask, VoxelValues
from ...geometry import Grid

_STEPS, _ENOUGH_VOXELS, _ENOUGH_COST = 25, 0.002, 1e-4  # the last: share of the misfit by which a step must lower it
_TUKEY = 4.685 * 1.4826  # times the median of the absolute differences: beyond it a place counts nothing
_FEWEST = 1000  # places that must lie in the volume, where it is said what is valid of it

Points = Float[NDArray[np.float64], "point 3"]
Levels = Float[NDArray[np.float64], "point"]


@dataclass(frozen=True, eq=False)
class Similarity:
    """Point (x, y, z) goes to ``scale`` * ``rotation`` @ point + ``shift``, in mm; a rotation may mirror."""

    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]
    scale: float = 1.0

    def places(self, points: Points) -> Points:
        """Where points (point, 3) go."""
        return self.scale * points @ self.rotation.T + self.shift

    def moved(self, change: NDArray[np.float64], about: NDArray[np.float64]) -> Similarity:
        """And then turned about a place (3,) in mm, by a ``change`` (6,) or (7,): the vector of a turn in radians, a shift in mm, and the
        logarithm of a growth, if any.
        """
        turn, grown = _turned(change[:3]), math.exp(float(change[6])) if len(change) > 6 else 1.0
        return Similarity(turn @ self.rotation, grown * turn @ (self.shift - about) + about + change[3:6], self.scale * grown)


@dataclass(frozen=True, eq=False)
class FittedMotion:
    """The ``motion``, the ``correlation`` of the grey values under it, and the share of the places that were ``used``."""

    motion: Similarity
    correlation: float
    used: float


def fit_motion(
    values: Volume | VoxelValues,
    grid: Grid,
    points: Points,
    wanted: Levels,
    start: Similarity,
    *,
    valid: VolumeMask | None = None,
    freedoms: int = 6,
    tolerated: float = 0.02,
) -> FittedMotion:
    """The motion in which the climb from ``start`` ends: ``values`` [z, y, x] (any unit) on ``grid``, at where it takes the points, are as
    ``wanted``. Points are (x, y, z) in mm.

    Places outside of ``valid`` do not count; without it those beyond the volume have the value at its border. ``freedoms``: 6 for a
    rotation and a shift, 7 for a scale as well. ``tolerated``: the share of the range of grey values that no place is passed over for, if
    half of the places fit better than that: more where most of them say nothing (air).
    """
    problem = _Problem(values, grid, points, wanted, valid, tolerated * float(np.ptp(wanted)))
    middle = points.mean(axis=0)
    reach = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean()))
    motion, damping, found = start, 1e-3, _misfit(problem, start)
    for _ in range(_STEPS if found.weights.any() else 0):
        about = motion.places(middle[None])[0]
        jacobian = _jacobian(problem, motion, about, freedoms)[found.inside] * found.gain
        weighted = jacobian * found.weights[:, None]
        normal, slope = weighted.T @ jacobian, weighted.T @ found.difference
        moved, before, gained, change = False, found.cost, 0.0, np.zeros(freedoms)
        while not moved and damping < 1e3:
            change = np.asarray(-np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), slope), dtype=np.float64)
            tried = motion.moved(change, about)
            other = _misfit(problem, tried, found.scale)
            if other.cost < found.cost:
                moved, damping, gained = True, max(damping / 10, 1e-6), before - other.cost
                motion, found = tried, _misfit(problem, tried)
            else:
                damping *= 10
        still = max(reach * float(np.linalg.norm(change[:3])), float(np.linalg.norm(change[3:6])), reach * float(np.abs(change[6:]).sum()))
        if not moved or gained < _ENOUGH_COST * before or still < _ENOUGH_VOXELS * grid.voxel_mm:
            break
    return FittedMotion(motion, found.correlation, float((found.weights > 0).mean()) if found.weights.any() else 0.0)


def sensitivity(
    values: Volume | VoxelValues,
    grid: Grid,
    points: Points,
    wanted: Levels,
    motion: Similarity,
    *,
    freedoms: int = 6,
    tolerated: float = 0.02,
) -> tuple[Float[NDArray[np.float64], "freedom point"], float]:
    """(by how much the ``motion`` that `fit_motion` found changes with the grey value that is wanted at each point, the factor between the
    two sets of grey values).

    A row for each number of a change as `Similarity.moved` takes it: radians, mm and growth for each unit of the grey value. With
    ``values`` it changes by as much the other way, times the factor.
    """
    problem = _Problem(values, grid, points, wanted, None, tolerated * float(np.ptp(wanted)))
    found = _misfit(problem, motion)
    jacobian = _jacobian(problem, motion, motion.places(points.mean(axis=0)[None])[0], freedoms) * found.gain
    weighted = jacobian * found.weights[:, None]
    return np.linalg.pinv(weighted.T @ jacobian) @ weighted.T, found.gain


@dataclass(frozen=True, eq=False)
class _Problem:
    values: Volume | VoxelValues
    grid: Grid
    points: Points
    wanted: Levels
    valid: VolumeMask | None
    least_scale: float


@dataclass(frozen=True, eq=False)
class _Misfit:
    """At the places ``inside``; the cost is infinite where they are too few."""

    inside: NDArray[np.bool_] | slice
    difference: NDArray[np.float64]
    weights: NDArray[np.float64]
    cost: float
    scale: float
    gain: float
    correlation: float


def _misfit(problem: _Problem, motion: Similarity, scale: float | None = None) -> _Misfit:
    """How the grey values differ from those wanted, a factor and an offset apart, by Tukey's measure."""
    at = motion.places(problem.points)
    inside = slice(None) if problem.valid is None else inside_of(problem.valid, problem.grid, at)
    if not isinstance(inside, slice) and np.count_nonzero(inside) < _FEWEST:
        return _Misfit(inside, np.zeros(0), np.zeros(0), math.inf, 1.0, 0.0, -1.0)
    values, wanted = sampled(problem.values, problem.grid, at[inside]), problem.wanted[inside]
    a, b = values - values.mean(), wanted - wanted.mean()
    spread = float(a @ a)
    gain = float(a @ b) / spread if spread > 0 else 0.0
    difference = gain * a - b
    difference -= np.median(difference)
    if scale is None:
        scale = max(_TUKEY * float(np.median(np.abs(difference))), problem.least_scale, 1e-12)
    near = np.clip(1 - (difference / scale) ** 2, 0, None)
    correlation = float(a @ b) / math.sqrt(max(spread * float(b @ b), 1e-300))
    return _Misfit(inside, difference, near**2, float((1 - near**3).mean()), scale, gain, correlation)


def sampled(values: Volume | VoxelValues, grid: Grid, at: Points) -> Levels:
    """The values [z, y, x] (any unit) at places (point, 3) in mm, linear between voxels, beyond the volume as at its border."""
    index = ((at - grid.origin_mm) / grid.voxel_mm)[:, ::-1].T
    return ndimage.map_coordinates(values, index, order=1, mode="nearest").astype(np.float64)


def inside_of(valid: VolumeMask, grid: Grid, at: Points) -> NDArray[np.bool_]:
    """Which of the places (point, 3) in mm lie in the volume [z, y, x], in a voxel that is valid: (point,)."""
    nearest = np.round((at - grid.origin_mm) / grid.voxel_mm).astype(np.intp)[:, ::-1]
    inside = np.asarray(((nearest >= 0) & (nearest < np.array(valid.shape))).all(axis=1))
    inside[inside] = valid[tuple(nearest[inside].T)]
    return inside


def _jacobian(problem: _Problem, motion: Similarity, about: NDArray[np.float64], freedoms: int) -> NDArray[np.float64]:
    """(point, freedoms): change of the grey value with a rotation vector about a place, with a shift, and with growth."""
    h, at = problem.grid.voxel_mm, motion.places(problem.points)
    sides = [sampled(problem.values, problem.grid, at + h * way) for axis in np.eye(3) for way in (axis, -axis)]
    slope = np.stack([(up - down) / (2 * h) for up, down in zip(sides[::2], sides[1::2], strict=True)], axis=1)
    around = at - about
    return np.hstack([np.cross(around, slope), slope, (around * slope).sum(axis=1)[:, None]])[:, :freedoms]


def _turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation by a vector's length in radians about its direction (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    k = np.array([[0, -vector[2], vector[1]], [vector[2], 0, -vector[0]], [-vector[1], vector[0], 0]])
    if angle < 1e-9:
        return np.eye(3) + k
    k /= angle
    return np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k
