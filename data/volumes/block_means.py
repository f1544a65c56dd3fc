"""A large folder of slices read small: means over blocks of voxels, with no more than one slice of the folder in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...base.shapes import Vector, VoxelValues
from ...geometry.transform import whole_blocks
from ..images.binning import bin_views
from .slices import slice_stack


def read_blocks(folder: Path, factor: int = 1) -> tuple[VoxelValues, Vector]:
    """(means over ``factor``**3 voxels [z, y, x] in the grey levels of the files, index (z, y, x) of the middle of the first block).

    Voxels that do not fill a block are left out at both ends alike. Raises FileNotFoundError naming a missing slice, and InputError naming
    a file that is broken or of another size.
    """
    stack = slice_stack(folder)
    kept = [whole_blocks(n, factor) for n in stack.shape]
    shape = tuple((k.stop - k.start) // factor for k in kept)
    out = np.zeros(shape, dtype=np.float32)
    for plane in range(shape[0]):
        for k in range(factor):
            out[plane] += bin_views(np.asarray(stack[kept[0].start + plane * factor + k]), factor)
    out *= np.float32(1 / factor)
    return out, np.array([k.start + (factor - 1) / 2 for k in kept])


def slices_shape(folder: Path) -> tuple[int, int, int]:
    """(slices, rows, cols) of a folder of slices; no image is read."""
    return slice_stack(folder).shape
