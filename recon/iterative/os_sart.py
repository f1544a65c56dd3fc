"""OS-SART: SIRT that takes the views a subset at a time: fast, and its working memory does not grow with the number of views."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.settings import Count, Positive, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from ..projector.view_blocks import Linear, ray_scales, reciprocal
from .problem import IterativeSettings, Problem, build, dot, operator_of, require_room, start_volume
from .solve import iterate

Volume = NDArray[np.float32]
f32 = np.float32
VOLUMES = 8  # the state, what a step works on and the operator's copies, all of the size of the volume
Part = Callable[[NDArray[np.intp]], Linear]


@checked(of="os_sart")
class OsSartSettings(IterativeSettings):
    """Settings of `os_sart`. ``iterations`` None: as many as predict held-out views best (an iteration is a pass over all subsets).

    ``subset_views``: views in a subset; ``relaxation`` between 0 and 2, multiplied by ``decay`` after every iteration.
    """

    subset_views: Count = 4
    relaxation: Positive = 0.8
    decay: Positive = 0.97


@dataclass
class OsSartState:
    """All that a restart needs."""

    x: Volume
    relaxation: float
    count: int = 0


def subsets(views: int, size: int) -> list[NDArray[np.intp]]:
    """Interleaved subsets of about ``size`` views, in an order in which neighbours in time are far apart in angle.

    >>> [s.tolist() for s in subsets(8, 2)]
    [[0, 4], [2, 6], [1, 5], [3, 7]]
    """
    if size < 1:
        raise InputError(f"subset_views is {size}", expected="a whole number of 1 or more")
    count = max(1, round(views / size))
    bits = max(1, (count - 1).bit_length())
    order = [int(f"{k:0{bits}b}"[::-1], 2) for k in range(2**bits)]
    return [np.arange(k, views, count) for k in order if k < count]


class OsSartSolver:
    """For each subset s: x <- P[x + relaxation C A_s' R_s (b_s - A_s x)] (Wang and Jiang 2004).

    R = 1 / path length, C = subsets / (A' R A 1). ``part(views)`` gives the operator of these views. Nothing that is computed from rays
    is larger than a subset: path lengths are made anew each time, from the geometry.
    """

    def __init__(self, problem: Problem, part: Part, subset_views: int = 4, relaxation: float = 0.8, decay: float = 0.97) -> None:
        self.problem, self.relaxation, self.decay = problem, relaxation, decay
        self.views = subsets(len(problem.data), subset_views)
        self.parts = [part(index) for index in self.views]
        total, self._ones = np.zeros(problem.shape, np.float32), np.ones(problem.shape, np.float32)
        for A, index in zip(self.parts, self.views, strict=True):
            total += A.T(self._rows(A, index) * A(self._ones))
        self.cols = reciprocal(total) * f32(len(self.parts))
        self._spare = np.empty(problem.shape, np.float32)

    def _rows(self, A: Linear, index: NDArray[np.intp]) -> NDArray[np.float32]:
        """R W of a subset."""
        return self.problem.weighted(ray_scales(A, self._ones), index)

    def start(self, x: Volume) -> OsSartState:
        """The state before the first step."""
        return OsSartState(x.copy(), self.relaxation)

    def sweep(self, x: Volume, relaxation: float) -> float:
        """One pass over all subsets, in place; returns the sum of the squared residuals met on the way."""
        squares = 0.0
        for A, index in zip(self.parts, self.views, strict=True):
            residual = A(x) - self.problem.data[index]
            squares += dot(residual, residual)
            x -= f32(relaxation) * (self.cols * A.T(self._rows(A, index) * residual))
            self.problem.project(x)
        return squares

    def step(self, s: OsSartState) -> Mapping[str, float]:
        """One iteration; the residual is the one met on the way."""
        np.copyto(self._spare, s.x)
        squares = self.sweep(self._spare, s.relaxation)
        s.x, self._spare = self._spare, s.x
        s.relaxation *= self.decay
        s.count += 1
        return {"residual": math.sqrt(squares)}


def parts_of(projections: Projections, grid: Grid, backend: str) -> Part:
    """The operator of any subset of the scan's views."""
    return lambda index: operator_of(projections.scan[index], grid, backend)


@method_function(OsSartSettings)
def os_sart(projections: Projections, grid: Grid, settings: OsSartSettings, callbacks: Sequence[Callback]) -> Volume:
    """OS-SART with bounds; see `OsSartSettings` for the settings."""
    from .tuning import choose_iterations

    problem = build(projections, grid, settings)
    require_room(problem, VOLUMES, 0, "os_sart")

    def solver_of(kept: Projections, part: Problem, box: Grid) -> OsSartSolver:
        return OsSartSolver(part, parts_of(kept, box, settings.backend), settings.subset_views, settings.relaxation, settings.decay)

    iterations, told = choose_iterations(projections, grid, settings, solver_of, most=20)
    solver = solver_of(projections, problem, grid)
    state = solver.start(start_volume(projections, grid, settings, problem))
    return iterate(lambda: solver.step(state), state, iterations, callbacks, resolved=told)
