"""A stack of images that are read one by one. Readers of scans and of volumes return it, wherever the images are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...base.memory import require_memory
from ...base.shapes import Image, Real, Shaped


@runtime_checkable
class ImageStack(Protocol):
    """``stack[i]`` is image i [row, col] of type ``dtype``, and ``shape`` is (images, rows, cols). Asking for shape and type reads no
    image.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(images, rows, cols)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of every image."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Image: ...

    def name(self, index: int) -> str:
        """Where image ``index`` came from, for error messages; empty where that is not known."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayStack:
    """An array [image, row, col] as an `ImageStack`; ``source`` says where it came from."""

    images: Shaped[NDArray, "image row col"]
    source: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(images, rows, cols)."""
        count, rows, cols = self.images.shape
        return count, rows, cols

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the array."""
        return self.images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image:
        return self.images[index]

    def name(self, index: int) -> str:
        """The source of the whole array."""
        return self.source


def load_images(stack: ImageStack, progress: bool = False) -> Real[NDArray, "image row col"]:
    """All images of a stack in one array [image, row, col], in the unit and type of the files; InputError where the memory is too small."""
    if isinstance(stack, ArrayStack):
        return stack.images
    count, rows, cols = stack.shape
    require_memory(count * rows * cols * stack.dtype.itemsize, f"{count} images of {rows} x {cols}")
    out = np.empty(stack.shape, stack.dtype)
    for index in shown(range(len(out)), "reading images", progress):
        out[index] = stack[index]
    return out


Shown = bool | Callable[[int, int], object]
"""Whether to show a progress bar on the terminal, or a function that is called with the number done and the number in all."""


def shown(items: Sequence[Any] | range, what: str, progress: Shown) -> Iterable[Any]:
    """The items, with a progress bar on the terminal if asked for, or calling a function after each of them."""
    if not progress:
        return items
    if callable(progress):
        return _told(items, progress)
    from tqdm import tqdm

    return tqdm(items, desc=what, unit="image", leave=False)


def _told(items: Sequence[Any] | range, tell: Callable[[int, int], object]) -> Iterator[Any]:
    for done, item in enumerate(items, 1):
        yield item
        tell(done, len(items))
