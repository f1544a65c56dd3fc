"""Between numpy's memory and a card at the speed of the bus, through two pinned buffers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BUFFER_BYTES = 32 << 20


def to_device(values: Tensor | NDArray[Any], device: torch.device) -> Tensor:
    """``values`` of any shape and unit on the device; they may be a read-only array, which is not copied on the way."""
    given = values if isinstance(values, Tensor) else _borrowed(values)
    if device.type != "cuda" or given.device.type != "cpu" or given.nbytes < BUFFER_BYTES:
        return given.to(device)
    there = torch.empty(given.shape, dtype=given.dtype, device=device)
    source, target = given.contiguous().view(-1), there.view(-1)
    for part, buffer, sent in _buffers(source):
        sent.synchronize()
        buffer.copy_(source[part])
        target[part].copy_(buffer, non_blocking=True)
        sent.record()
    torch.cuda.current_stream(device).synchronize()  # the buffers go back
    return there


def to_host(values: Tensor, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """``values`` of any shape and unit as an array of numpy, or in ``out``, contiguous and of their shape and type.

    Memory that is new is first touched here, by all cores of a parallel copy and a buffer's length at a time: left to the driver, page
    after page, it takes forty times as long as the bus.
    """
    made = np.empty(tuple(values.shape), _numpy_type(values.dtype)) if out is None else out
    target, source = torch.from_numpy(made).view(-1), values.contiguous().view(-1)
    if not values.is_cuda or values.nbytes < BUFFER_BYTES:
        target.copy_(source)
        return made
    waiting: list[tuple[slice, Tensor, Any]] = []
    for part, buffer, came in _buffers(source):
        if len(waiting) == 2:
            _receive(target, *waiting.pop(0))
        buffer.copy_(source[part], non_blocking=True)
        came.record()
        waiting.append((part, buffer, came))
    for each in waiting:
        _receive(target, *each)
    return made


def _receive(target: Tensor, part: slice, buffer: Tensor, came: Any) -> None:
    came.synchronize()
    target[part].copy_(buffer)


def _buffers(flat: Tensor) -> Iterator[tuple[slice, Tensor, Any]]:
    """Parts of a flat tensor, each with a pinned buffer of its size, and the event of that buffer; two buffers take turns."""
    length = BUFFER_BYTES // flat.itemsize
    held = [(torch.empty(length, dtype=flat.dtype, pin_memory=True), torch.cuda.Event()) for _ in range(2)]
    for number, begin in enumerate(range(0, flat.numel(), length)):
        buffer, event = held[number % 2]
        end = min(begin + length, flat.numel())
        yield slice(begin, end), buffer[: end - begin], event


def _borrowed(values: NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # it is only read
        return torch.from_numpy(np.ascontiguousarray(values))


def _numpy_type(dtype: torch.dtype) -> np.dtype[Any]:
    return np.dtype(str(dtype).removeprefix("torch."))
