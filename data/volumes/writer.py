"""`write_volume` writes a reconstruction, or any volume, in the format that the ending states, completely or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import atomic_path, refuse_existing
from ...base.record import make_record, record_path, recorded_path
from ...base.shapes import AnyVolume, Volume
from ...geometry import Grid
from .volume_format import Kept, VolumeFormat, format_to_write

_KEPT = (np.uint8, np.uint16, np.int16, np.float32)


@runtime_checkable
class Result(Protocol):
    """A volume that knows where it came from, such as a `Reconstruction`."""

    @property
    def volume(self) -> Volume:
        """The volume in 1/mm."""
        ...

    @property
    def grid(self) -> Grid:
        """The grid of its voxels."""
        ...

    def kept(self) -> Kept:
        """What a file may keep beside the volume."""
        ...


def write_volume(
    volume: Result | NDArray[Any],
    path: str | Path,
    *,
    grid: Grid | None = None,
    force: bool = False,
    record: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write a volume [z, y, x] with its voxel size and position; returns the path.

    The ending of ``path`` decides the format (see `fewview.data.volumes.formats`): ``.ome.tif``, ``.nii.gz``, ``.ome.zarr`` (extra
    ``zarr``), ``.h5``, or none for a folder of slices. uint8, uint16, int16 and float32 are written as they are, bool as uint8, other whole
    numbers as uint16 or int16 where they fit, and everything else as float32. ``grid`` is needed for a plain array. ``options`` are those
    of the format. Slices have ``window`` (low, high) in 1/mm (default: the range of the volume), ``bits`` 8 or 16, and ``image`` "tif",
    "png" or "bmp". OME-TIFF has ``compression``, a lossless scheme such as "zlib".

    A `Reconstruction` leaves a run record beside the file (``<path>.record.json``): ``record``, or one made from its own settings.

    Raises FileExistsError without ``force``, and even with it for files that fewview did not write or that ``record`` names as an input.
    Raises InputError for NaN or Inf, a wrong shape, an unknown ending, or an option that the format does not have. Whatever goes wrong,
    including a full disk and Ctrl-C, nothing half-written is left, and what was there before stays.
    """
    path = Path(path)
    inputs = _inputs(record)
    form = check_output(path, force, inputs)
    options = form.checked(options, writing=True, path=path)
    rec = None if isinstance(volume, np.ndarray | list | tuple) else volume
    array, grid = (rec.volume, rec.grid) if rec is not None else (np.asarray(volume), grid)
    array, grid = _checked(array, grid)
    kept = Kept() if rec is None else rec.kept()
    if rec is None:
        output = atomic_path(path, force=force, inputs=inputs)
    else:
        output = recorded_path(path, lambda: record or _own_record(kept, grid, path), force=force, inputs=inputs)
    with output as temporary:
        form.write(array, grid, temporary, kept, **options)
    if rec is None:
        record_path(path).unlink(missing_ok=True)  # the record of the volume that was here before
    return path


def _inputs(record: Mapping[str, Any] | None) -> list[str]:
    """The files from which the volume was made, according to a run record."""
    return [str(entry["path"]) for entry in (record or {}).get("inputs", ()) if isinstance(entry, Mapping) and "path" in entry]


def _own_record(kept: Kept, grid: Grid, path: Path) -> dict[str, Any]:
    facts = {name: value for name, value in kept.facts.items() if name != "history"}
    scan = kept.scan
    extra = {**facts, "grid": grid, "scan": repr(scan)}
    return make_record("fewview.data.write_volume", facts["settings"], (), (path,), facts["seconds"], extra)


def check_output(path: Path, force: bool = False, inputs: Iterable[str | Path] = ()) -> VolumeFormat:
    """The format of an output name. Raises the errors of `write_volume` before the work is done and not after it."""
    form = format_to_write(path)
    refuse_existing(path, force, inputs)
    refuse_existing(record_path(path), True)
    return form


def _checked(array: NDArray[Any], grid: Grid | None) -> tuple[AnyVolume, Grid]:
    if grid is None:
        raise InputError("a plain array has no voxel size", expected="grid=Grid(shape, voxel_mm)", remedy="or give a Reconstruction")
    if array.shape != grid.shape:
        raise InputError(f"the volume has shape {array.shape}", expected=f"{grid.shape} (z, y, x), as the grid says")
    if array.dtype == bool:
        return array.astype(np.uint8), grid
    if array.dtype.kind not in "uif":
        raise InputError(f"the volume is of type {array.dtype}", expected="real numbers")
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(f"{bad} voxels are NaN or Inf", expected="a finite volume", remedy="find out which method made them")
    return np.ascontiguousarray(array, dtype=_stored_type(array)), grid


def _stored_type(array: NDArray[Any]) -> np.dtype[Any]:
    """A type that every format can hold without loss; float32 where there is none."""
    if array.dtype in _KEPT:
        return array.dtype
    if array.dtype.kind in "ui":
        low, high = int(array.min()), int(array.max())
        fitting = (t for t in (np.uint16, np.int16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
        return np.dtype(next(fitting, np.float32))
    return np.dtype(np.float32)
