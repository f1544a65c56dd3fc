"""Cortex and trabecular space of a bone, found by themselves (the dual threshold of Buie et al., Bone 41 (2007) 505, by distances)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.settings import Mm, checked
from ..masks import Mask, closed, filled, opened
from ..masks import within as reach_of
from ..stack.cut import Cut, within
from ..stack.joined import box_of_slabs, join
from ..stack.sliced import Sliced, kept

TRABECULAR, CORTICAL, _ROOTS = 1, 2, 3


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

    def halo(self, voxel_mm: float) -> int:
        """How many slices to both sides all steps together reach: each opening and closing twice its ball, one after the other."""
        balls = (2 + 2 + 2) * self.pore_mm + 2 * self.trabecula_mm + max(2 * self.smooth_mm, 0.75 * self.trabecula_mm)
        return int(balls / voxel_mm) + 8


@dataclass(frozen=True, eq=False)
class Compartments:
    """``codes`` [z, y, x] uint8: 0 outside the bone, 1 trabecular compartment, 2 cortical compartment (pores among it), 3 roots: where
    trabeculae join the cortex; they are trabecular, and balls there reach into the wall.
    """

    codes: Sliced

    @classmethod
    def of(cls, labels: NDArray[np.uint8], roots: NDArray[np.bool_]) -> Compartments:
        """From labels 0, 1 and 2 and the mask of the roots, both [z, y, x]."""
        return cls(np.where(roots, np.uint8(_ROOTS), labels))

    def at(self, z: slice) -> Compartments:
        """Those of some slices, as arrays."""
        return Compartments(np.asarray(self.codes[z]))

    @property
    def labels(self) -> NDArray[np.uint8]:
        """[z, y, x] uint8: 0 outside the bone, 1 trabecular, 2 cortical."""
        codes = self.codes[:]
        return np.where(codes == _ROOTS, np.uint8(TRABECULAR), codes)

    @property
    def roots(self) -> NDArray[np.bool_]:
        """[z, y, x]."""
        return np.asarray(self.codes[:] == _ROOTS)

    @property
    def trabecular(self) -> NDArray[np.bool_]:
        """[z, y, x]."""
        codes = self.codes[:]
        return np.asarray((codes == TRABECULAR) | (codes == _ROOTS))

    @property
    def cortical(self) -> NDArray[np.bool_]:
        """[z, y, x]."""
        return np.asarray(self.codes[:] == CORTICAL)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """[z, y, x]: inside the outer contour."""
        return np.asarray(self.codes[:] != 0)


def find_compartments(bone: Sliced, voxel_mm: float, settings: CompartmentSettings | None = None, cut: Cut | None = None) -> Compartments:
    """The compartments of the largest bone of a mask [z, y, x] whose slices cut across its shaft.

    Outer contour: gaps are closed, what is enclosed in a slice is filled. Marrow: what is not bone inside it, narrow spaces left out; grown
    by ``trabecula_mm`` and shrunk again it takes in the trabeculae. A ball of that size reaches a little into the root of a trabecula, a
    larger one (``smooth_mm``) less: what it leaves of the roots is trabecular. The rest is cortex.

    With a ``cut`` the mask is worked on by slabs, with as many slices around each as all these steps reach. Raises InputError where there
    is no bone.
    """
    settings = settings or CompartmentSettings()
    nz, ny, nx = bone.shape
    cut = cut or Cut((nz, ny, nx), nz)
    edge = int(max(settings.outer_mm, settings.pore_mm, settings.trabecula_mm, settings.smooth_mm) / voxel_mm) + 2
    box = box_of_slabs(lambda own: bone[own], cut, edge)
    if box is None:
        raise InputError("no voxel of the volume is bone", expected="a bone", remedy="give a lower threshold")
    depth, *sides = box
    pieces = join(lambda own: bone[own][:, *sides], cut, corners=True)
    largest = kept(lambda own: pieces.is_piece(own, pieces.largest), cut)

    def codes(own: slice) -> NDArray[np.uint8]:
        out = np.zeros((own.stop - own.start, ny, nx), np.uint8)
        window = cut.around(own, settings.halo(voxel_mm))
        window = slice(max(window.start, depth.start), min(window.stop, depth.stop))
        here = slice(max(own.start, window.start), min(own.stop, window.stop))
        if here.start < here.stop:
            found = _codes(bone[window][:, *sides], largest[window], voxel_mm, settings)
            out[within(here, own)][:, *sides] = found[within(here, window)]
        return out

    return Compartments(kept(codes, cut))


def _codes(bone: Mask, largest: Mask, voxel_mm: float, settings: CompartmentSettings) -> NDArray[np.uint8]:
    outer = _outer(largest, settings.outer_mm / voxel_mm)
    space = outer & ~bone
    marrow = space & reach_of(opened(space, settings.pore_mm / voxel_mm), 2 * settings.pore_mm / voxel_mm)  # with its corners
    reach = settings.trabecula_mm / voxel_mm
    trabecular = closed(marrow, reach) & outer
    roots = _closed_inside(trabecular, settings.smooth_mm / voxel_mm) & reach_of(trabecular, 0.75 * reach) & outer & ~trabecular
    trabecular = opened(trabecular | roots, settings.pore_mm / voxel_mm)
    codes = outer.view(np.uint8) * np.uint8(CORTICAL)
    codes[trabecular] = TRABECULAR
    codes[roots & trabecular] = _ROOTS
    return codes


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
