"""What the parts of an iterative method are to one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...projector.view_blocks import Block, Linear

__all__ = ["Block", "Linear", "Part", "S", "Sinogram", "Solver", "State", "Values", "Volume", "f32"]

f32 = np.float32
Volume = NDArray[np.float32]  # [z, y, x], 1/mm
Sinogram = NDArray[np.float32]  # [view, row, col], line integrals
Values = Mapping[str, float]  # what a step tells: "residual", the norm of A x - b that it saw, and more
Part = Callable[[NDArray[np.intp]], Linear]  # views -> the operator of these alone


@runtime_checkable
class State(Protocol):
    """All that a restart needs: ``x`` is the volume after ``count`` steps.

    A step writes the next volume elsewhere and then swaps the two, so that ``x`` is always whole.
    """

    x: Volume
    count: int


S = TypeVar("S", bound=State)


@runtime_checkable
class Solver(Protocol[S]):
    """A method without its loop: the state before the first step, and one step, which advances the state in place."""

    def start(self, x: Volume, /) -> S:
        """The state before the first step, from the volume to begin with (which is copied)."""
        ...

    def step(self, s: S, /) -> Values:
        """One iteration."""
        ...
