"""Lessons of procedural volumes, made by several processes and kept in a folder, and the record of a training on them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numba
import torch
from numpy.typing import NDArray

from ...base.settings import Count, Seed, checked
from ..procedural.example import RECIPE, procedural_example
from ..training.bank import Bank
from ..training.checkpoint import Checkpoint, code_version, save_checkpoint
from .learner import ALIKE, Network
from .learning import LessonSettings, Tell
from .lessons import Lesson, lesson, lesson_arrays

LESSONS = 3  # how they are made of a scan: their views, and total variation of these
FEW = (10, 13, 13, 18)  # numbers of views of the first lesson of a scan, where total variation leaves most to learn


@checked(of="the procedural volumes")
class ProceduralVolumes:
    """Which procedural volumes teach, and how many processes scan them.

    Args:
        scans: procedural volumes, each scanned once and reconstructed from two selections of its views.
        first: seed of the first procedural volume; the others have those after it.
        size: voxels across a volume; None: 64, 96 or 128, as the seed says.
        workers: processes that make scans.
    """

    scans: Count = 1000
    first: Seed = 0
    size: Count | None = None
    workers: Count = 2

    @property
    def seeds(self) -> range:
        """The seeds of the volumes."""
        return range(self.first, self.first + self.scans)


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
    volumes: ProceduralVolumes, folder: str | Path, device: torch.device, before: Sequence[int] = ()
) -> Generator[tuple[Lesson, Lesson], None, None]:
    """The two lessons of each procedural volume on the device, in the order of the seeds, after those of the seeds ``before``.

    Those that the folder does not hold yet are made by several processes, which go on while the lessons before them are used. Close the
    generator where not all are taken, so that no more are begun.
    """
    kept, size, seeds = Bank(0, folder), volumes.size, [*before, *volumes.seeds]
    missing = [seed for seed in seeds if not kept.holds(key_of_lessons(seed, size))]
    pool = ProcessPoolExecutor(volumes.workers, mp_context=get_context("spawn"), initializer=_one_core) if missing else None
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


def recorded(begin: Checkpoint, volumes: ProceduralVolumes, training: LessonSettings, /, **more: Any) -> Checkpoint:
    """The checkpoint of a network that is to be trained on procedural volumes: what ``begin`` says of it, and how it is trained.

    ``more`` are further settings to be recorded.
    """
    taught = {"train": {"procedural volumes": f"seeds {volumes.seeds[0]} to {volumes.seeds[-1]}"}}
    settings = {**asdict(training), "size": volumes.size, **more}
    return replace(begin, geometry={}, settings=settings, data=taught, code=code_version())


def kept_in(out: Path, begin: Checkpoint, steps: int, of: str, score: Callable[[Network], float] | None = None) -> Tell:
    """What is told during a training is printed, and the mean of the weights so far written: a loss as one ``of`` something, and the
    ``score``, in dB above total variation, where there is one.
    """
    started = time.monotonic()

    def tell(step: int, loss: float, mean: Network) -> None:
        scored = {"score": score(mean)} if score else {}
        said = "".join(f", {value:.2f} dB above TV" for value in scored.values())
        print(f"step {step} of {steps}, {time.monotonic() - started:.0f} s: {loss:.4f} {of}{said}", flush=True)
        state = {name: tensor.detach().cpu() for name, tensor in mean.state_dict().items()}
        save_checkpoint(out, replace(begin, state=state, losses=({"step": step, "tvnet": loss, **scored},)), force=True)

    return tell
