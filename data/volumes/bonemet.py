"""Writing a CT volume of the BoneMet data set: a folder of slices in one of its components."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...base import InputError
from ...base.files import atomic_path
from ...base.shapes import AnyVolume
from ..images.bonemet_folders import new_place, normal_component
from ..images.grey import to_grey
from ..images.image_files import write_image


def write_bonemet_slices(
    volume: AnyVolume,
    dataset_root: str | Path,
    component: str,
    animal: str | int,
    week: int,
    window: tuple[float, float] | None = None,
    *,
    force: bool = False,
) -> Path:
    """Write a volume as 8-bit slices ``ct_slice_001.PNG``, ... in the folder of a component; returns that folder.

    ``window`` (low, high) in 1/mm is mapped to 0..255. A uint8 volume (segmentation, composite) is written as it is.
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
