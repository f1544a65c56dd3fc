"""How noisy the data are: from photon counts where these are known, else from the finest ripple of each view."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import Float, LineIntegrals
from ...data import Projections


def ripple(values: Float[NDArray[np.float32], "*images row col"]) -> float:
    """Standard deviation of white noise in images [..., row, col], robustly, whatever smooth structure is below it.

    The mask [1 -2 1] x [1 -2 1] cancels planes and edges along the axes; its answer to white noise has 6 times the standard deviation
    (Immerkaer 1996). The median of its absolute value replaces the mean, so that edges elsewhere do not count. Fewer than three rows:
    columns only.

    >>> noise = np.random.default_rng(0).normal(0, 0.5, (4, 64, 64)).astype(np.float32)
    >>> round(ripple(noise), 2)
    0.49
    """
    v, gain = values.astype(np.float64), 1.0
    for axis in (-1, -2):
        if v.shape[axis] >= 3:
            v, gain = np.diff(v, n=2, axis=axis), gain * math.sqrt(6)
    return float(np.median(np.abs(v))) / 0.6744897501960817 / gain


def ray_variance(projections: Projections) -> LineIntegrals | None:
    """The variance of each line integral, exp(p) / photons, where ``meta["photons"]`` says how many photons an empty pixel
    counts.
    """
    photons = projections.meta.get("photons")
    if not photons or not math.isfinite(float(photons)):
        return None
    return np.asarray(np.exp(np.maximum(projections.values, 0)) / np.float32(photons), dtype=np.float32)


def noise_level(projections: Projections, weights: LineIntegrals | None = None) -> float:
    """Root mean square of the noise of a line integral (weighted by ``weights`` [view, row, col]): the residual that a perfect volume would
    leave.
    """
    total = 0.0
    for k in range(len(projections)):  # view by view: no array of the data's size
        view = projections[[k]]
        variance = ray_variance(view)
        if variance is None:
            variance = np.full(view.values.shape, ripple(view.values) ** 2, np.float32)
        total += float((variance if weights is None else variance * weights[[k]]).sum(dtype=np.float64))
    return math.sqrt(total / projections.values.size)
