"""Are the slices of a volume in order? A slice that is far from both its neighbours and near to others is out of its place.

File names sorted as text (1, 10, 100, 11, ..., 2) and volumes put together from parts are what this finds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ACROSS = 24  # cells along a slice's longer side that are compared
_NEAR = 3  # slices within which order is not asked
_NEARER = 0.5  # of the distance to the nearer neighbour: another slice is so near that this one belongs there
_MOST = 0.02  # of all slices may be out of place by chance, and at least two


def slices_out_of_place(values: NDArray[np.float32]) -> list[int]:
    """The slices of a volume [z, y, x] (any unit) that belong elsewhere; none where they are few enough to be chance."""
    count, f = values.shape[0], max(1, max(values.shape[1:]) // _ACROSS)
    ny, nx = (n // f for n in values.shape[1:])
    rows = values[:, : ny * f, : nx * f].reshape(count, ny, f, nx, f).mean(axis=(2, 4), dtype=np.float64).reshape(count, -1)
    squared = (rows**2).sum(axis=1)
    apart = np.sqrt(np.maximum(squared[:, None] + squared[None] - 2 * rows @ rows.T, 0))
    steps = np.diagonal(apart, 1)
    to_neighbour = np.minimum(np.append(steps, np.inf), np.insert(steps, 0, np.inf))
    index = np.arange(count)
    far = np.where(np.abs(index[:, None] - index[None]) > _NEAR, apart, np.inf)
    floor = 1e-6 * float(np.sqrt(squared.max()))  # rounding: slices of air are all alike
    out = np.flatnonzero((far.min(axis=1) < _NEARER * to_neighbour) & (to_neighbour > floor))
    return [int(z) for z in out] if len(out) > max(2, _MOST * count) else []
