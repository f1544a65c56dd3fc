"""Line integrals on a disk, for scans that memory does not hold: read and written view by view, or some rows of some views."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import Shaped

Views = Shaped[NDArray[np.float32], "*views row col"]


@dataclass(frozen=True)
class ViewStore:
    """A file of float32 [view, row, col] that is indexed as an array: ``store[view]``, ``store[views]``, ``store[views, rows]``.

    ``shape`` is (views, rows, cols). Every access opens the file and reads what was asked for, so that memory holds nothing else and any
    process can use the store.
    """

    path: Path
    shape: tuple[int, int, int]

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int, int]) -> ViewStore:
        """A new file of that size, whose room on the disk is taken at once; OSError where there is not enough."""
        with path.open("wb") as file:
            size = 4 * math.prod(shape)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        return cls(path, shape)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """3."""
        return 3

    @property
    def size(self) -> int:
        """The number of pixels in all views."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Views:
        views, rows = index if isinstance(index, tuple) else (index, slice(None))
        chosen = np.arange(len(self))[views]
        first, stop, _ = rows.indices(self.shape[1])
        out = np.empty((chosen.size, max(0, stop - first), self.shape[2]), np.float32)
        with self.path.open("rb", buffering=0) as file:
            for image, view in zip(out, np.atleast_1d(chosen), strict=True):
                file.seek(self._place(int(view), first))
                _fill(file, image)
        return out[0] if np.ndim(chosen) == 0 else out

    def __setitem__(self, index: Any, values: Views) -> None:
        """Write one view, or ``store[:, rows]``."""
        views, rows = index if isinstance(index, tuple) else (index, slice(None))
        chosen = np.atleast_1d(np.arange(len(self))[views])
        first, stop, _ = rows.indices(self.shape[1])
        images = np.ascontiguousarray(values, dtype=np.float32).reshape(chosen.size, stop - first, self.shape[2])
        with self.path.open("r+b", buffering=0) as file:
            for image, view in zip(images, chosen, strict=True):
                file.seek(self._place(int(view), first))
                left = image.reshape(-1).data.cast("B")
                while left:
                    left = left[file.write(left) :]

    def mapped(self) -> Views:
        """All views as an array that is read from the file where it is touched."""
        return np.memmap(self.path, np.float32, "r", shape=self.shape)

    def _place(self, view: int, row: int) -> int:
        return 4 * self.shape[2] * (view * self.shape[1] + row)


def _fill(file: Any, image: NDArray[np.float32]) -> None:
    left = image.reshape(-1).data.cast("B")
    while left:
        count = file.readinto(left)
        if not count:
            raise OSError(f"{file.name} ends too early: something else changed it")
        left = left[count:]
