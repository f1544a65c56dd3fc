"""The fit of a `LearnedSpread`: which deviations make the errors of some scans likeliest, and by which factor intervals hold on others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import Float, Volume, VolumeMask
from ...data import Projections
from ...geometry import Grid
from .learned import LEVEL, WIDE, LearnedSpread
from .signs import SIGNS, slabs_of_signs

DRAWN = 3000  # voxels of each scan inside what all views see, and as many inside the object
OBJECT = 0.05  # of the grey scale: what is above this in the truth is object
SCANS = 0.9  # the share of scans whose intervals hold
RIDGE = 1e-3  # weight of the squares of the weights


@dataclass(frozen=True)
class Errors:
    """Voxels of one scan: their signs, the absolute error in units of the grey scale, which are of the object, and the number of views."""

    signs: Float[NDArray[np.float32], "voxel sign"]
    error: Float[NDArray[np.float32], "voxel"]
    object: NDArray[np.bool_]
    views: int


def errors_of(
    projections: Projections, grid: Grid, volume: Volume, truth: Volume, seen: VolumeMask, rng: np.random.Generator
) -> Errors | None:
    """Voxels of a volume (1/mm) by chance, half of them of the object, with their errors; None for an empty volume."""
    scale, signs = 0.0, np.empty((SIGNS, *volume.shape), np.float32)
    for here, unit, found in slabs_of_signs(projections, grid, volume):
        scale, signs[:, here] = unit, found
    inside = seen & (truth > OBJECT * scale)
    if scale == 0 or not inside.any():
        return None
    places = np.concatenate([rng.choice(np.flatnonzero(mask), DRAWN) for mask in (seen, inside)])
    return Errors(
        signs.reshape(SIGNS, -1)[:, places].T.copy(),
        (np.abs(volume - truth).ravel()[places] / scale).astype(np.float32),
        np.arange(2 * DRAWN) >= DRAWN,
        len(projections),
    )


def fitted(one: Sequence[Errors], other: Sequence[Errors], made_for: str = "") -> LearnedSpread:
    """The spread with weights from all scans, and factors from how each half of them does with the weights of the other half.

    Each scan has the factor with which `LEVEL` of its object's voxels lie inside. A line through the logarithms of these, over that of the
    number of views, is raised until the share `SCANS` of the scans lies below it: so the intervals hold for that share of new scans of the
    same kinds (cross-conformal prediction, Vovk 2015, with the scan as the unit, because the voxels of a scan err alike).
    """
    views, needed = [], []
    for teachers, judges in ((one, other), (other, one)):
        weights, bounds = _learned(teachers)
        for e in judges:
            predicted = np.exp(np.clip(e.signs @ weights, bounds[0] - WIDE, bounds[1] + WIDE))
            views.append(e.views)
            needed.append(math.log(float(np.quantile((e.error / predicted)[e.object], LEVEL))))
    counts = sorted(set(views))
    slope, middle = np.polyfit(np.log(views), needed, 1) if len(counts) > 1 else (0.0, float(np.mean(needed)))
    above = float(np.quantile(needed - slope * np.log(views) - middle, SCANS, method="higher"))
    factors = {n: math.exp(slope * math.log(n) + middle + above) for n in counts}
    weights, bounds = _learned([*one, *other])
    return LearnedSpread(tuple(float(w) for w in weights), bounds, factors, made_for)


def _learned(scans: Sequence[Errors]) -> tuple[Float[NDArray[np.float64], "sign"], tuple[float, float]]:
    """The likeliest weights, and the range of the logarithms that they give."""
    signs = np.concatenate([e.signs for e in scans]).astype(np.float64)
    weights = likeliest(signs, np.concatenate([e.error for e in scans]).astype(np.float64))
    logs = signs @ weights
    return weights, (float(np.quantile(logs, 0.001)), float(np.quantile(logs, 0.999)))


def likeliest(
    signs: Float[NDArray[np.float64], "voxel sign"], error: Float[NDArray[np.float64], "voxel"], steps: int = 40
) -> Float[NDArray[np.float64], "sign"]:
    """The weights w (without a unit) that minimise the mean of ``s + |error| exp(-s)``, ``s = signs w``: errors of a Laplace distribution
    are likeliest then. It is convex in w, and Newton's method finds them.
    """
    free = np.full(signs.shape[1], RIDGE)
    free[0] = 0.0  # the constant
    w = np.zeros(signs.shape[1])
    w[0] = np.log(max(float(error.mean()), 1e-12))
    for _ in range(steps):
        expected = error * np.exp(-signs @ w)
        slope = signs.T @ (1 - expected) / len(error) + free * w
        bend = (signs * expected[:, None]).T @ signs / len(error) + np.diag(free + 1e-9)
        step = np.linalg.solve(bend, slope)
        step *= min(1.0, 2 / max(float(np.abs(signs @ step).max()), 1e-12))
        w -= step
        if np.abs(step).max() < 1e-6:
            break
    return w
