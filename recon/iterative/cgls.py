"""CGLS: conjugate gradients on the normal equations, stopped when the residual is what the noise explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...base.settings import Array, NotNegative, Unbounded, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from ..physics.noise import noise_level
from .solving.data_term import DataTerm, dot
from .solving.protocols import Values, Volume, f32
from .solving.setup import IterativeSettings, data_term, require_room, start_volume
from .solving.solve import solve

REFRESH = 25


@checked(of="cgls")
class CglsSettings(IterativeSettings):
    """Settings of `cgls`. ``iterations`` None: at most 30, fewer when the discrepancy principle says so.

    ``noise``: standard deviation of a line integral, None: estimated from the data; ``tolerance``: stop when the residual's root mean
    square is
    below ``tolerance * noise``. The method knows no bounds while it runs; finite ones are applied to the result.
    """

    lower: Unbounded = -math.inf
    start: Literal["fdk", "zero"] | Array = "zero"
    noise: NotNegative | None = None
    tolerance: NotNegative = 1.05


@dataclass
class CglsState:
    """All that a restart needs: the volume, its gradient A' W (b - A x), the direction, and the squares of residual and gradient."""

    x: Volume
    gradient: Volume
    direction: Volume
    squares: float
    gamma: float
    count: int = 0


class CglsSolver:
    """Minimises ``|W^1/2 (A M x - b)|`` with M the mask, by conjugate gradients on the normal equations (Hestenes and Stiefel 1952).

    It keeps the gradient, not the residual, whose square follows from ``|r - alpha A d|^2 = |r|^2 - alpha |g|^2``: nothing of the
    data's size. Every `REFRESH` iterations both are computed afresh, before rounding adds up.
    """

    def __init__(self, term: DataTerm) -> None:
        self.term = term
        self._spare = np.empty(term.shape, np.float32)

    def _masked(self, slope: Volume) -> Volume:
        return slope if self.term.mask is None else np.multiply(slope, self.term.mask, out=slope)

    def _exact(self, x: Volume) -> tuple[float, Volume]:
        data, slope = self.term.gradient(x)
        return 2 * data, self._masked(np.negative(slope, out=slope))

    def start(self, x: Volume) -> CglsState:
        """The state before the first step."""
        squares, gradient = self._exact(x)
        return CglsState(x.copy(), gradient, gradient.copy(), squares, dot(gradient, gradient))

    def step(self, s: CglsState) -> Values:
        """One iteration. At the minimum (zero gradient) nothing changes."""
        if s.gamma > 0:
            along, curved = self.term.normal(s.direction)
            alpha = s.gamma / max(along, 1e-300)
            np.multiply(s.direction, f32(alpha), out=self._spare)
            self._spare += s.x
            s.x, self._spare = self._spare, s.x
            if (s.count + 1) % REFRESH:
                s.gradient -= np.multiply(self._masked(curved), f32(alpha), out=curved)
                s.squares = max(s.squares - alpha * s.gamma, 0.0)
            else:
                s.squares, s.gradient = self._exact(s.x)
            gamma = dot(s.gradient, s.gradient)
            s.direction *= f32(gamma / s.gamma)
            s.direction += s.gradient
            s.gamma = gamma
        s.count += 1
        return {"residual": math.sqrt(s.squares), "objective": 0.5 * s.squares, "gradient": math.sqrt(s.gamma)}


@method_function(CglsSettings)
def cgls(projections: Projections, grid: Grid, settings: CglsSettings, callbacks: Sequence[Callback]) -> Volume:
    """CGLS with early stopping: volume [z, y, x] in 1/mm. The settings are those of `CglsSettings`."""
    term = data_term(projections, grid, settings)
    require_room(term, 10, 0, "cgls")
    solver = CglsSolver(term)
    state = solver.start(start_volume(projections, grid, settings, term))
    sigma = noise_level(projections, term.weights) if settings.noise is None else settings.noise
    enough = settings.tolerance * sigma * math.sqrt(term.data.size)

    def stop(values: Values) -> str | None:
        return "the residual is what the noise explains (discrepancy principle)" if values["residual"] <= enough else None

    told = {"noise": sigma, "residual_wanted": enough}
    volume = solve(solver, state, settings.iterations or 30, callbacks, told, stop if settings.iterations is None else None)
    return term.project(volume.copy())
