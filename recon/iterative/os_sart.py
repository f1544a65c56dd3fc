"""OS-SART: SIRT on a few views at a time. It is fast, and its working memory does not grow with the number of views."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...base.settings import Count, Positive, checked
from .solving import DataTerm, IterativeSettings, Run, State, Values, Volume, copied, dot, iterative_method
from .solving.path_scales import PathScales
from .solving.view_subsets import subset_operators
from .tuning.iterations import choose_iterations


@checked(of="os_sart")
class OsSartSettings(IterativeSettings):
    """Settings of `os_sart`. Without ``iterations`` it makes as many as predict held-out views best; one is a pass over all subsets.

    ``subset_views`` is the number of views in a subset; ``relaxation``, between 0 and 2, is multiplied by ``decay`` after each iteration.
    """

    subset_views: Count = 4
    relaxation: Positive = 0.8
    decay: Positive = 0.97


@dataclass
class OsSartState(State):
    """The volume and the relaxation of the next iteration."""

    relaxation: float


class OsSartSolver:
    """For each subset s: x <- P[x + relaxation C A_s' R_s W_s (b_s - A_s x)] (Wang and Jiang 2004).

    R = 1 / path length, C = subsets / (A' R W A 1). Nothing that is computed from rays is larger than a subset.
    """

    def __init__(self, term: DataTerm, subset_views: int = 4, relaxation: float = 0.8, decay: float = 0.97) -> None:
        self.term, self.relaxation, self.decay = term, relaxation, decay
        self.subsets = subset_operators(term, subset_views)
        self.scales = PathScales(term, self.subsets)
        self.voxels = self.scales.voxels * len(self.subsets)

    def start(self, x: Volume) -> OsSartState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        return OsSartState(copied(x), self.relaxation)

    def sweep(self, x: Volume, relaxation: float) -> float:
        """One pass over all subsets, which changes ``x`` [z, y, x]; returns the sum of the squared residuals before each update."""
        squares = 0.0
        for A, views in self.subsets:
            residual = A(x) - self.term.data[views]
            squares += dot(residual, residual)
            x -= (self.voxels * A.T(self.scales.rays(A, views) * residual)) * relaxation
            self.term.project(x)
        return squares

    def step(self, s: OsSartState) -> Values:
        """One iteration. The residual is that of each subset just before its update."""
        x = copied(s.x)
        squares = self.sweep(x, s.relaxation)
        s.x, s.relaxation, s.count = x, s.relaxation * self.decay, s.count + 1
        return {"residual": math.sqrt(squares)}


@iterative_method(OsSartSettings)
def os_sart(run: Run[OsSartSettings]) -> Volume:
    """OS-SART with bounds: volume [z, y, x] in 1/mm. The settings are those of `OsSartSettings`."""
    run.require_room(volumes=8)
    given = run.settings

    def solver_of(term: DataTerm) -> OsSartSolver:
        return OsSartSolver(term, given.subset_views, given.relaxation, given.decay)

    return run.solve(solver_of(run.term), *choose_iterations(run, solver_of, most=20))
