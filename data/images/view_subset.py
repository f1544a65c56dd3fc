"""Some views of a stack, binned on the way in: what a large scan costs in memory is what is asked of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stack import ImageStack


class Subset:
    """``subset[i]`` is ``views[keep[i]]``, in blocks of ``binning`` x ``binning`` pixels averaged (float32 then), about the middle."""

    def __init__(self, views: ImageStack, keep: NDArray[np.intp], binning: int = 1) -> None:
        self.views, self.keep, self.binning = views, keep, binning
        self.shape = (len(keep), views.shape[1] // binning, views.shape[2] // binning)
        self.dtype = views.dtype if binning == 1 else np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.keep)

    def __getitem__(self, index: int) -> NDArray[Any]:
        rows, cols = middle_of(self.views.shape[1:], self.binning)
        return bin_image(np.asarray(self.views[int(self.keep[index])])[rows, cols], self.binning)

    def name(self, index: int) -> str:
        """Where view ``index`` came from, for error messages."""
        return self.views.name(int(self.keep[index]))


def middle_of(shape: tuple[int, ...], factor: int) -> tuple[slice, slice]:
    """The rows and columns in the middle that blocks of ``factor`` pixels fill: what is left over goes from both edges alike.

    >>> middle_of((16, 32), 3)
    (slice(0, 15, None), slice(1, 31, None))
    """
    rows, cols = (slice(size % factor // 2, size % factor // 2 + size // factor * factor) for size in shape)
    return rows, cols


def bin_image(image: NDArray[Any], factor: int) -> NDArray[Any]:
    """Means of ``factor`` x ``factor`` blocks of the last two axes; rows and columns left over at the end go.

    Counts of zero or less are no measurements: a block is the mean of its positive pixels, 0 where it has none. NaN stays NaN.

    >>> bin_image(np.array([[1.0, 3.0, 9.0], [0.0, 5.0, 9.0]]), 2).tolist()
    [[3.0]]
    """
    if factor == 1:
        return image
    *front, rows, cols = image.shape
    high, wide = rows // factor, cols // factor
    blocks = image[..., : high * factor, : wide * factor].astype(np.float32).reshape(*front, high, factor, wide, factor)
    usable = ~(blocks <= 0)
    if usable.all():
        return blocks.mean(axis=(-3, -1))
    count = usable.sum(axis=(-3, -1), dtype=np.float32)
    return np.where(usable, blocks, 0).sum(axis=(-3, -1)) / np.maximum(count, 1)
