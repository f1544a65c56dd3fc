"""A volume on disk whose slices are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....base.shapes import AnyVolume


@dataclass(frozen=True, eq=False)
class StoredVolume:
    """``volume[4:9]`` reads five slices [z, y, x]; ``read(first, last)`` does it, from the file or folder ``path``."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    read: Callable[[int, int], AnyVolume]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> AnyVolume:
        first, last, step = part.indices(self.shape[0])
        if step != 1:
            raise IndexError(f"{self.path}: slices {first} to {last} in steps of {step}; only successive ones can be read")
        return self.read(first, max(first, last))
