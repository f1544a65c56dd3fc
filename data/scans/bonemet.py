"""The X-rays of the BoneMet data set, read and written. Its folders are those of `data.images.bonemet_folders`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...base import InputError
from ...base.files import atomic_path
from ...base.settings import Array
from ...geometry import Scan, skyscan_1276
from ..images.bonemet_folders import COLS, VOXEL_MM, choose_place, component_of, components_below, new_place
from ..images.image_files import ImageFiles, list_images, write_image
from .preparation import check_image
from .raw import RawScan, RawSource

WIDTH_MM = (10.0, 100.0)  # of a field of view: that of the scanner is 28 to 43 mm


def is_bonemet(path: Path) -> bool:
    """Whether this is the root of the data set, one of its components, or one folder of X-ray images."""
    if not path.is_dir():
        return False
    return bool(components_below(path)) or _is_xray_folder(path)


def _is_xray_folder(path: Path) -> bool:
    images = list_images(path, (".png",))
    inside = any(component_of(name) == "Rotation-X-ray" for name in path.absolute().parts)
    return bool(images) and (inside or images[0].name.lower().startswith("xray"))


def open_bonemet(
    path: Path,
    *,
    animal: str | int | None = None,
    week: int | None = None,
    voxel_mm: float | None = None,
    angles_deg: Array | None = None,
) -> RawSource:
    """The X-rays of one mouse in one week: ``path`` is that folder, or the root of the data set with ``animal`` and ``week``.

    The data set has no geometry file. The scan is that of `skyscan_1276` with the rows and columns of the images. ``voxel_mm`` defaults to
    0.0106 mm for 4032 columns and in proportion for binned images; ``angles_deg`` (view,) replaces the 260 views at 0.8 deg. The row index
    increases with +z.
    """
    place = path
    if not _is_xray_folder(path):
        place = choose_place(path, "Rotation-X-ray", animal, week, None).path
    files = list_images(place, (".png", ".tif", ".tiff"))
    if not files:
        raise FileNotFoundError(f"there is no X-ray image (.png) in {place}")
    stack = ImageFiles(files)
    _, rows, cols = stack.shape
    voxel = VOXEL_MM * COLS / cols if voxel_mm is None else voxel_mm
    turn = "0.8 deg apart: 207.2 deg from the first to the last, 208 deg covered"
    _check_width(voxel, cols, place)
    scan, notes = skyscan_1276(rows, cols, voxel), [f"SkyScan 1276, views {turn}; voxel {voxel:g} mm, for images of {rows} x {cols}"]
    if angles_deg is not None:
        recipe_angles = np.atleast_1d(np.asarray(angles_deg, dtype=np.float64))
        scan = Scan.circular(dso_mm=scan.dso_mm, dsd_mm=scan.dso_mm, rows=rows, cols=cols, pixel_mm=voxel, angles_deg=recipe_angles)
    if len(scan) != len(files):
        raise InputError(
            f"{place} holds {len(files)} images ({files[0].name} to {files[-1].name})",
            expected=f"{len(scan)}, one for each angle",
            remedy="complete the folder, or give the angle of each image: angles_deg=...",
        )
    meta = {"format": "BoneMet", "source": str(place), "voltage_kv": 50.0, "filter_mm_al": 0.5, "bits": 8 * stack.dtype.itemsize}
    return RawSource(stack, scan, meta={**meta, "assumptions": notes})


def _check_width(voxel_mm: float, cols: int, place: Path) -> None:
    """InputError for a voxel with which these images would be of no animal that fits the scanner: um for mm, or that of unbinned images."""
    width = voxel_mm * cols
    low, high = WIDTH_MM
    if not low <= width <= high:
        raise InputError(
            f"voxel_mm is {voxel_mm:g} for the images of {cols} columns in {place}: a field of view {width:.4g} mm wide",
            expected=f"{low:g} to {high:g} mm (7 to 10.6 um for {COLS} columns, more for images with fewer)",
            remedy=f"give the voxel of these images in mm, such as --voxel-mm {VOXEL_MM * COLS / cols:.4g}",
        )


def write_bonemet_xray(raw: RawScan, dataset_root: str | Path, animal: str | int, week: int, *, force: bool = False) -> Path:
    """Write the views as ``Imagery_Dataset/1. Rotation-X-ray/<animal>/week N/xray_1.PNG``, ... (uint8 or uint16); returns that folder.

    Raises InputError for a scan other than `skyscan_1276`, because the layout has no place for a geometry.
    """
    (rows, cols), voxel = raw.scan.shape, raw.scan.field_of_view_mm.pixel_mm
    expected = skyscan_1276(rows, cols, voxel)
    same = len(raw.scan) == len(expected) and all(
        np.allclose(getattr(raw.scan, name), getattr(expected, name), atol=1e-6 * raw.scan.dso_mm)
        for name in ("source", "detector", "u", "v")
    )
    if not same:
        raise InputError(
            "the scan is not that of skyscan_1276",
            expected="260 views at 0.8 deg, centred",
            remedy="write a SkyScan folder, which has a log",
        )
    if raw.intensity.dtype not in (np.uint8, np.uint16):
        raise InputError(f"counts of type {raw.intensity.dtype}", expected="uint8 or uint16, for PNG", remedy="round them first")
    final = new_place(dataset_root, "Rotation-X-ray", animal, week)
    with atomic_path(final, force=force, marked=False) as temporary:
        temporary.mkdir()
        for view, image in enumerate(raw.intensity):
            check_image(image, f"view {view}")
            write_image(temporary / f"xray_{view + 1}.PNG", image)
    return final
