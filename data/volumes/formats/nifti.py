"""NIfTI volumes (.nii, .nii.gz). The arrays of nibabel are [x, y, z], ours [z, y, x]; the affine holds voxel size and origin."""

from __future__ import annotations

import gzip
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....base.memory import require_memory
from ....base.outputs.ownership import SIGNATURE
from ....base.shapes import AnyVolume
from ....geometry import Grid
from ..volume_format import VolumeFormat
from ..voxel_size import SAY_VOXEL, center_of, grid_of, one_size

_BLOCK = 2**22
_PIXDIM = ("pixdim[1]", "pixdim[2]", "pixdim[3]")
_UNIT_MM = {"unknown": 1.0, "mm": 1.0, "micron": 1e-3, "meter": 1e3}


def write_nifti(volume: AnyVolume, grid: Grid, path: Path) -> None:
    """Write a volume; its world coordinates are the x, y, z of the grid in mm."""
    import nibabel

    affine = np.diag([grid.voxel_mm] * 3 + [1.0])
    affine[:3, 3] = grid.origin_mm
    image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = SIGNATURE.encode()
    nibabel.save(image, path)


def read_nifti(path: Path, voxel_mm: float | None = None) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """(volume of the file's type, grid, facts) of a NIfTI file.

    Axes that run towards -x, -y, -z or are permuted are turned into ours; an oblique orientation is ignored, with a warning. Raises
    InputError naming the file where it is not a whole NIfTI file, or where its affine (sform, qform) and its pixdim disagree about the
    edges of a voxel; with ``voxel_mm`` neither is used.
    """
    import nibabel

    with whole_nifti(path):
        image: Any = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise InputError(f"{path} is a {type(image).__name__}", expected="a NIfTI file")
        _check_array(image, path)
        _check_length(image, path)
    unit = _unit_mm(image.header, path, voxel_mm)
    sizes = _edges(image, path) if voxel_mm is None else np.full(3, voxel_mm / unit)
    with whole_nifti(path):
        straight = nibabel.as_closest_canonical(image)
        array = np.asanyarray(straight.dataobj)
    array = array.reshape(array.shape[:3])
    affine = np.asarray(straight.affine, dtype=np.float64)
    turn = affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))
    if np.abs(turn).max() > 1e-3 * np.abs(affine[:3, :3]).max():
        warnings.warn(f"{path} has an oblique orientation, which is ignored", stacklevel=3)
    if not int(image.header["sform_code"]) and not int(image.header["qform_code"]):
        warnings.warn(f"{path} states no position (sform and qform codes are 0): its middle is put at the origin", stacklevel=3)
    # The header keeps float32, and its shortest decimal is what was meant: 0.0106, not 0.010599999688565731.
    voxel = float(
        str(np.float32(one_size([float(edge) * unit for edge in sizes], path, voxel_mm, ("pixdim[1]", "pixdim[2]", "pixdim[3]"))))
    )
    volume = np.ascontiguousarray(array.transpose(2, 1, 0), dtype=array.dtype.newbyteorder("="))
    middle = affine @ np.append((np.array(array.shape) - 1) / 2, 1.0)
    origin = middle[:3] * unit - (np.array(array.shape) - 1) / 2 * voxel
    grid = grid_of(volume.shape, voxel, path, center_mm=center_of(origin, volume.shape, voxel), given=voxel_mm)
    return volume, grid, {"format": "NIfTI", "affine": affine.tolist(), "description": straight.header["descrip"].item().decode("latin-1")}


@contextmanager
def whole_nifti(path: Path) -> Iterator[None]:
    """Treat the different errors of nibabel, zlib and numpy on a broken file as one."""
    from nibabel.imageglobals import LoggingOutputSuppressor

    try:
        with LoggingOutputSuppressor():  # what nibabel mends in a header on its own is judged by us
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} cannot be read ({error})", expected="a whole NIfTI file", remedy="copy it again from its source"
        ) from error


def _check_length(image: Any, path: Path) -> None:
    """Read a gzip file to its end, where its checksum is (nibabel stops after the last voxel), and warn of
    anything after the last voxel.
    """
    length = path.stat().st_size
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as stream:
            length = sum(map(len, iter(lambda: stream.read(_BLOCK), b"")))
    end = int(image.dataobj.offset) + math.prod(image.shape) * np.dtype(image.get_data_dtype()).itemsize
    if length > end:
        warnings.warn(
            f"{path}: {length - end} bytes follow the last voxel of {image.shape}; is its header that of another volume?", stacklevel=4
        )


def _check_array(image: Any, path: Path) -> None:
    """InputError, before the voxels are read, for what is not one volume of real numbers or does not fit into memory."""
    shape, dtype = image.shape, np.dtype(image.get_data_dtype())
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 1:
        raise InputError(f"{path} holds an array of shape {shape}", expected="one volume (x, y, z)")
    if dtype.kind not in "uif":
        kind = "colour (RGB)" if dtype.names else str(dtype)
        raise InputError(f"{path} holds values of type {kind}", expected="real numbers", remedy="convert it to grey values")
    require_memory(2 * math.prod(shape) * dtype.itemsize, f"two copies of the volume of {path}")


def _unit_mm(header: Any, path: Path, given: float | None) -> float:
    with whole_nifti(path):
        name = header.get_xyzt_units()[0]
    if name == "unknown" and given is None:
        warnings.warn(f"{path} states no unit of length: mm is taken; {SAY_VOXEL} to decide otherwise", stacklevel=4)
    return _UNIT_MM.get(name, 1.0)


def _edges(image: Any, path: Path) -> NDArray[np.float64]:
    """The edges of a voxel along the axes of the array, in the unit of the file. Affine and pixdim must agree."""
    pixdim = np.abs(np.asarray(image.header["pixdim"][1:4], dtype=np.float64))
    affine = np.asarray(image.affine, dtype=np.float64)[:3, :3]
    edges = np.linalg.norm(affine, axis=0)
    if not (np.isfinite(affine).all() and (edges > 0).all()):
        raise InputError(f"{path}: its affine is {affine.tolist()}", expected="three axes of some length", remedy=SAY_VOXEL)
    directions = affine / edges
    if np.abs(directions.T @ directions - np.eye(3)).max() > 0.01:
        raise InputError(f"{path}: its axes are not at right angles", expected="voxels that are boxes", remedy="resample the volume")
    stated = int(image.header["sform_code"]) > 0 or int(image.header["qform_code"]) > 0
    if stated and not np.allclose(edges, pixdim, rtol=2e-3, atol=0):  # NaN is not close to anything
        said, other = (" x ".join(f"{edge:.6g}" for edge in found) for found in (edges, pixdim))
        raise InputError(
            f"{path} contradicts itself: voxels of {said} by its {'sform' if int(image.header['sform_code']) > 0 else 'qform'} and of "
            f"{other} by its pixdim",
            expected="one voxel size",
            remedy=SAY_VOXEL,
        )
    if int(image.header["sform_code"]) > 0 and int(image.header["qform_code"]) > 0:
        other = np.asarray(image.header.get_qform(), dtype=np.float64)[:3, :3]
        if not np.allclose(other / np.linalg.norm(other, axis=0), directions, atol=0.02):
            warnings.warn(f"{path}: sform and qform give its axes other directions; the sform is taken", stacklevel=4)
    return pixdim


FORMAT = VolumeFormat(
    "NIfTI",
    (".nii.gz", ".nii"),
    read_nifti,
    lambda volume, grid, path, kept: write_nifti(volume, grid, path),
    "values, voxel size and centre in single precision",
)
