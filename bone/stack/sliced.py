"""A volume of which slices are asked for, so that memory need not hold it; and masks and labels that are kept compressed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .cut import Cut


class Sliced(Protocol):
    """Values [z, y, x] of which slices are read when they are asked for, ``volume[4:9]``: an array, a memory map, a data set of an HDF5 or
    Zarr file, or a reader of a folder of slices.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, rows, columns)."""
        ...

    @property
    def dtype(self) -> Any:
        """The type of a value."""
        ...

    def __getitem__(self, part: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class Packed:
    """A mask or labels [z, y, x] of 8 bits, each slice compressed by itself: some hundredths of a byte a voxel."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    slices: tuple[bytes, ...]

    def __getitem__(self, part: slice) -> NDArray[Any]:
        chosen = self.slices[part]
        out = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for plane, data in zip(out, chosen, strict=True):
            raw = np.frombuffer(zlib.decompress(data), np.uint8)
            bits = np.unpackbits(raw, count=plane.size).view(np.bool_) if self.dtype == np.bool_ else raw
            plane[...] = bits.reshape(plane.shape)
        return out


def packed(parts: Iterable[NDArray[Any]]) -> Packed:
    """The parts of a mask or of labels [z, y, x], one after the other, compressed."""
    slices: list[bytes] = []
    shape, dtype = (0, 0), np.dtype(np.uint8)
    for part in parts:
        shape, dtype = part.shape[1:], part.dtype
        slices += [zlib.compress((np.packbits(plane) if dtype == np.bool_ else plane).tobytes(), 1) for plane in part]
    return Packed((len(slices), *shape), dtype, tuple(slices))


def kept(make: Callable[[slice], NDArray[Any]], cut: Cut) -> Sliced:
    """What ``make`` gives for each slab, a mask or labels [z, y, x], in one: compressed where there are several slabs."""
    return make(cut.slabs[0]) if cut.is_whole else packed(make(own) for own in cut.slabs)
