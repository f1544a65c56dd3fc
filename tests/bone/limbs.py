"""Two hind limbs of a phantom side by side, with what is where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from fewview.data import hind_limb
from fewview.geometry import Grid
from numpy.typing import NDArray

THRESHOLD = 0.09  # 1/mm: between muscle (0.04) and bone (0.17 and more)


@dataclass(frozen=True, eq=False)
class Limbs:
    volume: NDArray[np.float32]
    grid: Grid
    truth: dict[str, NDArray[np.bool_]]


@cache
def two_limbs(seed: int, *, swapped: bool = False, noise: float = 0.01, voxel_mm: float = 0.2) -> Limbs:
    """An animal's left and right hind limb at smaller and larger x, or ``swapped``."""
    shape = (round(27 / voxel_mm), round(14 / voxel_mm), round(14 / voxel_mm))
    sides = ("right", "left") if swapped else ("left", "right")
    limbs = [hind_limb(Grid(shape, voxel_mm), seed=seed, side=side, holder=False, supersample=1) for side in sides]
    volume = np.concatenate([limb.volume for limb in limbs], axis=2)
    truth = {}
    for n, (side, limb) in enumerate(zip(sides, limbs, strict=True)):
        for bone, names in (("femur", ("femur", "patella")), ("tibia", ("tibia", "fibula"))):
            mask = np.zeros(volume.shape, bool)
            mask[:, :, n * shape[2] : (n + 1) * shape[2]] = limb.mask(*names)
            truth[f"{side} {bone}"] = mask & (volume > THRESHOLD)
    rng = np.random.default_rng(seed)
    return Limbs((volume + noise * rng.standard_normal(volume.shape)).astype(np.float32), Grid(volume.shape, voxel_mm), truth)
