"""Along a leg by an electric current: sent in at one end and out at the other, its potential falls where bone ends.

Grey values are the conductance. However a leg is bent, bones that lie one behind the other have potentials that follow one another, and
a bone and its epiphysis are never on both sides of a joint: what streaks and blur do to single voxels hardly moves a potential.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import LinearOperator, cg

from ...base import InputError
from ..masks import Mask, pieces

_SOFT = 0.003  # conductance of soft tissue, that of bone being 1
_ENOUGH = 1e-5  # of the residual at the start
_MOST_STEPS = 4000
_LEVELS = 150


def potential(grey: NDArray[np.float32], near: Mask, hot: Mask, cold: Mask) -> NDArray[np.float32]:
    """[z, y, x]: 1 at ``hot`` and 0 at ``cold``; NaN outside ``near``, and in parts of it that lead to neither.

    ``grey`` [z, y, x]: 0 for soft tissue to 1 for bone. The conductance between is exponential, so that what is half as bright as bone, by
    blur, is nearer to soft tissue.
    """
    labels, _ = pieces(near)
    used = near & np.isin(labels, np.unique(labels[(hot | cold) & near]))
    index = np.full(grey.shape, -1, np.int64)
    count = int(np.count_nonzero(used))
    index[used] = np.arange(count)
    conductance = np.float64(_SOFT) ** (1 - np.clip(grey, 0, 1))
    first, second = _pairs(index)
    flat = conductance[used]
    between = 2 * flat[first] * flat[second] / (flat[first] + flat[second])
    start = np.where(hot[used], 1.0, np.where(cold[used], 0.0, 0.5))
    free = ~(hot[used] | cold[used])
    weights = sparse.coo_array((between, (first, second)), (count, count)).tocsr()
    weights = weights + weights.T
    total = np.asarray(weights.sum(axis=1)).ravel()
    inner = sparse.diags_array(total[free]) - weights[free][:, free]
    given = weights[free][:, ~free] @ start[~free]
    scale = np.maximum(total[free], 1e-12)
    way = LinearOperator(inner.shape, matvec=lambda r: r / scale, dtype=np.float64)  # type: ignore[call-arg]
    found, missed = cg(inner, given, x0=start[free], rtol=_ENOUGH, maxiter=_MOST_STEPS, M=way)
    if missed:
        raise InputError("the potential along a leg did not settle", expected="a volume with bone whose ends hang together")
    start[free] = found
    out = np.full(grey.shape, np.nan, np.float32)
    out[used] = start
    return out


def evened(found: NDArray[np.float32], bone: Mask) -> NDArray[np.float32]:
    """A potential [z, y, x] in another measure, as monotone: the mean of it and of the share of the bone whose potential is lower.

    The potential alone hardly changes in bones between wide gaps, the share alone not at all in a gap.
    """
    levels = np.sort(found[bone & np.isfinite(found)])
    return ((found + np.interp(found, levels, np.linspace(0, 1, levels.size))) / 2).astype(np.float32)


def _pairs(index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels that share a side, by their numbers; -1 is no voxel."""
    both = []
    for axis in range(3):
        low, high = (np.moveaxis(index, axis, 0)[part].ravel() for part in (slice(None, -1), slice(1, None)))
        inside = (low >= 0) & (high >= 0)
        both.append((low[inside], high[inside]))
    return np.concatenate([a for a, _ in both]), np.concatenate([b for _, b in both])


@dataclass(frozen=True, eq=False)
class Necks:
    """Levels of the potential at which less bone leads on than before and after: ``level``, ``depth`` (0: as much; 1: none), and
    ``place`` [n, 3]: (z, y, x) of the middle of each, in voxels.
    """

    level: NDArray[np.float64]
    depth: NDArray[np.float64]
    place: NDArray[np.float64]


def necks(found: NDArray[np.float32], bone: NDArray[np.float32], least: float) -> Necks:
    """The necks of a potential [z, y, x], dimensionless from 0 to 1, whose depth is ``least`` or more. ``bone`` [z, y, x] is a share: 0 at
    the threshold and below, 1 for bone.
    """
    index = np.full(found.shape, -1, np.int64)
    used = np.isfinite(found)
    index[used] = np.arange(np.count_nonzero(used))
    first, second = _pairs(index)
    level, flat = found[used].astype(np.float64), bone[used].astype(np.float64)
    low, high = (np.clip(f(level[first], level[second]), 0, 1) for f in (np.minimum, np.maximum))
    crossing = np.zeros(_LEVELS + 2)
    carried = np.minimum(flat[first], flat[second])
    np.add.at(crossing, np.ceil(low * _LEVELS).astype(int), carried)
    np.add.at(crossing, np.floor(high * _LEVELS).astype(int) + 1, -carried)
    area = ndimage.gaussian_filter1d(np.cumsum(crossing)[: _LEVELS + 1], 1.0)
    kept, depths, places = [], [], []
    for n in np.flatnonzero((area[1:-1] <= area[:-2]) & (area[1:-1] < area[2:])) + 1:
        depth = 1 - area[n] / max(1e-9, min(_rise(area[n::-1]), _rise(area[n:])))
        here = np.abs(found - n / _LEVELS) < 1.5 / _LEVELS
        if depth >= least and here.any():
            kept.append(n / _LEVELS)
            depths.append(depth)
            places.append(np.argwhere(here).mean(axis=0))
    return Necks(np.array(kept), np.array(depths), np.array(places).reshape(-1, 3))


def _rise(area: NDArray[np.float64]) -> float:
    """The most that leads on, from a neck on until there is less than at the neck."""
    lower = np.flatnonzero(area[1:] < area[0])
    return float(area[: int(lower[0]) + 1 if lower.size else len(area)].max())
