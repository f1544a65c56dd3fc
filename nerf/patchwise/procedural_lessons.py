"""Lessons of procedural volumes, made by several processes and kept in a folder."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numba
import torch
from numpy.typing import NDArray

from ..procedural.example import RECIPE, procedural_example
from ..training.bank import Bank
from .learner import ALIKE
from .lessons import Lesson, lesson, lesson_arrays

LESSONS = 3  # how they are made of a scan: their views, and total variation of these
FEW = (10, 13, 13, 18)  # numbers of views of the first lesson of a scan, where total variation leaves most to learn


def procedural_lessons(seed: int, folder: str | Path, size: int | None = None) -> tuple[NDArray[Any], ...]:
    """Two lessons of a procedural volume of ``size`` voxels across (None: as the seed says), kept in the folder: of each the arrays
    [4, z, y, x] and the facts [6], dimensionless, that `lesson_arrays` gives.
    """

    def make() -> tuple[NDArray[Any], ...]:
        example = procedural_example(seed, Bank(0), size)
        return tuple(x for number, counts in numbered(seed) for x in lesson_arrays(example, number, counts))

    return Bank(0, folder).get(key_of_lessons(seed, size), make)


def numbered(seed: int) -> tuple[tuple[int, Sequence[int]], ...]:
    """The numbers of the two lessons of a procedural volume, and of how many views each may be."""
    return (2 * seed, FEW), (2 * seed + 1, ALIKE["views"])


def key_of_lessons(seed: int, size: int | None = None) -> tuple[str, int, int, int | None, int]:
    """Under which the lessons of a procedural volume are kept."""
    return "tvnet lessons", RECIPE, LESSONS, size, seed


def lessons_in_turn(
    seeds: Sequence[int], folder: str | Path, workers: int, device: torch.device, size: int | None = None
) -> Generator[tuple[Lesson, Lesson], None, None]:
    """The two lessons of each procedural volume on the device, in the order of the seeds.

    Those that the folder does not hold yet are made by ``workers`` processes, which go on while the lessons before them are used. Close the
    generator where not all are taken, so that no more are begun.
    """
    kept = Bank(0, folder)
    missing = [seed for seed in seeds if not kept.holds(key_of_lessons(seed, size))]
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_core) if missing else None
    try:
        made = {seed: pool.submit(_make, seed, folder, size) for seed in missing} if pool else {}
        for seed in seeds:
            if seed in made:
                made.pop(seed).result()
            found = procedural_lessons(seed, folder, size)
            yield lesson(found[0], found[1], device), lesson(found[2], found[3], device)
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def _make(seed: int, folder: str | Path, size: int | None) -> None:
    procedural_lessons(seed, folder, size)


def _one_core() -> None:
    """The processes share the cores, so that each takes one; a card is for the training alone."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    numba.set_num_threads(1)
    torch.set_num_threads(1)
