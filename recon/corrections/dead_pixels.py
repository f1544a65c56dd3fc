"""Dead, stuck and noisy detector pixels are found from their statistics over the views and filled from their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...base import InputError
from ...base.shapes import AnyViews, LineIntegrals, PixelMask, StoredViews
from ...data.images.pixel_filling import mend_dead

_VIEWS = 64  # enough for a median over the views; keeps the cost independent of the length of the scan
_BLOCK_BYTES = 64 << 20
_LEAST_OFFSET = 0.1  # of the range of the mean image: gain errors of a few per cent are rings, not dead pixels
_LEAST_RATIO = 5.0  # of the fluctuation over the views, against the neighbours


def find_dead_pixels(values: AnyViews | StoredViews, sigmas: float = 10.0) -> PixelMask:
    """Mask of the pixels that disagree with their 5 x 5 neighbourhood in most views.

    ``values`` [view, row, col] are counts, transmissions or line integrals. A pixel is dead when its median over the views, or the
    logarithm of its fluctuation over the views, lies beyond the middle of its neighbours by more than ``sigmas`` robust standard deviations
    (1.4826 MAD, of its surroundings or of the panel, the larger) and by at least 10 % of the image's range, or a factor of 5: so a stuck
    pixel is found at any grey level, and one that is only 2 % too sensitive is left to the ring correction. A pixel that is not finite in
    most views is dead as well.

    Raises InputError for anything but a stack of views, or a threshold that is not positive.
    """
    if values.ndim != 3 or min(values.shape) < 1:
        raise InputError(f"values have shape {values.shape}", expected="(view, row, col)")
    if not sigmas > 0:
        raise InputError(f"sigmas is {sigmas}", expected="a positive number; larger finds fewer pixels")
    views = np.unique(np.linspace(0, len(values) - 1, min(len(values), _VIEWS)).round().astype(int))
    level, activity, bad = _statistics(values, views)
    spread = np.percentile(level, 99) - np.percentile(level, 1)
    bad |= _outliers(level, sigmas, least=_LEAST_OFFSET * float(spread))
    if len(views) > 2:
        floor = 1e-6 * max(float(activity.max()), 1e-30)
        alive = ndimage.median_filter(activity, 5) > floor  # where nothing changes, a stuck pixel cannot be told by its fluctuation
        bad |= alive & _outliers(np.log(np.maximum(activity, floor)), sigmas, least=float(np.log(_LEAST_RATIO)))
    return bad


def _statistics(values: AnyViews | StoredViews, views: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], PixelMask]:
    """Median and fluctuation of each pixel [row, col] over some views, and which are not finite in most of them; some rows at a time, so
    that memory stays small.
    """
    rows, cols = values.shape[1:]
    finite = all(np.isfinite(values[int(view)]).all() for view in views)
    step = max(1, _BLOCK_BYTES // (4 * len(views) * cols)) if finite else rows  # holes are filled with the median of all
    level, activity, bad = np.empty((rows, cols), np.float32), np.empty((rows, cols), np.float32), np.zeros((rows, cols), bool)
    for top in range(0, rows, step):
        part = slice(top, min(top + step, rows))
        stack = np.asarray(values[views, part], dtype=np.float32)
        broken = ~np.isfinite(stack)
        bad[part] = broken.mean(axis=0) > 0.5
        if not finite:
            stack = np.where(broken, np.nanmedian(np.where(broken, np.nan, stack)), stack)
        level[part] = np.median(stack, axis=0)
        activity[part] = np.abs(stack - level[part]).mean(axis=0)
    return level, activity, bad


def _outliers(image: NDArray[np.floating[Any]], sigmas: float, least: float) -> NDArray[np.bool_]:
    """Pixels beyond the middle of their 5 x 5 neighbourhood by more than both thresholds.

    The middle is what lies between the sixth lowest and the sixth highest of the 25: an edge of the object has both sides in it, and a
    whole dead row or column does not reach it.
    """
    low, high = (ndimage.rank_filter(image, rank, size=5, mode="nearest") for rank in (5, -6))
    away = np.maximum(np.maximum(image - high, low - image), 0)
    rough = np.abs(image - ndimage.median_filter(image, 5, mode="nearest"))
    sigma = 1.4826 * np.maximum(ndimage.median_filter(rough, 15, mode="nearest"), np.median(rough))
    return (away > sigmas * sigma) & (away > max(least, 1e-12))


def mend_pixels(values: LineIntegrals, mask: PixelMask) -> LineIntegrals:
    """A copy of views [view, row, col] whose masked pixels [row, col] are filled, from the rim inwards, by the median of good ones around.

    Raises InputError when the mask does not fit, or leaves no good pixel.
    """
    if mask.shape != values.shape[1:]:
        raise InputError(f"a mask of shape {mask.shape} for views of shape {values.shape[1:]}", expected="one flag for each pixel")
    if mask.all():
        raise InputError("every pixel of the panel is marked as dead", expected="some good pixels to mend from")
    out = values.copy()
    for view in out:
        mend_dead(view, mask)
    return out
