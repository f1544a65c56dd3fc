"""What a learning method tells the training loop, and what it is given: the contract between a network and `train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from ...base.shapes import Float, Int, Volume
from ...data import Projections
from ...geometry import Grid, Scan


@dataclass(frozen=True)
class Example:
    """One scan of one animal as a network sees it: all views, and the reference on the grid used for training.

    The detector is binned until a pixel at the axis is about as large as a voxel. ``reference`` is in 1/mm. ``fingerprint`` is the SHA-256
    of the files from which it was made; ``window`` (low, high) in 1/mm is the grey window of its data set, the same for all examples. An
    example that was mirrored (first) and turned by ``quarters`` of a turn says so, and what it was ``before``.
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
    """A network of type M and how it learns, with architectures of type A. Usually it is a frozen dataclass.

    Only the random ``generator`` and the weights of the module may change. The arrays of an `Example` are numpy; the device to work on is
    that of the module (``next(module.parameters()).device``). Randomness that torch draws by itself (dropout) is seeded for each step by
    the training loop.
    """

    @property
    def name(self) -> str:
        """The name of the method."""
        ...

    @property
    def presets(self) -> Mapping[str, A]:
        """Name -> architecture, a frozen dataclass of plain numbers. A checkpoint fits one architecture only."""
        ...

    @property
    def training(self) -> Mapping[str, Mapping[str, Any]]:
        """Preset -> the settings of `TrainSettings` that suit it, where they differ from the defaults."""
        ...

    def build(self, architecture: A, generator: Generator) -> M:
        """The module, with weights drawn from ``generator`` alone."""
        ...

    def groups(self, module: M) -> Mapping[str, Group]:
        """The optimisers as name -> (parameters, learning rate). They make their steps in this order, each on its own ``loss``.

        Most learners have one; a GAN has a discriminator and a generator. A third member, ``"rmsprop"``, asks for RMSprop (alpha 0.99)
        instead of Adam.
        """
        ...

    def loss(self, module: M, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The scalar loss of one example from the views ``given``, for one group."""
        ...

    def reconstruct(self, module: M, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """The volume in 1/mm from the given views alone. Validation scores it, and the method returns it, apart from data consistency."""
        ...


@runtime_checkable
class ScoringLearner(Learner[A, M], Protocol):
    """A learner that is not judged by the PSNR of its volume inside what every view sees."""

    def score(self, module: M, example: Example, given: Given, generator: Generator) -> float:
        """The score of a held-out animal; higher is better."""
        ...


@runtime_checkable
class BatchLearner(Learner[A, M], Protocol):
    """A learner whose loss of several scans is not the mean of their losses."""

    def batch_loss(self, module: M, batch: Sequence[tuple[Example, Given]], generator: Generator, group: str) -> Float[Tensor, ""]:
        """The scalar loss of all examples of a step, for one group."""
        ...


@runtime_checkable
class RenderingLearner(Learner[A, M], Protocol):
    """A learner that renders views by optics of its own, which need not be the line integrals of its volume."""

    def rendering(self, module: M, projections: Projections, grid: Grid, generator: Generator) -> Float[NDArray[np.float32], "row col"]:
        """The one given view (line integrals) as the method renders it after it has seen it, as the published code scores it."""
        ...


@runtime_checkable
class GenerativeLearner(Learner[A, M], Protocol):
    """A learner that invents objects."""

    def samples(self, module: M, scan: Scan, n: int, generator: Generator) -> Float[NDArray[np.float32], "n row col"]:
        """X-rays (line integrals) of ``n`` objects that it invents."""
        ...
