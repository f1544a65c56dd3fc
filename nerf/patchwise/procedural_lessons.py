"""Lessons of procedural volumes, made by several processes and kept in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numba
import torch
from numpy.typing import NDArray

from ..procedural.example import RECIPE, procedural_example
from ..training.bank import Bank
from .lessons import Lesson, lesson, lesson_arrays

LESSONS = 3  # how they are made of a scan: their views, and total variation of these
FEW = (10, 13, 13, 18)  # numbers of views of the first lesson of a scan, where total variation leaves most to learn


def procedural_lessons(seed: int, folder: str | Path, size: int | None = None) -> tuple[NDArray[Any], ...]:
    """Two lessons of a procedural volume of ``size`` voxels across (None: as the seed says), kept in the folder: of each the arrays
    [4, z, y, x] and the facts [6], dimensionless, that `lesson_arrays` gives.
    """

    def make() -> tuple[NDArray[Any], ...]:
        example = procedural_example(seed, Bank(0), size)
        return (*lesson_arrays(example, 2 * seed, FEW), *lesson_arrays(example, 2 * seed + 1))

    return Bank(0, folder).get(key_of_lessons(seed, size), make)


def key_of_lessons(seed: int, size: int | None = None) -> tuple[str, int, int, int | None, int]:
    """Under which the lessons of a procedural volume are kept."""
    return "tvnet lessons", RECIPE, LESSONS, size, seed


def make_lessons(
    seeds: Sequence[int], folder: str | Path, workers: int, progress: Callable[[int, int], None], size: int | None = None
) -> None:
    """Make the lessons of the procedural volumes that the folder does not hold yet; ``progress(done, total)`` is called after each."""
    kept = Bank(0, folder)
    missing = [seed for seed in seeds if not kept.holds(key_of_lessons(seed, size))]
    if not missing:
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for done, _ in enumerate(pool.map(partial(_make, folder=folder, size=size), missing, chunksize=4), start=1):
            progress(done, len(missing))


def _make(seed: int, folder: str | Path, size: int | None) -> None:
    procedural_lessons(seed, folder, size)


def _one_thread() -> None:
    """The processes share the cores, so that each takes one."""
    numba.set_num_threads(1)
    torch.set_num_threads(1)


def lessons_from(seeds: Iterable[int], folder: str | Path, device: torch.device, size: int | None = None) -> list[Lesson]:
    """The lessons of these volumes on the device."""
    found = []
    for seed in seeds:
        kept = procedural_lessons(seed, folder, size)
        found += [lesson(kept[0], kept[1], device), lesson(kept[2], kept[3], device)]
    return found
