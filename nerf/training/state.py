"""The state of a training run, saved so that the run can continue as if it had never stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, nn

from ...base import InputError, UnknownNameError
from ...base.plain import plain
from ..device import autocast_type
from .checkpoint import load_checkpoint, read_checkpoint, read_tensors, rebuilt, write_tensors
from .learner import Example, Learner
from .settings import TrainSettings

STATE_FORMAT = "fewview training state 1"


@dataclass
class Run:
    """What changes during training."""

    module: nn.Module
    optimisers: dict[str, torch.optim.Optimizer]
    scaler: torch.amp.GradScaler
    step: int = 0
    best: float = -math.inf
    losses: list[dict[str, float]] = dataclasses.field(default_factory=list)
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    counted: int = 0


def step_generator(seed: int, step: int) -> Generator:
    """The random numbers of one step, which depend on (seed, step) alone."""
    return Generator().manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1))


def start(learner: Learner[Any, Any], chosen: TrainSettings, device: torch.device) -> Run:
    """A run before its first step: weights from the seed or from a checkpoint, and an optimiser for each group."""
    if chosen.begin is None:
        module = learner.build(learner.presets[chosen.preset], step_generator(chosen.seed, 0)).to(device)
    else:
        module = load_checkpoint(chosen.begin, learner).to(device)
    optimisers: dict[str, torch.optim.Optimizer] = {}
    for name, (parameters, rate, *kind) in learner.groups(module).items():
        speed = rate * chosen.learning_rate
        if kind and kind[0] == "rmsprop":
            optimisers[name] = torch.optim.RMSprop(parameters, lr=speed, alpha=0.99)
        elif kind and kind[0] != "adam":
            raise UnknownNameError(f"optimiser of {learner.name}", kind[0], ("adam", "rmsprop"))
        else:
            optimisers[name] = torch.optim.Adam(parameters, lr=speed, betas=chosen.betas)
        optimisers[name].param_groups[0]["rate"] = optimisers[name].param_groups[0]["lr"]
    scaler = torch.amp.GradScaler(device.type, enabled=autocast_type(chosen.precision, device) is torch.float16)
    return Run(module, optimisers, scaler)


def facts_of(
    learner: Learner[Any, Any], chosen: TrainSettings, training: Sequence[Example], validation: Sequence[Example]
) -> dict[str, Any]:
    """What must be equal for one run to continue another."""
    first, architecture, before = training[0], learner.presets[chosen.preset], {}
    if chosen.begin is not None:
        load_checkpoint(chosen.begin, learner)  # says what is wrong with it
        architecture = rebuilt(read_checkpoint(chosen.begin).architecture, learner, chosen.begin)
        before = {"begin": {"SHA-256": hashlib.sha256(Path(chosen.begin).read_bytes()).hexdigest()}}
    return plain(
        {
            "method": learner.name,
            "preset": chosen.preset,
            "architecture": architecture,
            "settings": chosen,
            "geometry": {
                "scan": first.projections.scan.expression(), "grid_shape": first.grid.shape, "voxel_mm": first.grid.voxel_mm,
                "window": first.window,
            },
            "data": {part: {e.name: e.fingerprint for e in found} for part, found in (("train", training), ("validation", validation))}
            | before,
        }
    )  # fmt: skip


def save_state(run: Run, path: Path, facts: Mapping[str, Any], *, force: bool = True) -> None:
    """Save everything on which the next step depends, completely or not at all; with ``force`` over an earlier state."""
    content = {
        "format": STATE_FORMAT, "facts": dict(facts), "step": run.step, "best": run.best, "losses": run.losses, "sums": run.sums,
        "counted": run.counted, "module": run.module.state_dict(), "scaler": run.scaler.state_dict(),
        "optimisers": {name: optimiser.state_dict() for name, optimiser in run.optimisers.items()},
    }  # fmt: skip
    write_tensors(path, content, force=force)


def take_up(run: Run, path: Path, facts: Mapping[str, Any]) -> None:
    """Load the saved state into ``run``; InputError where it was saved with other settings, data or architecture."""
    content = read_tensors(path, "training state", STATE_FORMAT)
    others = _differences(content["facts"], facts)
    if others:
        raise InputError(
            f"the unfinished run {path} had {'; '.join(others)[:400]}",
            expected="the same settings and data",
            remedy="give the same arguments, or --force to begin again",
        )
    run.module.load_state_dict(content["module"])
    for name, optimiser in run.optimisers.items():
        optimiser.load_state_dict(content["optimisers"][name])
    run.scaler.load_state_dict(content["scaler"])
    run.step, run.best, run.losses = content["step"], content["best"], content["losses"]
    run.sums, run.counted = content["sums"], content["counted"]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    """The differences of two mappings of plain values, in words."""
    found: list[str] = []
    for key in sorted({*before, *now}):
        old, new, name = before.get(key), now.get(key), f"{within}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{name}." if within else "" if key == "settings" else f"{key}.")
        elif old != new:
            found.append(f"{name} {old!r}, now {new!r}")
    return found
