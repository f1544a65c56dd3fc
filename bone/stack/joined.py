"""What hangs together across slabs: pieces are labelled slab by slab, and those that touch through the face between two slabs are one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..masks import Mask, counted
from .cut import Cut


@dataclass(frozen=True, eq=False)
class Joined:
    """The pieces of a mask [z, y, x] that is made slab by slab, by number.

    ``number_of``: for each slab the number of the piece of its labels 0, 1, 2, ... (0 is outside the mask). ``sizes``: voxels of each
    piece; a number that is not in use has none. ``only``: the labels, where there is one slab; others are found again when asked for.
    """

    mask: Callable[[slice], Mask]
    cut: Cut
    corners: bool
    number_of: tuple[NDArray[np.int64], ...]
    sizes: NDArray[np.int64]
    only: NDArray[np.int32] | None

    @property
    def largest(self) -> int:
        """The number of the largest piece; 0 where there is none."""
        return int(np.argmax(self.sizes))

    def is_piece(self, own: slice, number: int) -> Mask:
        """Which voxels [z, y, x] of a slab are of a piece."""
        labels = self.only if self.only is not None else _labelled(self.mask(own), self.corners)[0]
        return (self.number_of[own.start // self.cut.height] == number)[labels]


def join(
    mask: Callable[[slice], Mask],
    cut: Cut,
    *,
    corners: bool,
    more: Callable[[slice, NDArray[np.int32], NDArray[np.int64]], None] | None = None,
) -> Joined:
    """The pieces of a mask; voxels that touch at their ``corners`` hang together, or only those that share a side.

    ``more(slab, labels, sizes)`` may add to the sizes (voxels of labels 0, 1, 2, ... [z, y, x] of a slab) what lies beyond the array.
    """
    starts, sizes, parents = [], [np.zeros(1, np.int64)], np.zeros(1, np.int64)
    before: NDArray[np.int64] | None = None
    labels: NDArray[np.int32] | None = None
    for own in cut.slabs:
        labels, count = _labelled(mask(own), corners)
        start = len(parents) - 1
        here = np.concatenate([[0], counted(labels, count)])
        if more is not None:
            more(own, labels, here)
        starts.append((start, count))
        sizes.append(here[1:])
        parents = np.concatenate([parents, start + 1 + np.arange(count)])
        if before is not None:
            _unite(parents, before, _numbered(labels[0], start), corners)
        before = _numbered(labels[-1], start)
    while not np.array_equal(parents, up := parents[parents]):
        parents = up
    whole = np.zeros(len(parents), np.int64)
    np.add.at(whole, parents, np.concatenate(sizes))
    number_of = tuple(np.concatenate([[0], parents[start + 1 : start + 1 + count]]) for start, count in starts)
    return Joined(mask, cut, corners, number_of, whole, labels if cut.is_whole else None)


def box_of_slabs(mask: Callable[[slice], Mask], cut: Cut, edge: int) -> tuple[slice, slice, slice] | None:
    """The box that holds all of a mask [z, y, x], ``edge`` voxels wider on all sides, as far as the volume goes; None for an empty mask."""
    flat, full = np.zeros(cut.shape[1:], bool), []
    for own in cut.slabs:
        part = mask(own)
        flat |= part.any(axis=0)
        full.append(part.any(axis=(1, 2)))
    if not flat.any():
        return None
    places = np.flatnonzero(np.concatenate(full)), np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    z, y, x = (slice(max(int(at[0]) - edge, 0), min(int(at[-1]) + 1 + edge, n)) for at, n in zip(places, cut.shape, strict=True))
    return z, y, x


def _labelled(mask: Mask, corners: bool) -> tuple[NDArray[np.int32], int]:
    found, count = ndimage.label(mask, np.ones((3, 3, 3), bool) if corners else None)  # type: ignore[misc]
    return np.asarray(found, dtype=np.int32), count


def _numbered(plane: NDArray[np.int32], start: int) -> NDArray[np.int64]:
    return np.where(plane > 0, plane.astype(np.int64) + start, 0)


def _unite(parents: NDArray[np.int64], below: NDArray[np.int64], above: NDArray[np.int64], corners: bool) -> None:
    """Make one what touches through the face between two slices; the lowest number stands for a piece."""
    ny, nx = below.shape
    pairs = []
    for dy in (-1, 0, 1) if corners else (0,):
        for dx in (-1, 0, 1) if corners else (0,):
            a = below[max(dy, 0) : ny + min(dy, 0), max(dx, 0) : nx + min(dx, 0)]
            b = above[max(-dy, 0) : ny + min(-dy, 0), max(-dx, 0) : nx + min(-dx, 0)]
            both = (a > 0) & (b > 0)
            pairs.append(np.unique(a[both] * len(parents) + b[both]))
    for pair in np.unique(np.concatenate(pairs)).tolist():
        low, high = sorted(_root(parents, number) for number in divmod(pair, len(parents)))
        parents[high] = low


def _root(parents: NDArray[np.int64], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = int(parents[number])
    return number
