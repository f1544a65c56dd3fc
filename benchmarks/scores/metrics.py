"""How close a volume is to a reference. Every figure names its data range and its mask, and nothing is normalised by its own maximum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.psnr import psnr_db
from ...base.shapes import Bool, Float

Values = Float[NDArray, "*shape"]  # a volume in 1/mm, or an image; both that are compared have the same shape
Inside = Bool[NDArray, "*shape"]  # true where the comparison counts


def psnr(volume: Values, reference: Values, *, data_range: float, mask: Inside | None = None) -> float:
    """The peak signal-to-noise ratio in dB (`base.psnr`) over the voxels of ``mask`` (default: all); inf if volume and reference are equal.

    ``data_range`` is the span of values that the quantity can have (the same for every method compared), in the unit of the volume.

    >>> round(psnr(np.full((4, 4), 0.1), np.zeros((4, 4)), data_range=1.0), 6)
    20.0
    """
    volume, reference, inside = _checked(volume, reference, data_range, mask)
    return psnr_db(float(np.mean((volume[inside] - reference[inside]) ** 2)), data_range)


def ssim(volume: Values, reference: Values, *, data_range: float, mask: Inside | None = None) -> float:
    """The structural similarity (Wang et al. 2004, 7-wide uniform window in 2-D or 3-D, as in scikit-image), averaged over ``mask``.

    The map is computed on the whole array and averaged over the mask (default: all but the border of the window, as in scikit-image).
    """
    volume, reference, inside = _checked(volume, reference, data_range, mask)
    similarity = ssim_map(volume, reference, data_range=data_range)
    border = (slice(3, -3),) * volume.ndim
    return float(similarity[border].mean()) if mask is None else float(similarity[inside].mean())


def ssim_map(volume: Values, reference: Values, *, data_range: float) -> Float[NDArray[np.float64], "*shape"]:
    """The structural similarity at each place of the arrays, whose mean is that of `ssim`."""
    from skimage.metrics import structural_similarity

    volume, reference, _ = _checked(volume, reference, data_range, None)
    if min(volume.shape) < 7:
        raise InputError(f"an array of shape {volume.shape}", expected="at least 7 along each axis, the window of SSIM")
    result: Any = structural_similarity(volume, reference, data_range=data_range, full=True)
    return result[1]


def _checked(volume: Values, reference: Values, data_range: float, mask: Inside | None) -> tuple[Values, Values, Inside]:
    volume, reference = np.asarray(volume, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if volume.shape != reference.shape:
        raise InputError(f"a volume of shape {volume.shape}", expected=f"{reference.shape}, the shape of the reference")
    if not (math.isfinite(data_range) and data_range > 0):
        raise InputError(f"data_range is {data_range}", expected="a positive number in the unit of the volume")
    if not (np.isfinite(volume).all() and np.isfinite(reference).all()):
        raise InputError("the volume or the reference holds NaN or Inf", expected="finite values")
    inside = np.ones(volume.shape, dtype=bool) if mask is None else np.asarray(mask)
    if inside.shape != volume.shape or inside.dtype != bool or not inside.any():
        raise InputError(
            f"a mask of shape {inside.shape} and type {inside.dtype}", expected=f"boolean {volume.shape} with at least one True"
        )
    return volume, reference, inside
