"""Binning a detector: means of blocks of pixels, cropped in the middle where the blocks do not fill the panel.

`geometry.transform.bin_pixels` does the same to the geometry, and `geometry.transform.whole_blocks` says which pixels take part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import Float, Real, Shaped
from ...geometry.transform import whole_blocks


def bin_views(
    values: Shaped[NDArray, "*views row col"], rows: int, cols: int | None = None
) -> Float[NDArray[np.float32], "*views row2 col2"]:
    """Means of blocks of ``rows`` x ``cols`` pixels (``cols`` defaults to ``rows``) of [..., row, col], as float32 in the same unit.

    >>> bin_views(np.arange(8.0).reshape(1, 1, 8), 1, 3).tolist()  # eight columns: the first and the last are left over
    [[[2.0, 5.0]]]
    """
    cols = rows if cols is None else cols
    for axis, factor in ((-2, rows), (-1, cols)):
        size = values.shape[axis]
        kept = whole_blocks(size, factor)
        after = (slice(None),) * (-1 - axis)
        if factor == 1:
            continue
        total = values[(..., slice(kept.start, kept.stop, factor), *after)].astype(np.float32)
        for k in range(1, factor):  # faster than a mean over a short axis
            total += values[(..., slice(kept.start + k, kept.stop, factor), *after)]
        values = total * np.float32(1 / factor)
    return np.ascontiguousarray(values, dtype=np.float32)


def bin_counts(image: Real[NDArray, "*views row col"], factor: int) -> Real[NDArray, "*views row2 col2"]:
    """Detector counts binned with `bin_views`, where a count of zero or less is no measurement.

    A block becomes the mean of its positive pixels, or 0 where it has none. NaN stays NaN; with ``factor`` 1 the image is returned as it
    is.

    >>> bin_counts(np.array([[1.0, 3.0, 9.0], [0.0, 5.0, 9.0]]), 2).tolist()
    [[3.0]]
    """
    if factor == 1:
        return image
    means = bin_views(image, factor)
    unusable = image <= 0
    if not unusable.any():
        return means
    share = bin_views(~unusable, factor)
    sums = bin_views(np.where(unusable, 0, image), factor)
    return np.where(share > 0, sums / np.maximum(share, np.float32(1e-12)), np.float32(0)).astype(np.float32)
