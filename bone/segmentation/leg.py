"""One leg on a coarse grid: where its knee is, which part is the tibia, which side of the animal it is on, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..masks import Mask, box_of, pieces
from .knee import bone_along, checked_by_patella, share_of_two, slabs_across, two_halves

FEMUR, TIBIA = 1, 2


@dataclass(frozen=True, eq=False)
class LegParts:
    """``labels`` [z, y, x]: 1 femur, 2 tibia with fibula. ``knee``: (z, y, x) in voxels. ``confidence`` 0 to 1, and ``doubts`` in words.

    ``side``: "left" or "right"; "" where it cannot be told. ``area``: (position along the leg, bone) by which the knee was found.
    """

    labels: NDArray[np.uint8]
    side: str
    knee: tuple[float, float, float]
    confidence: float
    doubts: tuple[str, ...] = ()
    area: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))


def parts_of_leg(bone: Mask, firm: Mask, voxel_mm: float) -> LegParts | None:
    """Femur and tibia of one leg; None where it has not two bones. ``firm``: its densest bone, in which what only touches is apart."""
    box = box_of(bone)
    found = _parts(np.pad(bone[box], 1), np.pad(firm[box], 1), voxel_mm)
    if found is None:
        return None
    labels = np.zeros(bone.shape, np.uint8)
    labels[box] = found.labels[1:-1, 1:-1, 1:-1]
    z, y, x = (k - 1 + s.start for k, s in zip(found.knee, box, strict=True))
    return replace(found, labels=labels, knee=(z, y, x))


def _parts(bone: Mask, firm: Mask, voxel_mm: float) -> LegParts | None:
    places = np.argwhere(bone).astype(np.float64)
    middle = places.mean(axis=0)
    axis = np.linalg.svd(places - middle, full_matrices=False)[2][0]
    along = (np.indices(bone.shape).reshape(3, -1).T - middle) @ axis
    along = along.reshape(bone.shape)
    doubts: list[str] = []
    profile = bone_along(along[bone])
    halves, trust = two_halves(bone, firm, along, profile, doubts)
    halves, trust = checked_by_patella(halves, trust, bone, firm, along, profile, voxel_mm, doubts)
    if halves is None:
        return None
    lower = _has_fibula(halves, along, doubts)
    labels = np.where(halves == lower, TIBIA, np.where(halves > 0, FEMUR, 0)).astype(np.uint8)
    up = axis if along[labels == FEMUR].mean() > along[labels == TIBIA].mean() else -axis
    side, sure = _side(labels, along, up, doubts)
    knee = _between(labels)
    return LegParts(labels, side, knee, min(trust, sure) * 0.6 ** max(0, len(doubts) - 1), tuple(doubts), profile)


def _has_fibula(halves: NDArray[np.uint8], along: NDArray, doubts: list[str]) -> int:
    """Which half is the tibia: the one with a second, thin bone beside it over more of its length."""
    share = {n: share_of_two(halves == n, along) for n in (1, 2)}
    lower = 1 if share[1] >= share[2] else 2
    if share[lower] < 0.1 or share[lower] < 1.3 * share[3 - lower]:
        doubts.append(
            f"a second bone lies beside {share[1]:.0%} of one half and {share[2]:.0%} of the other: which is the tibia is not clear"
        )
    return lower


def _side(labels: NDArray[np.uint8], along: NDArray, up: NDArray, doubts: list[str]) -> tuple[str, float]:
    """The side of the animal by handedness: upwards, forwards and outwards are known from the leg itself, however it lies.

    Outwards lies the fibula beside the tibia; forwards the patella in front of the knee, or else the crest of the tibia.
    """
    outwards = _to_fibula(labels == TIBIA, along)
    forwards, sure = _forwards(labels, along, up)
    if outwards is None or forwards is None:
        doubts.append("fibula or patella cannot be told: the side is not known")
        return "", 0.2
    outwards, forwards = (v - (v @ up) * up for v in (outwards, forwards))
    sine = float(np.dot(np.cross(outwards, forwards), up) / (np.linalg.norm(outwards) * np.linalg.norm(forwards) + 1e-12))
    # arrays are [z, y, x]: a left-handed frame of (x, y, z), so that the sign turns
    if abs(sine) < 0.35:
        doubts.append("fibula and patella lie in one direction: the side is not sure")
    return ("right" if sine < 0 else "left"), float(min(1.0, sure * (0.4 + abs(sine))))


def _to_fibula(tibia: Mask, along: NDArray) -> NDArray | None:
    """From the tibia to the fibula, the mean over the slices where the two are apart."""
    steps = []
    for slab, _ in slabs_across(tibia, along):
        labels, sizes = pieces(slab)
        if sizes.size > 1:
            first, second = np.argsort(-sizes)[:2] + 1
            if sizes[second - 1] >= max(2, 0.04 * sizes[first - 1]):
                steps.append(np.argwhere(labels == second).mean(axis=0) - np.argwhere(labels == first).mean(axis=0))
    return np.median(steps, axis=0) if len(steps) >= 3 else None


def _forwards(labels: NDArray[np.uint8], along: NDArray, up: NDArray) -> tuple[NDArray | None, float]:
    """Towards the patella: a piece of its own near the knee; towards the crest of the tibia where there is none."""
    knee = np.asarray(_between(labels))
    found, sizes = pieces(labels > 0)
    length = along[labels > 0].max() - along[labels > 0].min()
    best: tuple[float, NDArray] | None = None
    for n in np.flatnonzero((sizes >= 3) & (sizes < 0.12 * sizes.sum())) + 1:
        middle = np.argwhere(found == n).mean(axis=0) - knee
        near = abs(middle @ up)
        if near < 0.15 * length and (best is None or sizes[n - 1] > best[0]):
            best = (float(sizes[n - 1]), middle)
    if best is not None:
        return best[1], 1.0
    sign = 1.0 if along[labels == FEMUR].mean() > along[labels == TIBIA].mean() else -1.0
    height = sign * along
    ceiling, floor = height[labels == TIBIA].max(), height[labels == TIBIA].min()
    upper = (labels == TIBIA) & (height > ceiling - 0.35 * (ceiling - floor)) & (height < ceiling - 0.12 * (ceiling - floor))
    places = np.argwhere(upper) - np.argwhere(upper).mean(axis=0) if upper.any() else np.empty((0, 3))
    if len(places) < 20:
        return None, 0.0
    flat = places - np.outer(places @ up, up)
    third = (flat * (flat**2).sum(axis=1, keepdims=True)).mean(axis=0)  # skewness points to the crest
    return (third, 0.6) if np.linalg.norm(third) > 0 else (None, 0.0)


def _between(labels: NDArray[np.uint8]) -> tuple[float, float, float]:
    """The middle of where femur and tibia are nearest to one another."""
    femur, tibia = labels == FEMUR, labels == TIBIA
    to_femur, to_tibia = (np.asarray(ndimage.distance_transform_edt(~m)) for m in (femur, tibia))
    both = to_femur + to_tibia
    z, y, x = np.argwhere(both <= both.min() + 1.0).mean(axis=0)
    return float(z), float(y), float(x)
