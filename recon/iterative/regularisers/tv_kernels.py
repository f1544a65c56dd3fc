"""Which functions compute the total variation of an array: compiled ones for numpy arrays, those of torch for tensors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from . import tv_numba, tv_torch


def kernels_of(x: Any) -> ModuleType:
    """The module with ``gradient``, ``adjoint``, ``ascend``, ``descend`` and ``tv`` for a volume [z, y, x]."""
    return tv_torch if isinstance(x, torch.Tensor) else tv_numba
