"""The precision in which a network works on its device; the device itself, and its memory, are those of every method."""

from __future__ import annotations

import torch

from ..recon.method.device import require_memory_on, usable_device

__all__ = ["autocast_type", "require_memory_on", "usable_device"]


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The lower precision to compute in, or None for float32 throughout. "auto" is bf16 on a card that has it, and fp16 on an older one."""
    if precision == "auto":
        if device.type != "cuda":
            return None
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
