"""The cosine transform of detector rows: filters that continue a row by reflection, exactly invertible."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def cosines(views: NDArray[Any]) -> NDArray[np.float32]:
    """The orthonormal cosine coefficients of each row [..., col], in its unit; coefficient k has frequency k / cols of Nyquist."""
    c: Any = fft.dct(views, axis=-1, norm="ortho", workers=-1)
    return np.asarray(c, dtype=np.float32)


def from_cosines(coefficients: NDArray[Any]) -> NDArray[np.float32]:
    """The rows [..., col] with these coefficients [..., k], in their unit: the inverse of `cosines`."""
    y: Any = fft.idct(np.asarray(coefficients, dtype=np.float32), axis=-1, norm="ortho", workers=-1)
    return np.asarray(y, dtype=np.float32)
