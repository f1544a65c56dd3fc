"""Legs and spine on a coarse grid: what hangs together when gaps as wide as a joint are bridged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..masks import Mask, closed, pieces

_LEAST_BODY = 0.12  # of the largest body: smaller ones are parts of the table, the tail, calcifications
_MOST_BETWEEN, _LEAST_HALF, _LEAST_WIDTH = 0.08, 0.3, 0.25  # bone between two legs, of each leg; bone of a leg, of both; width, of length
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


def _axes(places: NDArray) -> NDArray:
    """(3, n): the places along the longest axis of their cloud, and along the two others."""
    return np.linalg.svd(places[:: max(1, len(places) // 20_000)], full_matrices=False)[2] @ places.T


def _two_side_by_side(body: Mask) -> tuple[Mask, Mask] | None:
    """Two legs that touch: seen from some direction, two groups of bone with next to nothing between. None where it is one leg."""
    places = np.argwhere(body)
    along, first, second = _axes(places - places.mean(axis=0))
    best, cut, side = _MOST_BETWEEN, 0.0, np.empty(0)
    for angle in np.deg2rad(np.arange(0, 180, 10)):
        across = math.cos(angle) * first + math.sin(angle) * second
        if np.ptp(across) < _LEAST_WIDTH * np.ptp(along):
            continue
        counts, edges = np.histogram(across, max(8, round(float(np.ptp(across)))))
        share = np.cumsum(counts) / counts.sum()
        inner = np.flatnonzero((share > _LEAST_HALF) & (share < 1 - _LEAST_HALF))
        if not inner.size:
            continue
        valley = int(inner[np.argmin(counts[inner])])
        depth = counts[valley] / max(1, min(counts[:valley].max(initial=0), counts[valley + 1 :].max(initial=0)))
        if depth < best:
            best, cut, side = depth, (edges[valley] + edges[valley + 1]) / 2, across
    if not side.size:
        return None
    halves = (np.zeros_like(body), np.zeros_like(body))
    for half, here in zip(halves, (side < cut, side >= cut), strict=True):
        half[tuple(places[here].T)] = True
    return halves
