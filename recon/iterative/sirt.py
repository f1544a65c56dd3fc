"""SIRT: simultaneous iterative reconstruction, every ray and voxel weighed by its path length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base.settings import Positive, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from ..projector.view_blocks import Block, ray_scales, reciprocal
from .problem import IterativeSettings, Problem, build, dot, require_room, start_volume
from .solve import iterate

Volume = NDArray[np.float32]
Sinogram = NDArray[np.float32]
f32 = np.float32
VOLUMES = 9  # the state, what a step works on and the operator's copies, all of the size of the volume


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

    def __init__(self, problem: Problem, relaxation: float = 1.0) -> None:
        self.problem, self.relaxation = problem, relaxation
        self._ones, total = np.ones(problem.shape, np.float32), np.zeros(problem.shape, np.float32)
        for block in problem.blocks:
            total += block.A.T(self._rows(block) * block.A(self._ones))
        self.cols = reciprocal(total)
        self._spare, self._back = np.empty(problem.shape, np.float32), total

    def _rows(self, block: Block) -> NDArray[np.float32]:
        """R W of these views; made when needed, it would be as large as the data."""
        return self.problem.weighted(ray_scales(block.A, self._ones), block.views)

    def start(self, x: Volume) -> SirtState:
        """The state before the first step."""
        return SirtState(x.copy())

    def step(self, s: SirtState) -> Mapping[str, float]:
        """One iteration; the residual and the objective are those of the volume before it."""
        back, squares, objective = self._back, 0.0, 0.0
        back.fill(0)
        for block in self.problem.blocks:
            residual = self.problem.residual(s.x, block)
            weighted = self._rows(block) * residual
            squares += dot(residual, residual)
            objective += 0.5 * dot(residual, weighted)
            back += block.A.T(weighted)
        np.multiply(back, self.cols, out=self._spare)
        self._spare *= f32(-self.relaxation)
        self._spare += s.x
        self.problem.project(self._spare)
        s.x, self._spare = self._spare, s.x
        s.count += 1
        return {"residual": math.sqrt(squares), "objective": objective}


@method_function(SirtSettings)
def sirt(projections: Projections, grid: Grid, settings: SirtSettings, callbacks: Sequence[Callback]) -> Volume:
    """SIRT with bounds; see `SirtSettings` for the settings."""
    from .tuning import choose_iterations

    problem = build(projections, grid, settings)
    require_room(problem, VOLUMES, 0, "sirt")
    iterations, told = choose_iterations(
        projections, grid, settings, lambda kept, part, box: SirtSolver(part, settings.relaxation), most=100
    )
    solver = SirtSolver(problem, settings.relaxation)
    state = solver.start(start_volume(projections, grid, settings, problem))
    return iterate(lambda: solver.step(state), state, iterations, callbacks, resolved=told)
