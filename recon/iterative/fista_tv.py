"""FISTA with a convex prior: accelerated proximal gradient, never uphill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base.settings import Count, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from .pdhg_tv import PdhgTvSolver
from .regularisers import tv_numba
from .regularisers.priors import Denoiser, Prior, make_prior
from .solving.data_term import DataTerm, largest_eigenvalue
from .solving.protocols import Values, Volume, f32
from .solving.setup import data_term, require_room, start_volume
from .solving.solve import solve
from .tuning.prior_weight import PriorSettings, choose_lambda

ROUNDING = 1e-6  # objectives that differ by less are equal in single precision


@checked(of="fista_tv")
class FistaTvSettings(PriorSettings):
    """Settings of `fista_tv`. ``inner``: dual steps of the prior in each iteration."""

    inner: Count = 4


@dataclass
class FistaTvState:
    """All that a restart needs: iterates, the gradients of the data term there, momentum, and the dual variable of the prior."""

    x: Volume
    before: Volume
    slope: Volume
    slope_before: Volume
    dual: NDArray[np.float32]
    data_term: float
    objective: float
    momentum: float = 1.0
    count: int = 0


class FistaTvSolver:
    """Beck and Teboulle (2009) with the monotone rule: a step that would raise the objective is refused and the momentum reset.

    The gradient of the data term is affine, so that at the extrapolated point is extrapolated too: an iteration costs one forward and one
    adjoint, both at its result, whose objective it then knows exactly; and nothing of the data's size is kept. A refused step is followed
    by one without momentum and with more steps of the prior.
    """

    def __init__(self, term: DataTerm, prior: Prior, weight: float, inner: int = 4, lipschitz: float | None = None) -> None:
        self.term, self.prior, self.weight, self.inner = term, prior, weight, inner
        self.lipschitz = largest_eigenvalue(term) if lipschitz is None else lipschitz
        self.denoise = Denoiser(prior, term.shape, term.lower, term.upper, term.mask)
        self._z, self._y = np.empty(term.shape, np.float32), np.empty(term.shape, np.float32)

    def start(self, x: Volume) -> FistaTvState:
        """The state before the first step."""
        data, slope = self.term.gradient(x)
        dual = self.prior.dual(self.term.shape)
        return FistaTvState(x.copy(), x.copy(), slope, slope.copy(), dual, data, data + self._penalty(x))

    def _penalty(self, x: Volume) -> float:
        return self.weight * self.prior.value(x) if self.weight else 0.0

    def step(self, s: FistaTvState) -> Values:
        """One iteration; the state is advanced in place."""
        t = (1 + math.sqrt(1 + 4 * s.momentum**2)) / 2
        beta = (s.momentum - 1) / t
        fresh = s.momentum == 1.0
        y = _extrapolate(s.x, s.before, beta, self._y)
        slope = _extrapolate(s.slope, s.slope_before, beta, self._z)
        tv_numba.combine(f32(1), y.ravel(), f32(-1 / self.lipschitz), slope.ravel(), y.ravel())
        self.denoise.p = s.dual
        self.denoise(y, self.weight / self.lipschitz, self.inner * (5 if fresh and s.count else 1), self._z)
        data, slope = self.term.gradient(self._z)
        objective = data + self._penalty(self._z)
        s.count += 1
        if objective <= s.objective * (1 + ROUNDING) or not math.isfinite(objective):
            s.before, s.x, self._z = s.x, self._z, s.before
            s.slope_before, s.slope = s.slope, slope
            s.data_term, s.objective, s.momentum = data, objective, t
        else:
            s.before[...] = s.x
            s.slope_before[...] = s.slope
            s.momentum = 1.0
        return {"objective": s.objective, "residual": math.sqrt(2 * s.data_term)}


def _extrapolate(x: Volume, before: Volume, beta: float, out: Volume) -> Volume:
    tv_numba.combine(f32(1 + beta), x.ravel(), f32(-beta), before.ravel(), out.ravel())
    return out


@method_function(FistaTvSettings)
def fista_tv(projections: Projections, grid: Grid, settings: FistaTvSettings, callbacks: Sequence[Callback]) -> Volume:
    """The volume [z, y, x] in 1/mm that minimises ``1/2 |A x - p|_W^2 + lambda prior(x)`` under the bounds; see `FistaTvSettings`."""
    prior = make_prior(settings.prior, settings.huber_delta)
    term = data_term(projections, grid, settings)
    require_room(term, 14, 0, "fista_tv")
    weight, told = choose_lambda(projections, grid, settings, term, prior, PdhgTvSolver)
    solver = FistaTvSolver(term, prior, weight, settings.inner)
    state = solver.start(start_volume(projections, grid, settings, term))
    return solve(solver, state, settings.iterations or 100, callbacks, told)
