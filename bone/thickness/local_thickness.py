"""Local thickness of bone and of the spaces between, from grey values (Hildebrand and Rüegsegger, J Microsc 185 (1997) 67)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .inscribed_balls import inscribed_balls
from .nearest_disc import nearest_discs
from .painted_balls import paint
from .surface_elements import Surface


@dataclass(frozen=True, eq=False)
class LocalThickness:
    """``voxels`` [z, y, x]: the diameter in voxels of the largest ball inside a voxel's own phase that holds it; 0 where none was found.

    ``plate`` [z, y, x]: 0 (rod) to 255 (plate).
    """

    voxels: NDArray[np.float32]
    plate: NDArray[np.uint8]


def local_thickness(surface: Surface, bone: NDArray[np.bool_], *, spaces: bool = True) -> LocalThickness:
    """The thickness [z, y, x] of bone at the voxels of bone, and (``spaces``) that of the space at the other voxels, in one map.

    What leaves the volume is taken to go on.
    """
    nearest, distance = nearest_discs(surface)
    voxels, plate = np.zeros(bone.shape, np.float32), np.zeros(bone.shape, np.uint8)
    for phase in (True, False)[: 1 + spaces]:
        paint(inscribed_balls(surface.discs, bone, phase, nearest, distance), phase, bone, voxels, plate)
    return LocalThickness(voxels, plate)
