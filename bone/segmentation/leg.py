"""One leg on a coarse grid: where its knee is, which part is the tibia, which side of the animal it is on, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..masks import Mask, box_of, pieces
from .knee import TIBIA, Knee, bone_along, find_knee, slabs_across

_MARGIN_MM = 0.8  # of soft tissue around a leg's bone
_BENT_SURE_MM, _BENT_LEAST_MM = 1.0, 0.4  # off the line between the leg's ends: a knee that says which way is forwards; that says nothing


@dataclass(frozen=True, eq=False)
class LegParts:
    """``labels`` [z, y, x]: 1 femur, 2 tibia with fibula. ``knee``: (z, y, x) in voxels. ``confidence`` 0 to 1, and ``doubts`` in words.

    ``side``: "left" or "right"; "" where it cannot be told. ``area``: (position along the leg, bone), for pictures.
    """

    labels: NDArray[np.uint8]
    side: str
    knee: tuple[float, float, float]
    confidence: float
    doubts: tuple[str, ...] = ()
    area: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))


def parts_of_leg(bone: Mask, values: NDArray[np.float32], threshold: float, voxel_mm: float) -> LegParts | None:
    """Femur and tibia of one leg (``bone`` [z, y, x]); None where it has not two bones. ``values`` [z, y, x]: the volume that it is in."""
    pad = int(_MARGIN_MM / voxel_mm) + 1
    box = tuple(slice(max(0, s.start - pad), s.stop + pad) for s in box_of(bone))
    found = _parts(bone[box], values[box], threshold, voxel_mm)
    if found is None:
        return None
    labels = np.zeros(bone.shape, np.uint8)
    labels[box] = found.labels
    z, y, x = (k + s.start for k, s in zip(found.knee, box, strict=True))
    return replace(found, labels=labels, knee=(z, y, x))


def _parts(bone: Mask, values: NDArray[np.float32], threshold: float, voxel_mm: float) -> LegParts | None:
    places = np.argwhere(bone).astype(np.float64)
    middle = places.mean(axis=0)
    axis = np.linalg.svd((places - middle)[:: max(1, len(places) // 20_000)], full_matrices=False)[2][0]
    along = (np.indices(bone.shape).reshape(3, -1).T - middle) @ axis
    along = along.reshape(bone.shape)
    doubts: list[str] = []
    knee = find_knee(bone, values, threshold, along, voxel_mm, doubts)
    if knee is None:
        return None
    side, sure = _side(knee, along, voxel_mm, doubts)
    z, y, x = (float(k) for k in knee.place)
    confidence = min(knee.trust, sure) * 0.6 ** max(0, len(doubts) - 1)
    return LegParts(knee.labels, side, (z, y, x), confidence, tuple(doubts), bone_along(along[bone]))


def _side(knee: Knee, along: NDArray, voxel_mm: float, doubts: list[str]) -> tuple[str, float]:
    """The side of the animal by handedness: upwards, forwards and outwards are known from the leg itself, however it lies.

    Outwards lies the fibula beside the tibia. Forwards lies the patella, and a knee bends so that it is before the line between the
    leg's ends: each is asked, and where they disagree the side is not sure.
    """
    up = knee.up
    outwards = _to_fibula(knee.labels == TIBIA, along)
    forwards, sure = _forwards(knee, voxel_mm, doubts)
    if outwards is None or forwards is None:
        doubts.append("fibula or patella cannot be told: the side is not known")
        return "", 0.2
    outwards, forwards = (v - (v @ up) * up for v in (outwards, forwards))
    sine = float(np.dot(np.cross(outwards, forwards), up) / (np.linalg.norm(outwards) * np.linalg.norm(forwards) + 1e-12))
    # arrays are [z, y, x]: a left-handed frame of (x, y, z), so that the sign turns
    if abs(sine) < 0.35:
        doubts.append("the fibula lies straight behind or before the knee: the side is not sure")
    return ("right" if sine < 0 else "left"), float(min(1.0, sure * (0.4 + abs(sine))))


def _to_fibula(tibia: Mask, along: NDArray) -> NDArray | None:
    """From the tibia to the fibula, the median over the slices where the two are apart."""
    steps = []
    for slab, _ in slabs_across(tibia, along):
        labels, sizes = pieces(slab)
        if sizes.size > 1:
            first, second = np.argsort(-sizes)[:2] + 1
            if sizes[second - 1] >= max(2, 0.04 * sizes[first - 1]):
                steps.append(np.argwhere(labels == second).mean(axis=0) - np.argwhere(labels == first).mean(axis=0))
    return np.median(steps, axis=0) if len(steps) >= 3 else None


def _forwards(knee: Knee, voxel_mm: float, doubts: list[str]) -> tuple[NDArray | None, float]:
    """Which way is forwards, and how sure that is, by the patella and by the bend of the knee."""
    bent = float(np.linalg.norm(knee.bent)) * voxel_mm
    if knee.patella is None:
        return (None, 0.0) if bent < _BENT_LEAST_MM else (knee.bent, 0.7 if bent > _BENT_SURE_MM else 0.4)
    step = knee.patella - knee.place
    step = step - (step @ knee.up) * knee.up
    if bent < _BENT_LEAST_MM:
        return step, 0.9
    between = float(step @ knee.bent / (np.linalg.norm(step) * np.linalg.norm(knee.bent)))
    if between < 0.5:
        doubts.append(f"the knee is bent by {bent:.1f} mm another way than its patella says")
        return step, 0.45
    return step, 1.0
