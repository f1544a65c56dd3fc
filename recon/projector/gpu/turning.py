"""Turning arrays so that another axis is the fastest: [z, y, x] and [y, x, z], [view, row, col] and [view, col, row]."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor


def on_device_of(values: Tensor) -> AbstractContextManager[Any]:
    """Make the device of ``values`` (any shape and unit) the current one, on which kernels are launched."""
    return torch.cuda.device(values.device) if values.is_cuda else nullcontext()


def copy_turned(source: Tensor, target: Tensor) -> None:
    """``target[...] = source`` for three axes of any strides and the same unit, at the speed of the memory where each has some axis of
    stride 1.
    """
    axes = sorted(range(3), key=lambda axis: 1 in (source.stride(axis), target.stride(axis)))
    planes, i, j = axes[0], axes[1], axes[2]
    many, ni, nj = (source.shape[axis] for axis in (planes, i, j))
    strides = [array.stride(axis) for array in (source, target) for axis in (planes, i, j)]
    per_launch = 65535  # what a grid's third axis may have
    with on_device_of(source):
        for first in range(0, many, per_launch):
            count = min(per_launch, many - first)
            kernel: Any = _copy[(triton.cdiv(nj, 32), triton.cdiv(ni, 32), count)]
            kernel(source.narrow(planes, first, count), target.narrow(planes, first, count), *strides, ni, nj, 32)


@triton.jit(do_not_specialize=["ni", "nj"])
def _copy(source, target, s_plane, s_i, s_j, t_plane, t_i, t_j, ni, nj, BLOCK: tl.constexpr):
    """One tile of a plane; each side is read or written along its axis of stride 1."""
    i = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)[:, None]
    j = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)[None, :]
    plane = tl.program_id(2).to(tl.int64)
    there = (i < ni) & (j < nj)
    value = tl.load(source + plane * s_plane + i * s_i + j * s_j, mask=there)
    tl.store(target + plane * t_plane + i * t_i + j * t_j, value, mask=there)
