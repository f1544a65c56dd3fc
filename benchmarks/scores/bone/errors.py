"""How far a volume's quantities of bone are from those of its reference: what the scans are made for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ....bone import measure

if TYPE_CHECKING:
    from ....bone import Measured
    from ..compared import VolumePair

_FEW = 200  # voxels of bone in the mask below which nothing is measured


def measured_pair(pair: VolumePair) -> tuple[Measured, Measured] | None:
    """The quantities of the volume and of its reference inside the mask, at the yardstick's bone threshold; None where one has no bone."""
    found = []
    for volume in (pair.volume, pair.reference):
        bone = np.asarray(volume) > pair.yardstick.bone
        if np.count_nonzero(bone & pair.mask) < _FEW or bone.all():
            return None
        found.append(measure(np.asarray(volume), pair.grid, threshold=pair.yardstick.bone, region=pair.mask))
    return found[0], found[1]


def bone_error(pair: VolumePair, name: str) -> float:
    """The size of (measured - reference) of a quantity: in points for one that is in %, else in % of the reference; NaN if it has none."""
    if pair.measured is None:
        return math.nan
    mine, truth = (m[name] for m in pair.measured)
    if name == "BV_TV":
        return abs(mine - truth)
    return 100 * abs(mine - truth) / abs(truth) if truth else math.nan
