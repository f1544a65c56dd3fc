"""What a method that learns tells the training loop, and what it is given: the one contract between a network and `train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

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
    reference: Float[NDArray[np.float32], "z y x"]
    fingerprint: str = ""
    window: tuple[float, float] = (0.0, 0.3)
    before: Example | None = None
    quarters: int = 0
    mirror: bool = False


Group = tuple[list[nn.Parameter], float] | tuple[list[nn.Parameter], float, str]


@dataclass(frozen=True)
class Learner:
    """A network and how it learns. All functions are pure but for the random ``Generator`` and the module's own weights.

    * ``presets`` name -> architecture, a frozen dataclass of plain numbers: a checkpoint fits this architecture and no other.
    * ``build(architecture, generator)`` makes the module, weights drawn from ``generator`` alone.
    * ``groups(module)`` names the optimisers: name -> (parameters, learning rate), stepped in this order, each on its own ``loss``. One for
      most; a discriminator and a generator for a GAN. A third member, ``"rmsprop"``, asks for RMSprop (alpha 0.99) instead of Adam.
    * ``loss(module, example, given, generator, group)`` is the scalar loss of one example from the views ``given``, for one group.
    * ``reconstruct(module, projections, grid, generator)`` is the volume from given views alone, a tensor [z, y, x] in 1/mm: what
      validation scores and, but for data consistency, what the registered method returns.
    * ``training`` preset -> settings of `TrainSettings` that suit it, where they differ from the defaults.
    * ``samples(module, scan, n, generator)``, of a generative network: ``n`` X-rays [n, row, col] (line integrals) of objects it invents.
    * ``score(module, example, given, generator)`` of a held-out animal, higher is better; None: PSNR of `reconstruct` inside what every
      view sees.

    Arrays of an `Example` are numpy; the module says on which device to work (``next(module.parameters()).device``). Randomness that
    torch draws by itself (dropout) is seeded a step at a time by the training loop.
    """

    name: str
    presets: Mapping[str, Any]
    build: Callable[[Any, Generator], nn.Module]
    groups: Callable[[nn.Module], Mapping[str, Group]]
    loss: Callable[[nn.Module, Example, Int[NDArray[np.intp], "view"], Generator, str], Float[Tensor, ""]]
    reconstruct: Callable[[nn.Module, Projections, Grid, Generator], Float[Tensor, "z y x"]]
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    score: Callable[[nn.Module, Example, Int[NDArray[np.intp], "view"], Generator], float] | None = None
    samples: Callable[[nn.Module, Scan, int, Generator], Float[NDArray[np.float32], "n row col"]] | None = None
