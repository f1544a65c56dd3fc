"""A unit cube cut by a plane: how much of it is inside, and the area of the cut (Scardovelli and Zaleski, J Comput Phys 164 (2000) 228)."""

from __future__ import annotations

import numpy as np
from numba import njit

_LEAST = 1e-3  # of a component of the normal: the formulas divide by all three


@njit(cache=True, nogil=True, error_model="numpy")
def cut_cell(depth, nz, ny, nx):  # pragma: no cover - compiled
    """(share of a cube whose centre is ``depth`` inside of a plane with this unit normal, area of the plane inside the cube).

    The sums over the cube's corners of +-(distance beyond the corner) to the third and second power, by the product of the normal's
    components.

    >>> share, area = cut_cell(0.25, 1.0, 0.0, 0.0)  # a plane along its sides
    >>> round(share, 2), round(area, 2), round(cut_cell(0.0, 0.5**0.5, 0.5**0.5, 0.0)[1], 2)
    (0.75, 1.0, 1.41)
    """
    a, b, c = max(abs(nz), _LEAST), max(abs(ny), _LEAST), max(abs(nx), _LEAST)
    half = 0.5 * (a + b + c)
    if abs(depth) >= half:  # the plane passes the cube by
        return (1.0 if depth > 0 else 0.0), 0.0
    reach = depth + half  # from the corner that is deepest inside to the plane
    cubes = squares = 0.0
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
            squares += sign * way * way
            cubes += sign * way * way * way
    product = a * b * c
    return min(max(cubes / (6 * product), 0.0), 1.0), min(max(squares / (2 * product), 0.0), np.sqrt(3.0))
