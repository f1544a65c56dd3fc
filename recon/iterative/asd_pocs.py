"""ASD-POCS: the least total variation among the volumes that fit the data to a tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...base.settings import Count, NotNegative, Positive, Whole, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from ..physics.noise import noise_level
from .os_sart import OsSartSolver
from .regularisers import tv_numba
from .solving.data_term import DataTerm, dot
from .solving.protocols import Values, Volume, f32
from .solving.setup import IterativeSettings, data_term, require_room, start_volume
from .solving.solve import solve


@checked(of="asd_pocs")
class AsdPocsSettings(IterativeSettings):
    """Settings of `asd_pocs`; the letters are those of Sidky and Pan (2008).

    ``epsilon``: the root mean square residual to allow, None: the noise of the data; ``beta``, ``beta_red``: relaxation of the data step
    and its decay; ``alpha``: the first TV step over the first data step; ``alpha_red``, ``r_max``: how TV steps shrink; ``n_grad``: TV
    steps an
    iteration; ``subset_views``: views in a subset of the data step.
    """

    epsilon: NotNegative | None = None
    beta: Positive = 1.0
    beta_red: Positive = 0.995
    alpha: Positive = 0.2
    alpha_red: Positive = 0.8
    r_max: Positive = 0.95
    n_grad: Whole = 10
    subset_views: Count = 4


@dataclass
class AsdPocsState:
    """All that a restart needs."""

    x: Volume
    beta: float
    tv_step: float | None = None
    count: int = 0


class AsdPocsSolver:
    """Sidky and Pan, Phys. Med. Biol. 53 (2008) 4777, section 2.5, with OS-SART as the data step."""

    def __init__(self, term: DataTerm, data_step: OsSartSolver, epsilon: float, settings: AsdPocsSettings) -> None:
        self.term, self.data_step, self.settings = term, data_step, settings
        self.allowed = epsilon * math.sqrt(term.data.size)
        self._p = np.zeros((3, *term.shape), np.float32)
        self._slope, self._spare = np.empty(term.shape, np.float32), np.empty(term.shape, np.float32)

    def start(self, x: Volume) -> AsdPocsState:
        """The state before the first step."""
        return AsdPocsState(x.copy(), self.settings.beta)

    def _tv_descent(self, x: Volume, length: float) -> None:
        """``n_grad`` steps of this length down the TV gradient, in place; differences below 1e-6 of the range count as flat."""
        bend = 1e-6 * max(float(x.max()) - float(x.min()), 1e-30)
        for _ in range(self.settings.n_grad):
            self._p.fill(0)
            tv_numba.ascend(self._p, x, f32(1 / bend), f32(1), f32(1))
            tv_numba.adjoint(self._p, self._slope)
            norm = math.sqrt(dot(self._slope, self._slope))
            if norm > 0:
                x -= f32(length / norm) * self._slope

    def step(self, s: AsdPocsState) -> Values:
        """One iteration: a data step, then TV descent no longer than it."""
        x, given = self._spare, self.settings
        np.copyto(x, s.x)
        squares = self.data_step.sweep(x, s.beta)
        moved = math.sqrt(_distance2(x, s.x))
        s.tv_step = given.alpha * moved if s.tv_step is None else s.tv_step
        middle = x.copy()
        self._tv_descent(x, s.tv_step)
        residual = math.sqrt(squares)
        if math.sqrt(_distance2(x, middle)) > given.r_max * moved and residual > self.allowed:
            s.tv_step *= given.alpha_red
        self.term.project(x)
        s.beta *= given.beta_red
        s.x, self._spare = x, s.x
        s.count += 1
        return {"residual": residual, "objective": tv_numba.tv(s.x), "tv_step": s.tv_step}


def _distance2(a: Volume, b: Volume) -> float:
    d = a - b
    return dot(d, d)


@method_function(AsdPocsSettings)
def asd_pocs(projections: Projections, grid: Grid, settings: AsdPocsSettings, callbacks: Sequence[Callback]) -> Volume:
    """The least total variation among the volumes that fit: [z, y, x] in 1/mm. The settings are those of `AsdPocsSettings`."""
    term = data_term(projections, grid, settings)
    require_room(term, 12, 0, "asd_pocs")
    epsilon = noise_level(projections) if settings.epsilon is None else settings.epsilon
    solver = AsdPocsSolver(term, OsSartSolver(term, settings.subset_views), epsilon, settings)
    state = solver.start(start_volume(projections, grid, settings, term))
    return solve(solver, state, settings.iterations or 40, callbacks, {"epsilon": epsilon})
