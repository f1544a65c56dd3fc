"""SIRT: simultaneous iterative reconstruction, every ray and voxel weighed by its path length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...base.settings import Positive, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from ..projector.view_blocks import Block, ray_scales, reciprocal
from .solving.data_term import DataTerm, dot
from .solving.protocols import Sinogram, Values, Volume, f32
from .solving.setup import IterativeSettings, data_term, require_room, start_volume
from .solving.solve import solve
from .tuning.iterations import choose_iterations


@checked(of="sirt")
class SirtSettings(IterativeSettings):
    """Settings of `sirt`. ``iterations`` None: as many as predict held-out views best. ``relaxation`` between 0 and 2."""

    relaxation: Positive = 1.0


@dataclass
class SirtState:
    """All that a restart needs."""

    x: Volume
    count: int = 0


class SirtSolver:
    """x <- P[x + relaxation C A' R W (b - A x)], R = 1 / path length, C = 1 / (A' R W A 1) (Gregor and Benson 2008); P clips to bounds.

    Falls towards the minimum of ``|A x - b|`` in the norm of R W, for a relaxation between 0 and 2.
    """

    def __init__(self, term: DataTerm, relaxation: float = 1.0) -> None:
        self.term, self.relaxation = term, relaxation
        self._ones, total = np.ones(term.shape, np.float32), np.zeros(term.shape, np.float32)
        for block in term.blocks:
            total += block.A.T(self._rows(block) * block.A(self._ones))
        self.cols = reciprocal(total)
        self._spare, self._back = np.empty(term.shape, np.float32), total

    def _rows(self, block: Block) -> Sinogram:
        """R W of these views; made when needed, it would be as large as the data."""
        return self.term.weighted(ray_scales(block.A, self._ones), block.views)

    def start(self, x: Volume) -> SirtState:
        """The state before the first step."""
        return SirtState(x.copy())

    def step(self, s: SirtState) -> Values:
        """One iteration; the residual and the objective are those of the volume before it."""
        back, squares, objective = self._back, 0.0, 0.0
        back.fill(0)
        for block in self.term.blocks:
            residual = self.term.residual(s.x, block)
            weighted = self._rows(block) * residual
            squares += dot(residual, residual)
            objective += 0.5 * dot(residual, weighted)
            back += block.A.T(weighted)
        np.multiply(back, self.cols, out=self._spare)
        self._spare *= f32(-self.relaxation)
        self._spare += s.x
        self.term.project(self._spare)
        s.x, self._spare = self._spare, s.x
        s.count += 1
        return {"residual": math.sqrt(squares), "objective": objective}


@method_function(SirtSettings)
def sirt(projections: Projections, grid: Grid, settings: SirtSettings, callbacks: Sequence[Callback]) -> Volume:
    """SIRT with bounds: volume [z, y, x] in 1/mm. The settings are those of `SirtSettings`."""
    term = data_term(projections, grid, settings)
    require_room(term, 9, 0, "sirt")
    iterations, told = choose_iterations(projections, grid, settings, lambda part: SirtSolver(part, settings.relaxation), most=100)
    solver = SirtSolver(term, settings.relaxation)
    return solve(solver, solver.start(start_volume(projections, grid, settings, term)), iterations, callbacks, told)
