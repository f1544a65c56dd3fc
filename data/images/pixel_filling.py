"""Pixels without a usable value are filled from their neighbours in the same view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import FloatImage, Image, Int, PixelMask

_AROUND_5 = np.array([(r, c) for r in range(-2, 3) for c in range(-2, 3)])
_CHUNK = 200_000  # candidates that are treated at once, each with 5 x 5 neighbours in two arrays
_AROUND = np.array([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c])
LEAST_GOOD = 3  # usable pixels among the 8 neighbours of an isolated pixel
STUCK_VIEWS = 8  # with fewer views a pixel may keep its count by chance


def stuck_pixels(least: Image, most: Image, views: int) -> PixelMask:
    """The pixels whose count never changes although that of their neighbours does, or lies far outside theirs.

    ``least`` and ``most`` are the smallest and largest count of each pixel in all views. Air around a noise-free object never changes, and
    neither do its neighbours; such pixels are not stuck.
    """
    stuck = np.zeros(least.shape, dtype=bool)
    same = least == most
    if views < STUCK_VIEWS or min(least.shape) < 3:
        return stuck
    rows, cols = least.shape
    for at in np.array_split(np.flatnonzero(same), max(1, int(np.count_nonzero(same)) // _CHUNK)):
        row, col = np.divmod(at, cols)
        r = np.clip(row[:, None] + _AROUND_5[:, 0], 0, rows - 1)
        c = np.clip(col[:, None] + _AROUND_5[:, 1], 0, cols - 1)
        low, high = (np.median(a[r, c].astype(np.float32), axis=1) for a in (least, most))
        value = most.flat[at].astype(np.float32)
        outside = (value < 0.9 * low) | (value > 1.1 * high)
        alone = same[r, c].sum(axis=1) <= 2  # itself, and at most one more
        stuck.flat[at] = outside | (alone & (high - low > 0.05 * high))
    return stuck


def _neighbours(image: FloatImage, at: NDArray[np.intp], usable: PixelMask) -> NDArray[np.float32]:
    """The values (m, 8) around the pixels ``at`` (flat indices), with NaN for neighbours that are not usable."""
    rows, cols = image.shape
    row, col = np.divmod(at, cols)
    r, c = row[:, None] + _AROUND[:, 0], col[:, None] + _AROUND[:, 1]
    inside = (r >= 0) & (r < rows) & (c >= 0) & (c < cols)
    r, c = np.where(inside, r, 0), np.where(inside, c, 0)
    return np.where(inside & usable[r, c], image[r, c], np.float32(np.nan))


def mend_isolated(image: FloatImage, bad: Int[NDArray[np.intp], "bad"], dead: PixelMask, ceiling: float) -> int:
    """Set the pixels ``bad`` (flat indices) to the median of their usable neighbours, in place; returns how many were mended in this way.

    Pixels with fewer than three usable neighbours lie in a black region, where no photons arrived. They are set to ``ceiling``, the line
    integral of the least intensity that was measured.
    """
    usable = ~dead
    usable.flat[bad] = False
    around = _neighbours(image, bad, usable)
    isolated = np.isfinite(around).sum(axis=1) >= LEAST_GOOD
    filled = np.full(bad.size, ceiling, dtype=np.float32)
    if isolated.any():
        filled[isolated] = np.nanmedian(around[isolated], axis=1)
    image.flat[bad] = filled
    return int(isolated.sum())


def mend_dead(image: FloatImage, dead: PixelMask) -> None:
    """Fill the pixels of the mask in place, from their rim inwards, with the median of the neighbours known so far."""
    left, usable = np.flatnonzero(dead), ~dead
    if left.size == dead.size:
        return
    while left.size:
        around = _neighbours(image, left, usable)
        reached = np.isfinite(around).any(axis=1)
        image.flat[left[reached]] = np.nanmedian(around[reached], axis=1)
        usable.flat[left[reached]] = True
        left = left[~reached]
