"""Plain descent of total variation, for methods that take steps of a given length down its gradient."""

from __future__ import annotations

import math

import numpy as np

from ....base.shapes import Volume
from ..arrays import dot
from . import tv_numba


def descend_tv(x: Volume, steps: int, length: float) -> Volume:
    """The volume [z, y, x] after ``steps`` steps of this ``length`` (in the unit of the volume) down the gradient of its total variation.

    In flat places, where total variation has no gradient, it is rounded off: differences below 1e-6 of the volume's range count as flat.
    """
    x, p, slope = x.copy(), np.empty((3, *x.shape), np.float32), np.empty_like(x)
    bend = 1e-6 * max(float(x.max()) - float(x.min()), 1e-30)
    for _ in range(steps):
        p.fill(0)
        tv_numba.ascend(p, x, np.float32(1 / bend), np.float32(1), np.float32(1))
        tv_numba.adjoint(p, slope)
        norm = math.sqrt(dot(slope, slope))
        if norm > 0:
            x -= np.float32(length / norm) * slope
    return x
