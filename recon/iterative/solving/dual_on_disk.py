"""Where the dual variable of the data is kept: it has a number for every ray, and may be too large for the memory."""

from __future__ import annotations

import tempfile
from typing import Literal

import numpy as np
import torch

from ....base import InputError
from ....base.memory import available_bytes
from ..arrays import Sinogram

Place = Literal["auto", "memory", "disk"]


def on_disk(place: Place, data: Sinogram) -> bool:
    """Whether as many numbers as the data [view, row, col] belong on the disk: "auto" says yes for a quarter of the free memory.

    Beside data on another device they stay there; "disk" is an InputError then.
    """
    if isinstance(data, torch.Tensor):
        if place == "disk":
            raise InputError(f"dual is 'disk' and device is {str(data.device)!r}", expected="dual='memory' or 'auto' on a device")
        return False
    free = available_bytes()
    return place == "disk" or (place == "auto" and free is not None and 4 * data.size > free / 4)


def zeros_on_disk(shape: tuple[int, ...]) -> Sinogram:
    """Zeros of this shape in an unnamed file, which goes when the array does; OSError where the disk has no room for it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the map keeps it
    for _ in range(shape[0]):
        file.write(
            np.zeros(shape[1:], np.float32).tobytes()
        )  # written out, so that a full disk is an error now and not in the middle of the run
    file.flush()
    return np.memmap(file, np.float32, "r+", shape=shape)
