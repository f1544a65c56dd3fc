"""Smooth noise from a seed, defined in millimetres: it is the same field whatever grid samples it."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...base.shapes import Float, Points

_PERIOD = 32  # a power of two, so that the lattice index wraps by a bit mask
_SHRINK = 0.4794**1.5  # cubic B-spline weights at a random place, per axis, keep 0.4794 of the variance


@dataclass(frozen=True, eq=False)
class Noise:
    """A cubic B-spline over a periodic lattice of random numbers: twice differentiable, zero mean, unit standard deviation.

    ``spacing_mm`` (x, y, z) is the lattice step, about half the distance between neighbouring bumps.
    """

    lattice: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def seeded(cls, rng: np.random.Generator, spacing_mm: float | tuple[float, float, float]) -> Noise:
        """Draw the lattice from ``rng``. One number is the spacing along x, y and z."""
        spacing = spacing_mm if isinstance(spacing_mm, tuple) else (spacing_mm, spacing_mm, spacing_mm)
        return cls((rng.standard_normal((_PERIOD,) * 3) / _SHRINK).astype(np.float32), spacing)

    def __call__(self, points: Points) -> Float[NDArray[np.float32], "point"]:
        """The values at points (x, y, z) in mm."""
        return _evaluate(self.lattice, *(np.ascontiguousarray(points[i] / self.spacing_mm[i], dtype=np.float32) for i in range(3)))


@njit(cache=True, nogil=True)
def _weights(f):  # pragma: no cover - compiled
    """The four cubic B-spline weights at the fraction ``f`` of a cell."""
    g = np.float32(1) - f
    sixth = np.float32(1 / 6)
    return (
        sixth * g * g * g,
        sixth * (np.float32(4) - np.float32(6) * f * f + np.float32(3) * f * f * f),
        sixth * (np.float32(4) - np.float32(6) * g * g + np.float32(3) * g * g * g),
        sixth * f * f * f,
    )


@njit(cache=True, nogil=True, fastmath=True)
def _evaluate(lattice, x, y, z):  # pragma: no cover - compiled
    out = np.empty(x.size, np.float32)
    mask = _PERIOD - 1
    for n in range(x.size):
        i, j, k = floor(x[n]), floor(y[n]), floor(z[n])
        wx, wy, wz = _weights(x[n] - np.float32(i)), _weights(y[n] - np.float32(j)), _weights(z[n] - np.float32(k))
        total = np.float32(0)
        for a in range(4):
            for b in range(4):
                line = np.float32(0)
                for c in range(4):
                    line += wx[c] * lattice[(k + a - 1) & mask, (j + b - 1) & mask, (i + c - 1) & mask]
                total += wz[a] * wy[b] * line
        out[n] = total
    return out
