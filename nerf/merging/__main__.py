"""Merge weights of `tvnet`: ``python -m fewview.nerf.merging --animals heads.pt --others first.pt --out merged.pt --bank bank``.

The network begins half way between the two teachers, and learns from procedural scans, each with the teacher of its family. Without
``--animals`` it becomes a second member beside the weights that are given, to be joined with them (``fewview.nerf.merging.joined``): it
begins as they are, and learns that the mean of both is the truth of heads, and of everything else what it was before. On two cores 2000
steps of 8 patches take half an hour, and the scans beforehand some hours, unless the bank holds them.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import torch
import tyro

from ...base.files import refuse_existing
from ...base.settings import Count, Positive, Seed
from ..device import usable_device
from ..patchwise.learner import Network, first_look
from ..patchwise.learning import LessonSettings, Pool, learned
from ..patchwise.lessons import Lesson
from ..patchwise.procedural_lessons import lessons_in_turn
from ..procedural.scene import HEADS, family_of_first
from ..training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from .teachers import Companion, Teachers, mean_of


def _network(checkpoint: Checkpoint, device: torch.device) -> Network:
    return first_look(checkpoint, f"a checkpoint of the preset {checkpoint.preset}").to(device)


def main(
    out: Path,
    bank: Path,
    others: tuple[Path, ...],
    animals: tuple[Path, ...] = (),
    scans: Count = 1000,
    steps: Count = 2400,
    batch: Count = 8,
    rate: Positive = 1e-3,
    weight: Positive = 1.0,
    seed: Seed = 0,
    first: Seed = 0,
    size: Count | None = None,
    device: str = "cuda",
    workers: Count = 2,
    force: bool = False,
) -> None:
    """Train one network to correct animals as some weights do, and everything else as others do.

    Args:
        out: the checkpoint to write, with the mean of the weights so far after every 500 steps.
        bank: folder where the scans are kept; another run takes those that are there.
        others: checkpoints whose mean teaches what to make of all procedural volumes but heads.
        animals: checkpoints whose mean teaches what to make of heads; none: a second member is trained, and the truth teaches it.
        scans: procedural volumes, each scanned once and reconstructed from two selections of its views.
        steps: steps of Adam.
        batch: patches in a step.
        rate: learning rate of Adam, after the first steps and before it falls.
        weight: how much more a patch of a head counts than another.
        seed: seed of the patches.
        first: seed of the first procedural volume; the others have those after it.
        size: voxels across a volume; None: 64, 96 or 128, as the seed says.
        device: where to train.
        workers: processes that make scans.
        force: replace the output if fewview wrote it.
    """
    refuse_existing(out, force)
    where, settings = usable_device(device), LessonSettings(steps=steps, batch=batch, rate=rate, seed=seed)
    of_animals, of_others = ([read_checkpoint(path) for path in paths] for paths in (animals, others))
    taught = [mean_of(of_others), *([mean_of(of_animals)] if animals else [])]
    begin = mean_of(taught)
    known = _network(taught[0], where)
    teachers = Teachers(_network(taught[1], where), known, set(), weight) if animals else Companion(known, set(), weight)
    seeds, started = range(first, first + scans), time.monotonic()

    facts = {
        "geometry": {},
        "settings": {**asdict(settings), "weight": weight, "animals": [p.name for p in animals], "others": [p.name for p in others]},
        "data": {"train": {"procedural volumes": f"seeds {seeds[0]} to {seeds[-1]}"}},
    }

    def tell(step: int, loss: float, mean: Network) -> None:
        print(f"step {step} of {steps}, {time.monotonic() - started:.0f} s: {loss:.4f} from the teachers", flush=True)
        state = {name: tensor.detach().cpu() for name, tensor in mean.state_dict().items()}
        save_checkpoint(out, replace(begin, state=state, losses=({"step": step, "tvnet": loss},), **facts), force=True)

    def sorted_out() -> Generator[Lesson, None, None]:
        with closing(lessons_in_turn(seeds, bank, workers, where, size)) as pairs:
            for number, pair in zip(seeds, pairs, strict=True):
                if family_of_first(number) in HEADS:
                    teachers.animals.update(pair)
                yield from pair

    with closing(sorted_out()) as lessons:
        learned(_network(begin, where), Pool(lessons, 2 * scans), settings, tell, loss_of=teachers.loss)
    print(f"wrote {out}")


if __name__ == "__main__":
    tyro.cli(main)
