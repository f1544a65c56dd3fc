"""Train a second look of `tvnet`: ``python -m fewview.nerf.merging.again both.pt --out again.pt --bank bank``.

The weights that are given are the first look, and stay as they are. The second look sees what they made of each scan, what that leaves of
the views, and what they had seen; it begins with the layers of their last member, and adds nothing. The truth teaches it, on the same scans
that taught the others. Given weights that look again already, as those that come with fewview do, it goes on with their last look; with
``--keep`` the truth then teaches heads alone, and of all else the network keeps to what it said before, which is better for bones than the
truth of drawn objects (docs/model_cards.md). On two cores a step of 8 patches takes a second, and what the first look makes of a scan some
seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor

from ...base import InputError
from ...base.files import refuse_existing
from ...base.settings import run_program
from ...base.shapes import NewVolume, Volume
from ...data import Projections
from ...geometry import Grid, Scan
from ...recon import Operator
from ...recon.analytic.feldkamp import filtered_backprojection
from ..device import usable_device
from ..patchwise.inputs import as_learned
from ..patchwise.learner import LEARNER, Network, inputs
from ..patchwise.learning import LessonSettings, Pool, learned
from ..patchwise.lessons import Lesson, lesson, views_of_lesson
from ..patchwise.members import Looks
from ..patchwise.procedural_lessons import ProceduralVolumes, kept_in, lessons_in_turn, numbered, recorded
from ..procedural.example import procedural_scan
from ..procedural.scene import HEADS, family_of_first
from ..training.checkpoint import Checkpoint, module_of, read_checkpoint
from .joined import parts_of, size_of_member
from .teachers import Keeper

SILENT = ("leave.weight", "leave.bias", "linear.weight")  # layers of a look that are zero at the start, so that it adds nothing

VOLUMES, TRAINING = ProceduralVolumes(), LessonSettings(steps=4000, batch=8, rate=1e-3)


def with_another_look(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint of a network that looks again after those of ``checkpoint`` (of the presets `scales` or `members`), and adds nothing
    yet. Raises `InputError` for other networks.
    """
    size = size_of_member(checkpoint)
    if size is None:
        raise InputError(
            f"the checkpoint holds {checkpoint.method} {dict(checkpoint.architecture)}", expected="tvnet of the presets scales or members"
        )
    parts = parts_of(checkpoint)
    state = {name: value for name, value in checkpoint.state.items() if not name.startswith("net.")}
    state |= {f"net.first.members.{k}.{name}": value for k, part in enumerate(parts) for name, value in part.items()}
    state |= {f"net.again.0.{name}": value for name, value in _looking_again(parts[-1]).items()}
    return replace(checkpoint, preset="looks", architecture=asdict(Looks(**size, members=len(parts))), state=state)


def _looking_again(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a `LookAgain` whose layers see as those of a `ScaleNetwork` do: total variation as the corrected volume and what
    was taken from it, and the back-projection of what it left. What the corrected volume leaves counts for nothing yet.
    """
    volume, rest, beside = part["enter.weight"].float().tensor_split([1, 2], dim=1)
    found = {name: torch.zeros_like(value) if name in SILENT else value for name, value in part.items()}
    linear = part["linear.weight"]
    return {
        **found,
        "enter.weight": torch.cat([volume, torch.zeros_like(rest), volume, rest, beside], 1),
        "linear.weight": linear.new_zeros(linear.shape[0], 2 * linear.shape[1], *linear.shape[2:]),
    }


def looked_at(module: Network, given: Lesson, grid: Grid, scan: Scan) -> Lesson:
    """The lesson of the last look of a network, made of one of its first look (of the views of ``scan``) by the looks between.

    No views are needed: what a corrected volume leaves of them is what total variation left, less the projections of the correction.
    """
    volume, rest, wanted, weight = torch.cat([given.volumes, given.wanted[None], given.weight[None]]).float().cpu().numpy()
    numbers = given.facts.cpu().numpy()

    def left(better: Volume) -> NewVolume:
        moved = Projections(Operator(scan, grid)(better - volume), scan)
        return np.asarray(rest - filtered_backprojection(moved, grid), np.float32)

    better, *others = inputs(module, left, volume, 1.0, as_learned(numbers, module.known.cpu().numpy()))
    kept = np.stack([better, *others, wanted + volume - better, weight])
    return lesson(kept.clip(-6e4, 6e4).astype(np.float16), numbers, given.facts.device)


def main(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    out: Path,
    bank: Path,
    volumes: Annotated[ProceduralVolumes, tyro.conf.OmitArgPrefixes] = VOLUMES,
    training: Annotated[LessonSettings, tyro.conf.OmitArgPrefixes] = TRAINING,
    keep: bool = False,
    device: str = "cuda",
    force: bool = False,
) -> None:
    """Train a network that looks again at what others made of a scan, and write all of them.

    Args:
        checkpoint: weights of `tvnet` that look first, of the presets scales or members; of the preset looks, the last look goes on.
        out: the checkpoint to write, with the mean of the weights so far after every 500 steps.
        bank: folder where the scans are kept; another run takes those that are there.
        volumes: what teaches.
        training: how it is trained.
        keep: the truth teaches heads alone, and of everything else the network keeps to what it said before.
        device: where to train.
        force: replace the output if fewview wrote it.
    """
    refuse_existing(out, force)
    where, given = usable_device(device), read_checkpoint(checkpoint)
    begin = given if given.preset == "looks" else with_another_look(given)
    module: Any = module_of(begin, LEARNER, name=str(checkpoint))
    module = module.float().to(where)
    module.precision = torch.bfloat16  # as the steps of training compute
    record = recorded(begin, volumes, training, begin=checkpoint.name, keep=keep)
    keeper = Keeper(copy.deepcopy(module), set()) if keep else None

    def looked() -> Generator[Lesson, None, None]:
        with closing(lessons_in_turn(volumes, bank, where)) as pairs:
            for number, pair in zip(volumes.seeds, pairs, strict=True):
                grid, scan = procedural_scan(number, volumes.size)
                for given, (lesson_number, counts) in zip(pair, numbered(number), strict=True):
                    made = looked_at(module, given, grid, scan[views_of_lesson(scan, lesson_number, counts)])
                    if keeper and family_of_first(number) in HEADS:
                        keeper.animals.add(made)
                    yield made

    with closing(looked()) as lessons:
        tell = kept_in(out, record, training.steps, "of what the first look left")
        learned(module, Pool(lessons, 2 * volumes.scans), training, tell, loss_of=keeper.loss if keeper else None)
    print(f"wrote {out}")


if __name__ == "__main__":
    run_program(main)
