"""The folders of the BoneMet data set, in every spelling that occurs: found, read, written.

``<component>/<id>/week N/*.PNG``, or transposed ``<component>/week N/<id>/`` or ``<component>/871 week 0 left tibia/``; components with or
without a number before them, in any case; ids such as ``851``, ``001``, ``851 left tibia``, ``851R proximal tibia``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base import InputError, UnknownNameError
from ...base.files import atomic_path
from ...geometry import Scan, skyscan_1276
from ..images.grey import to_grey
from ..images.image_files import ImageStack, list_images, write_image
from .preparation import check_image
from .raw import RawScan, RawSource

COMPONENTS = {"rotationxray": "Rotation-X-ray", "reconct": "Recon-CT", "segct": "Seg-CT", "registct": "Regist-CT", "roict": "RoI-CT"}
"""Normalised name -> the data set's own."""
_NUMBERS = {name: i + 1 for i, name in enumerate(COMPONENTS.values())}
_WEEK = re.compile(r"week[\s_-]*(\d+)", re.IGNORECASE)
_SIDES = {"l": "left", "r": "right", "left": "left", "right": "right"}
VOXEL_MM, COLS = 0.0106, 4032  # of the whole panel; a smaller image is a binning of it


@dataclass(frozen=True)
class BoneMetFolder:
    """One folder of images: ``animal`` without leading zeros, ``part`` such as "left tibia" ("" for the whole scan)."""

    component: str
    animal: str
    part: str
    week: int
    path: Path


def component_of(name: str) -> str | None:
    """The component that a folder's name spells, or None.

    >>> component_of("1. Rotation-X-ray"), component_of("5 ROI-CT"), component_of("week 1")
    ('Rotation-X-ray', 'RoI-CT', None)
    """
    return COMPONENTS.get(re.sub(r"[^a-z]", "", re.sub(r"^\s*\d+[\s.)_-]*", "", name.lower())))


def parse_place(text: str) -> tuple[str, str, int] | None:
    """(animal, part, week) of the folder names below a component, joined; None where animal or week is missing.

    >>> parse_place("851R proximal tibia/week 11"), parse_place("871 week 0 left tibia"), parse_place("week 3/001")
    (('851', 'right proximal tibia', 11), ('871', 'left tibia', 0), ('1', '', 3))
    """
    week = _WEEK.search(text)
    if week is None:
        return None
    rest = re.sub(r"[\s/\\_-]+", " ", text[: week.start()] + " " + text[week.end() :]).strip().lower()
    found = re.fullmatch(r"0*(\d+)\s*(l|r|left|right)?(?:\s+(.*))?", rest)
    if found is None:
        return None
    part = " ".join(word for word in (_SIDES.get(found[2] or ""), found[3]) if word)
    return found[1], part, int(week[1])


def find_bonemet(
    root: str | Path, *, component: str | None = None, animal: str | int | None = None, week: int | None = None, part: str | None = None
) -> list[BoneMetFolder]:
    """All image folders below ``root`` (the data set, or one component) that fit, sorted. Images are not looked at."""
    root = Path(root)
    wanted = None if component is None else normal_component(component)
    asked = None if animal is None else parse_place(f"{animal} week 0")
    if animal is not None and asked is None:
        raise InputError(f"animal is {animal!r}", expected="an id such as 851, '001' or '851 left tibia'")
    found = []
    for folder, name in _components(root):
        if wanted not in (None, name):
            continue
        for place, path in _places(folder):
            parsed = parse_place(place)
            if parsed is not None:
                found.append(BoneMetFolder(name, *parsed[:2], parsed[2], path))
    kept = [f for f in found if week in (None, f.week) and (asked is None or (f.animal == asked[0] and asked[1] in ("", f.part)))]
    kept = [f for f in kept if part is None or f.part == part.strip().lower()]
    return sorted(kept, key=lambda f: (f.component, int(f.animal), f.week, f.part))


def normal_component(name: str) -> str:
    """The data set's own spelling of a component; UnknownNameError otherwise."""
    known = component_of(name)
    if known is None:
        raise UnknownNameError("BoneMet component", name, COMPONENTS.values())
    return known


def _components(root: Path) -> list[tuple[Path, str]]:
    own = component_of(root.name)
    if own is not None:
        return [(root, own)]
    below = [root, *(p for p in _folders(root) if "dataset" in p.name.lower())]
    return [(p, name) for folder in below for p in _folders(folder) if (name := component_of(p.name)) is not None]


def _places(component: Path) -> list[tuple[str, Path]]:
    """(names joined, folder) of the places of one component: one level deep where that says animal and week, else two."""
    places = []
    for first in _folders(component):
        if parse_place(first.name) is not None:
            places.append((first.name, first))
        else:
            places += [(f"{first.name}/{second.name}", second) for second in _folders(first)]
    return places


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_bonemet(path: Path) -> bool:
    """The data set's root, a component, or one folder of X-ray images."""
    if not path.is_dir():
        return False
    return bool(_components(path)) or _is_xray_folder(path)


def _is_xray_folder(path: Path) -> bool:
    images = list_images(path, (".png",))
    inside = any(component_of(name) == "Rotation-X-ray" for name in path.absolute().parts)
    return bool(images) and (inside or images[0].name.lower().startswith("xray"))


def choose_place(path: Path, component: str, animal: str | int | None, week: int | None, part: str | None) -> BoneMetFolder:
    """The one folder that fits; InputError that lists what is there where none or several do."""
    found = find_bonemet(path, component=component, animal=animal, week=week, part=part)
    if len(found) != 1:
        there = found or find_bonemet(path, component=component)
        listed = ", ".join(f"{f.animal}{' ' * bool(f.part)}{f.part} week {f.week}" for f in there[:8]) + ", ..." * (len(there) > 8)
        raise InputError(
            f"{len(found)} folders of {component} in {path} fit animal={animal}, week={week}" + f", part={part}" * (part is not None),
            expected="exactly one",
            remedy=f"there are {listed}" if there else f"there is no {component}",
        )
    return found[0]


def open_bonemet(
    path: Path,
    *,
    animal: str | int | None = None,
    week: int | None = None,
    voxel_mm: float | None = None,
    angles_deg: ArrayLike | None = None,
) -> RawSource:
    """The X-rays of one mouse and week: ``path`` is that folder, or the data set's root with ``animal`` and ``week``.

    The data set has no geometry file: it is `skyscan_1276` for the images' own rows and columns. ``voxel_mm`` defaults to 0.0106 mm for
    4032 columns and in proportion for binned images; ``angles_deg`` replaces 260 views at 0.8 deg. Row index increases with +z.
    """
    place = path
    if not _is_xray_folder(path):
        place = choose_place(path, "Rotation-X-ray", animal, week, None).path
    files = list_images(place, (".png", ".tif", ".tiff"))
    if not files:
        raise FileNotFoundError(f"there is no X-ray image (.png) in {place}")
    stack = ImageStack(files)
    _, rows, cols = stack.shape
    voxel = VOXEL_MM * COLS / cols if voxel_mm is None else voxel_mm
    scan, notes = skyscan_1276(rows, cols, voxel), [f"SkyScan 1276, 208 deg at 0.8 deg, voxel {voxel:g} mm, for images of {rows} x {cols}"]
    if angles_deg is not None:
        recipe_angles = np.atleast_1d(np.asarray(angles_deg, dtype=np.float64))
        scan = Scan.circular(dso_mm=scan.dso_mm, dsd_mm=scan.dso_mm, rows=rows, cols=cols, pixel_mm=voxel, angles_deg=recipe_angles)
    if len(scan) != len(files):
        raise InputError(
            f"{place} holds {len(files)} images ({files[0].name} to {files[-1].name})",
            expected=f"{len(scan)}, one an angle",
            remedy="complete the folder, or give the angle of each image: angles_deg=...",
        )
    return RawSource(
        stack, scan, meta={"format": "BoneMet", "source": str(place), "voltage_kv": 50.0, "filter_mm_al": 0.5, "assumptions": notes}
    )


def write_bonemet_xray(raw: RawScan, dataset_root: str | Path, animal: str | int, week: int, *, force: bool = False) -> Path:
    """Write the views as ``Imagery_Dataset/1. Rotation-X-ray/<animal>/week N/xray_1.PNG``, ... (uint8 or uint16); returns that folder.

    Raises InputError for a scan other than `skyscan_1276`: the layout has no place for a geometry.
    """
    (rows, cols), voxel = raw.scan.shape, raw.scan.field_of_view_mm[2]
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
    final = _place(dataset_root, "Rotation-X-ray", animal, week)
    with atomic_path(final, force=force) as temporary:
        temporary.mkdir()
        for view, image in enumerate(raw.intensity):
            check_image(image, f"view {view}")
            write_image(temporary / f"xray_{view + 1}.PNG", image)
    return final


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
    final = _place(dataset_root, normal_component(component), animal, week)
    digits = max(3, len(str(len(volume))))
    with atomic_path(final, force=force) as temporary:
        temporary.mkdir()
        for index, plane in enumerate(volume):
            grey = plane if window is None else to_grey(plane, *window, bits=8)
            write_image(temporary / f"ct_slice_{index + 1:0{digits}d}.PNG", grey)
    return final


def _place(root: str | Path, component: str, animal: str | int, week: int) -> Path:
    if parse_place(f"{animal} week {week}") is None:
        raise InputError(
            f"animal {animal!r}, week {week!r}", expected="an id such as '001' or '851 left tibia', and a whole number of weeks"
        )
    return Path(root) / "Imagery_Dataset" / f"{_NUMBERS[component]}. {component}" / str(animal) / f"week {week}"
