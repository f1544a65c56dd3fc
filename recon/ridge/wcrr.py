"""`wcrr`: total variation first, then a learned ridge prior from there, and a mean of the two as far as held-out views support it."""

from __future__ import annotations

import dataclasses
import time
import warnings
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ...base.settings import NotNegative, Positive, checked
from ..iterative.arrays import as_numpy
from ..iterative.pdhg_tv import PdhgTvSettings, PdhgTvSolver
from ..iterative.regularisers.priors import TotalVariation
from ..iterative.solving import DataTerm, IterativeSettings, Run, State, Values, Volume, combined, copied, iterative_method
from ..iterative.solving.solve import solve
from ..iterative.tuning.held_out import LEAST_VIEWS, split
from ..iterative.tuning.prior_weight import choose_lambda
from ..iterative.tuning.supported_share import answers_of, as_bright_as_the_views, supported
from .filters import grey_scale
from .prior import RidgePrior
from .solver import RidgeSolver, RidgeState, mean_curvature
from .weights import RidgeWeights, read_weights

TV_STEPS, ITERATIONS = 40, 30
SIGMA, STRENGTH = 0.25, 0.55  # the best of those tried on heads, legs, a tooth and a chest of 32^3 voxels; see docs/wcrr.md
MOST = 0.5  # of the prior's volume in the result: both err differently, and where all of the prior is better, half of it nearly is
OF_THE_WHOLE = ("lambda_", "lambda_unit", "lambda_rule", "lambda_minimum")  # what `choose_lambda` takes over from a whole object
LEAST = 0.05  # where the share that predicts held-out views best is less, something is wrong with the prior


@checked(of="wcrr")
class WcrrSettings(IterativeSettings):
    """Settings of `wcrr`. ``lambda_`` is the weight of the prior, 1 being what would remove white noise of the level ``sigma``, a share of
    the grey scale of the body, from a volume. ``share`` is that of the prior's volume in the result; the rest is total variation. None:
    the one with which views that were held out are predicted best, at most a half. ``tv`` is the weight of total variation, as for
    `pdhg_tv`; None: chosen from the data.
    """

    lambda_: NotNegative = STRENGTH
    sigma: Positive = SIGMA
    share: Annotated[float, Field(ge=0, le=1)] | None = None
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
    """A mean of two volumes [z, y, x] in 1/mm: total variation, and what a learned prior R makes of it; see `WcrrSettings`.

    The second minimises ``1/2 |A x - p|_W^2 + lambda s^2 R(x / s)`` under the bounds. R is the weakly convex ridge prior with the weights
    that come with fewview, s the grey scale of the body. Both fit the data and they err differently, so that their mean is better than the
    worse of them. Held-out views say how much of the second to take (``share`` in the record); where they support none of it, the result
    is total variation, and a warning says so.
    """
    given, weights = run.settings, read_weights()
    run.require_room(volumes=18, rays=1)
    smooth = PdhgTvSolver(run.term, TotalVariation(), 0.0)
    smooth.weight, found = choose_lambda(_tv_of(run), smooth.prior, PdhgTvSolver, smooth.norm)
    told = {f"tv_{name.removesuffix('_')}": value for name, value in found.items()}
    share, judged = _judged(run, weights, smooth.weight) if given.share is None else (given.share, {"share": given.share})
    told |= judged
    steps = max(1, round(TV_STEPS / smooth.pace))
    if share == 0:
        if given.share is None:
            warnings.warn(f"wcrr: the result is total variation alone: {told['share_rule']}, and these support no more", stacklevel=3)
        return run.solve(smooth, steps, told)
    first = solve(smooth, smooth.start(run.start()), steps)
    solver = wcrr_solver(run.term, weights, given, first, share)
    return solve(solver, solver.start(first), given.iterations or ITERATIONS, run.callbacks, {**told, "grey_scale": solver.ridge.unit})


def wcrr_solver(term: DataTerm, weights: RidgeWeights, given: WcrrSettings, first: Volume, share: float) -> WcrrSolver:
    """The solver for these settings, with this share of the prior, on the grey scale of a first volume [z, y, x] in 1/mm."""
    prior = RidgePrior(weights, given.sigma, first)
    ridge = RidgeSolver(term, prior, given.lambda_ * mean_curvature(term), grey_scale(first) or 1.0)
    return WcrrSolver(ridge, first, share)


def _tv_of(run: Run[WcrrSettings]) -> Run[PdhgTvSettings]:
    """The same run for `pdhg_tv`; of a part of an object with the weight of the whole, as there."""
    shared = {f.name: getattr(run.settings, f.name) for f in dataclasses.fields(IterativeSettings)}
    whole = {name: run.whole[f"tv_{name.removesuffix('_')}"] for name in OF_THE_WHOLE if f"tv_{name.removesuffix('_')}" in run.whole}
    settings = PdhgTvSettings(**shared, lambda_=run.settings.tv)
    return Run(run.name, run.projections, run.grid, settings, run.callbacks, run.term, whole=whole, coarser=run.coarser)


def _judged(run: Run[WcrrSettings], weights: RidgeWeights, tv_weight: float) -> tuple[float, dict[str, Any]]:
    """The share of the prior's volume that this scan supports, and what to tell of that.

    A smaller copy of the scan is reconstructed from a part of its views by total variation, and from there with the prior. Of the share
    with which the other views are predicted best a half is taken, and all but a quarter where that is more: on a leg with much noise the
    best share was 0.1 where the views said 0.5.
    """
    if len(run.projections) < LEAST_VIEWS:
        return 0.0, {"share": 0.0, "share_rule": f"{len(run.projections)} views are too few to hold any out"}
    begin = time.perf_counter()
    part = split(run.projections, run.grid, run.settings)
    smooth = PdhgTvSolver(part.term, TotalVariation(), tv_weight * len(part.kept) / len(run.projections))
    first = solve(smooth, smooth.start(part.start()), max(1, round(TV_STEPS / smooth.pace)))
    ridge = wcrr_solver(part.term, weights, run.settings, first, 1.0).ridge
    state = ridge.start(first)
    for _ in range(run.settings.iterations or ITERATIONS):
        ridge.step(state)
    answers = answers_of(part.held, part.grid, as_numpy(first), as_numpy(state.x))
    found = supported(answers, as_bright_as_the_views, len(part.held), part.described)
    share = min(MOST, max(found.best / 2, found.best - 0.25)) if found.best >= LEAST else 0.0
    told = {"share": share, "share_best": found.best, "share_gain": found.gain, "share_rule": found.described}
    return share, {**told, "judged_seconds": time.perf_counter() - begin}
