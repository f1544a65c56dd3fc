"""Merge weights of `tvnet`: ``python -m fewview.nerf.merging --animals heads.pt --others first.pt --out merged.pt --bank bank``.

The network begins half way between the two teachers, and learns from procedural scans, each with the teacher of its family. Without
``--animals`` it becomes a second member beside the weights that are given, to be joined with them (``fewview.nerf.merging.joined``): it
begins as they are, and learns that the mean of both is the truth of heads, and of everything else what it was before. On two cores 2000
steps of 8 patches take half an hour, and the scans beforehand some hours, unless the bank holds them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import torch
import tyro

from ...base.files import refuse_existing
from ...base.settings import Positive, run_program
from ..device import usable_device
from ..patchwise.learner import Network, first_look
from ..patchwise.learning import LessonSettings, Pool, learned
from ..patchwise.lessons import Lesson
from ..patchwise.procedural_lessons import ProceduralVolumes, kept_in, lessons_in_turn, recorded
from ..procedural.scene import HEADS, family_of_first
from ..training.checkpoint import Checkpoint, read_checkpoint
from .teachers import Companion, Teachers, mean_of

VOLUMES, TRAINING = ProceduralVolumes(), LessonSettings(steps=2400, batch=8, rate=1e-3)


def _network(checkpoint: Checkpoint, device: torch.device) -> Network:
    return first_look(checkpoint, f"a checkpoint of the preset {checkpoint.preset}").to(device)


def main(
    out: Path,
    bank: Path,
    others: tuple[Path, ...],
    animals: tuple[Path, ...] = (),
    volumes: Annotated[ProceduralVolumes, tyro.conf.OmitArgPrefixes] = VOLUMES,
    training: Annotated[LessonSettings, tyro.conf.OmitArgPrefixes] = TRAINING,
    weight: Positive = 1.0,
    device: str = "cuda",
    force: bool = False,
) -> None:
    """Train one network to correct animals as some weights do, and everything else as others do.

    Args:
        out: the checkpoint to write, with the mean of the weights so far after every 500 steps.
        bank: folder where the scans are kept; another run takes those that are there.
        others: checkpoints whose mean teaches what to make of all procedural volumes but heads.
        animals: checkpoints whose mean teaches what to make of heads; none: a second member is trained, and the truth teaches it.
        volumes: what teaches.
        training: how it is trained.
        weight: how much more a patch of a head counts than another.
        device: where to train.
        force: replace the output if fewview wrote it.
    """
    refuse_existing(out, force)
    where = usable_device(device)
    of_animals, of_others = ([read_checkpoint(path) for path in paths] for paths in (animals, others))
    taught = [mean_of(of_others), *([mean_of(of_animals)] if animals else [])]
    begin = mean_of(taught)
    known = _network(taught[0], where)
    teachers = Teachers(_network(taught[1], where), known, set(), weight) if animals else Companion(known, set(), weight)
    names = {"animals": [p.name for p in animals], "others": [p.name for p in others]}
    record = recorded(begin, volumes, training, weight=weight, **names)

    def sorted_out() -> Generator[Lesson, None, None]:
        with closing(lessons_in_turn(volumes, bank, where)) as pairs:
            for number, pair in zip(volumes.seeds, pairs, strict=True):
                if family_of_first(number) in HEADS:
                    teachers.animals.update(pair)
                yield from pair

    with closing(sorted_out()) as lessons:
        tell = kept_in(out, record, training.steps, "from the teachers")
        learned(_network(begin, where), Pool(lessons, 2 * volumes.scans), training, tell, loss_of=teachers.loss)
    print(f"wrote {out}")


if __name__ == "__main__":
    run_program(main)
