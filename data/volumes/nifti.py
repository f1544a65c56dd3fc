"""NIfTI volumes (.nii, .nii.gz). nibabel's arrays are [x, y, z], ours [z, y, x]; the affine carries voxel size and origin."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.memory import require_memory
from ...base.outputs.ownership import SIGNATURE
from ...geometry import Grid
from .voxel_size import center_of, grid_of, one_size

_UNIT_MM = {"unknown": 1.0, "mm": 1.0, "micron": 1e-3, "meter": 1e3}


def write_nifti(volume: NDArray[Any], grid: Grid, path: Path) -> None:
    """Write [z, y, x]; world coordinates are the grid's own x, y, z in mm."""
    import nibabel

    affine = np.diag([grid.voxel_mm] * 3 + [1.0])
    affine[:3, 3] = grid.origin_mm
    image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = SIGNATURE.encode()
    nibabel.save(image, path)


def read_nifti(path: Path, voxel_mm: float | None = None) -> tuple[NDArray[Any], Grid, dict[str, Any]]:
    """(volume [z, y, x] of the file's type, grid, facts). Axes that run towards -x, -y, -z or are permuted are turned; an oblique
    orientation is left out, with a warning. Raises InputError naming the file where it is not a whole NIfTI file.
    """
    import nibabel

    try:
        image: Any = nibabel.load(path)
        require_memory(2 * int(np.prod(image.shape)) * np.dtype(image.get_data_dtype()).itemsize, f"two copies of the volume of {path}")
        straight = nibabel.as_closest_canonical(image)
        array = np.asanyarray(straight.dataobj)
    except InputError:
        raise
    except Exception as error:  # nibabel, zlib and numpy each have their own ways to fail on a broken file
        raise InputError(
            f"{path} cannot be read ({error})", expected="a whole NIfTI file", remedy="copy it again from its source"
        ) from error
    if array.ndim > 3 and all(n == 1 for n in array.shape[3:]):
        array = array.reshape(array.shape[:3])
    if array.ndim != 3:
        raise InputError(f"{path} holds an array of shape {array.shape}", expected="one volume (x, y, z)")
    unit = _UNIT_MM.get(straight.header.get_xyzt_units()[0], 1.0)
    affine = np.asarray(straight.affine, dtype=np.float64)
    turn = affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))
    if np.abs(turn).max() > 1e-3 * np.abs(affine[:3, :3]).max():
        warnings.warn(f"{path} has an oblique orientation, which is left out", stacklevel=3)
    # The header keeps float32: its shortest decimal is what was meant (0.0106, not 0.010599999688565731).
    voxel = float(str(np.float32(one_size([float(z) * unit for z in straight.header.get_zooms()[:3]], path, voxel_mm))))
    volume = np.ascontiguousarray(array.transpose(2, 1, 0), dtype=array.dtype.newbyteorder("="))
    middle = affine @ np.append((np.array(array.shape) - 1) / 2, 1.0)
    origin = middle[:3] * unit - (np.array(array.shape) - 1) / 2 * voxel
    grid = grid_of(volume.shape, voxel, path, center_mm=center_of(origin, volume.shape, voxel), given=voxel_mm)
    return volume, grid, {"format": "NIfTI", "affine": affine.tolist(), "description": straight.header["descrip"].item().decode("latin-1")}
