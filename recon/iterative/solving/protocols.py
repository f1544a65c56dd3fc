"""What a solver is, and the state that it advances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...projector.view_blocks import Linear
from ..arrays import Volume

Values = Mapping[str, float]  # what a step reports: "residual", the norm of the A x - b that it computed, and more
Part = Callable[[NDArray[np.intp]], Linear]  # views -> the operator of these alone


@dataclass
class State:
    """All that a restart needs: ``x`` is the volume [z, y, x] after ``count`` steps. Solvers that need more add their own.

    A step puts a new array in the place of ``x`` and leaves the old one as it is, so that ``x`` is whole at any time.
    """

    x: Volume
    count: int = field(default=0, kw_only=True)


S = TypeVar("S", bound=State)


@runtime_checkable
class Solver(Protocol[S]):
    """A method without its loop: the state before the first step, and one step, which changes the state."""

    def start(self, x: Volume, /) -> S:
        """The state before the first step, from the volume [z, y, x] in 1/mm to begin with (which is copied)."""
        ...

    def step(self, s: S, /) -> Values:
        """One iteration; ``count`` goes up by one."""
        ...
