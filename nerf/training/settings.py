"""How to train: the settings, their defaults, and what a learner's preset prefers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ...base import InputError, UnknownNameError
from ...recon.typed_settings import fitted
from .learner import Learner

PRECISIONS = ("auto", "float32", "bf16", "fp16")
SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class TrainSettings:
    """How to train; made by `TrainSettings.of`, which asks the learner's preset first.

    ``views``: numbers of views, one drawn a step, chosen by one of ``selections``; ``batch`` scans a step, one after the other (gradients
    add up); ``pool`` subsets of the views of each scan are drawn once and seen again and again (0: another one each step), which lets a
    learner keep what it makes of them; ``learning_rate`` times what the learner says; ``schedule`` "cosine" (to zero) or "constant";
    ``clip`` the largest norm of a group's gradient (0: any); ``augment`` "none", "quarter" or "any", see `augmented`; ``check_every`` steps
    the held-out animals are scored, ``check_scans`` of them, from ``check_views`` views each; ``precision`` "auto" is bf16 or fp16 on CUDA
    and float32 elsewhere.
    """

    preset: str = "small"
    steps: int = 1000
    views: tuple[int, ...] = (13, 26, 52)
    selections: tuple[str, ...] = ("evenly", "evenly", "random")
    batch: int = 1
    pool: int = 0
    learning_rate: float = 1.0
    schedule: str = "cosine"
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 0.0
    augment: str = "quarter"
    check_every: int = 100
    check_scans: int = 6
    check_views: tuple[int, ...] = (26,)
    precision: str = "auto"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("views", "selections", "betas", "check_views"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("views", "selections", "check_views"):
            if not getattr(self, name):
                raise InputError(f"{name} is empty", expected="at least one")
        for name in ("steps", "batch", "check_every", "check_scans"):
            if getattr(self, name) != int(getattr(self, name)) or getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}", expected="a whole number of 1 or more")
        if self.pool != int(self.pool) or not 0 <= self.pool <= 4096:
            raise InputError(f"pool is {self.pool}", expected="a whole number from 0 to 4096")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise UnknownNameError(name, getattr(self, name), known)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"learning_rate is {self.learning_rate}", expected="a positive factor on the method's own")
        if not (math.isfinite(self.clip) and self.clip >= 0):
            raise InputError(f"clip is {self.clip}", expected="0 (any gradient), or the largest norm of one")

    @classmethod
    def of(cls, learner: Learner, preset: str = "small", **given: Any) -> TrainSettings:
        """What is ``given`` (and not None), else what the learner's preset prefers, else the defaults.

        Raises UnknownNameError for another preset or setting, InputError for a number out of range.
        """
        if preset not in learner.presets:
            raise UnknownNameError(f"preset of {learner.name}", preset, learner.presets)
        chosen = {**learner.training.get(preset, {}), **{name: value for name, value in given.items() if value is not None}}
        known = [f.name for f in dataclasses.fields(cls)]
        for name in chosen:
            if name not in known:
                raise UnknownNameError("setting of training", name, known)
        return cls(**fitted(cls, {**chosen, "preset": preset}, "training"))
