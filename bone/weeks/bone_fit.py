"""The last step of a registration: the rigid motion under which the grey values at and around a bone differ least.

Gauss-Newton steps, damped (Levenberg-Marquardt), on the grey values smoothed ever less. Places that do not fit, where bone was lost or
is new, are passed over (Tukey's weights). The same input gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...geometry import Grid
from ..masks import grown

_MOST_PLACES = 60_000  # at which grey values are compared
_AROUND = 3  # voxels around the bone that are compared, too
_STEPS, _ENOUGH_VOXELS, _ENOUGH_COST = 25, 0.002, 1e-4  # the last: share of the misfit by which a step must lower it
_TUKEY = 4.685 * 1.4826  # times the median of the absolute differences: beyond it a place counts nothing
_LEAST_SCALE = 0.02  # of the range of grey values, for that median

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
        fitted = [_climb(smooth, moving_grid, points, wanted, end.motion, fixed_grid.voxel_mm) for end in ends]
        ends = [
            replace(now, broad=max(end.broad, now.correlation) if sigma == sigmas[0] else end.broad)
            for now, end in zip(fitted, ends, strict=True)
        ]
    return ends


def _climb(
    moving: NDArray[np.float32], grid: Grid, points: NDArray[np.float64], wanted: NDArray[np.float64], start: Motion, step_mm: float
) -> Fitted:
    rotation, shift = start
    middle = points.mean(axis=0)
    reach = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean()))
    damping, found = 1e-3, _misfit(moving, grid, points @ rotation.T + shift, wanted)
    for _ in range(_STEPS):
        at = points @ rotation.T + shift
        about = rotation @ middle + shift
        jacobian = _jacobian(moving, grid, at, about) * found.gain
        weighted = jacobian * found.weights[:, None]
        normal, slope = weighted.T @ jacobian, weighted.T @ found.difference
        moved, before, gained, change = False, found.cost, 0.0, np.zeros(6)
        while not moved and damping < 1e3:
            change = np.asarray(-np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), slope), dtype=np.float64)
            turn = _turned(change[:3])
            tried = turn @ rotation, turn @ (shift - about) + about + change[3:]
            other = _misfit(moving, grid, points @ tried[0].T + tried[1], wanted, found.scale)
            if other.cost < found.cost:
                moved, damping, gained = True, max(damping / 10, 1e-6), before - other.cost
                rotation, shift = tried
                found = _misfit(moving, grid, points @ rotation.T + shift, wanted)
            else:
                damping *= 10
        if (
            not moved
            or gained < _ENOUGH_COST * before
            or max(reach * float(np.linalg.norm(change[:3])), float(np.linalg.norm(change[3:]))) < _ENOUGH_VOXELS * step_mm
        ):
            break
    return Fitted((rotation, shift), found.correlation, float((found.weights > 0).mean()))


@dataclass(frozen=True, eq=False)
class _Misfit:
    difference: NDArray[np.float64]
    weights: NDArray[np.float64]
    cost: float
    scale: float
    gain: float
    correlation: float


def _misfit(
    moving: NDArray[np.float32], grid: Grid, at: NDArray[np.float64], wanted: NDArray[np.float64], scale: float | None = None
) -> _Misfit:
    """How the moving grey values differ from those wanted, a factor and an offset apart, by Tukey's measure."""
    values = _sampled(moving, grid, at)
    a, b = values - values.mean(), wanted - wanted.mean()
    spread = float(a @ a)
    gain = float(a @ b) / spread if spread > 0 else 0.0
    difference = gain * a - b
    difference -= np.median(difference)
    if scale is None:
        scale = max(_TUKEY * float(np.median(np.abs(difference))), _LEAST_SCALE * float(np.ptp(wanted)), 1e-12)
    inside = np.clip(1 - (difference / scale) ** 2, 0, None)
    correlation = float(a @ b) / math.sqrt(max(spread * float(b @ b), 1e-300))
    return _Misfit(difference, inside**2, float((1 - inside**3).mean()), scale, gain, correlation)


def _sampled(values: NDArray[np.float32], grid: Grid, at: NDArray[np.float64]) -> NDArray[np.float64]:
    index = ((at - grid.origin_mm) / grid.voxel_mm)[:, ::-1].T
    return ndimage.map_coordinates(values, index, order=1, mode="nearest").astype(np.float64)


def _jacobian(values: NDArray[np.float32], grid: Grid, at: NDArray[np.float64], about: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 6): change of the grey value with a rotation vector about a point, and with a shift."""
    h = grid.voxel_mm
    slopes = [(_sampled(values, grid, at + h * axis) - _sampled(values, grid, at - h * axis)) / (2 * h) for axis in np.eye(3)]
    slope = np.stack(slopes, axis=1)
    return np.hstack([np.cross(at - about, slope), slope])


def _turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation by a vector's length in radians about its direction (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    k = np.array([[0, -vector[2], vector[1]], [vector[2], 0, -vector[0]], [-vector[1], vector[0], 0]])
    if angle < 1e-9:
        return np.eye(3) + k
    k /= angle
    return np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k
