"""The volume formats, one row each: the reader, the writer, help texts, messages and tests are made from this table.

A new format is a module of its own with a function that reads and one that writes, and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...geometry import Grid, Scan
from .bonemet import read_slice_folder
from .hdf5 import read_h5_volume, write_h5_volume
from .nifti import read_nifti, write_nifti
from .ome_tiff import read_tiff_volume, write_ome_tiff
from .ome_zarr import MISSING_CHUNKS, read_ome_zarr, write_ome_zarr
from .slices import IMAGES, write_slices

Read = tuple[NDArray[Any], Grid, dict[str, Any]]
"""(volume [z, y, x] of the stored type, grid, facts)."""


@dataclass(frozen=True)
class Option:
    """A setting of one format: its name, what it does, and ``check(value) -> value``, which raises ValueError saying what is expected."""

    name: str
    does: str
    check: Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Kept:
    """What some formats keep beside the volume: facts of the reconstruction, its standard deviation in 1/mm, its scan."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    std: NDArray[Any] | None = None
    scan: Scan | None = None


@dataclass(frozen=True)
class VolumeFormat:
    """One way to store a volume.

    ``endings`` are read and written (none: a folder), ``also_read`` only read. ``read(path, voxel_mm, **options)`` gives `Read`;
    ``write(volume, grid, path, kept, **options)`` keeps of ``kept`` what ``keeps`` names. ``extra``: the extra of this package it needs.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[..., Read]
    write: Callable[..., None]
    keeps: str
    also_read: tuple[str, ...] = ()
    read_options: tuple[Option, ...] = ()
    write_options: tuple[Option, ...] = ()
    extra: str = ""
    folder: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.endings)})" if self.endings else self.name

    def checked(self, options: Mapping[str, Any], *, writing: bool, path: Path) -> dict[str, Any]:
        """The options; InputError for one that the format has not, or a value that it cannot take."""
        known = {option.name: option for option in _options(self, writing)}
        for name, value in options.items():
            if name not in known:
                others = [str(form) for form in FORMATS if any(option.name == name for option in _options(form, writing))]
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


def _one_of(*choices: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in choices or isinstance(value, bool):
            raise ValueError(f"one of {', '.join(map(str, choices))}")
        return value

    return check


def _window(value: Any) -> tuple[float, float]:
    said = "a grey window (low, high) in 1/mm, two finite numbers, the first the smaller"
    pair = np.asarray(value, dtype=np.float64) if isinstance(value, tuple | list | np.ndarray) else np.empty(0)
    if pair.shape != (2,) or not np.isfinite(pair).all() or not pair[0] < pair[1]:
        raise ValueError(said)
    return float(pair[0]), float(pair[1])


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a name")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError("a whole number of 0 or more")
    return int(value)


def _animal(value: Any) -> str | int:
    return _text(value) if isinstance(value, str) else _whole(value)


def _h5(volume: NDArray[Any], grid: Grid, path: Path, kept: Kept) -> None:
    write_h5_volume(volume, grid, path, facts=kept.facts, std=kept.std, scan=kept.scan)


def _slices(volume: NDArray[Any], grid: Grid, path: Path, kept: Kept, **options: Any) -> None:
    method = {"Method": kept.facts["method"]} if "method" in kept.facts else {}
    write_slices(volume, grid, path, facts=method, **options)


_WINDOW = Option("window", "(low, high) in 1/mm: what grey level 0 and the highest stand for", _window)

FORMATS = (
    VolumeFormat(
        "OME-TIFF",
        (".ome.tif", ".ome.tiff"),
        read_tiff_volume,
        lambda volume, grid, path, kept, **options: write_ome_tiff(volume, grid, path, **options),
        "values, voxel size, centre",
        also_read=(".tif", ".tiff"),
        write_options=(Option("compression", "a lossless scheme", _one_of("zlib", None)),),
    ),
    VolumeFormat(
        "NIfTI",
        (".nii.gz", ".nii"),
        read_nifti,
        lambda volume, grid, path, kept: write_nifti(volume, grid, path),
        "values, voxel size and centre in single precision",
    ),
    VolumeFormat(
        "OME-Zarr",
        (".ome.zarr",),
        read_ome_zarr,
        lambda volume, grid, path, kept: write_ome_zarr(volume, grid, path),
        "values, voxel size, centre",
        also_read=(".zarr",),
        read_options=(Option("missing", "what to do about chunks that are not there", _one_of(*MISSING_CHUNKS)),),
        extra="zarr",
        folder=True,
    ),
    VolumeFormat(
        "HDF5",
        (".h5", ".hdf5"),
        read_h5_volume,
        _h5,
        "values, voxel size, centre, scan, settings, history, standard deviation",
        also_read=(".hdf",),
        read_options=(Option("dataset", "the name of a 3-D dataset, for a file of others", _text),),
    ),
    VolumeFormat(
        "slices",
        (),
        read_slice_folder,
        _slices,
        "grey levels in a window, voxel size, centre",
        read_options=(
            _WINDOW,
            Option("prefix", "the series, where a folder holds several", _text),
            Option("component", "of a BoneMet data set, such as Recon-CT", _text),
            Option("animal", "of a BoneMet data set", _animal),
            Option("week", "of a BoneMet data set", _whole),
            Option("part", "of a BoneMet data set, such as left tibia", _text),
        ),
        write_options=(
            _WINDOW,
            Option("bits", "of a grey level", _one_of(8, 16)),
            Option("image", "the format of a slice", _one_of(*IMAGES)),
        ),
        folder=True,
    ),
)
FOLDER = next(form for form in FORMATS if not form.endings)

WRITTEN = ", ".join(form.endings[0] for form in FORMATS if form.endings) + ", or a folder name without an ending for slices"
READABLE = ", ".join(e for form in FORMATS for e in (*form.endings, *form.also_read)) + ", or a folder of numbered TIFF, PNG or BMP slices"


def format_to_write(path: Path) -> VolumeFormat:
    """The format that a name asks for; InputError that lists the endings for one that no format has."""
    name = path.name.lower()
    for form in FORMATS:
        if name.endswith(form.endings):
            return form
    if not path.suffix:
        return FOLDER
    near = next((form.endings[0] for form in FORMATS if path.suffix.lower() in form.also_read and form.endings), "")
    raise InputError(f"{path} ends in {path.suffix!r}", expected=WRITTEN, remedy=f"give {path.stem}{near}" if near else "")


def format_to_read(path: Path) -> VolumeFormat:
    """The format of what is there, by its ending; InputError that lists the endings for one that no format has."""
    name = path.name.lower()
    for form in FORMATS:
        if name.endswith((*form.endings, *form.also_read)):
            if form.folder != path.is_dir():
                raise InputError(
                    f"{path} is a {'folder' if path.is_dir() else 'file'}", expected=f"{form}, a {'folder' if form.folder else 'file'}"
                )
            return form
    if path.is_dir():
        return FOLDER
    raise InputError(f"{path} ends in {path.suffix!r}", expected=READABLE)
