"""Grey windows: attenuation in 1/mm as 8- or 16-bit grey levels and back, as NRecon does it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base import InputError

GREY_TYPES = {8: np.uint8, 16: np.uint16}


def to_grey(volume: ArrayLike, low: float, high: float, bits: int = 8) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Grey levels (uint8 or uint16, any shape) of attenuations in 1/mm. Values below ``low`` become 0, values above ``high`` the brightest
    level.

    This is the inverse of `from_grey`, rounded to the nearest level: ``g = (mu - low) / (high - low) * (2**bits - 1)``. ``low`` and
    ``high`` are the *Minimum* and *Maximum for CS to Image Conversion* of an NRecon log. Inside the window a round trip is exact to half a
    level.

    Raises InputError for an empty window, a depth other than 8 or 16, or values that are not finite.

    >>> to_grey([-1.0, 0.0, 0.025, 0.05, 9.0], low=0.0, high=0.05).tolist()
    [0, 0, 128, 255, 255]
    """
    levels = _levels(low, high, bits)
    values = np.asarray(volume, dtype=np.float64 if bits == 16 else np.float32)
    if not np.isfinite(values).all():
        raise InputError("the volume holds NaN or Inf", expected="finite attenuations in 1/mm")
    scaled = np.clip((values - low) * (levels / (high - low)), 0, levels)
    return np.floor(scaled + 0.5).astype(GREY_TYPES[bits])


def from_grey(grey: ArrayLike, low: float, high: float, bits: int | None = None) -> NDArray[np.float32]:
    """Attenuations in 1/mm (float32, same shape) of grey levels: ``mu = low + g / (2**bits - 1) * (high - low)``.

    ``bits`` follows from the type of the array (uint8, uint16) unless it is given.

    >>> from_grey(np.array([0, 51, 255], dtype=np.uint8), low=0.0, high=0.05).tolist() == np.float32([0, 0.01, 0.05]).tolist()
    True
    """
    array = np.asarray(grey)
    if bits is None:
        bits = {np.dtype(kind): depth for depth, kind in GREY_TYPES.items()}.get(array.dtype)
        if bits is None:
            raise InputError(f"grey levels of type {array.dtype}", expected="uint8 or uint16", remedy="or say bits=8 or bits=16")
    levels = _levels(low, high, bits)
    return (low + array.astype(np.float64) * ((high - low) / levels)).astype(np.float32)


def _levels(low: float, high: float, bits: int) -> int:
    """The brightest level; the window is checked first."""
    if bits not in GREY_TYPES:
        raise InputError(f"bits is {bits}", expected="8 or 16")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"grey window {low} to {high} 1/mm", expected="two finite numbers, the first the smaller")
    return 2**bits - 1
