"""What writes a volume slab by slab, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from ....base.shapes import Volume
from ....geometry import Grid
from ..volume_format import Kept


class SlabFile(Protocol):
    """A volume on disk whose slabs come one after the other, in any order; a slab that comes again replaces the one before.

    An object of this kind holds names and numbers alone, so that several processes can each write their slabs of one volume.
    """

    @property
    def path(self) -> Path:
        """The file or folder under construction."""
        ...

    def create(self) -> None:
        """Make the file with room for all slabs; OSError where the disk is full."""
        ...

    def there(self) -> bool:
        """Whether `create` was done and what it made is still there."""
        ...

    def write(self, first: int, slab: Volume) -> None:
        """Write the slices from ``first`` on, [z, y, x] float32 in 1/mm; they are on the disk when this returns."""
        ...

    def finish(self, kept: Kept, low: float, high: float) -> None:
        """Complete the file after the last slab; ``low`` and ``high`` are the least and the largest value of the volume in 1/mm."""
        ...


def bytes_of(grid: Grid) -> int:
    """The bytes of the float32 values of a volume."""
    nz, ny, nx = grid.shape
    return 4 * nz * ny * nx


def write_at(path: Path, offset: int, data: Any) -> None:
    """Write the bytes of a contiguous array into a file that exists, from ``offset`` on, and have them on the disk."""
    import os

    left = memoryview(data.reshape(-1)).cast("B")
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        while left:
            left = left[file.write(left[: 1 << 26]) :]
        os.fsync(file.fileno())
