"""Plain descent of total variation, for methods that take steps of a given length down its gradient."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Volume, copied, dot, module_of, zeros
from .tv_kernels import kernels_of


def descend_tv(x: Volume, steps: int, length: float) -> Volume:
    """The volume [z, y, x] after ``steps`` steps of this ``length`` (in the unit of the volume) down the gradient of its total variation.

    In flat places, where total variation has no gradient, it is rounded off: differences below 1e-6 of the volume's range count as flat.
    """
    kernels, x, p, slope = kernels_of(x), copied(x), zeros((3, *x.shape), x), module_of(x).empty_like(x)
    bend = 1e-6 * max(float(x.max()) - float(x.min()), 1e-30)
    for _ in range(steps):
        p *= 0
        kernels.ascend(p, x, np.float32(1 / bend), np.float32(1), np.float32(1))
        kernels.adjoint(p, slope)
        norm = math.sqrt(dot(slope, slope))
        if norm > 0:
            x -= slope * (length / norm)
    return x
