"""Maps of local thickness, separation and shape: of every voxel, or thinned where the volume goes slab by slab."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..thickness.local_thickness import SlabThickness
from .compartments import Compartments
from .subject import thinned

_MOST = 2**24  # voxels of a thinned map


@dataclass(frozen=True, eq=False)
class Maps:
    """``thickness`` and ``separation`` in mm and ``plate`` (0 to 1), all [z, y, x], of every ``step``-th voxel along each axis."""

    step: int
    thickness: NDArray[np.float32]
    separation: NDArray[np.float32]
    plate: NDArray[np.float32]

    @classmethod
    def blank(cls, shape: tuple[int, int, int], whole: bool) -> Maps:
        """Of a volume of ``shape`` (z, y, x): all of it, or thinned."""
        step = 1 if whole else max(1, math.ceil((math.prod(shape) / _MOST) ** (1 / 3)))
        thin = tuple(-(-n // step) for n in shape)
        return cls(step, np.zeros(thin, np.float32), np.zeros(thin, np.float32), np.zeros(thin, np.float32))

    def put(self, found: SlabThickness, sides: tuple[slice, slice], voxel_mm: float) -> None:
        """Write the slices of a slab, which are some rows and columns of the volume."""
        own, step = found.own, self.step
        first, y, x = (-(start or 0) % step for start in (own.start, sides[0].start, sides[1].start))
        thin = np.s_[first::step, y::step, x::step]
        diameters, bone = found.voxels[thin] * np.float32(voxel_mm), found.bone[thin]
        place = tuple(
            slice((start + more) // step, (start + more) // step + count)
            for start, more, count in zip((own.start, sides[0].start or 0, sides[1].start or 0), (first, y, x), bone.shape, strict=True)
        )
        self.thickness[place][bone] = diameters[bone]
        self.separation[place][~bone] = diameters[~bone]
        np.divide(found.plate[thin], np.float32(255), out=self.plate[place], where=bone)

    def named(self, found: Compartments | None) -> dict[str, NDArray[Any]]:
        """The maps [z, y, x] by name, in mm and shares; with the labels of the compartments, if any."""
        maps: dict[str, NDArray[Any]] = {"thickness": self.thickness, "separation": self.separation, "plate": self.plate}
        if found is None:
            return maps
        return maps | {"compartments": Compartments(found.codes if self.step == 1 else thinned(found.codes, self.step)).labels}
