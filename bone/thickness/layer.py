"""A slab of slices with the surface in them, as those above and below need it to know how far it is from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Layer:
    """The slices ``own`` of a volume: which voxels are ``bone`` [z, y, x]; ``share`` and ``area`` of `Surface`; its ``discs`` (n, 6), z
    counted in the volume; and in each slice, row of the ``nearest`` disc (-1: none) and ``squared`` distance to its voxel, both [z, y, x].
    """

    own: slice
    bone: NDArray[np.bool_]
    share: NDArray[np.uint8]
    area: NDArray[np.uint8]
    discs: NDArray[np.float32]
    nearest: NDArray[np.int32]
    squared: NDArray[np.int32]
