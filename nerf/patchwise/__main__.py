"""Make the weights that come with fewview: ``python -m fewview.nerf.patchwise --out tvnet.pt --bank bank --device cuda``.

Scans of procedural volumes are made by several processes, one core each, and kept in the bank; the training begins with the first of
them and takes in the others as they come. It takes minutes on a graphics card, and a day on two cores. ``--begin`` goes on from a
checkpoint of such a network; what looks again at its volumes is trained by ``python -m fewview.nerf.merging.again``.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
import tyro

from ...base.files import refuse_existing
from ...base.settings import Count, Positive, Seed
from ..device import usable_device
from ..procedural.example import VALIDATION
from ..training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from .learner import LEARNER, Network, first_look
from .learning import LessonSettings, Pool, learned
from .lessons import Lesson, error_left
from .procedural_lessons import lessons_in_turn
from .scales import Scales

PRESET, ARCHITECTURE = "scales", Scales(20, 40, 60)  # wider than the preset, which suits a processor
HELD = len(VALIDATION)

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
    scans: Count = 1600,
    held: Count = HELD,
    steps: Count = 12_000,
    batch: Count = 12,
    rate: Positive = 2e-3,
    seed: Seed = 0,
    first: Seed = 0,
    size: Count | None = None,
    begin: Path | None = None,
    device: str = "cuda",
    workers: Count = 2,
    force: bool = False,
) -> None:
    """Train `tvnet` (a wide `scales`) on procedural volumes, and write its checkpoint.

    Args:
        out: the checkpoint to write, with the mean of the weights so far after every 500 steps.
        bank: folder where the scans are kept; another run takes those that are there.
        scans: procedural volumes, each scanned once and reconstructed from two selections of its views.
        held: further ones, which are not learned from, but say during training how good the network is; at most 8.
        steps: steps of Adam.
        batch: patches in a step.
        rate: learning rate of Adam, after the first steps and before it falls.
        seed: seed of the first weights and of the patches.
        first: seed of the first procedural volume; the others have those after it.
        size: voxels across a volume; None: 64, 96 or 128, as the seed says.
        begin: checkpoint of `tvnet` to begin with, in place of weights drawn by chance.
        device: where to train.
        workers: processes that make scans.
        force: replace the output if fewview wrote it.
    """
    refuse_existing(out, force)
    where, settings = usable_device(device), LessonSettings(steps=steps, batch=batch, rate=rate, seed=seed)
    module, preset = _first(begin, seed)
    module = module.to(where)
    seeds = range(first, first + scans)
    started, judges = time.monotonic(), list[Lesson]()

    def tell(step: int, loss: float, mean: Network) -> None:
        left = float(np.mean([error_left(mean, x) for x in judges]))
        gain = -10 * float(np.log10(left))
        print(f"step {step} of {steps}, {time.monotonic() - started:.0f} s: loss {loss:.4f}, {gain:.2f} dB above TV", flush=True)
        state = {name: tensor.detach().cpu() for name, tensor in mean.state_dict().items()}
        told = ({"step": step, "tvnet": loss, "score": gain},)
        save_checkpoint(out, Checkpoint(method="tvnet", preset=preset, losses=told, state=state, **facts), force=True)

    facts = {
        "architecture": dataclasses.asdict(module.architecture), "geometry": {},
        "settings": {**dataclasses.asdict(settings), "size": size, "begin": begin.name if begin else None},
        "data": {name: {"procedural volumes": f"seeds {of[0]} to {of[-1]}"} for name, of in (("train", seeds), ("val", VALIDATION[:held]))},
    }  # fmt: skip
    with closing(lessons_in_turn([*VALIDATION[:held], *seeds], bank, workers, where, size)) as pairs:
        judges += [x for pair in itertools.islice(pairs, held) for x in pair]
        learned(module, Pool(itertools.chain.from_iterable(_said(pairs, scans)), 2 * scans), settings, tell)
    print(f"wrote {out}")


if __name__ == "__main__":
    tyro.cli(main)
