"""Formats that keep a volume in one piece (TIFF, HDF5): the file is made with its room, and slabs are written to their places in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....base.shapes import Volume
from ....geometry import Grid
from ..volume_format import Kept
from .contract import bytes_of, write_at


@dataclass(frozen=True)
class OnePiece:
    """``make(path, grid)`` makes the file, ``offset(path)`` says at which byte the first voxel lies, and ``end(path, kept)`` completes it.

    All three are functions of a module, so that they can be sent to another process.
    """

    path: Path
    grid: Grid
    make: Callable[[Path, Grid], None]
    offset: Callable[[Path], int]
    end: Callable[[Path, Kept], None]

    def create(self) -> None:
        """Make the file, and take its room on the disk."""
        self.make(self.path, self.grid)
        if hasattr(os, "posix_fallocate"):
            with self.path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), self.offset(self.path), bytes_of(self.grid))

    def there(self) -> bool:
        """Whether it was made and is still there."""
        return self.path.exists()

    def write(self, first: int, slab: Volume) -> None:
        """Write slices [z, y, x] in 1/mm to their place."""
        _, ny, nx = self.grid.shape
        write_at(self.path, self.offset(self.path) + 4 * ny * nx * first, np.ascontiguousarray(slab, dtype="<f4"))

    def finish(self, kept: Kept, low: float, high: float) -> None:
        """Complete the file."""
        self.end(self.path, kept)


def nothing_more(path: Path, kept: Kept) -> None:
    """For a format that has no place for facts."""
