"""PDHG with ramp-filtered data steps on ordered subsets: total variation in tens of steps, and in about ten where there are many views."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...base.settings import Positive, checked
from .regularisers.priors import Dual, Prior, make_prior
from .solving import DataTerm, Run, Sinogram, State, Values, Volume, combined, copied, iterative_method, module_of, zeros
from .solving.dual_on_disk import Place, on_disk, zeros_on_disk
from .solving.ramp_steps import advance_dual, ramp, ramp_norm
from .solving.view_subsets import blocks_of_subsets, pace_of
from .tuning.prior_weight import PriorSettings, choose_lambda
from .tuning.reference_share import with_reference


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
    """The volume, the dual variables y of the data and of the prior, and B' y."""

    y: Sinogram
    dual: Dual
    back: Volume


class PdhgTvSolver:
    """Chambolle and Pock (2011), preconditioned (2011), on subsets of the views (Chambolle, Ehrhardt, Richtarik, Schoenlieb 2018).

    It minimises ``1/2 |B x - W^1/2 b|^2 + weight phi(K x)`` with B = W^1/2 A. The dual steps are S = sigma ramp for the data and sigma_k
    for the prior; with n subsets, of which B_i is one, ``tau (n |S^1/2 B_i|^2 + sigma_k |K|^2) <= 1`` for the primal step tau. An iteration
    takes all subsets in turn. Where there are views for n of them it does what n^1/2 iterations with all views at once would do, and with
    fewer than 26 views less (`pace_of`); the best balance between primal and dual steps falls in the same way. Starting from a coarser
    grid saves no iterations, because the dual variables have to grow either way.
    """

    def __init__(
        self, term: DataTerm, prior: Prior, weight: float, norm: float | None = None, balance: float = 2.0, on_disk: bool = False
    ) -> None:
        self.term, self.prior, self.weight, self.on_disk = term, prior, weight, on_disk
        self.subsets = blocks_of_subsets(term)
        self.pace = pace_of(len(term.data), len(self.subsets))
        self.norm = len(self.subsets) * ramp_norm(term, self.subsets[0]) if norm is None else norm
        sigma = self.pace / balance
        self.steps = sigma * ramp(term.data)
        self.sigma_k = sigma * self.norm / prior.norm2
        self.tau = 1.0 / (2 * sigma * self.norm)

    def start(self, x: Volume) -> PdhgTvState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        y = zeros_on_disk(self.term.data.shape) if self.on_disk else zeros(self.term.data.shape, self.term.data)
        return PdhgTvState(copied(x), y, self.prior.dual(x), self.term.zeros())

    def step(self, s: PdhgTvState) -> Values:
        """One iteration; the residual is that of each subset just before its update."""
        data = 0.0
        for blocks in self.subsets:
            part, moved = advance_dual(self.term, blocks, s.y, s.x, self.steps)
            data += part
            s.back += moved
            ahead = combined(1, s.back, len(self.subsets), moved, out=moved)
            s.x = self._primal(s, combined(1, s.x, -self.tau, ahead, out=ahead))
        s.count += 1
        return {"residual": math.sqrt(2 * data), "objective": data + self.weight * self.prior.value(s.x)}

    def _primal(self, s: PdhgTvState, base: Volume) -> Volume:
        """The volume after a primal step from ``base``, and a dual step of the prior at its extrapolation."""
        x = module_of(base).empty_like(base)
        self.prior.descend(base, s.dual, self.tau, self.term.lower, self.term.upper, x)
        self.term.masked(x)
        if self.weight:
            self.prior.ascend(s.dual, combined(2, x, -1, s.x, out=base), self.sigma_k, self.weight)
        return x


def minimised(run: Run[PdhgTvSettings]) -> Volume:
    """The volume [z, y, x] in 1/mm of a run of `pdhg_tv`."""
    given, term = run.settings, run.term
    prior, disk = make_prior(given.prior, given.huber_delta), on_disk(given.dual, term.data)
    run.require_room(volumes=11, rays=0 if disk else 1)
    solver = PdhgTvSolver(term, prior, 0.0, balance=given.balance, on_disk=disk)
    solver.weight, told = choose_lambda(run, prior, PdhgTvSolver, solver.norm)
    mixed, chosen = with_reference(run, prior, solver.weight, PdhgTvSolver, solver.norm)
    if mixed is not prior:
        solver = PdhgTvSolver(term, mixed, solver.weight, solver.norm, given.balance, disk)
    return run.solve(solver, given.iterations or enough_iterations(run.grid.shape, solver.pace), {**told, **chosen})


def enough_iterations(shape: tuple[int, ...], pace: float) -> int:
    """What 40 iterations with 26 views at once do up to 128 voxels across, and more on larger grids, which values take longer to cross.

    A limb of 240 x 480 x 480 voxels from 52 views is 5 % from its minimum after 40 iterations with all views.

    >>> enough_iterations((86, 128, 128), 1.0), enough_iterations((240, 480, 480), 2.0)
    (40, 39)
    """
    return math.ceil(40 * math.sqrt(max(1.0, max(shape) / 128)) / pace)


@iterative_method(PdhgTvSettings)
def pdhg_tv(run: Run[PdhgTvSettings]) -> Volume:
    """The volume [z, y, x] in 1/mm that minimises ``1/2 |A x - p|_W^2 + lambda prior(x)`` under the bounds; see `PdhgTvSettings`."""
    return minimised(run)
