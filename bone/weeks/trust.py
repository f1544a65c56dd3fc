"""How far a registration is to be trusted: whether the bones fit, and whether only one place fits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...geometry import Grid
from .bone_fit import Fitted, Motion

_SAME_DEG, _SAME_VOXELS = 1.0, 2.0  # ends of two starts that agree
_LEAST_DICE, _LEAST_LIKENESS = 0.55, 0.85  # of bone; of grey values at and around it: other bones, or a wrong start
_BROADLY, _LEAST_OTHER = 0.95, 0.7  # of grey values smoothed by four voxels, and of all: two animals' bones that lie alike
_AS_GOOD, _ALIKE = 1.15, 0.001  # times as far from a perfect likeness as the best, and so much more: an end that fits as well


def apart(one: Motion, other: Motion, bone: NDArray[np.bool_], grid: Grid) -> str:
    """How far two motions of a bone, a mask [z, y, x], are apart, in words; empty where they agree."""
    (rotation, shift), (turned, shifted) = one, other
    middle = np.argwhere(bone).mean(axis=0)[::-1] * grid.voxel_mm + grid.origin_mm
    angle = math.degrees(math.acos(max(-1.0, min(1.0, (float(np.trace(rotation.T @ turned)) - 1) / 2))))
    off = float(np.abs((turned - rotation) @ middle + shifted - shift).max()) / grid.voxel_mm
    return f"{angle:.1f} deg and {off:.1f} voxels" if angle > _SAME_DEG or off > _SAME_VOXELS else ""


def trust(
    fits: Sequence[Fitted],
    best: int,
    bone: NDArray[np.bool_],
    grid: Grid,
    overlap: float,
    known: Sequence[str] = (),
) -> tuple[tuple[str, ...], float]:
    """(doubts, confidence): how well the bones fit, whether another start ended elsewhere and fits as well, and ``known`` doubts.

    ``bone`` is the mask [z, y, x] of the bone at rest; ``overlap`` (Dice) and the confidence are between 0 and 1.
    """
    doubts = []
    likeness = fits[best].correlation
    for other in fits:
        away = apart(fits[best].motion, other.motion, bone, grid)
        if away and 1 - other.correlation < _AS_GOOD * (1 - likeness) + _ALIKE:
            doubts.append(f"another start ends {away} away and fits as well")
            break
    doubts += known
    sure = float(max(0.0, min(1.0, likeness))) * 0.45 ** len(doubts)
    if overlap >= _LEAST_DICE and likeness >= _LEAST_LIKENESS:
        return tuple(doubts), sure
    said = f"the bones overlap by {overlap:.0%} and the grey values at them agree by {likeness:.0%} only"
    if fits[best].broad >= _BROADLY and likeness >= _LEAST_OTHER:
        return (*doubts, f"{said}, smoothed by {fits[best].broad:.0%}: alike in place, not in shape (another animal)"), 0.7 * sure
    return (*doubts, f"{said}: other bones, or the wrong start"), 0.45 * sure
