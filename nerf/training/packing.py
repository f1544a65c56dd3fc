"""Weights in a quarter of their bytes, as they are shipped: whole numbers of 8 bits, with one scale for each output of a layer.

The error is about a hundredth of a weight; it made the corrections of `tvnet` 0.003 to 0.006 dB worse (docs/model_cards.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

SCALE = ".scale of 127"  # after the name of a tensor: what 127 stands for, of each of its first index
LEAST = 64  # numbers a row: of shorter ones nothing is saved


def packed(state: Mapping[str, Any]) -> dict[str, Any]:
    """The same tensors, matrices and filters with long rows as 8-bit numbers with their scales, all others as float16.

    >>> small = packed({"filter": torch.linspace(-1, 1, 200).reshape(2, 100), "bias": torch.ones(2)})
    >>> {name: str(tensor.dtype) for name, tensor in small.items()}
    {'filter': 'torch.int8', 'filter.scale of 127': 'torch.float32', 'bias': 'torch.float16'}
    >>> float((unpacked(small)["filter"].flatten() - torch.linspace(-1, 1, 200)).abs().max()) < 0.5 / 127
    True
    """
    small: dict[str, Any] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2 or tensor[0].numel() < LEAST:
            small[name] = tensor.to(torch.float16)
            continue
        rows = tensor.float().flatten(1)
        most = rows.abs().amax(1).clamp(min=1e-12)
        small[name] = (rows / most[:, None] * 127).round().to(torch.int8).reshape(tensor.shape)
        small[name + SCALE] = most
    return small


def unpacked(state: Mapping[str, Any]) -> dict[str, Any]:
    """What `packed` was given, as float32; tensors that are not packed stay as they are."""
    whole = {name: tensor for name, tensor in state.items() if not name.endswith(SCALE)}
    for name in [name for name in whole if name + SCALE in state]:
        rows = whole[name].float().flatten(1) * state[name + SCALE][:, None] / 127
        whole[name] = rows.reshape(whole[name].shape)
    return whole
