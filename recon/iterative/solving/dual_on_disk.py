"""A dual variable with a number for every ray is as large as the data: where it is kept."""

from __future__ import annotations

import tempfile
from typing import Literal

import numpy as np

from ....base.memory import available_bytes
from ..arrays import Sinogram

Place = Literal["auto", "memory", "disk"]


def on_disk(place: Place, rays: int) -> bool:
    """Whether ``place`` means the disk for so many rays: "auto" does where they would take a quarter of the free memory."""
    free = available_bytes()
    return place == "disk" or (place == "auto" and free is not None and 4 * rays > free / 4)


def zeros_on_disk(shape: tuple[int, ...]) -> Sinogram:
    """Zeros of this shape in an unnamed file, which goes when the array does; OSError where the disk has no room for it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the map keeps it
    for _ in range(shape[0]):
        file.write(np.zeros(shape[1:], np.float32).tobytes())  # written, so that a full disk is found out here and not in the middle
    file.flush()
    return np.memmap(file, np.float32, "r+", shape=shape)
