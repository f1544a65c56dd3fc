"""The folders of the BoneMet data set, found and named in every spelling that occurs.

They are ``<component>/<id>/week N/*.PNG``, or the other way round ``<component>/week N/<id>/`` or ``<component>/871 week 0 left tibia/``.
Components may have a number in front and any case; ids are such as ``851``, ``001``, ``851 left tibia``, ``851R proximal tibia``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...base import InputError, UnknownNameError

COMPONENTS = {"rotationxray": "Rotation-X-ray", "reconct": "Recon-CT", "segct": "Seg-CT", "registct": "Regist-CT", "roict": "RoI-CT"}
"""Normalised name -> the data set's own."""
_NUMBERS = {name: i + 1 for i, name in enumerate(COMPONENTS.values())}
_WEEK = re.compile(r"week[\s_-]*(\d+)", re.IGNORECASE)
_SIDES = {"l": "left", "r": "right", "left": "left", "right": "right"}
VOXEL_MM, COLS = 0.0106, 4032  # columns of the whole panel; a smaller image was binned


@dataclass(frozen=True)
class BoneMetFolder:
    """One folder of images: ``animal`` without leading zeros, and ``part`` such as "left tibia" ("" for the whole scan)."""

    component: str
    animal: str
    part: str
    week: int
    path: Path


def component_of(name: str) -> str | None:
    """The component that the name of a folder stands for, or None.

    >>> component_of("1. Rotation-X-ray"), component_of("5 ROI-CT"), component_of("week 1")
    ('Rotation-X-ray', 'RoI-CT', None)
    """
    return COMPONENTS.get(re.sub(r"[^a-z]", "", re.sub(r"^\s*\d+[\s.)_-]*", "", name.lower())))


def parse_place(text: str) -> tuple[str, str, int] | None:
    """(animal, part, week) from the joined names of the folders below a component; None where animal or week is missing.

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
    """All matching image folders below ``root`` (the data set, or one component), sorted. The images are not opened."""
    root = Path(root)
    wanted = None if component is None else normal_component(component)
    asked = None if animal is None else parse_place(f"{animal} week 0")
    if animal is not None and asked is None:
        raise InputError(f"animal is {animal!r}", expected="an id such as 851, '001' or '851 left tibia'")
    found = []
    for folder, name in components_below(root):
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
    """The spelling that the data set itself uses for a component; UnknownNameError for an unknown one."""
    known = component_of(name)
    if known is None:
        raise UnknownNameError("BoneMet component", name, COMPONENTS.values())
    return known


def components_below(root: Path) -> list[tuple[Path, str]]:
    """(folder, component) for the components in a folder, or for the folder itself where it is one."""
    own = component_of(root.name)
    if own is not None:
        return [(root, own)]
    below = [root, *(p for p in _folders(root) if "dataset" in p.name.lower())]
    return [(p, name) for folder in below for p in _folders(folder) if (name := component_of(p.name)) is not None]


def _places(component: Path) -> list[tuple[str, Path]]:
    """(names joined, folder) for the places of one component: one level deep where that names animal and week, otherwise two."""
    places = []
    for first in _folders(component):
        if parse_place(first.name) is not None:
            places.append((first.name, first))
        else:
            places += [(f"{first.name}/{second.name}", second) for second in _folders(first)]
    return places


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def choose_place(path: Path, component: str, animal: str | int | None, week: int | None, part: str | None) -> BoneMetFolder:
    """The one folder that matches; where none or several do, an InputError that lists what is there."""
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


def new_place(root: str | Path, component: str, animal: str | int, week: int) -> Path:
    """The folder to which a component of an animal and week is written; InputError for an id or a week that the layout cannot express."""
    if parse_place(f"{animal} week {week}") is None:
        raise InputError(
            f"animal {animal!r}, week {week!r}", expected="an id such as '001' or '851 left tibia', and a whole number of weeks"
        )
    return Path(root) / "Imagery_Dataset" / f"{_NUMBERS[component]}. {component}" / str(animal) / f"week {week}"
