"""CGLS: conjugate gradients on the normal equations, stopped when the residual is what the noise explains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...base.settings import Array, NotNegative, Unbounded, checked
from .solving import DataTerm, IterativeSettings, Run, State, Values, Volume, copied, dot, iterative_method
from .solving.stopping import discrepancy

REFRESH = 25


@checked(of="cgls")
class CglsSettings(IterativeSettings):
    """Settings of `cgls`. Without ``iterations`` it makes at most 30, and fewer when the data are fitted to within their noise.

    ``noise`` is the standard deviation of a line integral (None: estimated from the data); the run stops when the root mean square of the
    residual is below ``tolerance * noise``. The method cannot keep bounds while it runs; finite ones are applied to the result.
    """

    lower: Unbounded = -math.inf
    start: Literal["fdk", "zero"] | Array = "zero"
    noise: NotNegative | None = None
    tolerance: NotNegative = 1.05


@dataclass
class CglsState(State):
    """All that a restart needs: the volume, its gradient A' W (b - A x), the direction, and the squares of residual and gradient."""

    gradient: Volume
    direction: Volume
    squares: float
    gamma: float


class CglsSolver:
    """Minimises ``|W^1/2 (A M x - b)|`` with M the mask, by conjugate gradients on the normal equations (Hestenes and Stiefel 1952).

    It keeps the gradient and not the residual, which would be as large as the data: the square of the residual follows from
    ``|r - alpha A d|^2 = |r|^2 - alpha |g|^2``. Every `REFRESH` iterations both are computed anew, before rounding errors add up.
    """

    def __init__(self, term: DataTerm) -> None:
        self.term = term

    def _exact(self, x: Volume) -> tuple[float, Volume]:
        data, slope = self.term.gradient(x)
        return 2 * data, self.term.masked(-slope)

    def start(self, x: Volume) -> CglsState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        squares, gradient = self._exact(x)
        return CglsState(copied(x), gradient, copied(gradient), squares, dot(gradient, gradient))

    def step(self, s: CglsState) -> Values:
        """One iteration. At the minimum (zero gradient) nothing changes."""
        s.count += 1
        if s.gamma > 0:
            along, curved = self.term.normal(s.direction)
            alpha = s.gamma / max(along, 1e-300)
            s.x = s.direction * alpha + s.x
            if s.count % REFRESH:
                s.gradient -= self.term.masked(curved) * alpha
                s.squares = max(s.squares - alpha * s.gamma, 0.0)
            else:
                s.squares, s.gradient = self._exact(s.x)
            before, s.gamma = s.gamma, dot(s.gradient, s.gradient)
            s.direction *= s.gamma / before
            s.direction += s.gradient
        return {"residual": math.sqrt(s.squares), "objective": 0.5 * s.squares, "gradient": math.sqrt(s.gamma)}


@iterative_method(CglsSettings)
def cgls(run: Run[CglsSettings]) -> Volume:
    """CGLS with early stopping: volume [z, y, x] in 1/mm. The settings are those of `CglsSettings`."""
    run.require_room(volumes=10)
    given = run.settings
    stop, told = discrepancy(run.projections, run.term, given.noise, given.tolerance)
    volume = run.solve(CglsSolver(run.term), given.iterations or 30, told, None if given.iterations else stop)
    return run.term.project(copied(volume))
