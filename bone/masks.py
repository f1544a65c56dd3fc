"""Masks grown, shrunk, filled and told apart: scipy's tools with plain types, and balls by exact distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .ball_reach import MOST_REACH, within_reach

Mask = NDArray[np.bool_]


def grown(mask: Mask, steps: int = 1) -> Mask:
    """With all voxels that touch it, ``steps`` times."""
    return np.asarray(ndimage.binary_dilation(mask, np.ones((3,) * mask.ndim, bool), iterations=steps), dtype=bool)


def shrunk(mask: Mask, steps: int = 1) -> Mask:
    """Without all voxels that touch what is outside it, ``steps`` times; the border of the array is not outside."""
    return np.asarray(ndimage.binary_erosion(mask, np.ones((3,) * mask.ndim, bool), iterations=steps, border_value=1), dtype=bool)


def filled(plane: Mask) -> Mask:
    """With what it encloses."""
    labels, _ = ndimage.label(np.pad(~plane, 1, constant_values=True))  # type: ignore[misc]
    outside = labels == labels[(0,) * plane.ndim]
    return ~outside[(slice(1, -1),) * plane.ndim]


def pieces(mask: Mask) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """(label of each voxel [z, y, x], 0 outside; voxels of label 1, 2, ...): what hangs together, voxels that touch at a corner too."""
    found, count = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))  # type: ignore[misc]
    labels: NDArray[np.integer] = np.asarray(found, dtype=np.int32)
    return labels, np.bincount(labels.ravel(), minlength=count + 1)[1:]


def box_of(mask: Mask) -> tuple[slice, ...]:
    """The smallest box that holds all of it; it must not be empty."""
    return tuple(
        slice(int(at[0]), int(at[-1]) + 1)
        for at in (np.flatnonzero(mask.any(axis=tuple(b for b in range(mask.ndim) if b != a))) for a in range(mask.ndim))
    )


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
