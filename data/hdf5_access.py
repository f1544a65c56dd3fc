"""HDF5 files of any origin, opened, inspected and written with errors that name the file; and a scan stored in a group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..base import InputError
from ..base.outputs.willing_file import willing_file
from ..geometry import Scan

H5_ENDINGS = (".h5", ".hdf5", ".hdf", ".nxs")
DATA_EXCHANGE = "data exchange"
_VECTORS = ("source", "detector", "u", "v", "angles_deg")


@contextmanager
def open_h5(path: Path) -> Iterator[Any]:
    """An HDF5 file opened for reading. Whatever the library says about a broken file becomes an InputError that names it."""
    import h5py

    try:
        with h5py.File(path) as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, TypeError, ValueError, KeyError) as error:  # h5py has no error of its own for types it cannot make
        raise InputError(
            f"{path} cannot be read ({error})", expected="a whole HDF5 file", remedy="copy it again from its source"
        ) from error


@contextmanager
def new_h5(path: Path) -> Iterator[Any]:
    """A new HDF5 file. A full disk is an OSError, as for any other file."""
    import h5py

    with willing_file(path) as disk, h5py.File(disk, "w") as file:
        yield file


def h5_format(path: Path) -> str:
    """The format that an HDF5 file claims to have: its attribute ``format``, ``DATA_EXCHANGE``, or ``""``; InputError for a broken file."""
    with open_h5(path) as file:
        if h5_link(file, "exchange/data", path):
            return DATA_EXCHANGE
        said = file.attrs.get("format", "")
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def h5_link(file: Any, name: str, path: Path) -> bool:
    """Whether the file has a member ``name`` of its own; InputError where a link on the way leads to another file or in a circle."""
    import h5py

    place = file
    for part in name.strip("/").split("/"):
        if not isinstance(place, h5py.Group) or (link := place.get(part, getlink=True)) is None:
            return False
        if isinstance(link, h5py.ExternalLink):
            raise InputError(
                f"{path}: /{name} is a link to the file {link.filename!r}",
                expected="data inside the file itself",
                remedy="give that file, or copy the data into this one",
            )
        try:
            place = place[part]
        except (KeyError, OSError, RuntimeError) as error:  # a soft link that leads nowhere, or round in a circle
            target = link.path if isinstance(link, h5py.SoftLink) else part
            where = "nowhere" if isinstance(error, KeyError) else "round in a circle"
            raise InputError(
                f"{path}: /{name} is a link to {target!r}, which leads {where}",
                expected="data inside the file itself",
                remedy="copy the file again, or repair the link",
            ) from error
    return True


def h5_dataset(file: Any, name: str, path: Path, *, expected: str = "numbers") -> Any:
    """The dataset ``name`` of numbers, whose values are not read yet; InputError naming file and dataset for anything else."""
    import h5py

    if not h5_link(file, name, path):
        raise InputError(f"{path} has no dataset {name!r}", expected=f"one of {', '.join(file) or 'none: it is empty'}")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        inside = ", ".join(found) if isinstance(found, h5py.Group) else ""
        raise InputError(
            f"{path}: /{name} is a group{f' ({inside})' if inside else ', and empty'}",
            expected=f"a dataset of {expected}",
            remedy="name the dataset inside it" if inside else "",
        )
    if found.dtype.kind not in "biuf":
        raise InputError(f"{path}: /{name} holds values of type {found.dtype}", expected=f"a dataset of {expected}, as real numbers")
    if found.shape is None or 0 in found.shape:
        raise InputError(f"{path}: /{name} is empty (shape {found.shape})", expected=f"a dataset of {expected}")
    _require_sources(found, name, path)
    return found


def _require_sources(dataset: Any, name: str, path: Path) -> None:
    """Raise an error where a file is missing of which a virtual dataset is composed; HDF5 would read its part as zeros."""
    sources = dataset.virtual_sources() if dataset.is_virtual else []
    for file_name in sorted({source.file_name for source in sources} - {"."}):
        if not (path.parent / file_name).exists():
            raise InputError(
                f"{path}: /{name} is put together from {file_name}, which is not there",
                expected="its source files beside it",
                remedy="copy them too, or store the values themselves",
            )


def put_scan(group: Any, scan: Scan) -> None:
    """Store the vectors of a scan as datasets of a group, and its shape as an attribute."""
    group.attrs["shape"] = scan.shape
    group.attrs["units"] = "mm"
    for name in _VECTORS:
        group.create_dataset(name, data=getattr(scan, name), fletcher32=True)  # so that a changed byte is an error and not another geometry


def get_scan(group: Any, path: Path) -> Scan:
    """The scan that `put_scan` stored; InputError naming the file where a part of it is missing or is not a scan."""
    there = (*getattr(group, "attrs", ()), *(group if hasattr(group, "keys") else ()))
    missing = [name for name in ("shape", *_VECTORS) if name not in there]
    if missing:
        raise InputError(
            f"{path}: the scan in {group.name} has no {', '.join(missing)}", expected="a file as fewview writes it", remedy="write it again"
        )
    shape = np.ravel(group.attrs["shape"])
    if shape.size != 2 or shape.dtype.kind not in "iu":
        raise InputError(f"{path}: the shape of the scan in {group.name} is {shape.tolist()}", expected="two whole numbers (rows, cols)")
    vectors = [h5_dataset(group, name, path)[()] for name in _VECTORS]
    try:
        return Scan((int(shape[0]), int(shape[1])), *vectors)
    except InputError as error:
        raise InputError(f"{path}: the scan in {group.name}: {error.given}", expected=error.expected, remedy=error.remedy) from error
