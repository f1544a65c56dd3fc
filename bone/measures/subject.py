"""What is measured, of which slices are asked for: grey values, bone, the region, compartments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..masks import Mask
from ..stack.sliced import Sliced
from .compartments import Compartments

_WORTH = 0.8  # of the slices that what is looked at may be for the rest to be left out: it is copied then
_BESIDE = 8  # voxels beside the bone that its surface and balls look at


@dataclass(frozen=True, eq=False)
class Subject:
    """A volume [z, y, x] with its ``bone`` (a mask), the ``region`` by name (a mask where it is "mask"), and its compartments, if any.

    ``sides`` are the rows and columns that are looked at; each function gives some slices of them.
    """

    volume: Sliced
    bone_mask: Sliced
    name: str
    region: Sliced | None
    found: Compartments | None
    voxel_mm: float
    sides: tuple[slice, slice] = (slice(None), slice(None))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) that are looked at."""
        depth, *others = self.volume.shape
        y, x = (len(range(*side.indices(n))) for side, n in zip(self.sides, others, strict=True))
        return depth, y, x

    def grey(self, z: slice) -> NDArray[np.float32]:
        """The grey values [z, y, x], in the volume's unit."""
        return np.ascontiguousarray(grey_of(self.volume, z)[:, *self.sides])

    def bone(self, z: slice) -> Mask:
        """Which voxels are bone, [z, y, x]."""
        return np.ascontiguousarray(self.bone_mask[z][:, *self.sides])

    def compartments(self, z: slice) -> Compartments | None:
        """The compartments, [z, y, x]."""
        return None if self.found is None else Compartments(np.ascontiguousarray(self.found.codes[z][:, *self.sides]))

    def inside(self, z: slice) -> Mask:
        """The region, [z, y, x]."""
        found = self.compartments(z)
        if found is not None:
            return found.cortical if self.name == "cortical" else found.trabecular
        if self.region is not None:
            return np.asarray(self.region[z])[:, *self.sides] != 0
        depth, ny, nx = self.shape
        return np.ones((len(range(*z.indices(depth))), ny, nx), bool)

    def grey_and_bone(self, z: slice) -> tuple[NDArray[np.float32], Mask]:
        """Both, [z, y, x]; grey values in the volume's unit."""
        return self.grey(z), self.bone(z)

    def cropped(self, sides: tuple[slice, slice]) -> Subject:
        """Some rows and columns of it."""
        return replace(self, sides=sides)


def grey_of(volume: Sliced, z: slice) -> NDArray[np.float32]:
    """Some slices [z, y, x] as float32, in the volume's unit."""
    return np.ascontiguousarray(volume[z], dtype=np.float32)


def sides_of(box: tuple[slice, slice, slice], shape: tuple[int, int, int]) -> tuple[slice, slice]:
    """The rows and columns of a box and what is beside it, as far as the volume goes; all of them where that saves little."""
    y, x = (slice(max(side.start - _BESIDE, 0), min(side.stop + _BESIDE, n)) for side, n in zip(box[1:], shape[1:], strict=True))
    share = (y.stop - y.start) * (x.stop - x.start) / (shape[1] * shape[2])
    return (y, x) if share < _WORTH else (slice(None), slice(None))


def thinned(volume: Sliced, step: int) -> NDArray[Any]:
    """Every ``step``-th voxel of a volume [z, y, x] along each axis, in its own unit."""
    return np.concatenate([np.asarray(volume[z : z + 1])[:, ::step, ::step] for z in range(0, volume.shape[0], step)])
