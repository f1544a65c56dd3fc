"""What a volume format is, and the table of all formats: each module in ``formats/`` that has a ``FORMAT``.

A new format is one file in that folder, with a function that reads, one that writes, and its row. Reader, writer, help texts, messages and
tests are made from the table.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.shapes import AnyVolume
from ...geometry import Grid, Scan

if TYPE_CHECKING:
    from .slabs.contract import SlabFile
    from .slabs.stored import StoredVolume

Read = tuple[NDArray[Any], Grid, dict[str, Any]]
"""(volume [z, y, x] of the stored type, grid, facts)."""


@dataclass(frozen=True)
class Option:
    """A setting of one format: its name, what it does, and ``check(value) -> value``, whose ValueError says what is expected."""

    name: str
    does: str
    check: Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Kept:
    """What some formats keep beside the volume: facts about the reconstruction, its standard deviation in 1/mm, and its scan."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    std: AnyVolume | None = None
    scan: Scan | None = None


@dataclass(frozen=True)
class VolumeFormat:
    """One way to store a volume.

    ``endings`` can be read and written (none stands for a folder), ``also_read`` can only be read. ``read(path, voxel_mm, **options)``
    returns `Read`; ``write(volume, grid, path, kept, **options)`` keeps those parts of ``kept`` that ``keeps`` names; ``slabs(path, grid,
    height)``, where there is one, makes the `SlabFile` that writes the same slab by slab, and ``open`` is a ``read`` that leaves the slices
    in the file until they are asked for. ``extra`` is the extra of this package that the
    format needs.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[..., Read]
    write: Callable[..., None]
    keeps: str
    also_read: tuple[str, ...] = ()
    read_options: tuple[Option, ...] = ()
    write_options: tuple[Option, ...] = ()
    slabs: Callable[[Path, Grid, int], SlabFile] | None = None
    open: Callable[..., tuple[StoredVolume | NDArray[Any], Grid, dict[str, Any]]] | None = None
    extra: str = ""
    folder: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.endings)})" if self.endings else self.name

    def checked(self, options: Mapping[str, Any], *, writing: bool, path: Path) -> dict[str, Any]:
        """The checked options; InputError for one that the format does not have, or for a value that it does not accept."""
        known = {option.name: option for option in _options(self, writing)}
        for name, value in options.items():
            if name not in known:
                others = [str(form) for form in formats() if any(option.name == name for option in _options(form, writing))]
                raise InputError(
                    f"{name}={value!r} for {path}: {self} has no such option",
                    expected=f"one of {', '.join(known)}" if known else "none: it has no options",
                    remedy=f"{name} is an option of {' and '.join(others)}" if others else "",
                )
            try:
                known[name].check(value)
            except (ValueError, TypeError) as error:
                raise InputError(f"{name} is {value!r} for {path}", expected=str(error)) from error
        return dict(options)


def _options(form: VolumeFormat, writing: bool) -> tuple[Option, ...]:
    return form.write_options if writing else form.read_options


def one_of(*choices: Any) -> Callable[[Any], Any]:
    """A check that accepts only these values."""

    def check(value: Any) -> Any:
        if value not in choices or isinstance(value, bool):
            raise ValueError(f"one of {', '.join(map(str, choices))}")
        return value

    return check


def window(value: Any) -> tuple[float, float]:
    """A grey window (low, high) in 1/mm."""
    said = "a grey window (low, high) in 1/mm, two finite numbers, the first the smaller"
    pair = np.asarray(value, dtype=np.float64) if isinstance(value, tuple | list | np.ndarray) else np.empty(0)
    if pair.shape != (2,) or not np.isfinite(pair).all() or not pair[0] < pair[1]:
        raise ValueError(said)
    return float(pair[0]), float(pair[1])


def text(value: Any) -> str:
    """Any name."""
    if not isinstance(value, str) or not value:
        raise ValueError("a name")
    return value


def whole(value: Any) -> int:
    """A whole number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError("a whole number of 0 or more")
    return int(value)


@cache
def formats() -> tuple[VolumeFormat, ...]:
    """All formats, sorted by the names of their modules."""
    folder = importlib.import_module(f"{__package__}.formats")
    modules = [importlib.import_module(f"{folder.__name__}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)]
    rows: list[Any] = [getattr(module, "FORMAT", None) for module in modules]
    return tuple(row for row in rows if isinstance(row, VolumeFormat))


def written() -> str:
    """The file names that a volume can be written to, in words."""
    return ", ".join(form.endings[0] for form in formats() if form.endings) + ", or a folder name without an ending for slices"


def readable() -> str:
    """The volumes that can be read, in words."""
    endings = [ending for form in formats() for ending in (*form.endings, *form.also_read)]
    return ", ".join(endings) + ", or a folder of numbered TIFF, PNG or BMP slices"


def format_to_write(path: Path) -> VolumeFormat:
    """The format for a file name; where no format has its ending, an InputError that lists the endings."""
    name = path.name.lower()
    for form in formats():
        if name.endswith(form.endings):
            return form
    if not path.suffix:
        return next(form for form in formats() if not form.endings)
    near = next((form.endings[0] for form in formats() if path.suffix.lower() in form.also_read and form.endings), "")
    raise InputError(f"{path} ends in {path.suffix!r}", expected=written(), remedy=f"give {path.stem}{near}" if near else "")


def format_to_read(path: Path) -> VolumeFormat:
    """The format of an existing file or folder by its ending; where no format has it, an InputError that lists the endings."""
    name = path.name.lower()
    for form in formats():
        if name.endswith((*form.endings, *form.also_read)):
            if form.folder != path.is_dir():
                raise InputError(
                    f"{path} is a {'folder' if path.is_dir() else 'file'}", expected=f"{form}, a {'folder' if form.folder else 'file'}"
                )
            return form
    if path.is_dir():
        return next(form for form in formats() if not form.endings)
    raise InputError(f"{path} ends in {path.suffix!r}", expected=readable())
