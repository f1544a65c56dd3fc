"""PDHG with a ramp-filtered data step: the first-order method whose convergence few-view cone beam does not slow down."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...base.memory import available_bytes
from ...base.settings import Positive, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from ..projector.view_blocks import Block
from .regularisers import tv_numba
from .regularisers.priors import Prior, make_prior
from .solving.cosine_transform import cosines, from_cosines
from .solving.data_term import DataTerm, dot
from .solving.protocols import Sinogram, Values, Volume, f32
from .solving.setup import data_term, require_room, start_volume
from .solving.solve import solve
from .tuning.prior_weight import PriorSettings, choose_lambda


@checked(of="pdhg_tv")
class PdhgTvSettings(PriorSettings):
    """Settings of `pdhg_tv`. ``balance``: the primal step over the dual one, in units of a first guess (it changes the speed alone).

    ``dual``: where the dual variable of the data, one number a ray, is kept: "memory", "disk" (an unnamed file in the folder for temporary
    ones) or "auto": on disk when it would take a quarter of the free memory.
    """

    balance: Positive = 2.0
    dual: Literal["auto", "memory", "disk"] = "auto"


class RampSteps:
    """The dual step sizes of the data: a symmetric positive operator, diagonal in the cosine transform of each detector row.

    Its eigenvalues rise with frequency like the ramp of filtered back-projection, which evens out the spectrum of A' S A. The cosine
    transform continues a row by reflection, so that the operator and the inverse that the proximal map needs are exact, edges included.
    """

    def __init__(self, cols: int, floor: float = 0.02) -> None:
        k = np.arange(cols) / max(cols - 1, 1)
        self.eigenvalues = (floor + (1 - floor) * k).astype(np.float32)

    def apply(self, y: Sinogram, eigenvalues: NDArray[np.float32]) -> Sinogram:
        """Multiply the cosine coefficients of each row."""
        return from_cosines(cosines(y) * eigenvalues)


@dataclass
class PdhgTvState:
    """All that a restart needs: the volume, its extrapolation, and both dual variables."""

    x: Volume
    ahead: Volume
    y: Sinogram
    dual: NDArray[np.float32]
    count: int = 0


class PdhgTvSolver:
    """Chambolle and Pock (2011), preconditioned (Pock and Chambolle 2011), with a ramp instead of a diagonal on the data side.

    minimise ``1/2 |B x - W^1/2 b|^2 + weight phi(K x)`` with B = W^1/2 A. Dual steps: S = sigma ramp for the data, sigma_k for the prior;
    primal step tau with ``tau (|S^1/2 B|^2 + sigma_k |K|^2) <= 1``. A start from a coarser grid saves no iterations: the dual variables
    have to grow either way.
    """

    def __init__(
        self, term: DataTerm, prior: Prior, weight: float, norm: float | None = None, balance: float = 2.0, on_disk: bool = False
    ) -> None:
        self.term, self.prior, self.weight, self.on_disk = term, prior, weight, on_disk
        self.ramp = RampSteps(term.data.shape[-1])
        self.norm = self.data_norm() if norm is None else norm
        self.sigma = 1.0 / balance
        self.sigma_k = self.sigma * self.norm / prior.norm2
        self.tau = 1.0 / (2 * self.sigma * self.norm)
        self._spare, self._base = np.empty(term.shape, np.float32), np.empty(term.shape, np.float32)

    def data_norm(self, iterations: int = 8) -> float:
        """The largest eigenvalue of B' R B by power iteration (5 % added), R the ramp with its highest eigenvalue 1."""
        v = np.random.default_rng(0).standard_normal(self.term.shape, dtype=np.float32)
        value = 0.0
        for _ in range(iterations):
            w = np.zeros(self.term.shape, np.float32)
            for block in self.term.blocks:
                filtered = self.ramp.apply(self._rooted(block.A(v), block), self.ramp.eigenvalues)
                w += block.A.T(self._rooted(filtered, block))
            value = math.sqrt(dot(w, w) / max(dot(v, v), 1e-30))
            v = w / f32(max(math.sqrt(dot(w, w)), 1e-30))
        return 1.05 * value

    def start(self, x: Volume) -> PdhgTvState:
        """The state before the first step."""
        y = zeros_on_disk(self.term.data.shape) if self.on_disk else np.zeros_like(self.term.data)
        return PdhgTvState(x.copy(), x.copy(), y, self.prior.dual(self.term.shape))

    def step(self, s: PdhgTvState) -> Values:
        """One iteration; the state is advanced in place. The residual reported is that of the extrapolated volume."""
        term = self.term
        if self.weight:
            self.prior.ascend(s.dual, s.ahead, self.sigma_k, self.weight)
        data = self._data_step(s)
        tv_numba.combine(f32(1), s.x.ravel(), f32(-self.tau), self._base.ravel(), self._base.ravel())
        self.prior.descend(self._base, s.dual, self.tau, term.lower, term.upper, self._spare)
        if term.mask is not None:
            self._spare *= term.mask
        s.x, self._spare = self._spare, s.x
        tv_numba.combine(f32(2), s.x.ravel(), f32(-1), self._spare.ravel(), s.ahead.ravel())
        s.count += 1
        return {"residual": math.sqrt(2 * data), "objective": data + self.weight * self.prior.value(s.x)}

    def _data_step(self, s: PdhgTvState) -> float:
        """Advance the dual variable of the data, leave B' y in ``_base``, and return the data term there, a block of views at a time."""
        data, back = 0.0, self._base
        back.fill(0)
        for block in self.term.blocks:
            residual = self._rooted(self.term.residual(s.ahead, block), block)
            data += 0.5 * dot(residual, residual)
            s.y[block.views] = self._data_dual(s.y[block.views], residual)
            back += block.A.T(self._rooted(s.y[block.views], block))
        return data

    def _rooted(self, rays: Sinogram, block: Block) -> Sinogram:
        """W^1/2 times these rays."""
        weights = self.term.weights
        return rays if weights is None else rays * np.sqrt(weights[block.views])

    def _data_dual(self, y: Sinogram, residual: Sinogram) -> Sinogram:
        """The proximal map of the conjugate of 1/2 |r|^2 at y + S r: (1 + S)^-1 (y + S r)."""
        s = self.sigma * self.ramp.eigenvalues
        return from_cosines((cosines(y) + s * cosines(residual)) / (1 + s))


def zeros_on_disk(shape: tuple[int, ...]) -> Sinogram:
    """An array in an unnamed file, which goes when the array does; OSError where the disk has no room for it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the map keeps it
    for _ in range(shape[0]):
        file.write(np.zeros(shape[1:], np.float32).tobytes())  # written, so that a full disk is found out here and not in the middle
    file.flush()
    return np.memmap(file, np.float32, "r+", shape=shape)


def keep_on_disk(dual: str, rays: int) -> bool:
    """Whether the setting ``dual`` means the disk for so many rays."""
    free = available_bytes()
    return dual == "disk" or (dual == "auto" and free is not None and 4 * rays > free / 4)


@method_function(PdhgTvSettings)
def pdhg_tv(projections: Projections, grid: Grid, settings: PdhgTvSettings, callbacks: Sequence[Callback]) -> Volume:
    """The volume [z, y, x] in 1/mm that minimises ``1/2 |A x - p|_W^2 + lambda prior(x)`` under the bounds; see `PdhgTvSettings`."""
    prior = make_prior(settings.prior, settings.huber_delta)
    term = data_term(projections, grid, settings)
    on_disk = keep_on_disk(settings.dual, term.data.size)
    require_room(term, 11, 0 if on_disk else 1, "pdhg_tv")
    solver = PdhgTvSolver(term, prior, 0.0, balance=settings.balance, on_disk=on_disk)
    solver.weight, told = choose_lambda(projections, grid, settings, term, prior, PdhgTvSolver, solver.norm)
    state = solver.start(start_volume(projections, grid, settings, term))
    return solve(solver, state, settings.iterations or 40, callbacks, told)
