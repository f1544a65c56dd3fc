"""ASD-POCS: the least total variation among the volumes that fit the data to a tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...base.settings import Count, NotNegative, Positive, Whole, checked
from ..physics.noise import noise_level
from .os_sart import OsSartSolver
from .regularisers.tv_descent import descend_tv
from .regularisers.tv_kernels import kernels_of
from .solving import DataTerm, IterativeSettings, Run, State, Values, Volume, copied, dot, iterative_method


@checked(of="asd_pocs")
class AsdPocsSettings(IterativeSettings):
    """Settings of `asd_pocs`, named as in Sidky and Pan (2008).

    ``epsilon`` is the root mean square residual that is allowed (None: the noise of the data). ``beta`` is the relaxation of the data step,
    which is multiplied by ``beta_red`` after each iteration; a data step takes ``subset_views`` views at a time. ``n_grad`` steps down the
    gradient of the total variation follow it. The first of them is ``alpha`` times as long as the first data step; they shrink by
    ``alpha_red`` whenever they undo more than ``r_max`` of a data step and the residual is still too large.
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
class AsdPocsState(State):
    """The volume, the relaxation of the next data step, and the length of its TV steps."""

    beta: float
    tv_step: float | None = None


class AsdPocsSolver:
    """Sidky and Pan, Phys. Med. Biol. 53 (2008) 4777, section 2.5, with OS-SART as the data step."""

    def __init__(self, term: DataTerm, data_step: OsSartSolver, epsilon: float, settings: AsdPocsSettings) -> None:
        self.term, self.data_step, self.settings = term, data_step, settings
        self.allowed = epsilon * math.sqrt(term.rays)

    def start(self, x: Volume) -> AsdPocsState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        return AsdPocsState(copied(x), self.settings.beta)

    def step(self, s: AsdPocsState) -> Values:
        """One iteration: a data step, then TV descent no longer than it."""
        fitted, given = copied(s.x), self.settings
        residual = math.sqrt(self.data_step.sweep(fitted, s.beta))
        moved = _distance(fitted, s.x)
        s.tv_step = given.alpha * moved if s.tv_step is None else s.tv_step
        x = descend_tv(fitted, given.n_grad, s.tv_step)
        if _distance(x, fitted) > given.r_max * moved and residual > self.allowed:
            s.tv_step *= given.alpha_red
        s.x, s.beta, s.count = self.term.project(x), s.beta * given.beta_red, s.count + 1
        return {"residual": residual, "objective": kernels_of(s.x).tv(s.x), "tv_step": s.tv_step}


def _distance(a: Volume, b: Volume) -> float:
    d = a - b
    return math.sqrt(dot(d, d))


@iterative_method(AsdPocsSettings)
def asd_pocs(run: Run[AsdPocsSettings]) -> Volume:
    """The least total variation among the volumes that fit: [z, y, x] in 1/mm. The settings are those of `AsdPocsSettings`."""
    run.require_room(volumes=12)
    given = run.settings
    epsilon = noise_level(run.projections) if given.epsilon is None else given.epsilon
    solver = AsdPocsSolver(run.term, OsSartSolver(run.term, given.subset_views), epsilon, given)
    return run.solve(solver, given.iterations or 40, {"epsilon": epsilon})
