"""Legs and spine on a coarse grid: what hangs together when gaps as wide as a joint are bridged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..masks import Mask, closed, pieces

_LEAST_BODY = 0.12  # of the largest body: smaller ones are parts of the table, the tail, calcifications
_JOINT_MM = 0.45  # half the width of a joint's gap that is bridged


@dataclass(frozen=True, eq=False)
class Bodies:
    """``legs``: the bone of each; ``spine``: bone that belongs to none, or nothing."""

    legs: tuple[Mask, ...]
    spine: Mask
    doubts: tuple[str, ...]


def find_bodies(bone: Mask, voxel_mm: float) -> Bodies:
    """Legs are the two bodies (or the one) that are long; what lies between them and does not reach as low is the spine."""
    pad = int(_JOINT_MM / voxel_mm) + 2
    joined = closed(np.pad(bone, pad), _JOINT_MM / voxel_mm)[pad:-pad, pad:-pad, pad:-pad] | bone
    labels, _ = pieces(joined)
    sizes = np.bincount(labels[bone], minlength=int(labels.max()) + 1)[1:]
    large = [int(n) for n in np.argsort(-sizes) + 1 if sizes[n - 1] >= _LEAST_BODY * sizes.max()]
    bodies = [bone & (labels == n) for n in large]
    doubts: list[str] = []
    if len(bodies) == 1:
        halves = _two_side_by_side(bodies[0])
        if halves is not None:
            doubts.append("the legs touch; they were parted by the plane between them")
            return Bodies(halves, np.zeros_like(bone), tuple(doubts))
        return Bodies((bodies[0],), np.zeros_like(bone), ())
    pair = _most_alike(bodies)
    rest = np.zeros_like(bone)
    for n, body in enumerate(bodies):
        if n not in pair:
            rest |= body
    if len(bodies) > 3:
        doubts.append(f"{len(bodies)} bodies of bone: two were taken for the legs, the rest for the spine")
    legs = tuple(_with_small(labels, bone, bodies, n) for n in pair)
    return Bodies(legs, rest, tuple(doubts))


def _with_small(labels: NDArray, bone: Mask, bodies: list[Mask], n: int) -> Mask:
    """A leg, and small bodies (a patella far from its femur) that are nearest to it."""
    centers = [np.argwhere(b).mean(axis=0)[1:] for b in bodies]
    out = bodies[n].copy()
    seen = np.logical_or.reduce(bodies)
    small, sizes = pieces(bone & ~seen)
    for k in range(1, len(sizes) + 1):
        if sizes[k - 1] < 4:
            continue
        middle = np.argwhere(small == k).mean(axis=0)[1:]
        if int(np.argmin([np.linalg.norm(middle - c) for c in centers])) == n:
            out |= small == k
    return out


def _extent(body: Mask) -> tuple[float, float, NDArray]:
    """(length along its own axis, bone, the axis)."""
    places = np.argwhere(body).astype(float)
    axis = np.linalg.svd(places - places.mean(axis=0), full_matrices=False)[2][0]
    along = places @ axis
    return float(np.ptp(along)), float(len(places)), axis


def _most_alike(bodies: list[Mask]) -> tuple[int, int]:
    """The two bodies that are most alike in length and bone: an animal's legs."""
    facts = [_extent(b) for b in bodies]
    best, pair = np.inf, (0, 1)
    for i in range(len(bodies)):
        for j in range(i + 1, len(bodies)):
            cost = abs(np.log(facts[i][0] / facts[j][0])) + 0.5 * abs(np.log(facts[i][1] / facts[j][1]))
            if cost < best:
                best, pair = cost, (i, j)
    return pair


def _two_side_by_side(body: Mask) -> tuple[Mask, Mask] | None:
    """Two legs that touch: in most slices two groups of bone lie apart along one direction. None where it is one leg."""
    places = np.argwhere(body).astype(float)
    flat = places[:, 1:] - places[:, 1:].mean(axis=0)
    direction = np.linalg.svd(flat, full_matrices=False)[2][0]
    across = flat @ direction
    counts, edges = np.histogram(across, 40)
    inner = slice(12, 28)
    valley = int(np.argmin(counts[inner])) + 12
    left, right = counts[:valley].max(), counts[valley + 1 :].max()
    wide = np.ptp(across) > 0.35 * np.ptp(places[:, 0])
    if not wide or counts[valley] > 0.08 * min(left, right) or min(counts[:valley].sum(), counts[valley:].sum()) < 0.3 * counts.sum():
        return None
    cut = (edges[valley] + edges[valley + 1]) / 2
    halves = (np.zeros_like(body), np.zeros_like(body))
    for half, here in zip(halves, (across < cut, across >= cut), strict=True):
        z, y, x = np.argwhere(body)[here].T
        half[z, y, x] = True
    return halves
