"""Cortex and trabecular space of a bone, found by themselves (the dual threshold of Buie et al., Bone 41 (2007) 505, by distances)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.settings import Mm, checked
from ..masks import box_around, closed, filled, largest, opened, within

TRABECULAR, CORTICAL = 1, 2


@checked(of="compartments")
class CompartmentSettings:
    """How far things are closed and opened, in mm; the defaults are those of mouse bone.

    Args:
        outer_mm: gaps in the outer contour up to twice this are bridged.
        pore_mm: spaces narrower than twice this are pores of the cortex, not marrow.
        trabecula_mm: bone thinner than twice this, next to marrow, is trabecular.
        smooth_mm: roots of trabeculae are cut off along a wall whose hollows are no narrower than twice this.
    """

    outer_mm: Mm = 0.15
    pore_mm: Mm = 0.04
    trabecula_mm: Mm = 0.06
    smooth_mm: Mm = 0.2


@dataclass(frozen=True, eq=False)
class Compartments:
    """``labels`` [z, y, x] uint8: 0 outside the bone, 1 trabecular compartment, 2 cortical compartment (pores among it).

    ``roots`` [z, y, x]: where trabeculae join the cortex; it is trabecular, and balls there reach into the wall.
    """

    labels: NDArray[np.uint8]
    roots: NDArray[np.bool_]

    @property
    def trabecular(self) -> NDArray[np.bool_]:
        """[z, y, x]."""
        return self.labels == TRABECULAR

    @property
    def cortical(self) -> NDArray[np.bool_]:
        """[z, y, x]."""
        return self.labels == CORTICAL


def find_compartments(bone: NDArray[np.bool_], voxel_mm: float, settings: CompartmentSettings | None = None) -> Compartments:
    """The compartments of the largest bone of a mask [z, y, x] whose slices cut across its shaft.

    Outer contour: gaps are closed, what is enclosed in a slice is filled. Marrow: what is not bone inside it, narrow spaces left out; grown
    by ``trabecula_mm`` and shrunk again it takes in the trabeculae. A ball of that size reaches a little into the root of a trabecula, a
    larger one (``smooth_mm``) less: what it leaves of the roots is trabecular. The rest is cortex.

    Raises InputError where there is no bone.
    """
    settings = settings or CompartmentSettings()
    if not bone.any():
        raise InputError("no voxel of the volume is bone", expected="a bone", remedy="give a lower threshold")
    widest = max(settings.outer_mm, settings.pore_mm, settings.trabecula_mm, settings.smooth_mm) / voxel_mm
    near = box_around(bone, int(widest) + 2)
    labels, roots = np.zeros(bone.shape, np.uint8), np.zeros(bone.shape, np.bool_)
    labels[near], roots[near] = _labels(bone[near], voxel_mm, settings)
    return Compartments(labels, roots)


def _labels(bone: NDArray[np.bool_], voxel_mm: float, settings: CompartmentSettings) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    outer = _outer(largest(bone), settings.outer_mm / voxel_mm)
    space = outer & ~bone
    marrow = space & within(opened(space, settings.pore_mm / voxel_mm), 2 * settings.pore_mm / voxel_mm)  # with its corners
    reach = settings.trabecula_mm / voxel_mm
    trabecular = closed(marrow, reach) & outer
    roots = _closed_inside(trabecular, settings.smooth_mm / voxel_mm) & within(trabecular, 0.75 * reach) & outer & ~trabecular
    trabecular = opened(trabecular | roots, settings.pore_mm / voxel_mm)
    labels = outer.view(np.uint8) * np.uint8(CORTICAL)
    labels[trabecular] = TRABECULAR
    return labels, roots & trabecular


def _closed_inside(mask: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """Closed by ``reach`` voxels, with room for that beside the slices; above and below, the mask is taken to go on."""
    pad = int(reach) + 2
    return closed(np.pad(mask, ((0, 0), (pad, pad), (pad, pad))), reach)[:, pad:-pad, pad:-pad]


def _outer(bone: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """Slice by slice: closed by ``reach`` voxels, filled."""
    out, pad = np.zeros_like(bone), int(reach) + 2
    for z, plane in enumerate(bone):
        if plane.any():
            out[z] = filled(closed(np.pad(plane, pad), reach)[pad:-pad, pad:-pad])
    return out
