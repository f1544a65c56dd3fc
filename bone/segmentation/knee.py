"""Where a leg's knee is: two long bones that are apart, a narrow place, and the patella that tells a joint from a growth plate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..masks import Mask, box_of, pieces

_LEAST_PIECE = 0.08  # of the leg's bone: smaller pieces are patella, fibula, fragments
_MOST_OVERLAP = 0.35  # of the shorter of two pieces along the leg, for the two to be femur and tibia
_CONTACT = 1.0  # voxels: how soon facing a bone counts less with distance
_SEEN = 12  # voxels: beyond it nothing is faced
_MOST_PIECES = 8  # that are asked for
_KNEE = (0.25, 0.75)  # of the length: where the knee can be


def bone_along(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2): place along the leg in voxels, and voxels of bone there, a little smoothed."""
    low, high = np.floor(along.min()), np.ceil(along.max())
    counts, edges = np.histogram(along, np.arange(low, high + 1.5))
    return np.stack([(edges[:-1] + edges[1:]) / 2, ndimage.gaussian_filter1d(counts.astype(float), 1.0)], axis=1)


def two_halves(bone: Mask, firm: Mask, along: NDArray, profile: NDArray, doubts: list[str]) -> tuple[NDArray[np.uint8] | None, float]:
    """Labels (1 and 2 on the two sides of the knee; indices) and how sure they are; connected pieces stay together if they can."""
    labels, sizes = pieces(firm)
    if not sizes.size:
        return None, 0.0
    large = np.flatnonzero(sizes >= _LEAST_PIECE * sizes.sum()) + 1
    spans = {int(n): np.percentile(along[labels == n], [2, 98]) for n in large}
    order = sorted(spans, key=lambda n: -sizes[n - 1])
    for first in order[:2]:
        for second in order:
            if second != first and sizes[second - 1] > 0.2 * sizes[first - 1] and _apart(spans[first], spans[second]):
                return _spread(_by_contact(labels, sizes, first, second), bone), 1.0
    return _by_cut(bone, along, profile, doubts)


def _apart(a: NDArray, b: NDArray) -> bool:
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    return bool(overlap < _MOST_OVERLAP * min(a[1] - a[0], b[1] - b[0]))


def _by_cut(bone: Mask, along: NDArray, profile: NDArray, doubts: list[str]) -> tuple[NDArray[np.uint8] | None, float]:
    """Femur and tibia that touch: cut where there is least bone near the middle between two thick ends (the joint)."""
    place, area = profile[:, 0], profile[:, 1]
    length = place[-1] - place[0]
    middle = (place > place[0] + _KNEE[0] * length) & (place < place[0] + _KNEE[1] * length)
    inner = np.flatnonzero(middle)
    if inner.size < 5:
        return None, 0.0
    best, depth = -1, 0.0
    for i in inner[1:-1]:
        reach = max(3, int(0.12 * len(area)))
        around = min(area[max(0, i - reach) : i].max(), area[i + 1 : i + 1 + reach].max())
        if area[i] <= area[i - 1] and area[i] <= area[i + 1] and 1 - area[i] / max(around, 1e-9) > depth:
            best, depth = int(i), 1 - area[i] / around
    if best < 0 or depth < 0.15:
        doubts.append("there is no narrow place between two ends near the middle: one bone, or a knee that is not seen")
        return None, 0.0
    doubts.append(f"femur and tibia touch; cut where the bone is narrowest, {depth:.0%} less than on both sides")
    return np.where(bone, np.where(along < place[best], 1, 2), 0).astype(np.uint8), float(min(1.0, 0.4 + depth))


def checked_by_patella(
    halves: NDArray[np.uint8] | None,
    trust: float,
    bone: Mask,
    firm: Mask,
    along: NDArray,
    profile: NDArray,
    voxel_mm: float,
    doubts: list[str],
) -> tuple[NDArray[np.uint8] | None, float]:
    """The halves [z, y, x], if their border is where the patella says that the joint is; if not, bone cut there where it is narrowest.

    A growth plate can be a wider gap than the joint: then an epiphysis hangs on the other bone. The patella lies before the end of the
    femur, its middle 0.7 to 2.1 mm above the joint.
    """
    patella = _patella(firm, along)
    if patella is None:
        doubts.append("no patella was found: nothing tells the joint from a growth plate")
        return halves, 0.6 * trust
    first, second = bone & (along > patella), bone & (along < patella)
    up = 1.0 if share_of_two(second, along) > share_of_two(first, along) else -1.0  # the fibula lies beside the tibia
    expected = patella - up * 1.4 / voxel_mm
    if halves is not None:
        border = float(np.median(along[_facing(halves)]))
        if abs(border - expected) <= 0.8 / voxel_mm:
            return halves, trust
    near = np.flatnonzero(np.abs(profile[:, 0] - expected) <= 0.8 / voxel_mm)
    if not near.size:
        doubts.append("the patella is not where a knee can be")
        return halves, 0.3 * trust
    cut = float(profile[near[np.argmin(profile[near, 1])], 0])
    slack = 0.45 / voxel_mm
    seeds = np.where(bone & (along > cut + slack), 1, np.where(bone & (along < cut - slack), 2, 0)).astype(np.uint8)
    doubts.append("a growth plate is a wider gap than the joint: femur and tibia were parted below the patella")
    return _spread(_by_growing(seeds, firm), bone), 0.75


def _by_growing(seeds: NDArray[np.uint8], firm: Mask) -> NDArray[np.uint8]:
    """Seeds grown inside bone, step by step, as far as it reaches."""
    out = seeds.copy()
    for _ in range(12):
        first, second = (np.asarray(ndimage.binary_dilation(out == side), dtype=bool) & firm & (out == 0) for side in (1, 2))
        if not (first.any() or second.any()):
            break
        out[first & ~second], out[second] = 1, 2
    return out


def _facing(halves: NDArray[np.uint8]) -> Mask:
    """Voxels of one half that are nearest to the other."""
    away = np.where(halves == 1, np.asarray(ndimage.distance_transform_edt(halves != 2)), np.inf)
    return away <= away.min() + 1


def _patella(firm: Mask, along: NDArray) -> float | None:
    """Where along the leg a small round piece lies beside its middle, or None."""
    labels, sizes = pieces(firm)
    low, high = along[firm].min(), along[firm].max()
    best, place = 0, None
    for n in np.flatnonzero((sizes > 0.003 * sizes.sum()) & (sizes < 0.06 * sizes.sum())) + 1:
        here = along[labels == n]
        central = 0.25 < (np.median(here) - low) / (high - low) < 0.85
        if central and np.ptp(here) < 0.16 * (high - low) and sizes[n - 1] > best:
            best, place = int(sizes[n - 1]), float(np.median(here))
    return place


def _spread(halves: NDArray[np.uint8], bone: Mask) -> NDArray[np.uint8]:
    """All bone takes the side of the nearest that has one."""
    nearest = np.asarray(ndimage.distance_transform_edt(halves == 0, return_distances=False, return_indices=True))
    return np.where(bone, halves[tuple(nearest)], 0).astype(np.uint8)


def _by_contact(labels: NDArray, sizes: NDArray, first: int, second: int) -> NDArray[np.uint8]:
    """The two large pieces, and every other one with that which it faces over more area and nearer: an epiphysis with its shaft.

    The pieces that are closest to either join first, and others then join them.
    """
    out = np.where(labels == first, 1, np.where(labels == second, 2, 0)).astype(np.uint8)
    left = [int(n) for n in np.flatnonzero(sizes >= 3) + 1 if n not in (first, second)]
    left = sorted(left, key=lambda n: -sizes[n - 1])[:_MOST_PIECES]
    near = [_nearness(out == side) for side in (1, 2)]
    while left:
        facing = {n: [float(ndimage.sum_labels(w, labels, n)) for w in near] for n in left}
        closest = max(left, key=lambda n: max(facing[n]))
        side = int(facing[closest][1] > facing[closest][0])
        out[labels == closest] = 1 + side
        near[side] = np.maximum(near[side], _nearness(labels == closest))
        left.remove(closest)
    return out


def _nearness(part: Mask) -> NDArray[np.float32]:
    """1 at a part, and less the further away; 0 where it does not count any more."""
    box = tuple(slice(max(0, s.start - _SEEN), s.stop + _SEEN) for s in box_of(part))
    out = np.zeros(part.shape, np.float32)
    out[box] = np.exp(-np.asarray(ndimage.distance_transform_edt(~part[box])) / _CONTACT)
    return out


def slabs_across(part: Mask, along: NDArray) -> list[tuple[Mask, NDArray[np.float64]]]:
    """Slices of a part [z, y, x] across the leg, two voxels thick, each in its box, and the index at which the box begins."""
    places = np.argwhere(part)
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
