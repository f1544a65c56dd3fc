"""Make the weights that come with fewview: ``python -m fewview.nerf.patchwise --out tvnet.pt --bank bank --device cuda``.

Scans of procedural volumes are made by several processes, one core each, and kept in the bank; the training begins with the first of
them and takes in the others as they come. It takes minutes on a graphics card, and a day on two cores. ``--begin`` goes on from a
checkpoint of such a network; what looks again at its volumes is trained by ``python -m fewview.nerf.merging.again``.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from ...base.files import refuse_existing
from ...base.settings import Count, run_program
from ..device import usable_device
from ..procedural.example import VALIDATION
from ..training.checkpoint import Checkpoint, read_checkpoint
from .learner import LEARNER, Network, first_look
from .learning import LessonSettings, Pool, learned
from .lessons import Lesson, error_left
from .procedural_lessons import ProceduralVolumes, kept_in, lessons_in_turn, recorded
from .scales import Scales

PRESET, ARCHITECTURE = "scales", Scales(20, 40, 60)  # wider than the preset, which suits a processor
HELD = len(VALIDATION)
VOLUMES, TRAINING = ProceduralVolumes(scans=1600), LessonSettings()

Pairs = Generator[tuple[Lesson, Lesson], None, None]


def _said(pairs: Pairs, total: int) -> Pairs:
    """The same pairs; how many scans there are is printed meanwhile."""
    for done, pair in enumerate(pairs, start=1):
        if done % 50 == 0 or done == total:
            print(f"{done} of {total} scans", flush=True)
        yield pair


def _first(begin: Path | None, seed: int) -> tuple[Network, str]:
    """The network to begin with, of a checkpoint or drawn by chance, and the name of its preset."""
    if begin is None:
        return LEARNER.build(ARCHITECTURE, torch.Generator().manual_seed(seed)), PRESET
    checkpoint = read_checkpoint(begin)
    return first_look(checkpoint, str(begin)), checkpoint.preset


def main(
    out: Path,
    bank: Path,
    volumes: Annotated[ProceduralVolumes, tyro.conf.OmitArgPrefixes] = VOLUMES,
    training: Annotated[LessonSettings, tyro.conf.OmitArgPrefixes] = TRAINING,
    held: Count = HELD,
    begin: Path | None = None,
    device: str = "cuda",
    force: bool = False,
) -> None:
    """Train `tvnet` (a wide `scales`) on procedural volumes, and write its checkpoint.

    Args:
        out: the checkpoint to write, with the mean of the weights so far after every 500 steps.
        bank: folder where the scans are kept; another run takes those that are there.
        volumes: what teaches.
        training: how it is trained.
        held: further volumes, which are not learned from, but say during training how good the network is; at most 8.
        begin: checkpoint of `tvnet` to begin with, in place of weights drawn by chance.
        device: where to train.
        force: replace the output if fewview wrote it.
    """
    refuse_existing(out, force)
    where, judging = usable_device(device), VALIDATION[:held]
    module, preset = _first(begin, training.seed)
    module, judges = module.to(where), list[Lesson]()
    made = Checkpoint("tvnet", preset, asdict(module.architecture), settings={}, geometry={}, data={}, losses=(), state={})
    record = recorded(made, volumes, training, begin=begin.name if begin else None)
    record = replace(record, data={**record.data, "val": {"procedural volumes": f"seeds {judging[0]} to {judging[-1]}"}})

    def score(mean: Network) -> float:
        return -10 * float(np.log10(np.mean([error_left(mean, x) for x in judges])))

    with closing(lessons_in_turn(volumes, bank, where, judging)) as pairs:
        judges += [x for pair in itertools.islice(pairs, len(judging)) for x in pair]
        lessons = itertools.chain.from_iterable(_said(pairs, volumes.scans))
        tell = kept_in(out, record, training.steps, "of the error of total variation", score)
        learned(module, Pool(lessons, 2 * volumes.scans), training, tell)
    print(f"wrote {out}")


if __name__ == "__main__":
    run_program(main)
