"""The sizes of a MedNeRF, and how each is trained: the published ones, small ones for a CPU, and both with the published optics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...base import InputError, UnknownNameError
from .dag import policy
from .graf import RENDERINGS
from .optics import Optics
from .perceptual import distance


@dataclass(frozen=True)
class Architecture:
    """Generator (``layers`` x ``width``, input again after ``skip``, ``octaves`` of sines, codes), discriminator (``base`` channels, batch
    norm if ``normed``), and what they see: ``samples`` points a ray, ``patches`` a step, each spanning a share of the image from
    ``least_share`` (reached from 1 exponentially, at rate ``anneal`` a step) to 1.

    ``posed`` shows the discriminator each pixel's ray beside its value; unposed, it judges images alone, and generated ones are taken
    from random poses of the scan. ``rendering`` "line", or "composite" for `table2-compat`; ``window`` is the line integral that white
    stands for; ``perceptual`` names the distance in place of LPIPS; ``average`` is the memory of the averaged generator.
    """

    layers: int = 8
    width: int = 256
    skip: int = 5
    octaves: int = 10
    shape_code: int = 128
    appearance_code: int = 128
    base: int = 64
    normed: bool = True
    samples: int = 64
    patches: int = 8
    least_share: float = 0.25
    anneal: float = 0.0025
    posed: bool = True
    rendering: str = "line"
    window: float = 1.0
    augmentations: str = "fliprot"
    perceptual: str = "random-features"
    average: float = 0.999
    generator_rate: float = 5e-4
    discriminator_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.rendering not in RENDERINGS:
            raise UnknownNameError("rendering", self.rendering, RENDERINGS)
        policy(self.augmentations)
        distance(self.perceptual)
        whole = ("layers", "width", "octaves", "shape_code", "appearance_code", "base", "samples", "patches")
        for name in (*whole, "window", "generator_rate", "discriminator_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0) or (name in whole and value != int(value)):
                raise InputError(f"{name} of mednerf is {value}", expected=f"a {'whole ' if name in whole else ''}number above 0")
        for name in ("least_share", "average"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} of mednerf is {getattr(self, name)}", expected="more than 0, at most 1")
        if self.base % 4:
            raise InputError(f"base of mednerf is {self.base}", expected="a multiple of 4")

    @property
    def optics(self) -> Optics:
        """How objects are seen."""
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
}
_TRAINING: dict[str, dict[str, Any]] = {
    "small": {"steps": 1500, "views": (26,), "augment": "none", "schedule": "constant", "check_every": 250, "check_views": (26,)},
    "paper": {"steps": 100_000, "views": (72,), "augment": "none", "schedule": "constant", "check_every": 5000, "check_views": (72,)},
}
TRAINING: Mapping[str, Mapping[str, Any]] = {
    f"{name}{kind}": given for name, given in _TRAINING.items() for kind in ("", "-unposed", "-optical")
}
