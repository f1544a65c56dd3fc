"""`read_volume` reads a volume and its grid from any file or folder whose format is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...base import InputError
from ...base.shapes import AnyVolume
from ...geometry import Grid
from .slabs.stored import StoredVolume
from .volume_format import VolumeFormat, format_to_read


def read_volume(path: str | Path, *, voxel_mm: float | None = None, **options: Any) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """(volume, grid, facts) of a volume on disk, whose ending decides the format: see `fewview.data.volumes.formats`.

    The volume has the type that was stored, except that slices with a known grey window become float32 in 1/mm (``facts["units"]`` says
    so). ``voxel_mm`` is needed where the file does not state a voxel size, and takes precedence where it does. ``options`` are those of the
    format: ``dataset`` for .h5; ``prefix`` and ``window`` for slices; ``component``, ``animal``, ``week`` and ``part`` for the root of a
    BoneMet data set (voxel 0.0106 mm unless given); ``missing`` for OME-Zarr.

    Raises FileNotFoundError, and InputError that names the file and what is accepted for an unknown option, for NaN and for Inf.
    """
    path, form = _format(path, voxel_mm)
    volume, grid, facts = form.read(path, voxel_mm, **form.checked(options, writing=False, path=path))
    if volume.dtype.kind == "f":
        bad = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in volume)
        if bad:
            raise InputError(
                f"{path}: {bad} of {volume.size} voxels are NaN or Inf", expected="finite values", remedy="set them to a number first"
            )
    return volume, grid, {**facts, "source": str(path)}


def open_volume(
    path: str | Path, *, voxel_mm: float | None = None, **options: Any
) -> tuple[AnyVolume | StoredVolume, Grid, dict[str, Any]]:
    """`read_volume`, but slices [z, y, x] stay in the file until they are asked for, ``volume[4:9]``, where its format can do that: folders
    of slices, HDF5, OME-Zarr, and TIFF that is not compressed. NaN and Inf are not looked for then.
    """
    path, form = _format(path, voxel_mm)
    if form.open is None:
        return read_volume(path, voxel_mm=voxel_mm, **options)
    volume, grid, facts = form.open(path, voxel_mm, **form.checked(options, writing=False, path=path))
    return volume, grid, {**facts, "source": str(path)}


def _format(path: str | Path, voxel_mm: float | None) -> tuple[Path, VolumeFormat]:
    """(the path, its format), both checked."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"volume {path} is not there")
    if voxel_mm is not None and not (np.isfinite(voxel_mm) and voxel_mm > 0):
        raise InputError(f"voxel_mm is {voxel_mm}", expected="a positive length in mm")
    return path, format_to_read(path)
