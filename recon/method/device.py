"""The device on which a method works, and the memory that it has left."""

from __future__ import annotations

import torch

from ...base import MissingBackendError
from ...base.memory import require_memory


def usable_device(name: str) -> torch.device:
    """The torch device with that name, "auto" being a CUDA device where there is one; MissingBackendError where it cannot be used."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise MissingBackendError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]})", expected="auto, cpu, cuda, cuda:1, ..."
        ) from None
    return device


def require_memory_on(device: torch.device, needed_bytes: int, what: str, remedy: str = "use fewer views or larger voxels") -> None:
    """InputError, with both numbers, where the device does not have ``needed_bytes`` left. What torch keeps in reserve on a card counts as
    left.
    """
    free = None
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    require_memory(needed_bytes, what if free is None else f"{what}, on {device},", remedy, free)
