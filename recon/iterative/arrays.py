"""What numpy arrays and torch tensors do by different names, under one name: the steps of a solver are written once for both.

Arithmetic, such as ``a * x + y``, ``x += y`` and ``x.max()``, is the same for both and is written as it is. Only `beside` and `as_numpy`
bring values from one device to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numba
import numpy as np
import torch

Volume: TypeAlias = Any  # [z, y, x] float32, 1/mm: a numpy array, or a torch tensor on any device
Sinogram: TypeAlias = Any  # [view, row, col] float32, line integrals: likewise
SMALL = 1 << 18  # elements: below, a second thread is not worth its start


def module_of(a: Any) -> Any:
    """``torch`` for a tensor of any shape, ``numpy`` for all else: the module whose functions work on it."""
    return torch if isinstance(a, torch.Tensor) else np


def beside(values: Any, other: Any) -> Any:
    """Values of any shape as float32, of the kind and on the device of ``other``; they are copied only where they are not."""
    if isinstance(other, torch.Tensor):
        return torch.as_tensor(values, dtype=torch.float32, device=other.device)
    return np.ascontiguousarray(as_numpy(values), dtype=np.float32)


def as_numpy(values: Any) -> Any:
    """A numpy array of any shape as it is, and a tensor brought to the CPU."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values


def zeros(shape: Sequence[int], other: Any) -> Any:
    """Float32 zeros of this shape, of the kind and on the device of ``other``."""
    if isinstance(other, torch.Tensor):
        return torch.zeros(tuple(shape), dtype=torch.float32, device=other.device)
    return np.zeros(shape, np.float32)


def copied(a: Any) -> Any:
    """A copy of an array or tensor of any shape, on its device."""
    return a.clone() if isinstance(a, torch.Tensor) else a.copy()


def added(total: Volume | None, part: Volume) -> Volume:
    """The sum of volumes [z, y, x] so far, in place, and one more that nobody else keeps; None is the sum of none. One block of views so
    takes no second volume.
    """
    if total is None:
        return part
    total += part
    return total


def dot(a: Any, b: Any) -> float:
    """The inner product of two arrays of one shape, summed in float64; of numpy arrays row by row, the same with any number of threads."""
    if isinstance(a, torch.Tensor):
        return float((a * b).sum(dtype=torch.float64))
    rows = np.einsum("ij,ij->i", a.reshape(len(a), -1), b.reshape(len(b), -1), dtype=np.float64) if a.ndim > 1 else a.astype(np.float64) * b
    return float(rows.sum())


def combined(a: float, x: Volume, b: float, y: Volume, out: Volume = None) -> Volume:
    """``a x + b y`` of two volumes [z, y, x], written to ``out`` (which may be one of them) where that is given."""
    result = module_of(x).empty_like(x) if out is None else out
    if isinstance(x, torch.Tensor):
        return torch.add(x * a, y, alpha=b, out=result)
    kernel = _combine_small if result.size < SMALL else _combine
    kernel(np.float32(a), x.ravel(), np.float32(b), y.ravel(), result.ravel())
    return result


def _combination(a, x, b, y, out):  # pragma: no cover - compiled
    for i in numba.prange(out.size):
        out[i] = a * x[i] + b * y[i]


_FLAGS: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_combine, _combine_small = numba.njit(parallel=True, **_FLAGS)(_combination), numba.njit(**_FLAGS)(_combination)
