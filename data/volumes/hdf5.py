"""Our own HDF5 files: projections with their scan, and volumes with their grid. Numbers come back bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import atomic_path
from ...base.memory import require_memory
from ...base.plain import to_json
from ...geometry import Grid, Scan
from ..projections import Projections
from .voxel_size import grid_of

PROJECTIONS, VOLUME = "fewview projections 1", "fewview volume 1"
_REFERENCE = "dataset in meta_data"
_VECTORS = ("source", "detector", "u", "v", "angles_deg")


def h5_format(path: Path) -> str:
    """What an HDF5 file says it is: ``PROJECTIONS``, ``VOLUME``, ``"data exchange"`` or ``""``; InputError for a broken file."""
    import h5py

    try:
        with h5py.File(path) as file:
            if "exchange/data" in file:
                return "data exchange"
            return str(file.attrs.get("format", ""))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error})", expected="a whole HDF5 file", remedy="copy it again from its source"
        ) from error


@contextmanager
def _new_file(path: Path, shown: Path) -> Iterator[Any]:
    """A new HDF5 file; a full disk is an OSError that names it, as for any other file (h5py raises RuntimeError when it closes)."""
    import h5py

    try:
        with h5py.File(path, "w") as file:
            yield file
    except RuntimeError as error:
        raise OSError(f"{shown} could not be written ({error})") from error


def write_projections(projections: Projections, path: str | Path, *, force: bool = False) -> Path:
    """Write line integrals, the vectors of the scan and ``meta`` to one .h5 file, which `read` gives back exactly.

    Arrays and scans anywhere in ``meta`` come back bit for bit; the rest is kept as JSON (a tuple comes
    back as a list, a Grid as a mapping).
    """
    path = Path(path)
    if path.suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{path} ends in {path.suffix!r}", expected=".h5 or .hdf5")
    with atomic_path(path, force=force) as temporary, _new_file(temporary, path) as file:
        file.attrs["format"] = PROJECTIONS
        values = file.create_dataset("values", data=projections.values)
        values.attrs["units"] = "1 (line integrals, view row col)"
        _put_scan(file.create_group("scan"), projections.scan)
        file.create_dataset("meta", data=to_json(_put_arrays(projections.meta, file.create_group("meta_data"))))
    return path


def read_projections(path: Path) -> Projections:
    """The projections of a file made by `write_projections`."""
    import h5py

    with h5py.File(path) as file:
        values: Any = file["values"]
        require_memory(values.size * 4, f"the projections of {path}")
        text: Any = file["meta"]
        meta = _get_arrays(json.loads(text.asstr()[()]), file["meta_data"])
        return Projections(values[()], _get_scan(file["scan"]), {**meta, "source": str(path)})


def _put_arrays(value: Any, group: Any) -> Any:
    """``value`` with each array and scan stored in ``group`` and a reference to it in its place."""
    if isinstance(value, Mapping):
        return {str(key): _put_arrays(item, group) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_put_arrays(item, group) for item in value]
    name = f"{len(group):04d}"
    if isinstance(value, Scan):
        _put_scan(group.create_group(name), value)
        return {_REFERENCE: name}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        group.create_dataset(name, data=value)
        return {_REFERENCE: name}
    return value


def _get_arrays(value: Any, group: Any) -> Any:
    if isinstance(value, list):
        return [_get_arrays(item, group) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {_REFERENCE}:
        return {key: _get_arrays(item, group) for key, item in value.items()}
    stored = group[value[_REFERENCE]]
    return _get_scan(stored) if "source" in getattr(stored, "keys", list)() else stored[()]


def _put_scan(group: Any, scan: Scan) -> None:
    group.attrs["shape"] = scan.shape
    group.attrs["units"] = "mm"
    for name in _VECTORS:
        group.create_dataset(name, data=getattr(scan, name))


def _get_scan(group: Any) -> Scan:
    rows, cols = group.attrs["shape"]
    return Scan((int(rows), int(cols)), *(group[name][()] for name in _VECTORS))


def write_h5_volume(
    volume: NDArray[Any], grid: Grid, path: Path, *, facts: Mapping[str, Any], std: NDArray[Any] | None, scan: Scan | None
) -> None:
    """Write [z, y, x] as dataset ``volume`` with the grid as attributes; ``facts`` as JSON; where given, ``std`` and the scan."""
    with _new_file(path, path) as file:
        file.attrs["format"] = VOLUME
        data = file.create_dataset("volume", data=volume)
        data.attrs["voxel_mm"], data.attrs["center_mm"], data.attrs["units"] = grid.voxel_mm, grid.center_mm, "1/mm (z y x)"
        file.create_dataset("facts", data=to_json(facts))
        if std is not None:
            file.create_dataset("std", data=std)
        if scan is not None:
            _put_scan(file.create_group("scan"), scan)


def read_h5_volume(path: Path, voxel_mm: float | None = None, dataset: str | None = None) -> tuple[NDArray[Any], Grid, dict[str, Any]]:
    """(volume, grid, facts) of our own file, or of the 3-D ``dataset`` of any HDF5 file (then ``voxel_mm`` is needed)."""
    import h5py

    kind = h5_format(path)
    with h5py.File(path) as file:
        if dataset is None and kind != VOLUME:
            found: list[str] = []
            file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.ndim == 3 else None)
            raise InputError(
                f"{path} is {'a file of projections' if kind else 'not a fewview volume'}",
                expected="a volume (z, y, x)",
                remedy=f"give dataset=... (3-D ones: {', '.join(found) or 'none'})",
            )
        name = dataset or "volume"
        if name not in file:
            raise InputError(f"{path} has no dataset {name!r}", expected=f"one of {', '.join(file)}")
        data: Any = file[name]
        require_memory(data.size * data.dtype.itemsize, f"the volume of {path}")
        attrs = data.attrs
        grid = grid_of(data.shape, attrs.get("voxel_mm"), path, center_mm=attrs.get("center_mm", (0, 0, 0)), given=voxel_mm)
        facts = json.loads(file["facts"].asstr()[()]) if kind == VOLUME else {}  # type: ignore[union-attr, index]
        return np.asarray(data[()]), grid, {**facts, "format": "HDF5"}
