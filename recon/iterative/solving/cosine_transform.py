"""The cosine transform of detector rows: filters that continue a row by reflection, exactly invertible."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy import fft
from torch import Tensor


def cosines(views: Any) -> Any:
    """The orthonormal cosine coefficients of each row [..., col], in its unit; coefficient k has frequency k / cols of Nyquist."""
    if isinstance(views, Tensor):
        return _cosines_torch(views)
    c: Any = fft.dct(views, axis=-1, norm="ortho", workers=-1)
    return np.asarray(c, dtype=np.float32)


def from_cosines(coefficients: Any) -> Any:
    """The rows [..., col] with these coefficients [..., k], in their unit: the inverse of `cosines`."""
    if isinstance(coefficients, Tensor):
        return _from_cosines_torch(coefficients)
    y: Any = fft.idct(np.asarray(coefficients, dtype=np.float32), axis=-1, norm="ortho", workers=-1)
    return np.asarray(y, dtype=np.float32)


def _cosines_torch(x: Tensor) -> Tensor:
    """By one Fourier transform of the even places followed by the odd ones backwards (Makhoul 1980)."""
    n = x.shape[-1]
    folded = torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], -1)
    c = (torch.fft.fft(folded) * _turn(n, -1, x)).real * math.sqrt(2 / n)
    c[..., 0] *= math.sqrt(0.5)
    return c


def _from_cosines_torch(c: Tensor) -> Tensor:
    n = c.shape[-1]
    real = c * math.sqrt(n / 2)
    real[..., 0] *= math.sqrt(2)
    imaginary = torch.cat([torch.zeros_like(real[..., :1]), -real[..., 1:].flip(-1)], -1)
    folded = torch.fft.ifft(torch.complex(real, imaginary) * _turn(n, 1, c)).real
    x, half = torch.empty_like(c), (n + 1) // 2
    x[..., ::2], x[..., 1::2] = folded[..., :half], folded[..., half:].flip(-1)
    return x


def _turn(n: int, sign: int, x: Tensor) -> Tensor:
    """exp(sign i pi k / 2 n), (n,)."""
    angle = torch.arange(n, dtype=x.dtype, device=x.device) * (sign * math.pi / (2 * n))
    return torch.complex(angle.cos(), angle.sin())
