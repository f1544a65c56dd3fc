"""What in grey values may be noise: how deep dips in a column, and how large slopes, from some lines of a volume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NoiseLimits = tuple[float, float]
"""(dips in a column, slopes in grey value a voxel) that may be noise; 0 for an image without noise."""

Slices = Callable[[slice], tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""(grey values, which of them are bone) [z, y, x] of some slices of a volume."""

_LEAST_SLOPE = 0.2  # of the step from the surroundings to bone, a voxel
_NOISE, _MOST_NOISE = 3.0, 0.3  # dips in a column that are passed over: in standard deviations, and at most this share of the step
_SAMPLE = 2**21  # voxels that are looked at


def noise_limits(slices: Slices, shape: tuple[int, ...]) -> NoiseLimits:
    """The limits for a volume of ``shape`` (z, y, x), from lines of it.

    Dips: three standard deviations of neighbours away from the surface, at most 0.3 of the step from the surroundings to bone. Slopes: a
    share of the step, where there is noise: in a voxel that the surface does not touch the gradient is nothing else.
    """
    nz, ny, nx = shape
    stride = max(1, round((nz * ny * nx / _SAMPLE) ** 0.5))
    found = [slices(slice(z, z + 1)) for z in range(0, nz, stride)]
    lines, phase = np.concatenate([grey[:, ::stride] for grey, _ in found]), np.concatenate([bone[:, ::stride] for _, bone in found])
    same = (phase[..., :-3] == phase[..., 1:-2]) & (phase[..., 1:-2] == phase[..., 2:-1]) & (phase[..., 2:-1] == phase[..., 3:])
    if not same.any() or phase.all() or not phase.any():
        return 0.0, 0.0
    noise = 1.4826 / np.sqrt(2) * float(np.median(np.abs(lines[..., 2:-1] - lines[..., 1:-2])[same]))
    step = max(float(lines[phase].mean() - lines[~phase].mean()), 0.0)
    return min(_NOISE * noise, _MOST_NOISE * step), min(noise, _LEAST_SLOPE * step)
