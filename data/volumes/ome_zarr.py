"""OME-Zarr volumes (a folder, OME-NGFF 0.4): written and read by ngff-zarr, extra ``zarr``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, MissingBackendError
from ...geometry import Grid
from .voxel_size import center_of, grid_of, one_size, unit_in_mm

CHUNK = 128


def _ngff() -> Any:
    try:
        import ngff_zarr
    except ImportError as error:
        raise MissingBackendError("OME-Zarr needs the package ngff-zarr", remedy="pip install 'fewview[zarr]'") from error
    return ngff_zarr


def write_ome_zarr(volume: NDArray[Any], grid: Grid, path: Path) -> None:
    """Write [z, y, x] at one resolution in chunks of 128; scale and translation (the centre of the first voxel) in mm."""
    ngff = _ngff()
    x, y, z = (float(c) for c in grid.origin_mm)
    image = ngff.to_ngff_image(
        volume,
        dims=["z", "y", "x"],
        scale=dict.fromkeys("zyx", grid.voxel_mm),
        translation={"z": z, "y": y, "x": x},
        name="volume",
        axes_units=dict.fromkeys("zyx", "millimeter"),
    )
    ngff.to_ngff_zarr(path, ngff.to_multiscales(image, scale_factors=[], chunks=CHUNK), version="0.4")


def read_ome_zarr(path: Path, voxel_mm: float | None = None) -> tuple[NDArray[Any], Grid, dict[str, Any]]:
    """(volume [z, y, x] of the stored type, grid, facts) of the finest resolution; time and channel axes must have length 1."""
    ngff = _ngff()
    try:
        image = ngff.from_ngff_zarr(path).images[0]
        array = np.asarray(image.data)
    except Exception as error:
        raise InputError(f"{path} cannot be read ({error})", expected="an OME-Zarr volume", remedy="copy it again") from error
    extra = [n for n, axis in zip(array.shape, image.dims, strict=True) if axis not in "zyx"]
    if [axis for axis in image.dims if axis in "zyx"] != ["z", "y", "x"] or any(n != 1 for n in extra):
        raise InputError(f"{path} has the axes {tuple(image.dims)} of {array.shape}", expected="one volume (z, y, x)")
    array = array.reshape([n for n, axis in zip(array.shape, image.dims, strict=True) if axis in "zyx"])
    units = image.axes_units or {}
    mm = {axis: unit_in_mm(units.get(axis) or "mm", path) for axis in "zyx"}
    voxel = one_size([image.scale[axis] * mm[axis] for axis in "xyz"], path, voxel_mm)
    origin = [image.translation.get(axis, 0.0) * mm[axis] for axis in "xyz"]
    grid = grid_of(array.shape, voxel, path, center_mm=center_of(origin, array.shape, voxel), given=voxel_mm)
    return np.ascontiguousarray(array), grid, {"format": "OME-Zarr"}
