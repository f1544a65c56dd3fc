"""Flat and dark field: what turns the counts of a detector into intensities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import FloatImage, Image, PixelMask


def flat_field(
    flat: NDArray[Any] | None, dark: NDArray[Any] | None, shape: tuple[int, int]
) -> tuple[Callable[[Image], FloatImage], PixelMask]:
    """A function from counts [row, col] to corrected intensity, and the mask of pixels whose flat is not above their dark. Frames are
    averaged.
    """
    offset = _mean("dark", dark)
    if flat is None:
        return (lambda image: _less(image, offset)), np.zeros(shape, dtype=bool)
    gain = np.asarray(_mean("flat", flat) - offset, dtype=np.float32)
    good = gain > 0
    if not good.any():
        raise InputError("the flat field is nowhere above the dark field", expected="open-beam counts", remedy="are they exchanged?")
    dead = gain <= 0.01 * np.median(gain[good])
    inverse = np.where(dead, 0, 1 / np.where(dead, 1, gain)).astype(np.float32)

    def correct(image: NDArray[Any]) -> NDArray[np.float32]:
        intensity = _less(image, offset)
        intensity *= inverse
        return intensity

    return correct, dead


def _less(image: NDArray[Any], offset: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    """A float32 copy of the image minus the offset."""
    copy = image.astype(np.float32)
    if np.any(offset):
        copy -= offset
    return copy


def _mean(name: str, frames: NDArray[Any] | None) -> NDArray[np.float32] | np.float32:
    if frames is None:
        return np.float32(0)
    if not np.isfinite(frames).all():
        raise InputError(f"the {name} field holds NaN or Inf", expected="finite counts")
    return np.asarray(frames if frames.ndim == 2 else frames.mean(axis=0, dtype=np.float64), dtype=np.float32)
