"""FISTA with a convex prior: accelerated proximal gradient steps that never raise the objective."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...base.settings import Count, checked
from .pdhg_tv import PdhgTvSolver
from .regularisers.priors import Denoiser, Dual, Prior, make_prior
from .solving import DataTerm, Run, State, Values, Volume, combined, copied, iterative_method
from .solving.step_sizes import largest_eigenvalue, next_momentum
from .solving.view_subsets import pace_of
from .tuning.prior_weight import PriorSettings, choose_lambda
from .tuning.reference_share import with_reference

ROUNDING = 1e-6  # objectives that differ by less are equal in single precision


@checked(of="fista_tv")
class FistaTvSettings(PriorSettings):
    """Settings of `fista_tv`. ``inner`` is the number of dual steps of the prior in each iteration."""

    inner: Count = 4


@dataclass
class FistaTvState(State):
    """The last two volumes, the gradients of the data term there, the momentum, and the dual variable of the prior."""

    before: Volume
    slope: Volume
    slope_before: Volume
    dual: Dual
    data_term: float
    objective: float
    momentum: float = 1.0


class FistaTvSolver:
    """Beck and Teboulle (2009) with the monotone rule: a step that would raise the objective is refused and the momentum reset.

    The gradient of the data term is an affine function of the volume, so its value at the extrapolated point is extrapolated as well. An
    iteration therefore costs one forward and one adjoint projection, both of its result, whose objective is then known exactly, and
    nothing as large as the data is kept. After a refused step comes one without momentum and with more steps of the prior.
    """

    def __init__(self, term: DataTerm, prior: Prior, weight: float, inner: int = 4, lipschitz: float | None = None) -> None:
        self.term, self.prior, self.weight, self.inner = term, prior, weight, inner
        self.lipschitz = largest_eigenvalue(term) if lipschitz is None else lipschitz
        self.denoise = Denoiser(prior, term.lower, term.upper, term.mask)

    def start(self, x: Volume) -> FistaTvState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        data, slope = self.term.gradient(x)
        return FistaTvState(copied(x), copied(x), slope, copied(slope), self.prior.dual(x), data, self._objective(data, x))

    def _objective(self, data: float, x: Volume) -> float:
        return data + (self.weight * self.prior.value(x) if self.weight else 0.0)

    def step(self, s: FistaTvState) -> Values:
        """One iteration."""
        momentum = next_momentum(s.momentum)
        beta = (s.momentum - 1) / momentum
        y, z = combined(1 + beta, s.x, -beta, s.before), combined(1 + beta, s.slope, -beta, s.slope_before)
        combined(1, y, -1 / self.lipschitz, z, out=y)
        steps = self.inner * (5 if s.momentum == 1.0 and s.count else 1)
        self.denoise.p = s.dual
        self.denoise(y, self.weight / self.lipschitz, steps, z)
        del y  # a volume less while the gradient is made
        data, slope = self.term.gradient(z)
        objective = self._objective(data, z)
        s.before, s.slope_before = s.x, s.slope
        if objective <= s.objective * (1 + ROUNDING) or not math.isfinite(objective):
            s.x, s.slope, s.data_term, s.objective, s.momentum = z, slope, data, objective, momentum
        else:
            s.momentum = 1.0
        s.count += 1
        return {"objective": s.objective, "residual": math.sqrt(2 * s.data_term)}


@iterative_method(FistaTvSettings)
def fista_tv(run: Run[FistaTvSettings]) -> Volume:
    """The volume [z, y, x] in 1/mm that minimises ``1/2 |A x - p|_W^2 + lambda prior(x)`` under the bounds; see `FistaTvSettings`."""
    run.require_room(volumes=14)
    given = run.settings
    prior = make_prior(given.prior, given.huber_delta)
    weight, told = choose_lambda(run, prior, PdhgTvSolver)
    prior, chosen = with_reference(run, prior, weight, PdhgTvSolver)
    iterations = given.iterations or math.ceil(100 / pace_of(len(run.projections)))
    return run.solve(FistaTvSolver(run.term, prior, weight, given.inner), iterations, {**told, **chosen})
