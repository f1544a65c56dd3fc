"""The sizes of a MedNeRF, and how each is trained: the published ones, small ones for a CPU, and both with the published optics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ...base.settings import Count, NotNegative, Positive, checked
from .dag import policy
from .optics import Optics
from .perceptual import distance

Share = Annotated[float, Field(gt=0, le=1)]


def _known(find: Callable[[str], object]) -> AfterValidator:
    """The text as it is, if ``find`` knows it."""

    def check(name: str) -> str:
        find(name)
        return name

    return AfterValidator(check)


@checked(of="mednerf")
class Architecture:
    """The sizes of generator and discriminator, and what they see.

    The generator has ``layers`` x ``width``, the input again after ``skip``, ``octaves`` of sines, and codes. The discriminator has
    ``base`` channels, and batch norm if ``normed``. There are ``samples`` points on a ray and ``patches`` patches in a step, each of which
    spans a share of the image; the least share falls exponentially from 1 to ``least_share``, at rate ``anneal`` per step.

    ``posed`` shows the discriminator the ray of each pixel beside its value. Without it, it judges images alone, and generated ones are
    taken from random poses of the scan. ``rendering`` is "line", or "composite" for `table2-compat`; ``window`` is the line integral for
    white; ``perceptual`` names the distance of images, "lpips" as published; ``average`` is the memory of the averaged generator.

    ``patches`` are those of one animal; the batch of the training takes several. ``hinge`` is "each" verdict's or, as published, that of
    their "mean". ``noise`` is the standard deviation of what is added to the density before its activation in the first step; it falls
    linearly to 0 in ``quiet_after`` steps.
    """

    layers: Count = 8
    width: Count = 256
    skip: int = 5
    octaves: Count = 10
    shape_code: Count = 128
    appearance_code: Count = 128
    base: Annotated[int, Field(ge=1, multiple_of=4, description="a multiple of 4")] = 64
    normed: bool = True
    samples: Count = 64
    patches: Count = 8
    least_share: Share = 0.25
    anneal: NotNegative = 0.0025
    posed: bool = True
    rendering: Literal["line", "composite"] = "line"
    window: Positive = 1.0
    augmentations: Annotated[str, _known(policy)] = "fliprot"
    perceptual: Annotated[str, _known(distance)] = "random-features"
    average: Share = 0.999
    hinge: Literal["each", "mean"] = "each"
    noise: NotNegative = 0.0
    quiet_after: Count = 5000
    generator_rate: Positive = 5e-4
    discriminator_rate: Positive = 1e-4

    @property
    def optics(self) -> Optics:
        """The optics with which objects are seen."""
        return Optics(self.samples, self.rendering, self.window)


_SMALL = Architecture(
    layers=4, width=64, skip=2, octaves=5, shape_code=32, appearance_code=16, base=32, normed=False, samples=32, patches=4,
    least_share=0.5, anneal=0.005, generator_rate=1e-3, discriminator_rate=4e-4,
)  # fmt: skip
PRESETS: Mapping[str, Architecture] = {
    "paper": Architecture(),
    "small": _SMALL,
    "paper-unposed": replace(Architecture(), posed=False),
    "small-unposed": replace(_SMALL, posed=False),
    "paper-optical": replace(Architecture(), posed=False, rendering="composite"),  # as published, for `table2-compat` only
    "small-optical": replace(_SMALL, posed=False, rendering="composite"),
    "published": replace(  # what differs all the same: docs/as_published.md
        Architecture(), posed=False, rendering="composite", patches=1, hinge="mean", noise=1.0, perceptual="lpips"
    ),
    "xray": Architecture(),
}
_TRAINING: dict[str, dict[str, Any]] = {
    "small": {"steps": 1500, "views": (26,), "augment": "none", "schedule": "constant", "check_every": 250, "check_views": (26,)},
    "paper": {"steps": 100_000, "views": (72,), "augment": "none", "schedule": "constant", "check_every": 5000, "check_views": (72,)},
}
TRAINING: Mapping[str, Mapping[str, Any]] = {
    f"{name}{kind}": given for name, given in _TRAINING.items() for kind in ("", "-unposed", "-optical")
} | {"published": {**_TRAINING["paper"], "batch": 8, "schedule": "halving"}, "xray": _TRAINING["paper"]}
