"""SIRT: simultaneous iterative reconstruction, in which every ray and voxel is weighted by its path length."""

from __future__ import annotations

import math

from ...base.settings import Positive, checked
from .solving import DataTerm, IterativeSettings, Run, State, Values, Volume, copied, dot, iterative_method
from .solving.path_scales import PathScales
from .tuning.iterations import choose_iterations


@checked(of="sirt")
class SirtSettings(IterativeSettings):
    """Settings of `sirt`. Without ``iterations`` it makes as many as predict held-out views best. ``relaxation`` is between 0 and 2."""

    relaxation: Positive = 1.0


class SirtSolver:
    """x <- P[x + relaxation C A' R W (b - A x)], R = 1 / path length, C = 1 / (A' R W A 1) (Gregor and Benson 2008); P clips to bounds.

    It converges to the minimum of ``|A x - b|`` in the norm of R W, for a relaxation between 0 and 2.
    """

    def __init__(self, term: DataTerm, relaxation: float = 1.0) -> None:
        self.term, self.relaxation = term, relaxation
        self.scales = PathScales(term, ((block.A, block.views) for block in term.blocks))

    def start(self, x: Volume) -> State:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        return State(copied(x))

    def step(self, s: State) -> Values:
        """One iteration; the residual and the objective are those of the volume before it."""
        term, squares, objective, back = self.term, 0.0, 0.0, self.term.zeros()
        for block in term.blocks:
            residual = term.residual(s.x, block)
            weighted = self.scales.rays(block.A, block.views) * residual
            squares += dot(residual, residual)
            objective += 0.5 * dot(residual, weighted)
            back += block.A.T(weighted)
        back *= self.scales.voxels
        back *= -self.relaxation
        back += s.x
        s.x = term.project(back)
        s.count += 1
        return {"residual": math.sqrt(squares), "objective": objective}


@iterative_method(SirtSettings)
def sirt(run: Run[SirtSettings]) -> Volume:
    """SIRT with bounds: volume [z, y, x] in 1/mm. The settings are those of `SirtSettings`."""
    run.require_room(volumes=9)

    def solver_of(term: DataTerm) -> SirtSolver:
        return SirtSolver(term, run.settings.relaxation)

    return run.solve(solver_of(run.term), *choose_iterations(run, solver_of, most=100))
