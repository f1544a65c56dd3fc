"""What a method that learns tells the training loop, and what it is given: the one contract between a network and `train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from ...base.shapes import Volume
from ...data import Projections
from ...geometry import Grid, Scan


@dataclass(frozen=True)
class Example:
    """One scan of one animal as a network sees it: all views, and the reference on the grid that is trained on.

    The detector is binned until a pixel at the axis is about as large as a voxel. ``reference`` [z, y, x] is in 1/mm. ``fingerprint`` is
    the SHA-256 of the files it came from; ``window`` (low, high) in 1/mm the grey window of its data set, the same for all of them.
    A scan that was mirrored (first) and turned by ``quarters`` of a turn says so, and what it was ``before``.
    """

    name: str
    animal: str
    projections: Projections
    grid: Grid
    reference: Volume
    fingerprint: str = ""
    window: tuple[float, float] = (0.0, 0.3)
    before: Example | None = None
    quarters: int = 0
    mirror: bool = False


Group = tuple[list[nn.Parameter], float] | tuple[list[nn.Parameter], float, str]


M = TypeVar("M", bound=nn.Module)
A = TypeVar("A")
Given = Int[NDArray[np.intp], "view"]


@runtime_checkable
class Learner(Protocol[A, M]):
    """A network of type M and how it learns; its architectures of type A. Usually a frozen dataclass.

    Nothing but the random ``generator`` and the module's own weights may change. Arrays of an `Example` are numpy; the module says on which
    device to work (``next(module.parameters()).device``). Randomness that torch draws by itself (dropout) is seeded a step at a time by
    the training loop.
    """

    @property
    def name(self) -> str:
        """The name of the method."""
        ...

    @property
    def presets(self) -> Mapping[str, A]:
        """Name -> architecture, a frozen dataclass of plain numbers: a checkpoint fits this architecture and no other."""
        ...

    @property
    def training(self) -> Mapping[str, Mapping[str, Any]]:
        """Preset -> settings of `TrainSettings` that suit it, where they differ from the defaults."""
        ...

    def build(self, architecture: A, generator: Generator) -> M:
        """The module, its weights drawn from ``generator`` alone."""
        ...

    def groups(self, module: M) -> Mapping[str, Group]:
        """The optimisers: name -> (parameters, learning rate), stepped in this order, each on its own ``loss``.

        One for most; a discriminator and a generator for a GAN. A third member, ``"rmsprop"``, asks for RMSprop (alpha 0.99) instead of
        Adam.
        """
        ...

    def loss(self, module: M, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The scalar loss of one example from the views ``given``, for one group."""
        ...

    def reconstruct(self, module: M, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """The volume in 1/mm from given views alone: what validation scores and, but for data consistency, what the method returns."""
        ...


@runtime_checkable
class ScoringLearner(Learner[A, M], Protocol):
    """One that is not judged by the PSNR of its volume inside what every view sees."""

    def score(self, module: M, example: Example, given: Given, generator: Generator) -> float:
        """Of a held-out animal; higher is better."""
        ...


@runtime_checkable
class GenerativeLearner(Learner[A, M], Protocol):
    """One that invents objects."""

    def samples(self, module: M, scan: Scan, n: int, generator: Generator) -> Float[NDArray[np.float32], "n row col"]:
        """X-rays (line integrals) of ``n`` objects that it invents."""
        ...
