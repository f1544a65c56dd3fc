"""The CT volumes of the BoneMet data set: a folder of slices in one of its components, read and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import atomic_path
from ...geometry import Grid
from ..images.bonemet_folders import VOXEL_MM, choose_place, component_of, find_bonemet, new_place, normal_component
from ..images.grey import to_grey
from ..images.image_files import list_images, write_image
from .slices import read_slices


def read_slice_folder(
    path: Path,
    voxel_mm: float | None = None,
    *,
    component: str | None = None,
    animal: str | int | None = None,
    week: int | None = None,
    part: str | None = None,
    prefix: str | None = None,
    window: tuple[float, float] | None = None,
) -> tuple[NDArray[Any], Grid, dict[str, Any]]:
    """`read_slices` of a folder of slices, or of one animal's ``component`` below the root of a BoneMet data set.

    Slices inside a BoneMet tree that have no log are on its voxels of 0.0106 mm, unless ``voxel_mm`` says otherwise.
    """
    inside = any(component_of(name) for name in path.absolute().parts)
    if component is not None or (not list_images(path) and find_bonemet(path)):
        path, inside = choose_place(path, component or "Recon-CT", animal, week, part).path, True
    if inside and voxel_mm is None and not any(p.suffix.lower() == ".log" for p in path.iterdir()):
        voxel_mm = VOXEL_MM
    return read_slices(path, voxel_mm, prefix=prefix, window=window)


def write_bonemet_slices(
    volume: NDArray[Any],
    dataset_root: str | Path,
    component: str,
    animal: str | int,
    week: int,
    window: tuple[float, float] | None = None,
    *,
    force: bool = False,
) -> Path:
    """Write [z, y, x] as 8-bit ``ct_slice_001.PNG``, ... in the folder of a component; returns that folder.

    ``window`` (low, high) in 1/mm maps to 0..255; a uint8 volume (segmentations, composites) is written as it is.
    """
    if volume.ndim != 3:
        raise InputError(f"the volume has shape {volume.shape}", expected="(z, y, x)")
    if window is None and volume.dtype != np.uint8:
        raise InputError(f"a volume of type {volume.dtype} without a window", expected="window=(low, high) in 1/mm, or uint8 levels")
    final = new_place(dataset_root, normal_component(component), animal, week)
    digits = max(3, len(str(len(volume))))
    with atomic_path(final, force=force, marked=False) as temporary:
        temporary.mkdir()
        for index, plane in enumerate(volume):
            grey = plane if window is None else to_grey(plane, *window, bits=8)
            write_image(temporary / f"ct_slice_{index + 1:0{digits}d}.PNG", grey)
    return final
