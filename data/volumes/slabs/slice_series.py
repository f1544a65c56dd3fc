"""A folder of slices from slabs: grey levels need the range of the whole volume, so that the values wait in one file for the last slab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....base.shapes import Image, Volume
from ....geometry import Grid
from ..volume_format import Kept
from .contract import bytes_of, write_at


@dataclass(frozen=True)
class _Planes:
    """The slices of a raw file of float32, one at a time."""

    path: Path
    shape: tuple[int, int, int]

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Image]:
        _, ny, nx = self.shape
        with self.path.open("rb") as file:
            for _ in range(len(self)):
                yield np.fromfile(file, "<f4", ny * nx).reshape(ny, nx)


@dataclass(frozen=True)
class SliceSeries:
    """The folder ``path`` is made by `finish`; until then the values are beside it, in ``<path>.values``."""

    path: Path
    grid: Grid

    @property
    def values(self) -> Path:
        """The file of float32 values."""
        return self.path.with_name(self.path.name + ".values")

    def create(self) -> None:
        """Make the file of values with its room."""
        import os

        with self.values.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, bytes_of(self.grid))
            else:
                file.truncate(bytes_of(self.grid))

    def there(self) -> bool:
        """Whether the values, or the folder made of them, are still there."""
        return self.values.exists() or self.path.exists()

    def write(self, first: int, slab: Volume) -> None:
        """Write slices [z, y, x] in 1/mm to their place."""
        _, ny, nx = self.grid.shape
        write_at(self.values, 4 * ny * nx * first, np.ascontiguousarray(slab, dtype="<f4"))

    def finish(self, kept: Kept, low: float, high: float) -> None:
        """Write the slices as grey levels from ``low`` to ``high`` 1/mm, and remove the values."""
        from ....base.files import remove
        from ..slices import write_slices

        if not self.values.exists():  # a run was stopped right after this
            return
        remove(self.path)  # of a run that was stopped here
        planes: Any = _Planes(self.values, self.grid.shape)
        method = {"Method": kept.facts["method"]} if "method" in kept.facts else {}
        write_slices(planes, self.grid, self.path, window=(low, high if low < high else low + 1.0), facts=method)
        self.values.unlink()
