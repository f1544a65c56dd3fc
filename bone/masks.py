"""Masks grown, shrunk, filled and told apart: scipy's tools with plain types, and balls by exact distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .ball_reach import MOST_REACH, within_reach
from .box_reach import within_box

Mask = NDArray[np.bool_]
_COUNTED = 2**20  # voxels at a time


def grown(mask: Mask, steps: int = 1) -> Mask:
    """With all voxels that touch it, ``steps`` times. In slices and in volumes."""
    return within_box(mask.reshape(-1, *mask.shape[-2:]), steps, steps if mask.ndim == 3 else 0).reshape(mask.shape)


def shrunk(mask: Mask, steps: int = 1) -> Mask:
    """Without all voxels that touch what is outside it, ``steps`` times; the border of the array is not outside."""
    return ~grown(~mask, steps)


def filled(plane: Mask) -> Mask:
    """With what it encloses."""
    labels, _ = ndimage.label(np.pad(~plane, 1, constant_values=True))  # type: ignore[misc]
    outside = labels == labels[(0,) * plane.ndim]
    return ~outside[(slice(1, -1),) * plane.ndim]


def pieces(mask: Mask) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """(label of each voxel [z, y, x], 0 outside; voxels of label 1, 2, ...): what hangs together, voxels that touch at a corner too."""
    found, count = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))  # type: ignore[misc]
    labels: NDArray[np.integer] = np.asarray(found, dtype=np.int32)
    return labels, counted(labels, count)


def counted(labels: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """How many voxels of labels [z, y, x] have the label 1, 2, ... to ``most``: (most,), in voxels.

    Some are counted at a time, as numpy counts in a copy of 64 bits.
    """
    flat, found = labels.ravel(), np.zeros(most + 1, np.int64)
    for first in range(0, flat.size, _COUNTED):
        found += np.bincount(flat[first : first + _COUNTED], minlength=most + 1)
    return found[1:]


def box_of(mask: Mask) -> tuple[slice, ...]:
    """The smallest box that holds all of it; it must not be empty."""
    at = np.flatnonzero(mask.any(axis=tuple(range(1, mask.ndim))))
    others = box_of(np.asarray(mask.any(axis=0))) if mask.ndim > 1 else ()
    return slice(int(at[0]), int(at[-1]) + 1), *others


def box_around(mask: Mask, edge: int = 1) -> tuple[slice, ...]:
    """The box that holds all of it, ``edge`` voxels wider on all sides, as far as the array goes; it must not be empty."""
    return tuple(slice(max(side.start - edge, 0), side.stop + edge) for side in box_of(mask))


def largest(mask: Mask) -> Mask:
    """The largest piece."""
    labels, sizes = pieces(mask)
    return mask if len(sizes) < 2 else labels == 1 + int(np.argmax(sizes))


def closed(mask: Mask, reach: float) -> Mask:
    """Grown and shrunk by a ball of ``reach`` voxels: narrow gaps are bridged."""
    wide = within(mask, reach)
    return mask if wide.all() else mask | ~within(~wide, reach)


def opened(mask: Mask, reach: float) -> Mask:
    """Shrunk and grown by a ball of ``reach`` voxels: nothing where it is nowhere so wide."""
    return mask if mask.all() else mask & within(~within(~mask, reach), reach)


def within(mask: Mask, reach: float) -> Mask:
    """All voxels that are no further than ``reach`` voxels from it; none from an empty mask. In slices and in volumes."""
    if reach > MOST_REACH:
        return np.asarray(ndimage.distance_transform_edt(~mask)) <= reach if mask.any() else mask
    return within_reach(mask.reshape(-1, *mask.shape[-2:]), reach).reshape(mask.shape)
