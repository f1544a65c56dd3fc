"""`fewview train`: train a neural method on a folder of paired scans."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from pydantic import Field

from ..base import InputError
from ..base.record import make_record, write_record
from ..base.settings import Count, Seed
from ..data.pairs import AsRead, split_pairs
from ..recon import Progress
from .data_options import AS_IT_SAYS, DataOptions
from .options import MaybeCount, MaybePath, Pairs, explained_by, settings
from .outputs import command_line
from .progress import progress_bar

if TYPE_CHECKING:
    from ..nerf.training.learner import Example

Size = Annotated[int, Field(ge=8, le=4096, description="8 to 4096 voxels across")]


def train(
    method: tyro.conf.Positional[str],
    *,
    out: Path,
    data: MaybePath = None,
    procedural: MaybeCount = None,
    bank: MaybePath = None,
    preset: str = "small",
    begin: MaybePath = None,
    size: Size = 64,
    steps: MaybeCount = None,
    views: tuple[Count, ...] = (),
    batch: MaybeCount = None,
    seed: Seed = 0,
    set: Pairs = (),
    target: Literal["recon-ct", "truth"] = "recon-ct",
    device: str = "cpu",
    log: MaybePath = None,
    resume: bool = False,
    force: bool = False,
    read_as: DataOptions = AS_IT_SAYS,
) -> int:
    """Train a neural method on paired scans in the BoneMet layout, and keep the weights that are best on held-out animals.

    With --procedural instead of --data it trains on scans of objects that are drawn by chance (foams, fibres, bones, parts, ...) in many
    geometries, which is how the weights of `tvnet` that come with fewview were made.

    Animals are split as the folder's split.json says, or at random (70, 15, 15 %); those of the part `test` are never read. Each step
    sees another subset of the views of another scan, turned and mirrored. Ctrl-C keeps what was learned, and --resume continues from
    there to the same result. The checkpoint holds settings, geometry, hashes of the data and versions.

    Examples:
      fewview simulate volumes/*.nii.gz --layout bonemet --out heads
      fewview train unet --data heads --out unet.pt
      fewview train unet --data heads --out unet.pt --resume
      fewview train pixelnerf --data heads --out pixelnerf.pt --steps 3000 --views 2 5 10 --seed 1
      fewview train lpd --data heads --out lpd.pt --preset paper --size 192 --device cuda --set precision=bf16 check_every=500 --log runs
      fewview recon my_scan --method unet --set checkpoint=unet.pt --views 26 --out few.ome.tif
      fewview train tvnet --procedural 380 --bank bank --out tvnet.pt
      fewview train tvnet --begin shipped --data heads --target truth --preset scales --out own.pt

    Args:
        method: a method that learns: tvnet, unet, lpd, pixelnerf, mednerf.
        data: a data set in the BoneMet layout (a download, or what fewview simulate --layout bonemet wrote).
        procedural: train on so many scans of procedural volumes instead (and eight more for validation).
        bank: a folder where what was made of each scan is kept, so that another run need not make it again.
        out: the checkpoint to write; beside it lie a run record and, until training ends, OUT.state to resume from.
        begin: a checkpoint of the same method whose weights the training goes on from, or the word shipped for those that come with
            fewview; the architecture is that of the checkpoint.
        preset: small (a CPU will do), paper, or another of the method's (docs/training.md).
        size: voxels across the field of view; the detector is binned to match.
        steps: number of training steps; by default what the method's preset says.
        views: numbers of views, one of which is drawn each step; by default what the method's preset says.
        batch: scans in one step, one after the other.
        seed: seed of weights, views and augmentation; the same seed gives the same checkpoint on the same machine (on a GPU: to rounding).
        set: other settings of the training (fewview methods training lists them), such as augment=any precision=bf16.
        target: what to learn: recon-ct (the CT of all views), or truth (the scanned volume, where a simulated data set kept it).
        device: cpu, or cuda.
        log: a folder for TensorBoard (needs the extra `bench`).
        resume: continue an unfinished run with the same settings.
        force: replace the checkpoint, or an unfinished run, if it exists.
        read_as: what the files of the data set do not say.
    """
    from ..nerf.device import usable_device
    from ..nerf.training.checkpoint import load_checkpoint
    from ..nerf.training.learners import find_learner
    from ..nerf.training.settings import TrainSettings
    from ..nerf.training.train_network import check_outputs, state_of
    from ..nerf.training.train_network import train as fit
    from ..nerf.weights import shipped_path

    if (data is None) == (procedural is None):
        raise InputError("both --data and --procedural" if data else "neither --data nor --procedural", expected="one of them")
    learner = find_learner(method)
    if begin == Path("shipped"):
        begin = shipped_path(learner.name)
    own = {
        "steps": steps, "views": views or None, "batch": batch, "seed": seed, "device": device, "begin": str(begin) if begin else None,
    }  # fmt: skip
    more = settings(set)
    for name in ("preset", *own):
        if name in more:
            raise InputError(f"--set {name}={more[name]}", expected=f"--{name}, an option of its own")
    with explained_by("training"):
        chosen = TrainSettings.of(learner, preset, **{**more, **own})
    if chosen.begin:
        load_checkpoint(chosen.begin, learner)  # what is wrong with it is said before the data are read
    options = read_as.as_read()
    usable_device(device)
    check_outputs(out, force=force, resume=resume, inputs=[path for path in (data, begin) if path])
    start = time.perf_counter()
    with progress_bar("reading") as bar:
        training, held = _drawn(procedural, bank, bar) if data is None else _read(data, options, size, target, bar)
    first = training[0]
    nz, ny, nx = first.grid.shape
    print(
        f"{learner.name} ({f'from {begin}' if begin else preset}): {len(training)} scans to train on, {len(held)} for validation, "
        f"{nx} x {ny} x {nz} voxels of {first.grid.voxel_mm:.4g} mm, {chosen.steps} steps"
    )
    if not held:
        print("fewview: warning: no animal is in the part 'validation': the last weights are kept, not the best", file=sys.stderr)
    with _report(learner.name) as callback:
        try:
            done = fit(learner, training, held, chosen, out, callbacks=(callback,), log=log, force=force, resume=resume, bank=bank)
        except KeyboardInterrupt:
            print(f"fewview: interrupted; the same command with --resume continues from {state_of(out)}", file=sys.stderr)
            return 130
    seconds = time.perf_counter() - start
    record = make_record(command_line(), dataclasses.asdict(chosen), [], [out], seconds, {"data": done.data, "losses": done.losses})
    write_record(record, out)
    kept = next(entry for entry in done.losses if entry["step"] == done.step)
    score = f", score of the held-out animals {kept['score']:.5g} (at the start {done.losses[0]['score']:.5g})" if "score" in kept else ""
    print(f"wrote {out}: the weights of step {done.step}{score} ({seconds / 60:.1f} min)")
    return 0


def _read(data: Path, options: AsRead, size: int, target: str, bar: Callable[[Progress], None]) -> list[list[Example]]:
    """The scans of the parts `train` and `validation` of a data set that can be used; the others are named."""
    from ..benchmarks.datasets.usable import usable_pairs
    from ..nerf.training.examples import load_examples

    found = usable_pairs(data, options)
    for scan, why in found.left_out.items():
        print(f"fewview: warning: {scan} is left out: {why}", file=sys.stderr)
    parts = split_pairs(data, list(found.pairs))
    if not parts["train"]:
        raise InputError(f"no animal of {data} is in the part 'train'", expected="at least one", remedy="see its split.json")
    return [
        load_examples(parts[part], size, target=target, progress=lambda done, total, _: bar(Progress(done, total)))
        for part in ("train", "validation")
    ]


def _drawn(count: int | None, bank: Path | None, bar: Callable[[Progress], None]) -> list[list[Example]]:
    """So many scans of procedural volumes, and some for validation."""
    from ..nerf.procedural.example import VALIDATION, procedural_example
    from ..nerf.training.bank import Bank

    kept, total = Bank(0, bank), int(count or 0)
    found: list[Example] = []
    for done, seed in enumerate((*range(total), *VALIDATION)):
        bar(Progress(done, total + len(VALIDATION)))
        found.append(procedural_example(seed, kept))
    return [found[:total], found[total:]]


@contextmanager
def _report(label: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar with the time left on a terminal; elsewhere a line for each check."""
    begin: list[tuple[float, int]] = []
    with progress_bar(label) as bar:

        def show(p: Progress) -> None:
            bar(p)
            begin[:] = begin or [(time.perf_counter(), p.step)]
            if "score" in p.values and not sys.stderr.isatty():
                (since, first), now = begin[0], time.perf_counter()
                left = (now - since) / max(1, p.step - first) * (p.total - p.step)
                numbers = ", ".join(f"{name} {value:.5g}" for name, value in p.values.items())
                print(f"step {p.step} of {p.total}: {numbers}; {left / 60:.1f} min left", flush=True)

        yield show
