"""Line integrals that can hardly be any: counts, the wrong sign, nothing at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 30.0  # one photon of 10^13 gets through: measured values end near 11, the logarithm of 16 bits


def integral_warnings(values: NDArray[np.float32], place: str) -> list[str]:
    """Warnings about ``values`` [view, row, col], line integrals; from a few rows of each view."""
    some = values[:, :: max(1, values.shape[1] // 8)]
    low, high, mean = float(some.min()), float(some.max()), float(some.mean(dtype=np.float64))
    if low == high == 0:
        return [f"{place}: all line integrals are 0: nothing but air in the beam"]
    if high > MOST:
        return [f"{place}: line integrals up to {high:.4g}, more than any detector can measure: are these counts, not -ln(I / I0)?"]
    if mean < -0.3 * float(np.abs(some).mean(dtype=np.float64)):
        return [f"{place}: most line integrals are negative ({low:.4g} to {high:.4g}): the sign is wrong, or air is not at 0"]
    return []
