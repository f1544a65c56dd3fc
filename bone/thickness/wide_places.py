"""Places that are wider than the slices that were looked at: where balls may be larger than can be told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..masks import shrunk

MARGIN = 8  # voxels: how much further than a ball is wide what is around it is looked at


def wide_edge(wide: NDArray[np.bool_], own: slice, first: int, radius: float) -> NDArray[np.float32]:
    """(n, 5), like the balls of a phase: one of ``radius`` voxels at each voxel at the edge of the mask ``wide`` [z, y, x], in
    the slices that are its ``own``, of which the first has the number ``first`` in the volume.

    Together they hold all that a ball of a larger radius could, its centre being among the voxels that are ``wide``, but for these voxels
    themselves.
    """
    edge = (wide & ~shrunk(wide))[own] if wide.any() else wide[own]
    places = np.argwhere(edge).astype(np.float32)
    balls = np.zeros((len(places), 5), np.float32)
    balls[:, :3], balls[:, 3] = places, radius
    balls[:, 0] += first
    return balls
