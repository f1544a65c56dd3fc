"""OS-SART: SIRT that takes the views a subset at a time: fast, and its working memory does not grow with the number of views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.settings import Count, Positive, checked
from ...data import Projections
from ...geometry import Grid
from ..method import Callback, method_function
from ..projector.view_blocks import ray_scales, reciprocal
from .solving.data_term import DataTerm, dot
from .solving.protocols import Linear, Values, Volume, f32
from .solving.setup import IterativeSettings, data_term, require_room, start_volume
from .solving.solve import solve
from .tuning.iterations import choose_iterations


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

    R = 1 / path length, C = subsets / (A' R A 1). Nothing that is computed from rays
    is larger than a subset: path lengths are made anew each time, from the geometry.
    """

    def __init__(self, term: DataTerm, subset_views: int = 4, relaxation: float = 0.8, decay: float = 0.97) -> None:
        self.term, self.relaxation, self.decay = term, relaxation, decay
        self.views = subsets(len(term.data), subset_views)
        if term.part is None:
            raise InputError("the data term has no operator of single views", expected="DataTerm(part=...), as data_term gives it")
        self.parts = [term.part(index) for index in self.views]
        total, self._ones = np.zeros(term.shape, np.float32), np.ones(term.shape, np.float32)
        for A, index in zip(self.parts, self.views, strict=True):
            total += A.T(self._rows(A, index) * A(self._ones))
        self.cols = reciprocal(total) * f32(len(self.parts))
        self._spare = np.empty(term.shape, np.float32)

    def _rows(self, A: Linear, index: NDArray[np.intp]) -> NDArray[np.float32]:
        """R W of a subset."""
        return self.term.weighted(ray_scales(A, self._ones), index)

    def start(self, x: Volume) -> OsSartState:
        """The state before the first step."""
        return OsSartState(x.copy(), self.relaxation)

    def sweep(self, x: Volume, relaxation: float) -> float:
        """One pass over all subsets, in place; returns the sum of the squared residuals met on the way."""
        squares = 0.0
        for A, index in zip(self.parts, self.views, strict=True):
            residual = A(x) - self.term.data[index]
            squares += dot(residual, residual)
            x -= f32(relaxation) * (self.cols * A.T(self._rows(A, index) * residual))
            self.term.project(x)
        return squares

    def step(self, s: OsSartState) -> Values:
        """One iteration; the residual is the one met on the way."""
        np.copyto(self._spare, s.x)
        squares = self.sweep(self._spare, s.relaxation)
        s.x, self._spare = self._spare, s.x
        s.relaxation *= self.decay
        s.count += 1
        return {"residual": math.sqrt(squares)}


@method_function(OsSartSettings)
def os_sart(projections: Projections, grid: Grid, settings: OsSartSettings, callbacks: Sequence[Callback]) -> Volume:
    """OS-SART with bounds: volume [z, y, x] in 1/mm. The settings are those of `OsSartSettings`."""
    term = data_term(projections, grid, settings)
    require_room(term, 8, 0, "os_sart")

    def solver_of(part: DataTerm) -> OsSartSolver:
        return OsSartSolver(part, settings.subset_views, settings.relaxation, settings.decay)

    iterations, told = choose_iterations(projections, grid, settings, solver_of, most=20)
    solver = solver_of(term)
    return solve(solver, solver.start(start_volume(projections, grid, settings, term)), iterations, callbacks, told)
