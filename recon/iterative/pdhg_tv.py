"""PDHG with a ramp-filtered data step: a primal-dual method that converges in tens of steps, however few the views."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base.settings import Positive, checked
from .regularisers.priors import Prior, make_prior
from .solving import DataTerm, Run, Sinogram, State, Values, Volume, combined, iterative_method
from .solving.dual_on_disk import Place, on_disk, zeros_on_disk
from .solving.ramp_steps import advance_dual, ramp, ramp_norm
from .tuning.prior_weight import PriorSettings, choose_lambda


@checked(of="pdhg_tv")
class PdhgTvSettings(PriorSettings):
    """Settings of `pdhg_tv`. ``balance`` makes primal steps larger and dual steps smaller; it changes the speed, not the solution.

    ``dual`` says where the dual variable of the data, one number for each ray, is kept: in "memory", on "disk" (in an unnamed temporary
    file), or "auto", which means on disk when it would take a quarter of the free memory.
    """

    balance: Positive = 2.0
    dual: Place = "auto"


@dataclass
class PdhgTvState(State):
    """The volume, its extrapolation, and the dual variables of the data and of the prior."""

    ahead: Volume
    y: Sinogram
    dual: NDArray[np.float32]


class PdhgTvSolver:
    """Chambolle and Pock (2011), preconditioned (Pock and Chambolle 2011), with a ramp instead of a diagonal on the data side.

    It minimises ``1/2 |B x - W^1/2 b|^2 + weight phi(K x)`` with B = W^1/2 A. The dual steps are S = sigma ramp for the data and sigma_k
    for the prior; the primal step tau has ``tau (|S^1/2 B|^2 + sigma_k |K|^2) <= 1``. Starting from a coarser grid saves no iterations,
    because the dual variables have to grow either way.
    """

    def __init__(
        self, term: DataTerm, prior: Prior, weight: float, norm: float | None = None, balance: float = 2.0, on_disk: bool = False
    ) -> None:
        self.term, self.prior, self.weight, self.on_disk = term, prior, weight, on_disk
        self.norm = ramp_norm(term) if norm is None else norm
        sigma = 1.0 / balance
        self.steps = sigma * ramp(term.data.shape[-1])
        self.sigma_k = sigma * self.norm / prior.norm2
        self.tau = 1.0 / (2 * sigma * self.norm)

    def start(self, x: Volume) -> PdhgTvState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        y = zeros_on_disk(self.term.data.shape) if self.on_disk else np.zeros_like(self.term.data)
        return PdhgTvState(x.copy(), x.copy(), y, self.prior.dual(self.term.shape))

    def step(self, s: PdhgTvState) -> Values:
        """One iteration; the residual is that of the extrapolated volume."""
        term = self.term
        if self.weight:
            self.prior.ascend(s.dual, s.ahead, self.sigma_k, self.weight)
        data, back = advance_dual(term, s.y, s.ahead, self.steps)
        base, x = combined(1, s.x, -self.tau, back, out=back), np.empty_like(back)
        self.prior.descend(base, s.dual, self.tau, term.lower, term.upper, x)
        x, before = term.masked(x), s.x
        s.ahead = combined(2, x, -1, before, out=base)
        s.x, s.count = x, s.count + 1
        return {"residual": math.sqrt(2 * data), "objective": data + self.weight * self.prior.value(x)}


@iterative_method(PdhgTvSettings)
def pdhg_tv(run: Run[PdhgTvSettings]) -> Volume:
    """The volume [z, y, x] in 1/mm that minimises ``1/2 |A x - p|_W^2 + lambda prior(x)`` under the bounds; see `PdhgTvSettings`."""
    given, term = run.settings, run.term
    prior, disk = make_prior(given.prior, given.huber_delta), on_disk(given.dual, run.term.data.size)
    run.require_room(volumes=11, rays=0 if disk else 1)
    norm = ramp_norm(term)
    weight, told = choose_lambda(run, prior, PdhgTvSolver, norm)
    return run.solve(PdhgTvSolver(term, prior, weight, norm, given.balance, disk), given.iterations or 40, told)
