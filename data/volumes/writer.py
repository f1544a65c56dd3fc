"""`write_volume`: a reconstruction, or any volume, to the format that the ending says; all or nothing under the final name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import atomic_path
from ...base.record import make_record, write_record
from ...geometry import Grid
from ..reconstruction import Reconstruction
from .hdf5 import write_h5_volume
from .nifti import write_nifti
from .ome_tiff import write_ome_tiff
from .ome_zarr import write_ome_zarr
from .slices import write_slices

ACCEPTED = ".ome.tif, .ome.tiff, .nii, .nii.gz, .ome.zarr, .h5, or a folder name without an ending for slices"
_KEPT = (np.uint8, np.uint16, np.int16, np.float32)


def write_volume(
    volume: Reconstruction | NDArray[Any],
    path: str | Path,
    *,
    grid: Grid | None = None,
    force: bool = False,
    window: tuple[float, float] | None = None,
    bits: int = 16,
    image: str = "tif",
    compression: str | None = None,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Write a volume [z, y, x] with its voxel size and place; returns the path.

    The ending of ``path`` decides: ``.ome.tif``/``.ome.tiff``, ``.nii``/``.nii.gz``, ``.ome.zarr`` (extra ``zarr``), ``.h5``, or none
    for a folder of slices. uint8, uint16, int16 and float32 are written as they are, bool as uint8, other whole numbers as uint16 or
    int16 where they fit, the rest as float32. ``grid`` is needed for a plain array. For slices: ``window`` (low, high) in 1/mm
    (default: the volume's range), ``bits`` 8 or 16, ``image`` "tif", "png" or "bmp". ``compression`` (OME-TIFF): a lossless scheme
    of tifffile, such as "zlib".

    A `Reconstruction` leaves a run record beside the file (``<path>.record.json``): ``record``, or one made from its own settings.

    Raises FileExistsError without ``force``, InputError for NaN or Inf, a wrong shape, or an ending that is not known. Whatever goes
    wrong, a full disk or Ctrl-C included, nothing half-written is left, and what was there before stays.
    """
    path = Path(path)
    kind = check_output(path, force)
    rec = volume if isinstance(volume, Reconstruction) else None
    array, grid = (rec.volume, rec.grid) if rec is not None else (np.asarray(volume), grid)
    array, grid = _checked(array, grid)
    facts: dict[str, Any] = (
        {} if rec is None else {"method": rec.method, "settings": rec.settings, "seconds": rec.seconds, "views": len(rec.scan)}
    )
    with atomic_path(path, force=force) as temporary:
        if kind == "ome.tif":
            write_ome_tiff(array, grid, temporary, compression=compression)
        elif kind == "nii":
            write_nifti(array, grid, temporary)
        elif kind == "ome.zarr":
            write_ome_zarr(array, grid, temporary)
        elif kind == "h5":
            history = {} if rec is None else {"history": list(rec.history)}
            std, scan = (None, None) if rec is None else (rec.std, rec.scan)
            write_h5_volume(array, grid, temporary, facts={**facts, **history}, std=std, scan=scan)
        else:
            method = {} if rec is None else {"Method": rec.method}
            write_slices(array, grid, temporary, window=window, bits=bits, image=image, facts=method)
    if rec is not None:
        extra = {**facts, "grid": grid, "scan": repr(rec.scan) if len(rec.scan) <= 4 else str(rec.scan)[:200]}
        write_record(record or make_record("fewview.data.write_volume", rec.settings, (), (path,), rec.seconds, extra), path)
    return path


def check_output(path: Path, force: bool = False) -> str:
    """The kind of output that the name asks for; raises what `write_volume` would, before the work is done and not after it."""
    kind = _kind(path)
    if force:
        _refuse_foreign(path)
    return kind


def _kind(path: Path) -> str:
    name = path.name.lower()
    for endings, kind in (
        ((".ome.tif", ".ome.tiff"), "ome.tif"),
        ((".nii", ".nii.gz"), "nii"),
        ((".ome.zarr",), "ome.zarr"),
        ((".h5", ".hdf5"), "h5"),
    ):
        if name.endswith(endings):
            return kind
    if path.suffix:
        near = {".tif": ".ome.tif", ".tiff": ".ome.tiff", ".zarr": ".ome.zarr"}.get(path.suffix.lower())
        raise InputError(f"{path} ends in {path.suffix!r}", expected=ACCEPTED, remedy=f"give {path.stem}{near}" if near else "")
    return "slices"


def _checked(array: NDArray[Any], grid: Grid | None) -> tuple[NDArray[Any], Grid]:
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
    """The type that every format can hold without loss, float32 where there is none."""
    if array.dtype in _KEPT:
        return array.dtype
    if array.dtype.kind in "ui":
        low, high = int(array.min()), int(array.max())
        fitting = (t for t in (np.uint16, np.int16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
        return np.dtype(next(fitting, np.float32))
    return np.dtype(np.float32)


def _refuse_foreign(path: Path) -> None:
    """``force`` replaces a folder that looks like an output, never one that holds anything else."""
    if not path.is_dir() or path.is_symlink():
        return
    known = (".tif", ".tiff", ".png", ".bmp", ".log", ".json", ".txt")
    zarr = path.name.lower().endswith(".zarr") and any((path / name).exists() for name in (".zattrs", ".zgroup", "zarr.json"))
    if not zarr and (strange := next((p for p in path.iterdir() if p.is_dir() or p.suffix.lower() not in known), None)):
        raise FileExistsError(f"{path} is a folder that holds {strange.name}, which fewview did not write; give another name")
