"""Settings of training: their defaults, and what the preset of a learner prefers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ...base import UnknownNameError
from ...base.settings import Count, Seed, Several, checked
from .learner import Learner

AtLeastOne = Field(min_length=1)
HALVED_AFTER = (50_000, 100_000, 200_000)  # steps of the schedule "halving"


@checked(of="training")
class TrainSettings:
    """How to train. `TrainSettings.of` makes it, and asks the learner's preset first.

    Args:
        begin: a checkpoint of the same method whose weights and architecture the training begins with; None: random weights of the preset.
        views: numbers of views, of which each step draws one.
        selections: how the views are selected, of which each step draws one: evenly or random.
        batch: scans in a step, one after the other (their gradients are added), or at once where the learner needs that.
        pool: this many subsets of the views of each scan are drawn once and used again and again (0: another in each step), so that a
            learner can keep what it makes of them.
        learning_rate: factor on the learning rates of the learner.
        schedule: "cosine" (falling to zero), "constant", or "halving" (after 50 000, 100 000 and 200 000 steps, as MedNeRF was published).
        clip: the largest norm of the gradient of a group; 0 allows any.
        augment: "none", "quarter" or "any", see `augmented`.
        check_every: the held-out animals are scored every so many steps.
        check_scans: number of held-out scans that are scored.
        check_views: numbers of views from which each of them is scored.
        precision: "auto" is bf16 on a card that has it and on a processor that multiplies tiles of it (Intel AMX), fp16 on an older
            card, and float32 elsewhere.
    """

    preset: str = "small"
    begin: str | None = None
    steps: Count = 1000
    views: Annotated[Several[int], AtLeastOne] = (13, 26, 52)
    selections: Annotated[Several[Literal["evenly", "random"]], AtLeastOne] = ("evenly", "evenly", "random")
    batch: Count = 1
    pool: Annotated[int, Field(ge=0, le=4096)] = 0
    learning_rate: Annotated[float, Field(gt=0, description="a positive factor on the method's own")] = 1.0
    schedule: Literal["cosine", "constant", "halving"] = "cosine"
    betas: tuple[float, float] = (0.9, 0.999)
    clip: Annotated[float, Field(ge=0, description="0 (any gradient), or the largest norm of one")] = 0.0
    augment: Literal["none", "quarter", "any"] = "quarter"
    check_every: Count = 100
    check_scans: Count = 6
    check_views: Annotated[Several[Count], AtLeastOne] = (26,)
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    device: str = "cpu"
    seed: Seed = 0

    @classmethod
    def of(cls, learner: Learner[Any, Any], preset: str = "small", **given: Any) -> TrainSettings:
        """The settings that are ``given`` (and not None), then those that the learner's preset prefers, then the defaults.

        Raises UnknownNameError for an unknown preset or setting, and InputError for a number out of range.
        """
        if preset not in learner.presets:
            raise UnknownNameError(f"preset of {learner.name}", preset, learner.presets)
        chosen = {**learner.training.get(preset, {}), **{name: value for name, value in given.items() if value is not None}}
        return cls(**{**chosen, "preset": preset})
