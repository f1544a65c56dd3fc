"""CGLS: conjugate gradients on the normal equations, stopped when the residual is what the noise explains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Projections
from ..geometry import Grid
from .loop import iterate
from .method import Callback, Method
from .problem import Common, Problem, build, check_number, dot, start_volume

Volume = NDArray[np.float32]
f32 = np.float32


@dataclass(frozen=True)
class Cgls(Common):
    """Settings of `cgls`. ``iterations`` None: at most 30, fewer when the discrepancy principle says so.

    ``noise``: standard deviation of a line integral, None: estimated from the data; ``tolerance``: stop when the residual's root mean
    square is
    below ``tolerance * noise``. The method knows no bounds while it runs; finite ones are applied to the result.
    """

    lower: float = -math.inf
    start: str | NDArray[Any] = "zero"
    noise: float | None = None
    tolerance: float = 1.05


@dataclass
class CglsState:
    """All that a restart needs: the volume, its residual b - A x, the search direction, and the squared gradient."""

    x: Volume
    residual: NDArray[np.float32]
    direction: Volume
    gamma: float
    count: int = 0


class CglsSolver:
    """Minimises ``|W^1/2 (A M x - b)|`` with M the mask (Hestenes and Stiefel 1952; Bjorck 1996, algorithm 7.4.1)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._spare = np.empty(problem.shape, np.float32)

    def _gradient(self, residual: NDArray[np.float32]) -> Volume:
        g = self.problem.A.T(np.ascontiguousarray(self.problem.weighted(residual)))
        return g if self.problem.mask is None else g * self.problem.mask

    def start(self, x: Volume) -> CglsState:
        """The state before the first step."""
        residual = -self.problem.residual(x)
        gradient = self._gradient(residual)
        return CglsState(x.copy(), residual, gradient.copy(), dot(gradient, gradient))

    def step(self, s: CglsState) -> Mapping[str, float]:
        """One iteration. At the minimum (zero gradient) nothing changes."""
        if s.gamma > 0:
            along = self.problem.A(s.direction)
            alpha = s.gamma / max(2 * self.problem.data_term(along), 1e-300)
            np.multiply(s.direction, f32(alpha), out=self._spare)
            self._spare += s.x
            s.x, self._spare = self._spare, s.x
            s.residual -= f32(alpha) * along
            gradient = self._gradient(s.residual)
            gamma = dot(gradient, gradient)
            s.direction *= f32(gamma / s.gamma)
            s.direction += gradient
            s.gamma = gamma
        s.count += 1
        data = self.problem.data_term(s.residual)
        return {"residual": math.sqrt(2 * data), "objective": data, "gradient": math.sqrt(s.gamma)}


def run(projections: Projections, grid: Grid, settings: Cgls, callbacks: Sequence[Callback] = ()) -> Volume:
    """CGLS with early stopping; see `Cgls` for the settings."""
    from .noise import noise_level

    check_number("noise", settings.noise)
    check_number("tolerance", settings.tolerance)
    problem = build(projections, grid, settings)
    solver = CglsSolver(problem)
    state = solver.start(start_volume(projections, grid, settings, problem))
    sigma = noise_level(projections, problem.weights) if settings.noise is None else float(settings.noise)
    enough = settings.tolerance * sigma * math.sqrt(problem.data.size)

    def stop(values: Mapping[str, float]) -> str | None:
        return "the residual is what the noise explains (discrepancy principle)" if values["residual"] <= enough else None

    told = {"noise": sigma, "residual_wanted": enough}
    volume = iterate(
        lambda: solver.step(state),
        state,
        settings.iterations or 30,
        callbacks,
        resolved=told,
        stop=stop if settings.iterations is None else None,
    )
    return problem.project(volume.copy())


METHOD: Any = Method("cgls", run, Cgls, reference="Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409")
