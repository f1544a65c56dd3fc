"""Folders of numbered slices as a volume format, including those inside a BoneMet data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....base.shapes import AnyVolume
from ....geometry import Grid
from ...images.bonemet_folders import VOXEL_MM, choose_place, component_of, find_bonemet
from ...images.image_files import list_images
from ..slabs.slice_series import SliceSeries
from ..slabs.stored import StoredVolume
from ..slices import IMAGES, open_slices, read_slices, write_slices
from ..volume_format import Kept, Option, VolumeFormat, one_of, text, whole, window


def read_slice_folder(
    path: Path,
    voxel_mm: float | None = None,
    *,
    component: str | None = None,
    animal: str | int | None = None,
    week: int | None = None,
    part: str | None = None,
    **options: Any,
) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """The volume of a folder of slices (see `read_slices`), or of the ``component`` of one animal below the root of a BoneMet data set.

    Slices inside a BoneMet tree that have no log are on its voxels of 0.0106 mm, unless ``voxel_mm`` says otherwise.
    """
    return read_slices(*_place(path, voxel_mm, component, animal, week, part), **options)


def open_slice_folder(
    path: Path,
    voxel_mm: float | None = None,
    *,
    component: str | None = None,
    animal: str | int | None = None,
    week: int | None = None,
    part: str | None = None,
    **options: Any,
) -> tuple[StoredVolume, Grid, dict[str, Any]]:
    """`read_slice_folder`, but slices are read when they are asked for."""
    return open_slices(*_place(path, voxel_mm, component, animal, week, part), **options)


def _place(
    path: Path, voxel_mm: float | None, component: str | None, animal: str | int | None, week: int | None, part: str | None
) -> tuple[Path, float | None]:
    """(the folder of slices, their voxel size)."""
    inside = any(component_of(name) for name in path.absolute().parts)
    if component is not None or (not list_images(path) and find_bonemet(path)):
        path, inside = choose_place(path, component or "Recon-CT", animal, week, part).path, True
    if inside and voxel_mm is None and not any(p.suffix.lower() == ".log" for p in path.iterdir()):
        voxel_mm = VOXEL_MM
    return path, voxel_mm


def _write(volume: AnyVolume, grid: Grid, path: Path, kept: Kept, **options: Any) -> None:
    method = {"Method": kept.facts["method"]} if "method" in kept.facts else {}
    write_slices(volume, grid, path, facts=method, **options)


def _animal(value: Any) -> str | int:
    return text(value) if isinstance(value, str) else whole(value)


_WINDOW = Option("window", "(low, high) in 1/mm: what grey level 0 and the highest stand for", window)

FORMAT = VolumeFormat(
    "slices",
    (),
    read_slice_folder,
    _write,
    "grey levels in a window, voxel size, centre",
    read_options=(
        _WINDOW,
        Option("prefix", "the series, where a folder holds several", text),
        Option("component", "of a BoneMet data set, such as Recon-CT", text),
        Option("animal", "of a BoneMet data set", _animal),
        Option("week", "of a BoneMet data set", whole),
        Option("part", "of a BoneMet data set, such as left tibia", text),
    ),
    write_options=(
        _WINDOW,
        Option("bits", "of a grey level", one_of(8, 16)),
        Option("image", "the format of a slice", one_of(*IMAGES)),
    ),
    slabs=lambda path, grid, height: SliceSeries(path, grid),
    open=open_slice_folder,
    folder=True,
)
