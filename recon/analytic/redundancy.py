"""How much each ray counts: angular cells of the views, and weights for lines that were measured twice.

A view stands for its *cell*: half the gap to each neighbour, and at the two ends of the range as far outwards as inwards. Cells give
the angular step of the back-projection sum and the covered range, so that any subset of any scan is weighted for what it covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Values = TypeVar("Values", NDArray[np.float64], Tensor)
TURN = 2 * np.pi


@dataclass(frozen=True)
class Coverage:
    """What a set of view angles covers, all in radians.

    ``width`` (n,) step of the sum for each view, in the order given: its cell, or its share of a cell where views coincide; ``start`` and
    ``end`` (n,) edges of the cell and ``position`` (n,) the view's own angle, all counted from the left edge of the first cell;
    ``range`` from the first edge to the last; ``full``: the circle is closed.
    """

    start: Array
    position: Array
    end: Array
    width: Array
    range: float
    full: bool


def coverage(angle: Array) -> Coverage:
    """Cells of the views at ``angle`` (n,) radians, in any order and over any number of turns.

    The largest gap is where the scan begins and ends, unless the end cells fill it, or it is below 90 deg and not twice as large as
    the next (views drawn from a full turn): then the circle is closed. Views at the same angle (0 and 360 deg) share one cell in equal
    parts. A single view stands for the whole circle.
    """
    distinct, which, times = _distinct(angle % TURN)
    if distinct.size == 1:
        return Coverage(
            np.zeros(angle.size), np.full(angle.size, np.pi), np.full(angle.size, TURN), np.full(angle.size, TURN / angle.size), TURN, True
        )
    gaps = np.diff(distinct, append=distinct[0] + TURN)
    last = int(gaps.argmax())
    order = (np.arange(distinct.size) + last + 1) % distinct.size  # from the view after the largest gap
    inner = gaps[order[:-1]]
    full = bool(gaps[last] <= (inner[0] + inner[-1]) / 2 + 1e-6 or gaps[last] <= min(2 * inner.max(), np.pi / 2))
    before, after = (gaps[last],) * 2 if full else (inner[0], inner[-1])
    half = np.concatenate([[before], inner, [after]]) / 2
    width = half[:-1] + half[1:]
    edge = np.concatenate([[0.0], np.cumsum(width)])
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    view = back[which]
    return Coverage(edge[:-1][view], (edge[:-1] + half[:-1])[view], edge[1:][view], (width / times[order])[view], float(edge[-1]), full)


def _distinct(angle: Array, tolerance: float = 1e-7) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Sorted distinct angles on the circle, the index of each view's angle among them, and how many views share it."""
    order = np.argsort(angle, kind="stable")
    new = np.diff(angle[order], prepend=-1.0) > tolerance
    group = np.cumsum(new) - 1
    if group[-1] > 0 and angle[order[0]] + TURN - angle[order[-1]] <= tolerance:
        group[group == group[-1]] = 0  # just below 360 deg is 0 deg
    which = np.empty(angle.size, dtype=np.intp)
    which[order] = group
    distinct = angle[order][new][: group.max() + 1]
    return distinct, which, np.bincount(group)


def short_scan_weight(b: Array | float, g: Array | float, range: float) -> Array:
    """Parker's weight (any shape) with a virtual half fan, for view angle ``b`` from the start of the covered ``range`` and fan angle ``g``
    (radians).

    w(b, g) + w(b + pi - 2g, -g) = 1 wherever both rays are measured, and w = 1 where only one is: the conjugate of ray (b, g) is (b + pi -
    2g, -g). Any range below a full turn; below pi + fan the rays that miss their partner count once. Parker, Med. Phys. 9 (1982) 254, eq.
    12, with half fan dv = (range - pi) / 2 (Silver, Med. Phys. 27 (2000) 773).
    """
    b, g = np.broadcast_arrays(np.asarray(b, dtype=np.float64), np.asarray(g, dtype=np.float64))
    dv = (range - np.pi) / 2
    rise, fall = np.maximum(dv + g, 1e-9), np.maximum(dv - g, 1e-9)
    w = np.ones(b.shape)
    w = np.where(b < 2 * (dv + g), np.sin(np.pi / 4 * np.clip(b / rise, 0, 2)) ** 2, w)
    w = np.where(b > np.pi + 2 * g, np.sin(np.pi / 4 * np.clip((range - b) / fall, 0, 2)) ** 2, w)
    return np.where((b < 0) | (b > range), 0.0, w)


def short_scan_cell_weight(start: Values, end: Values, g: Values, range: float) -> Values:
    """The mean of `short_scan_weight` over a view's cell, from view angle ``start`` to ``end`` (radians, shapes that broadcast), in closed
    form; numpy arrays or torch tensors.

    The weight rises within 2 (dv + g), which for sparse views is less than a cell: its value at the view's angle would be a poor sample.
    """
    return (_weight_integral(end, g, range) - _weight_integral(start, g, range)) / (end - start)


def _weight_integral(b: Any, g: Any, range: float) -> Any:
    """Integral of `short_scan_weight` over view angles from 0 to ``b``: b less what cos^2 takes away on the rising and falling parts."""
    xp, dv = _library(b), (range - np.pi) / 2
    least, none = xp.asarray(1e-9), xp.asarray(0.0)
    rise, fall = xp.maximum(dv + g, least), xp.maximum(dv - g, least)
    up, down = xp.minimum(xp.maximum(b, none), 2 * rise), xp.minimum(xp.maximum(range - b, none), 2 * fall)
    lost_rising = up / 2 + rise / np.pi * xp.sin(np.pi / 2 * up / rise)
    lost_falling = fall - down / 2 - fall / np.pi * xp.sin(np.pi / 2 * down / fall)
    return b - lost_rising - lost_falling


def full_circle_weight(g: Values, fan: tuple[float, float]) -> Values:
    """The weight for fan angles in radians (any shape; a numpy array or a torch tensor): 1/2 for lines seen from both sides; a panel that
    reaches farther on one side of the axis gets a smooth step.

    ``fan`` is the least and greatest fan angle of the panel. On the wide side beyond the narrow edge a line is seen once and counts 1;
    towards that edge the weight goes from 1/2 to 1, its mirror ray's from 1/2 to 0, so that w(g) + w(-g) = 1 (Wang, Med. Phys. 29 (2002)
    1634).
    """
    xp: Any = _library(g)
    wide, narrow = max(-fan[0], fan[1]), min(-fan[0], fan[1])
    if narrow <= 0 or wide - narrow <= 1e-3 * wide:
        return xp.full_like(g, 0.5 if narrow > 0 else 1.0)
    feather = min(narrow, max(wide - narrow, 0.1 * wide))
    towards_wide = g if fan[1] > -fan[0] else -g
    step = xp.clip((xp.abs(towards_wide) - (narrow - feather)) / feather, 0, 1)
    return 0.5 + 0.5 * xp.sign(towards_wide) * xp.sin(np.pi / 2 * step) ** 2


def _library(values: Any) -> Any:
    """Of the two that have the functions used here under the same names: the one whose array this is."""
    return torch if isinstance(values, Tensor) else np
