"""A batch over animals: a folder with a folder for each, in which every week is a volume; what is done already is passed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..base import InputError
from ..base.files import refuse_existing
from ..base.outputs.ownership import foreign


def weeks_of(animal: Path) -> list[Path]:
    """The volumes of an animal in the order of their names: files that a volume reader knows, and folders of slices."""
    from ..data.volumes.volume_format import formats

    endings = tuple(ending for form in formats() for ending in (*form.endings, *form.also_read))
    return [path for path in sorted(animal.iterdir()) if path.is_dir() or path.name.lower().endswith(endings)]


def each_animal(animals: Path, out: Path, least: int, force: bool, work: Callable[[Sequence[Path], Path], bool]) -> bool:
    """Do ``work(weeks, place)`` for each animal with at least ``least`` weeks; whether every one was sure.

    An animal whose results are in OUT is passed over; one that cannot be worked on is said, and the others go on.
    """
    if not animals.is_dir():
        raise FileNotFoundError(f"{animals} is not a folder")
    found = {path.name: weeks_of(path) for path in sorted(animals.iterdir()) if path.is_dir()}
    if not any(found.values()):
        raise InputError(f"{animals} holds no folder with volumes", expected="a folder for each animal, and in it a volume for each week")
    sure = True
    for name, weeks in found.items():
        place = out / name
        if not force and place.is_dir() and not foreign(place):
            print(f"{place} is there already")
            continue
        refuse_existing(place, force, weeks)
        try:
            if len(weeks) < least:
                raise InputError(f"{animals / name} holds {len(weeks)} volume(s)", expected=f"{least} or more, a volume for each week")
            sure &= work(weeks, place)
        except InputError as error:
            print(f"{name}: {error}")
            sure = False
    return sure
