"""fewview's own HDF5 file of a volume with its grid, and 3-D datasets of any other HDF5 file. Numbers come back bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....base.memory import require_memory
from ....base.plain import from_json, to_json
from ....base.shapes import AnyVolume
from ....geometry import Grid, Scan
from ...hdf5_access import h5_dataset, h5_format, h5_link, new_h5, open_h5, put_scan
from ..slabs.contiguous import OnePiece
from ..slabs.stored import StoredVolume
from ..volume_format import Kept, Option, VolumeFormat, text
from ..voxel_size import grid_of

VOLUME = "fewview volume 1"


def write_h5_volume(
    volume: AnyVolume,
    grid: Grid,
    path: Path,
    *,
    facts: Mapping[str, Any] | None = None,
    std: AnyVolume | None = None,
    scan: Scan | None = None,
) -> None:
    """Write a volume as dataset ``volume`` with the grid as attributes, ``facts`` as JSON and, where given, ``std`` and the scan."""
    with new_h5(path) as file:
        file.attrs["format"] = VOLUME
        data = file.create_dataset("volume", data=volume)
        _label(data, grid)
        file.create_dataset("facts", data=to_json(facts or {}))
        if std is not None:
            file.create_dataset("std", data=std)
        if scan is not None:
            put_scan(file.create_group("scan"), scan)


def read_h5_volume(path: Path, voxel_mm: float | None = None, *, dataset: str | None = None) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """(volume, grid, facts) from fewview's own file, or from the 3-D ``dataset`` of any HDF5 file (for which ``voxel_mm`` is needed)."""
    stored, grid, facts = open_h5_volume(path, voxel_mm, dataset=dataset)
    require_memory(math.prod(stored.shape) * stored.dtype.itemsize, f"the volume of {path}")
    return stored[:], grid, facts


def open_h5_volume(path: Path, voxel_mm: float | None = None, *, dataset: str | None = None) -> tuple[StoredVolume, Grid, dict[str, Any]]:
    """`read_h5_volume`, but slices are read when they are asked for."""
    kind = h5_format(path)
    with open_h5(path) as file:
        if dataset is None and kind != VOLUME:
            raise InputError(
                f"{path} is {'a file of projections' if kind else 'not a fewview volume'}",
                expected="a volume (z, y, x)",
                remedy=f"give dataset=..., on the command line --read-as dataset=... (3-D ones: {', '.join(_candidates(file)) or 'none'})",
            )
        name = dataset or "volume"
        data = h5_dataset(file, name, path, expected="a volume (z, y, x)")
        stated, center = _number(data, "voxel_mm", path), np.ravel(data.attrs.get("center_mm", (0.0, 0.0, 0.0)))
        grid = grid_of(data.shape, stated, path, center_mm=_center(center, path), given=voxel_mm)
        facts = _facts(file, path) if kind == VOLUME and dataset is None else {}
        units = {"units": "1/mm"} if kind == VOLUME and dataset is None and data.dtype.kind == "f" else {}
        stored = StoredVolume(path, grid.shape, data.dtype, lambda first, last: _slices(path, name, first, last))
        return stored, grid, {**facts, **units, "format": "HDF5"}


def _slices(path: Path, name: str, first: int, last: int) -> AnyVolume:
    with open_h5(path) as file:
        return np.asarray(h5_dataset(file, name, path, expected="a volume (z, y, x)")[first:last])


def _candidates(file: Any) -> list[str]:
    """The 3-D datasets in the file itself; links to other files are not followed."""
    import h5py

    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.ndim == 3 else None)
    return found[:8]


def _number(data: Any, name: str, path: Path) -> float | None:
    value = data.attrs.get(name)
    if value is None:
        return None
    array = np.ravel(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise InputError(f"{path}: attribute {name} of {data.name} is {value!r}", expected="one length in mm")
    return float(array[0])


def _center(values: NDArray[Any], path: Path) -> tuple[float, ...]:
    if values.size != 3 or values.dtype.kind not in "iuf":
        raise InputError(f"{path}: center_mm is {values.tolist()}", expected="three lengths (x, y, z) in mm")
    return tuple(float(c) for c in values)


def _facts(file: Any, path: Path) -> dict[str, Any]:
    if not h5_link(file, "facts", path):
        raise InputError(f"{path} has no /facts", expected="a file as fewview writes it", remedy="read it with dataset='volume'")
    try:
        facts = from_json(file["facts"].asstr()[()])
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: /facts is not JSON text ({error})", expected="a file as fewview writes it") from error
    if not isinstance(facts, dict):
        raise InputError(f"{path}: /facts is a {type(facts).__name__}", expected="a JSON object")
    return facts


def _make(path: Path, grid: Grid) -> None:
    """The file of a volume that is written later, with its room."""
    import h5py

    with new_h5(path) as file:
        file.attrs["format"] = VOLUME
        room = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        room.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        room.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        room.set_obj_track_times(False)  # so that the same volume makes the same file
        h5py.h5d.create(file.id, b"volume", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(grid.shape), dcpl=room)
        _label(file["volume"], grid)


def _label(data: Any, grid: Grid) -> None:
    data.attrs["voxel_mm"], data.attrs["center_mm"], data.attrs["units"] = grid.voxel_mm, grid.center_mm, "1/mm (z y x)"


def _offset(path: Path) -> int:
    with open_h5(path) as file:
        return int(file["volume"].id.get_offset())


def _end(path: Path, kept: Kept) -> None:
    import h5py

    with h5py.File(path, "r+") as file:
        for name in {"facts", "scan"} & set(file):  # of a run that was stopped here
            del file[name]
        file.create_dataset("facts", data=to_json(kept.facts))
        if kept.scan is not None:
            put_scan(file.create_group("scan"), kept.scan)


def _write(volume: AnyVolume, grid: Grid, path: Path, kept: Kept) -> None:
    write_h5_volume(volume, grid, path, facts=kept.facts, std=kept.std, scan=kept.scan)


FORMAT = VolumeFormat(
    "HDF5",
    (".h5", ".hdf5"),
    read_h5_volume,
    _write,
    "values, voxel size, centre, scan, settings, history, standard deviation",
    also_read=(".hdf",),
    slabs=lambda path, grid, height: OnePiece(path, grid, _make, _offset, _end),
    open=open_h5_volume,
    read_options=(Option("dataset", "the name of a 3-D dataset, for a file of others", text),),
)
