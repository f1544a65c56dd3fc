"""Where a leg's knee is: a neck in the current along the leg, which the patella tells from the necks at the growth plates beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..masks import Mask, pieces, within
from .current import Necks, evened, necks, potential

FEMUR, TIBIA = 1, 2
_ENDS = 0.15  # of the leg's length, at either end, where the current enters and leaves
_AROUND_MM = 0.6  # soft tissue around bone that the current may cross
_LEAST_DEPTH, _OPEN = 0.12, 0.35  # of a neck that is looked at; of one that is plainly open
_LEVEL = (0.1, 0.9)  # of the potential, for a knee
_TO_JOINT_MM, _MOST_OFF_MM = 1.4, 0.9  # from the middle of the patella down to the joint, and how far that may be off
_BELOW_MM, _ABOVE_MM = (0.7, 2.3), (1.6, 3.5)  # from the joint to the growth plates of tibia and femur
_PATELLA_MM3, _PATELLA_MM = (0.15, 2.5), 2.8  # its bone, and its greatest length
_BEFORE_MM = 1.6  # of the middle of the patella before that of the bone behind it, at least
_FIRM = (0.0, 0.15, 0.3, 0.45, 0.6)  # of the way from the threshold to bright bone: where pieces are looked for, one after the other
_BENT_MM = 0.6  # how far a knee must be off the line between the leg's ends, to say which way is forwards


@dataclass(frozen=True, eq=False)
class Knee:
    """``labels`` [z, y, x]: femur 1, tibia with fibula 2. ``place``: (z, y, x) of the joint in voxels; ``up``: unit vector to the femur.

    ``patella``: (z, y, x) in voxels, or None. ``bent``: from the line between the leg's ends to the joint, in voxels.
    """

    labels: NDArray[np.uint8]
    place: NDArray[np.float64]
    up: NDArray[np.float64]
    patella: NDArray[np.float64] | None
    bent: NDArray[np.float64]
    trust: float


def find_knee(bone: Mask, values: NDArray[np.float32], threshold: float, along: NDArray, voxel_mm: float, doubts: list[str]) -> Knee | None:
    """The knee of a leg (``bone`` [z, y, x]; ``values``: the grey values of the leg alone); None where it has none."""
    share = (along - along[bone].min()) / max(1e-9, float(np.ptp(along[bone])))
    ends = [bone & (share > 1 - _ENDS), bone & (share < _ENDS)]
    if not (ends[0].any() and ends[1].any()):
        return None
    near = within(bone, _AROUND_MM / voxel_mm) & (bone | (values <= threshold))
    soft, bright = float(np.median(values[near & ~bone])), float(np.percentile(values[bone], 90))
    level = evened(potential((values - soft) / (bright - soft), near, ends[0], ends[1]), bone)
    lower = _tibia_end(level, bone, along, doubts)
    if lower > 0:  # let the potential fall from the femur to the tibia
        level, ends = 1 - level, ends[::-1]
    found = necks(level, np.clip((values - threshold) / (bright - threshold), 0, 1), _LEAST_DEPTH)
    inner = (found.level > _LEVEL[0]) & (found.level < _LEVEL[1])
    found = Necks(found.level[inner], found.depth[inner], found.place[inner])
    top, bottom = (np.argwhere(end).mean(axis=0) for end in ends)
    patella = _patella(bone, values, threshold, level, found, top, bottom, voxel_mm) if found.level.size else None
    if not found.level.size or (patella is None and found.depth.max() < _OPEN):
        doubts.append("there is no narrow place between two ends near the middle: one bone, or a knee that is not seen")
        return None
    up = (top - bottom) / np.linalg.norm(top - bottom)
    chosen, trust = _chosen(found, up, patella, voxel_mm, doubts)
    cut, place = float(found.level[chosen]), found.place[chosen]
    labels = _spread(np.where(level > cut, FEMUR, np.where(level <= cut, TIBIA, 0)).astype(np.uint8), bone)
    return Knee(labels, place, up, patella, _off_line(place, top, bottom), trust)


def _tibia_end(level: NDArray[np.float32], bone: Mask, along: NDArray, doubts: list[str]) -> int:
    """1 where the tibia is at the end of high potential, -1 where it is at the other: a second, thin bone lies beside it."""
    high, low = (share_of_two(bone & part, along) for part in (level > 0.6, level < 0.4))
    if max(high, low) < 0.1 or max(high, low) < 1.3 * min(high, low):
        doubts.append(f"a second bone lies beside {high:.0%} of one half and {low:.0%} of the other: which is the tibia is not clear")
    return 1 if high > low else -1


def _off_line(place: NDArray, top: NDArray, bottom: NDArray) -> NDArray[np.float64]:
    """From the line between the ends of the leg to a place. A knee bends one way only: it is off that line forwards."""
    way = (top - bottom) / np.linalg.norm(top - bottom)
    off = place - bottom
    return off - (off @ way) * way


def _patella(
    bone: Mask, values: NDArray, threshold: float, level: NDArray, found: Necks, top: NDArray, bottom: NDArray, voxel_mm: float
) -> NDArray[np.float64] | None:
    """The middle of the small piece before the knee, or None. One on the inner side of a knee that is plainly bent is another bone."""
    bright = float(np.percentile(values[bone], 95))
    front = _off_line(found.place[int(np.argmin(np.abs(found.level - 0.5)))], top, bottom)
    for firm in _FIRM:
        labels, sizes = pieces(bone & (values > threshold + firm * (bright - threshold)))
        mm3 = sizes * voxel_mm**3
        for n in sorted(np.flatnonzero((mm3 > _PATELLA_MM3[0]) & (mm3 < _PATELLA_MM3[1])) + 1, key=lambda n: -sizes[n - 1]):
            here = labels == n
            places = np.argwhere(here)
            own = float(np.nanmean(level[here])) if np.isfinite(level[here]).any() else 0.5
            if np.ptp(places, axis=0).max() * voxel_mm > _PATELLA_MM or not _LEVEL[0] < own < 0.97:
                continue
            before = _before(places, bone & ~here, top, bottom, voxel_mm)
            behind = before is not None and np.linalg.norm(front) * voxel_mm > _BENT_MM and before @ front < 0
            if before is not None and not behind and np.linalg.norm(before) * voxel_mm > _BEFORE_MM:
                return places.mean(axis=0)
    return None


def _before(places: NDArray, others: Mask, top: NDArray, bottom: NDArray, voxel_mm: float) -> NDArray[np.float64] | None:
    """From the bone at the same height to a piece of bone, across the leg, in voxels."""
    up = (top - bottom) / np.linalg.norm(top - bottom)
    middle, reach = places.mean(axis=0), 2.5 / voxel_mm
    low = np.maximum(0, np.floor(middle - 2 * reach)).astype(int)
    high = np.ceil(middle + 2 * reach).astype(int) + 1
    around = np.argwhere(others[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]) + low
    level = around[np.abs((around - middle) @ up) < 0.5 / voxel_mm]
    if not len(level):
        return None
    step = middle - level.mean(axis=0)
    return step - (step @ up) * up


def _chosen(found: Necks, up: NDArray, patella: NDArray | None, voxel_mm: float, doubts: list[str]) -> tuple[int, float]:
    """Which neck is the joint, and how sure that is."""
    height = found.place @ up * voxel_mm
    if patella is not None:
        off = np.abs(float(patella @ up) * voxel_mm - _TO_JOINT_MM - height)
        best = int(np.argmin(off))
        trust = 1.0
        if off[best] > _MOST_OFF_MM:
            doubts.append(f"the joint is {off[best]:.1f} mm from where the patella says: one of the two is something else")
            trust = 0.3
        elif found.depth[best] < _OPEN:
            doubts.append(f"femur and tibia touch; cut where the bone is narrowest, {found.depth[best]:.0%} less than on both sides")
            trust = 0.4 + float(found.depth[best])
        return best, trust
    for n in range(len(height)):
        below, above = height[n] - height[height < height[n]], height[height > height[n]] - height[n]
        if _any_between(below, _BELOW_MM) and _any_between(above, _ABOVE_MM):
            doubts.append("no patella was found: the joint is taken for the middle one of three gaps, between two growth plates")
            return n, 0.6
    doubts.append("no patella was found, and nothing tells the joint from a growth plate: the widest gap was taken")
    return int(np.argmax(found.depth)), 0.4


def _any_between(values: NDArray, limits: tuple[float, float]) -> bool:
    return bool(np.any((values > limits[0]) & (values < limits[1])))


def _spread(halves: NDArray[np.uint8], bone: Mask) -> NDArray[np.uint8]:
    """All bone takes the side of the nearest that has one."""
    known = np.where(bone, halves, 0)
    nearest = np.asarray(ndimage.distance_transform_edt(known == 0, return_distances=False, return_indices=True))
    return np.where(bone, known[tuple(nearest)], 0).astype(np.uint8)


def bone_along(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2): place along the leg in voxels, and voxels of bone there, a little smoothed."""
    low, high = np.floor(along.min()), np.ceil(along.max())
    counts, edges = np.histogram(along, np.arange(low, high + 1.5))
    return np.stack([(edges[:-1] + edges[1:]) / 2, ndimage.gaussian_filter1d(counts.astype(float), 1.0)], axis=1)


def slabs_across(part: Mask, along: NDArray) -> list[tuple[Mask, NDArray[np.float64]]]:
    """Slices of a part [z, y, x] across the leg, two voxels thick, each in its box, and the index at which the box begins."""
    places = np.argwhere(part)
    if not len(places):
        return []
    steps = ((along[part] - along[part].min()) / 2).astype(int)
    found = []
    for step in range(int(steps.max()) + 1):
        here = places[steps == step]
        if not len(here):
            continue
        low = here.min(axis=0)
        slab = np.zeros(here.max(axis=0) - low + 1, bool)
        slab[tuple((here - low).T)] = True
        found.append((slab, low.astype(float)))
    return found


def share_of_two(part: Mask, along: NDArray) -> float:
    """The share of the slices of a part [z, y, x] that hold two separate pieces, the second not tiny."""
    slabs = slabs_across(part, along)
    count = 0
    for slab, _ in slabs:
        sizes = np.sort(pieces(slab)[1])[::-1]
        count += bool(sizes.size > 1 and sizes[1] >= max(2, 0.04 * sizes[0]))
    return count / max(len(slabs), 1)
