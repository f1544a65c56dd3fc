"""The device on which a network works, the number format that suits it, and the memory that it has left."""

from __future__ import annotations

import torch

from ..base import MissingBackendError
from ..base.memory import require_memory


def usable_device(name: str) -> torch.device:
    """The torch device with that name; MissingBackendError where it cannot be used."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise MissingBackendError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]})", expected="cpu, cuda, cuda:1, ..."
        ) from None
    return device


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The lower precision to compute in, or None for float32 throughout. "auto" is bf16 on a card that has it, and fp16 on an older one."""
    if precision == "auto":
        if device.type != "cuda":
            return None
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def require_memory_on(device: torch.device, needed_bytes: int, what: str, remedy: str = "use fewer views or larger voxels") -> None:
    """InputError, with both numbers, where the device does not have ``needed_bytes`` left. What torch keeps in reserve on a card counts as
    left.
    """
    free = None
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    require_memory(needed_bytes, what if free is None else f"{what}, on {device},", remedy, free)
