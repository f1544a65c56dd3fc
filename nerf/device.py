"""The precision in which a network works on its device; the device itself, and its memory, are those of every method."""

from __future__ import annotations

import torch
from llvmlite.binding import get_host_cpu_features

from ..recon.method.device import require_memory_on, usable_device

__all__ = ["autocast_type", "multiplies_tiles", "require_memory_on", "usable_device"]


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The lower precision to compute in, or None for float32 throughout.

    "auto" is bf16 on a card that has it and fp16 on an older one, bf16 on a processor that multiplies tiles of it (AMX), and float32 on any
    other: there bf16 is slower.
    """
    if precision == "auto":
        if device.type == "cpu":
            return torch.bfloat16 if multiplies_tiles() else None
        if device.type != "cuda":
            return None
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def multiplies_tiles() -> bool:
    """Whether the processor multiplies tiles of bf16 (Intel AMX), which makes the layers of a network 3 to 5 times as fast."""
    return bool(get_host_cpu_features().get("amx-bf16"))
