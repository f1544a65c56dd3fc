"""The small operations on whole volumes and views that every solver is made of."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ...base.shapes import LineIntegrals as Sinogram
from ...base.shapes import Volume

__all__ = ["SMALL", "Sinogram", "Volume", "combined", "dot"]

SMALL = 1 << 18  # elements: below, a second thread is not worth its start


def dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Inner product of two arrays of one shape, summed row by row in float64: the same result whatever the number of threads."""
    rows = np.einsum("ij,ij->i", a.reshape(len(a), -1), b.reshape(len(b), -1), dtype=np.float64) if a.ndim > 1 else a.astype(np.float64) * b
    return float(rows.sum())


def combined(a: float, x: Volume, b: float, y: Volume, out: Volume | None = None) -> Volume:
    """``a x + b y`` of two volumes [z, y, x], written to ``out`` (which may be one of them) where that is given."""
    result = np.empty_like(x) if out is None else out
    kernel = _combine_small if result.size < SMALL else _combine
    kernel(np.float32(a), x.ravel(), np.float32(b), y.ravel(), result.ravel())
    return result


def _combination(a, x, b, y, out):  # pragma: no cover - compiled
    for i in numba.prange(out.size):
        out[i] = a * x[i] + b * y[i]


_FLAGS: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_combine, _combine_small = numba.njit(parallel=True, **_FLAGS)(_combination), numba.njit(**_FLAGS)(_combination)
