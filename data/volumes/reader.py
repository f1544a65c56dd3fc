"""`read_volume`: a volume and its grid from whatever file or folder it was stored in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...base import InputError
from ...geometry import Grid
from ..images.image_files import list_images
from ..scans.bonemet import VOXEL_MM, choose_place, component_of, find_bonemet
from .hdf5 import read_h5_volume
from .nifti import read_nifti
from .ome_tiff import read_tiff_volume
from .ome_zarr import read_ome_zarr
from .slices import read_slices

ACCEPTED = ".nii, .nii.gz, .ome.tif(f), .tif(f), .h5, .ome.zarr, or a folder of numbered TIFF, PNG or BMP slices"


def read_volume(path: str | Path, *, voxel_mm: float | None = None, **options: Any) -> tuple[NDArray[Any], Grid, dict[str, Any]]:
    """(volume [z, y, x], grid, facts) of a volume on disk.

    The volume has the type that was stored, but slices with a known grey window become float32 in 1/mm. ``voxel_mm`` is needed where the
    file does not state a voxel size, and goes before it where it does. ``options``: ``dataset`` for .h5; ``prefix`` and ``window`` for
    slices; ``component``, ``animal``, ``week`` and ``part`` for the root of a BoneMet data set (voxel 0.0106 mm unless given).

    Raises FileNotFoundError, and InputError naming the file and what is accepted.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"volume {path} is not there")
    name = path.name.lower()
    reader = next((reader for endings, reader in _READERS if name.endswith(endings)), None)
    if reader is None and path.is_dir():
        reader = _read_folder
    if reader is None:
        raise InputError(f"{path} ends in {path.suffix!r}", expected=ACCEPTED)
    try:
        volume, grid, facts = reader(path, voxel_mm, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"{path}: {str(error).split(') ')[-1]}", expected=(reader.__doc__ or "").split("\n")[0]) from error
    return volume, grid, {**facts, "source": str(path)}


def _read_folder(
    path: Path,
    voxel_mm: float | None,
    *,
    component: str | None = None,
    animal: str | int | None = None,
    week: int | None = None,
    part: str | None = None,
    **options: Any,
) -> tuple[NDArray[Any], Grid, dict[str, Any]]:
    """A folder of slices, or the root of a BoneMet data set."""
    inside = any(component_of(name) for name in path.absolute().parts)
    if component is not None or (not list_images(path) and find_bonemet(path)):
        place = choose_place(path, component or "Recon-CT", animal, week, part)
        path, inside = place.path, True
    if inside and voxel_mm is None and not any(p.suffix.lower() == ".log" for p in path.iterdir()):
        voxel_mm = VOXEL_MM
    return read_slices(path, voxel_mm, **options)


_READERS: tuple[tuple[tuple[str, ...], Any], ...] = (
    ((".nii", ".nii.gz"), read_nifti),
    ((".tif", ".tiff"), read_tiff_volume),
    ((".h5", ".hdf5", ".hdf"), read_h5_volume),
    ((".zarr",), read_ome_zarr),
)
