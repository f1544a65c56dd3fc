"""Where the gap between two bones opens, by how deep the valley of grey values between them is: to a part of a slice.

A gap that is narrower than the blur shows as a dip in the grey values, which is the deeper the wider the gap. Followed along the bones,
the depth falls in a line to nothing where they part. Contours at a threshold are two from some depth on only, slices later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..masks import Mask

_DEEP, _HALF = 0.3, 0.5  # saddle of grey values between the bones, as a share of the contrast: the line is drawn through both
_FAINT = 0.2  # of the contrast: below it no valley is looked for
_BESIDE = 4.0  # voxels from the saddle within which the bones' own grey values are taken
_SIDES = ((0, 1), (1, 0), (1, 1), (1, -1))  # of a voxel: half of its neighbours in a slice

Pair = tuple[Mask, Mask]


@dataclass(frozen=True)
class Opening:
    """``begin``: the slice, with its fraction, in which the gap has no width yet; ``plain``: that in which it is plainly open."""

    begin: float
    plain: float


def gap_opening(values: NDArray[np.float32], soft: float, pairs: Mapping[int, Pair], first: int) -> Opening | None:
    """Where the gap between two bones opens in grey ``values`` [z, y, x], fused at the first slices; None where no line is found.

    ``soft`` is the grey value of what is around bone; ``pairs``: the two bones in slices in which they are apart, ``first`` among them.
    """
    saddles: dict[int, float] = {}
    low = first
    while low in pairs:
        saddles[low], last = _saddle(values[low], soft, pairs[low])
        if saddles[low] < _DEEP:
            break
        low += 1
    else:
        return None
    z = low
    while saddles[z] < _HALF:
        z -= 1
        if z < 0 or not (last[0].any() and last[1].any()):
            return None
        saddles[z], last = _saddle(values[z], soft, last)
    deep, half = _crossing(saddles, low, _DEEP), _crossing(saddles, low, _HALF)
    between = [(height, place) for place, height in saddles.items() if half < place < deep]
    heights, places = zip((_DEEP, deep), *between, (_HALF, half), strict=True)
    slope, begin = np.polyfit(np.array(heights) - 1, places, 1)
    return Opening(float(begin), deep) if slope < 0 else None


def _crossing(saddles: Mapping[int, float], low: int, level: float) -> float:
    """The last place, going up from ``low``, at which the saddle is below the level; between two slices by the line through both."""
    z = low
    while saddles[z] < level:
        z -= 1
    return z + (saddles[z] - level) / (saddles[z] - saddles[z + 1])


def _saddle(plane: NDArray[np.float32], soft: float, near: Pair) -> tuple[float, Pair]:
    """(the highest grey value on the valley between two bones, as a share of the fainter bone's; the two bones, parted along it).

    ``near``: where the bones are in the next slice.
    """
    from skimage.segmentation import watershed

    box = _window(near[0] | near[1])
    part = plane[box]
    seeds = np.zeros(part.shape, np.int32)
    for n, bone in enumerate(near, 1):
        seeds[_core(bone[box], part)] = n
    bright = min(float(part[seeds == n].max(initial=soft)) for n in (1, 2))
    labels = np.asarray(watershed(-part, seeds, mask=(part > soft + _FAINT * (bright - soft)) | (seeds > 0)))
    height, place = _pass(part, labels)
    both: Pair = (np.zeros(plane.shape, bool), np.zeros(plane.shape, bool))
    both[0][box], both[1][box] = labels == 1, labels == 2
    if place is None:
        return 0.0, both
    y, x = np.indices(part.shape)
    beside = (y - place[0]) ** 2 + (x - place[1]) ** 2 <= _BESIDE**2
    bright = min(float(part[beside & (labels == n)].max()) for n in (1, 2))
    return (height - soft) / max(bright - soft, 1e-12), both


def _window(mask: Mask) -> tuple[slice, slice]:
    """The box around both bones, with room for what moves and widens from slice to slice."""
    y, x = np.nonzero(mask)
    edge = int(2 * _BESIDE)
    return slice(max(int(y.min()) - edge, 0), int(y.max()) + edge + 1), slice(max(int(x.min()) - edge, 0), int(x.max()) + edge + 1)


def _core(bone: Mask, plane: NDArray[np.float32]) -> Mask:
    """A bone without its rim; of one that is nothing but rim, its brightest voxel."""
    inner = np.asarray(ndimage.binary_erosion(bone), dtype=bool)
    if not inner.any() and bone.any():
        inner.flat[int(np.argmax(np.where(bone, plane, -np.inf)))] = True
    return inner


def _pass(plane: NDArray[np.float32], labels: NDArray[np.integer]) -> tuple[float, tuple[int, int] | None]:
    """(grey value of the highest pass between labels 1 and 2, its place); None where they do not touch."""
    height, place = -np.inf, None
    for dy, dx in _SIDES:
        one = slice(0, labels.shape[0] - dy), slice(max(0, -dx), labels.shape[1] - max(0, dx))
        other = slice(dy, None), slice(max(0, dx), labels.shape[1] + min(0, dx))
        across = labels[one] * labels[other] == 2
        if across.any():
            least = np.where(across, np.minimum(plane[one], plane[other]), -np.inf)
            at = np.unravel_index(int(np.argmax(least)), least.shape)
            if least[at] > height:
                height, place = float(least[at]), (int(at[0]), int(at[1]) + max(0, -dx))
    return height, place
