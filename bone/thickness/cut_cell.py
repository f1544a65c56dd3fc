"""A unit cube cut by a plane: how much of it is inside, and the area of the cut (Scardovelli and Zaleski, J Comput Phys 164 (2000) 228)."""

from __future__ import annotations

import numpy as np
from numba import njit

_LEAST = 1e-3  # of a component of the normal: the formulas divide by all three


@njit(cache=True, nogil=True)
def _powers(depth, nz, ny, nx, power):  # pragma: no cover - compiled
    """The sum over the cube's corners of +-(distance beyond the corner)^power, and the product of the normal's components."""
    a, b, c = max(abs(nz), _LEAST), max(abs(ny), _LEAST), max(abs(nx), _LEAST)
    reach = depth + 0.5 * (a + b + c)  # from the corner that is deepest inside to the plane
    total = 0.0
    for corner in range(8):
        way = reach
        sign = 1.0
        if corner & 1:
            way, sign = way - a, -sign
        if corner & 2:
            way, sign = way - b, -sign
        if corner & 4:
            way, sign = way - c, -sign
        if way > 0:
            total += sign * way**power
    return total, a * b * c


@njit(cache=True, nogil=True)
def cut_share(depth, nz, ny, nx):  # pragma: no cover - compiled
    """The share of a cube whose centre is ``depth`` inside of a plane with this unit normal: 0.5 at 0.

    >>> round(cut_share(0.25, 1.0, 0.0, 0.0), 2)
    0.75
    """
    total, product = _powers(depth, nz, ny, nx, 3)
    return min(max(total / (6 * product), 0.0), 1.0)


@njit(cache=True, nogil=True)
def cut_area(depth, nz, ny, nx):  # pragma: no cover - compiled
    """The area of the plane inside the cube: 1 for a plane along its sides.

    >>> round(cut_area(0.25, 1.0, 0.0, 0.0), 2), round(cut_area(0.0, 0.5**0.5, 0.5**0.5, 0.0), 2)
    (1.0, 1.41)
    """
    total, product = _powers(depth, nz, ny, nx, 2)
    return min(max(total / (2 * product), 0.0), np.sqrt(3.0))
