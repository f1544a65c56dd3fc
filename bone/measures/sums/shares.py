"""How much of each voxel is bone of the network, of the cortex, or inside the outer contour; and what a slice holds of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ...masks import grown, shrunk
from ...thickness.surface_elements import SHARE_STEPS
from ..compartments import Compartments
from .cross_sections import bone_areas, filled_areas, polar_moments

_SLAB = 16  # slices that are worked on at a time, so that no real numbers of the whole volume are held


@dataclass(frozen=True, eq=False)
class SliceSums:
    """For each slice (z,): ``network``, bone of the network in voxels; ``area`` and ``total`` in mm^2, bone of the cortex and what its
    outer contour holds; ``moment`` in mm^4, polar, of the cortex.
    """

    network: NDArray[np.float64]
    area: NDArray[np.float64]
    total: NDArray[np.float64]
    moment: NDArray[np.float64]

    @property
    def cortical(self) -> NDArray[np.bool_]:
        """(z,): which slices hold cortex."""
        return self.area > 0

    @classmethod
    def joined(cls, parts: Sequence[SliceSums]) -> SliceSums:
        """The sums of slabs that lie on one another."""
        return cls(*(np.concatenate([getattr(part, name.name) for part in parts]) for name in fields(cls)))


def slice_sums(
    steps: NDArray[np.uint8],
    bone: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    found: Compartments | None,
    voxel_mm: float,
    *,
    start: int = 0,
) -> SliceSums:
    """The sums of all slices; ``steps`` [z, y, x] is how much of each voxel is bone, in 1/255, and ``inside`` the region.

    Without compartments all bone of the region is taken for network and for cortex. The first slice is slice ``start`` of them.
    """
    rows = []
    for first in range(0, len(steps), _SLAB):
        slab = slice(first, first + _SLAB)
        share = steps[slab].astype(np.float32) / np.float32(SHARE_STEPS)
        if found is None:
            network = cortex = outer = np.where(inside[slab], share, np.float32(0))
        else:
            network, cortex, outer = _of_compartments(share, bone[slab], found, start + first)
        areas = bone_areas(network, 1.0), bone_areas(cortex, voxel_mm), filled_areas(outer, voxel_mm), polar_moments(cortex, voxel_mm)
        rows.append(areas)
    network, area, total, moment = (np.concatenate(column) for column in zip(*rows, strict=True))
    return SliceSums(network, area, total, moment)


def _of_compartments(share: NDArray[np.float32], bone: NDArray[np.bool_], found: Compartments, first: int) -> tuple[NDArray, ...]:
    """Shares of some slices from ``first`` on: bone of the trabeculae, next to the cortex a voxel being bone or not; bone of the cortex,
    with voxels among it that only its surface reaches; and what is inside the outer contour.
    """
    low = max(first - 1, 0)
    around, own = found.at(slice(low, first + len(share) + 1)), slice(first - low, first - low + len(share))
    near_cortex, contour = grown(around.cortical)[own], around.inside
    trabecular = around.trabecular[own]
    network = np.where(trabecular, np.where(near_cortex, bone, share), 0)
    cortex = np.where(near_cortex & ~(bone & trabecular), share, 0)
    outer = np.where(shrunk(contour)[own], 1, np.where(grown(contour)[own], share, 0))
    return tuple(np.asarray(layer, dtype=np.float32) for layer in (network, cortex, outer))
