"""`wcrr`: total variation first, then a learned ridge prior from there, and the mean of the two."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ...base.settings import NotNegative, Positive, checked
from ..iterative.pdhg_tv import PdhgTvSettings, PdhgTvSolver
from ..iterative.regularisers.priors import TotalVariation
from ..iterative.solving import DataTerm, IterativeSettings, Run, State, Values, Volume, combined, copied, iterative_method
from ..iterative.solving.solve import solve
from ..iterative.tuning.held_out import split
from ..iterative.tuning.prior_weight import choose_lambda
from .filters import grey_scale
from .prior import RidgePrior
from .solver import RidgeSolver, RidgeState, mean_curvature
from .weights import RidgeWeights, read_weights

TV_STEPS, TRIAL_STEPS, ITERATIONS = 40, 12, 30
SIGMA, STRENGTH = 0.25, 0.55  # the best of those tried on heads, legs, a tooth and a chest of 32^3 voxels; see docs/wcrr.md
WORSE = 0.1  # held-out views tell which of two good volumes is better no finer than this; beyond it something is wrong with the prior


@checked(of="wcrr")
class WcrrSettings(IterativeSettings):
    """Settings of `wcrr`. ``lambda_`` is the weight of the prior, 1 being what would remove white noise of the level ``sigma``, a share of
    the grey scale of the body, from a volume. ``share`` is that of the prior's volume in the result; the rest is total variation. ``tv`` is
    the weight of that, as for `pdhg_tv`; None: chosen from the data.
    """

    lambda_: NotNegative = STRENGTH
    sigma: Positive = SIGMA
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    tv: NotNegative | None = None


@dataclass
class WcrrState(State):
    """The volume that is shown, and the state of the solver of the ridge prior."""

    inner: RidgeState


class WcrrSolver:
    """The steps of `RidgeSolver`, seen from a first volume [z, y, x] in 1/mm: of each result the ``share`` is added to the rest of that."""

    def __init__(self, ridge: RidgeSolver, first: Volume, share: float) -> None:
        self.ridge, self.first, self.share = ridge, first, share

    def start(self, x: Volume) -> WcrrState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        return WcrrState(copied(x), self.ridge.start(x))

    def step(self, s: WcrrState) -> Values:
        """One iteration; the values are those of the ridge prior's own volume."""
        values = self.ridge.step(s.inner)
        s.x = combined(1 - self.share, self.first, self.share, s.inner.x)
        s.count += 1
        return values


@iterative_method(WcrrSettings)
def wcrr(run: Run[WcrrSettings]) -> Volume:
    """The mean of two volumes [z, y, x] in 1/mm: total variation, and what a learned prior R makes of it; see `WcrrSettings`.

    The second minimises ``1/2 |A x - p|_W^2 + lambda s^2 R(x / s)`` under the bounds. R is the weakly convex ridge prior with the weights
    that come with fewview, s the grey scale of the body. Both fit the data and they err differently, so that their mean is better than the
    worse of them. Where it predicts held-out views far worse than total variation alone, the result is that, as ``prior`` in the record
    says.
    """
    given, weights = run.settings, read_weights()
    run.require_room(volumes=18, rays=1)
    smooth = PdhgTvSolver(run.term, TotalVariation(), 0.0)
    smooth.weight, found = choose_lambda(_tv_of(run), smooth.prior, PdhgTvSolver, smooth.norm)
    told = {f"tv_{name.removesuffix('_')}": value for name, value in found.items()}
    works, judged = _judged(run, weights, smooth.weight) if given.tv is None else (True, {"prior": "ridge"})
    told |= judged
    steps = max(1, round(TV_STEPS / smooth.pace))
    if not works:
        return run.solve(smooth, steps, told)
    first = solve(smooth, smooth.start(run.start()), steps)
    solver = wcrr_solver(run.term, weights, given, first)
    return solve(solver, solver.start(first), given.iterations or ITERATIONS, run.callbacks, {**told, "grey_scale": solver.ridge.unit})


def wcrr_solver(term: DataTerm, weights: RidgeWeights, given: WcrrSettings, first: Volume) -> WcrrSolver:
    """The solver for these settings, on the grey scale of a first volume [z, y, x] in 1/mm."""
    prior = RidgePrior(weights, given.sigma, first)
    ridge = RidgeSolver(term, prior, given.lambda_ * mean_curvature(term), grey_scale(first) or 1.0)
    return WcrrSolver(ridge, first, given.share)


def _tv_of(run: Run[WcrrSettings]) -> Run[PdhgTvSettings]:
    """The same run for `pdhg_tv`."""
    shared = {f.name: getattr(run.settings, f.name) for f in dataclasses.fields(IterativeSettings)}
    return Run(run.name, run.projections, run.grid, PdhgTvSettings(**shared, lambda_=run.settings.tv), run.callbacks, run.term)


def _judged(run: Run[WcrrSettings], weights: RidgeWeights, tv_weight: float) -> tuple[bool, dict[str, Any]]:
    """Whether the prior is of use for this scan, and what to tell of that.

    A smaller copy of the scan is reconstructed from a part of its views by total variation, and from there with the prior.
    """
    begin = time.perf_counter()
    part = split(run.projections, run.grid, run.settings)
    smooth = PdhgTvSolver(part.term, TotalVariation(), tv_weight * len(part.kept) / len(run.projections))
    first = solve(smooth, smooth.start(part.start()), max(1, round(TV_STEPS / smooth.pace)))
    solver = wcrr_solver(part.term, weights, run.settings, first)
    state = solver.start(first)
    for _ in range(TRIAL_STEPS):
        solver.step(state)
    alone, both = part.score(first), part.score(state.x)
    told = {
        "held_out_tv": alone,
        "held_out_wcrr": both,
        "judged_seconds": time.perf_counter() - begin,
        "judged_by": f"{part.described}; total variation alone where these are predicted worse by more than {WORSE:.0%}",
    }
    if both > (1 + WORSE) * alone:
        return False, {**told, "prior": f"total variation alone: with the ridge prior held-out views are {both / alone - 1:.0%} worse"}
    return True, {**told, "prior": "ridge"}
