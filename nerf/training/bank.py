"""What training steps need again of a scan, made once: first volumes, which voxels all views see, where voxels are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...base.files import atomic_path
from ...base.memory import available_bytes
from ...base.shapes import Bool, Shaped
from .examples import moved_along
from .learner import Example

Kept = TypeVar("Kept", bound=tuple[NDArray[Any], ...])
MOST_BYTES = 32 << 30


class Bank:
    """Tuples of arrays by what they were made of; where ``limit_bytes`` are exceeded, those that were asked for longest ago go.

    The default limit is half of the memory that is free when the bank is first used, at most `MOST_BYTES`. With a ``folder`` what was made
    is also written there, and another run finds it.
    """

    def __init__(self, limit_bytes: int | None = None, folder: str | Path | None = None) -> None:
        self._limit = limit_bytes
        self.folder = None if folder is None else Path(folder)
        self._kept: dict[Hashable, tuple[NDArray[Any], ...]] = {}
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What ``make`` gives, made only where it is not kept."""
        if self._limit is None:
            self._limit = min(MOST_BYTES, (available_bytes() or 0) // 2)
        found: Any = self._kept.pop(key, None)
        if found is None:
            found = make() if self.folder is None else _from_folder(self.folder, key, make)
            self._bytes += _size(found)
        self._kept[key] = found
        while self._bytes > self._limit and len(self._kept) > 1:
            self._bytes -= _size(self._kept.pop(next(iter(self._kept))))
        return found

    def holds(self, key: Hashable) -> bool:
        """Whether there is something under the key, so that nothing has to be made."""
        return key in self._kept or (self.folder is not None and _path(self.folder, key).is_file())


def _path(folder: Path, key: Hashable) -> Path:
    return folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.npz"


def _from_folder(folder: Path, key: Hashable, make: Callable[[], Kept]) -> Kept:
    """What lies in the folder under the key, or else what ``make`` gives, which is then written there."""
    path = _path(folder, key)
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            found: Any = tuple(kept[f"arr_{k}"] for k in range(len(kept.files)))
            return found
    made = make()
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), atomic_path(path) as temporary, temporary.open("wb") as stream:  # another run was faster
        np.savez(stream, *made)
    return made


def _size(arrays: tuple[NDArray[Any], ...]) -> int:
    return sum(array.nbytes for array in arrays)


def original(example: Example) -> Example:
    """The example before it was turned by quarters and mirrored."""
    return example.before or example


def key_of(example: Example) -> Hashable:
    """What tells one scan in one position from all others."""
    return example.name, example.projections.scan.source[0].tobytes()


def seen_by_all(bank: Bank, example: Example) -> Bool[NDArray[np.bool_], "z y x"]:
    """The voxels that every view of the example's scan sees."""
    first = original(example)
    (mask,) = bank.get(("seen", key_of(first)), lambda: (first.grid.seen_by_all(first.projections.scan),))
    return moved_along(mask, example)


def places_along(
    places: tuple[Shaped[NDArray[np.intp], "*place"], Shaped[NDArray[np.intp], "*place"]], example: Example
) -> tuple[Shaped[NDArray[np.intp], "*place"], Shaped[NDArray[np.intp], "*place"]]:
    """The indices (y, x) of voxels of the original, where they are in the example, as `moved_along` moves whole volumes."""
    y, x = places
    _, ny, nx = original(example).grid.shape
    x = nx - 1 - x if example.mirror else x
    for _ in range(example.quarters % 4):
        y, x = x, ny - 1 - y
        ny, nx = nx, ny
    return y, x
