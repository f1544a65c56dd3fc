"""The training loop for any `Learner`: random subsets of views, the best weights by validation, and after an interruption the same losses
to the bit.

All random numbers of step t depend on (seed, t) alone, so a run continues from the weights, the optimisers and t, and needs nothing else.
"""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...base import InputError, MissingBackendError
from ...base.files import refuse_existing, remove
from ...base.psnr import DATA_RANGE_PER_MM, psnr_db
from ...base.record import record_path
from ...geometry import views
from ...recon.method import Callback, Progress
from ..device import autocast_type, usable_device
from .bank import Bank
from .checkpoint import Checkpoint, code_version, read_checkpoint, save_checkpoint
from .examples import augmented, draw_views
from .learner import BatchLearner, Example, Learner, ScoringLearner
from .settings import HALVED_AFTER, TrainSettings
from .state import Run, facts_of, save_state, start, step_generator, take_up

_SAVED_EVERY_S = 60.0  # seconds between saves besides those at checks, so that a run that is cut off loses little more


def train(
    learner: Learner[Any, Any],
    train_examples: Sequence[Example],
    validation_examples: Sequence[Example],
    settings: TrainSettings,
    out: str | Path,
    *,
    callbacks: Sequence[Callback] = (),
    log: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    bank: str | Path | None = None,
) -> Checkpoint:
    """Train, and write the best checkpoint by validation to ``out`` (without validation animals the last one); returns it.

    While the training runs, ``<out>.state`` lies beside ``out``. With ``resume`` a run that was interrupted or killed continues from there
    and has the losses that it would have had. Ctrl-C ends the run after the current step, saves the state and raises KeyboardInterrupt; a
    second Ctrl-C ends it at once. ``log`` is a folder for TensorBoard; ``bank`` is one where a learner keeps what it makes of a scan.
    Callbacks get a `Progress` for each step with the loss of each group, and at each check ``score`` (of the held-out animals, in dB unless
    the learner has its own) and ``best``.

    Raises FileExistsError where ``out`` or an unfinished run exists, without ``force`` or ``resume``. Raises InputError for no example, for
    resuming with other settings, data or architecture, and for a loss that is NaN or Inf; and MissingBackendError for a device that is not
    here, and for ``log`` without TensorBoard.
    """
    chosen, out = settings, Path(out)
    state_path = state_of(out)
    if not train_examples:
        raise InputError(f"no scan to train {learner.name} on", expected="at least one animal in the part 'train'")
    check_outputs(out, force=force, resume=resume)
    device = usable_device(chosen.device)
    facts = facts_of(learner, chosen, train_examples, validation_examples)
    run = start(learner, chosen, device)
    kept: Any = getattr(run.module, "bank", None)
    if bank is not None and isinstance(kept, Bank):
        kept.folder = Path(bank)
    if resume:
        take_up(run, state_path, facts)
    else:
        remove(state_path)
        save_state(run, state_path, facts, force=False)  # of two runs that begin at once, one gets it
    writer = _tensorboard(log, run.step)
    with _between_steps() as stop, _no_state_without_a_check(run, chosen, state_path, resume):
        if not run.losses:
            _check(learner, run, chosen, train_examples, validation_examples, facts, out, writer)
        saved = time.monotonic()
        while run.step < chosen.steps:
            values = _step(learner, run, chosen, train_examples, device)
            if run.step % chosen.check_every == 0 or run.step == chosen.steps:
                values = _check(learner, run, chosen, train_examples, validation_examples, facts, out, writer)
                save_state(run, state_path, facts)
            for callback in callbacks:
                callback(Progress(run.step, chosen.steps, None, values))
            if stop.is_set() or time.monotonic() > saved + _SAVED_EVERY_S:
                save_state(run, state_path, facts)
                saved = time.monotonic()
            if stop.is_set():
                raise KeyboardInterrupt
    if writer:
        writer.close()
    done = dataclasses.replace(read_checkpoint(out), losses=tuple(run.losses))  # including those after the best
    save_checkpoint(out, done, force=True)
    remove(state_path)
    return done


@contextmanager
def _no_state_without_a_check(run: Run, chosen: TrainSettings, state_path: Path, resumed: bool) -> Iterator[None]:
    """Delete the state of a run that fails before its first check: it holds nothing to resume, and would be in the way of the next run."""
    try:
        yield
    except Exception:
        if not resumed and run.step < chosen.check_every:
            remove(state_path)
        raise


def state_of(out: Path) -> Path:
    """The path of the state of an unfinished run that will end in ``out``."""
    return out.with_name(out.name + ".state")


def check_outputs(out: Path, *, force: bool, resume: bool, inputs: Iterable[str | Path] = ()) -> None:
    """FileExistsError where a checkpoint or an unfinished run would be lost; FileNotFoundError where there is nothing to resume."""
    state = state_of(out)
    if resume and not state.is_file():
        raise FileNotFoundError(f"there is no unfinished run to resume: {state} is not there; leave out --resume to begin one")
    if state.exists() and not resume and not force:
        raise FileExistsError(f"{state} belongs to an unfinished run; --resume continues it, --force begins again")
    if not resume:
        for path in (out, state):
            refuse_existing(path, force, inputs)
        refuse_existing(record_path(out), True)


def _step(learner: Learner[Any, Any], run: Run, chosen: TrainSettings, examples: Sequence[Example], device: torch.device) -> dict[str, Any]:
    """Make one step with the optimiser of each group, in their order; returns the losses."""
    run.step += 1
    generator = step_generator(chosen.seed, run.step)
    dtype, values = autocast_type(chosen.precision, device), {}
    factor = _rate_factor(chosen, run.step)
    batch = []
    for _ in range(chosen.batch):
        pick = int(torch.randint(len(examples), (1,), generator=generator))
        example = augmented(examples[pick], chosen.augment, generator)
        source = generator
        if chosen.pool:
            source = step_generator(chosen.seed, 2**41 + 4096 * pick + int(torch.randint(chosen.pool, (1,), generator=generator)))
        batch.append((example, draw_views(example.projections.scan, chosen.views, chosen.selections, source)))
    run.module.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        for name, optimiser in run.optimisers.items():
            for other in run.optimisers.values():
                other.zero_grad(set_to_none=True)
            total = 0.0
            for part in [batch] if isinstance(learner, BatchLearner) else [[one] for one in batch]:
                with torch.autocast(device.type, dtype, enabled=dtype is not None):
                    loss = _loss(learner, run.module, part, generator, name) * (len(part) / len(batch))
                run.scaler.scale(loss).backward()
                total += float(loss.detach())
            if not math.isfinite(total):
                raise InputError(
                    f"the loss {name!r} is {total} at step {run.step}", expected="a finite loss", remedy="try a smaller learning_rate"
                )
            group = optimiser.param_groups[0]
            group["lr"] = group["rate"] * factor
            if chosen.clip:
                run.scaler.unscale_(optimiser)
                torch.nn.utils.clip_grad_norm_(group["params"], chosen.clip)
            run.scaler.step(optimiser)
            values[name] = total
        run.scaler.update()
    for name, value in values.items():
        run.sums[name] = run.sums.get(name, 0.0) + value
    run.counted += 1
    return values


def _loss(learner: Learner[Any, Any], module: nn.Module, batch: Sequence[tuple[Example, Any]], generator: Any, name: str) -> torch.Tensor:
    if isinstance(learner, BatchLearner):
        return learner.batch_loss(module, batch, generator, name)
    return learner.loss(module, *batch[0], generator, name)


def _rate_factor(chosen: TrainSettings, step: int) -> float:
    if chosen.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - 1) / chosen.steps))
    return 0.5 ** sum(step > at for at in HALVED_AFTER) if chosen.schedule == "halving" else 1.0


def _check(
    learner: Learner[Any, Any], run: Run, chosen: TrainSettings, training: Sequence[Example], validation: Sequence[Example],
    facts: Mapping[str, Any], out: Path, writer: Any,
) -> dict[str, Any]:  # fmt: skip
    """Score the held-out animals, record the losses since the last check, and keep the weights if they are the best so far."""
    values: dict[str, Any] = {name: total / max(run.counted, 1) for name, total in run.sums.items()}
    run.sums, run.counted = {}, 0
    if validation:
        values["score"] = validation_score(learner, run.module, validation[: chosen.check_scans], chosen.check_views, chosen.seed)
    better = (run.step > 0 or chosen.begin is not None) and (not validation or values["score"] > run.best)
    if better and validation:
        run.best = values["score"]
    run.losses.append({"step": run.step, **values})
    if writer:
        for name, value in values.items():
            writer.add_scalar(name if name == "score" else f"loss/{name}", value, run.step)
        writer.flush()
    if better:
        state = {name: tensor.detach().cpu() for name, tensor in run.module.state_dict().items()}
        save_checkpoint(out, Checkpoint(**facts, losses=tuple(run.losses), state=state, code=code_version()), force=True)
    return {**values, "best": run.best} if validation and run.step else values


def validation_score(
    learner: Learner[Any, Any], module: nn.Module, examples: Sequence[Example], counts: Sequence[int], seed: int = 0
) -> float:
    """The mean over held-out animals and numbers of views (evenly spread) of the learner's own score, or of the
    PSNR of the volume in dB.
    """
    scores = []
    module.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for place, example in enumerate(examples):
            for count in counts:
                torch.manual_seed(seed)
                generator = step_generator(seed, 2**40 + place)
                given = views.evenly(example.projections.scan, min(count, len(example.projections)))
                if isinstance(learner, ScoringLearner):
                    with torch.enable_grad():
                        scores.append(learner.score(module, example, given, generator))
                    continue
                volume = learner.reconstruct(module, example.projections[given], example.grid, generator).detach().cpu().float().numpy()
                scores.append(decibel(volume, example))
    mean = float(np.mean(scores))
    if not math.isfinite(mean):
        raise InputError(f"the score of the held-out animals is {mean}", expected="finite volumes", remedy="try a smaller learning_rate")
    return mean


def decibel(volume: np.ndarray, example: Example) -> float:
    """The PSNR in dB of a volume [z, y, x] inside what every view sees; the data range is the grey window of the data set."""
    inside = example.grid.seen_by_all(example.projections.scan)
    error = float(np.mean((volume.astype(np.float64) - example.reference)[inside] ** 2))
    return psnr_db(max(error, 1e-30), data_range=DATA_RANGE_PER_MM)


def _tensorboard(log: str | Path | None, step: int) -> Any:
    if log is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingBackendError(
            "--log needs TensorBoard, which is not installed", remedy="pip install tensorboard (extra: bench), or leave out --log"
        ) from None
    return SummaryWriter(str(log), purge_step=step + 1)


@contextmanager
def _between_steps() -> Iterator[threading.Event]:
    """Ctrl-C sets the event that is yielded, so that a step is never cut in two; a second Ctrl-C interrupts at once.

    A request to end (SIGTERM) does the same, where somebody handles it already, as the command line does.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = [number for number, handler in before.items() if callable(handler)]

    def hear(number: int, frame: Any) -> None:
        for each in heard:
            signal.signal(each, before[each])
        stop.set()

    for number in heard:
        signal.signal(number, hear)
    try:
        yield stop
    finally:
        for number in heard:
            signal.signal(number, before[number])
