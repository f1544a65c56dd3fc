"""SIRT: simultaneous iterative reconstruction, every ray and voxel weighed by its path length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Projections
from ..geometry import Grid
from .loop import iterate
from .method import Callback, Method
from .problem import Common, Problem, build, check_number, dot, start_volume

Volume = NDArray[np.float32]
Sinogram = NDArray[np.float32]
f32 = np.float32


@dataclass(frozen=True)
class Sirt(Common):
    """Settings of `sirt`. ``iterations`` None: as many as predict held-out views best. ``relaxation`` between 0 and 2."""

    relaxation: float = 1.0


@dataclass
class SirtState:
    """All that a restart needs."""

    x: Volume
    count: int = 0


def reciprocal(path: NDArray[np.float32], least: float = 1e-3) -> NDArray[np.float32]:
    """1 / path, and 0 where the path is shorter than ``least`` of the longest: such rays and voxels say next to nothing."""
    floor = least * float(path.max())
    return np.where(path > floor, 1 / np.maximum(path, max(floor, 1e-30)), 0).astype(np.float32)


class SirtSolver:
    """x <- P[x + relaxation C A' R W (b - A x)], R = 1 / (A 1), C = 1 / (A' W 1) (Gregor and Benson 2008); P clips to the bounds.

    Falls towards the minimum of ``|A x - b|`` in the norm of R W, for a relaxation between 0 and 2.
    """

    def __init__(self, problem: Problem, relaxation: float = 1.0) -> None:
        self.problem, self.relaxation = problem, relaxation
        lengths = problem.A(np.ones(problem.shape, np.float32))
        ones = np.ones_like(problem.data) if problem.weights is None else problem.weights
        self.rows = reciprocal(lengths) * ones
        self.cols = reciprocal(problem.A.T(np.ascontiguousarray(self.rows * lengths)))
        self._spare = np.empty(problem.shape, np.float32)

    def start(self, x: Volume) -> SirtState:
        """The state before the first step."""
        return SirtState(x.copy())

    def step(self, s: SirtState) -> Mapping[str, float]:
        """One iteration; the residual and the objective are those of the volume before it."""
        residual = self.problem.residual(s.x)
        weighted = self.rows * residual
        np.multiply(self.problem.A.T(weighted), self.cols, out=self._spare)
        self._spare *= f32(-self.relaxation)
        self._spare += s.x
        self.problem.project(self._spare)
        s.x, self._spare = self._spare, s.x
        s.count += 1
        return {"residual": math.sqrt(dot(residual, residual)), "objective": 0.5 * dot(residual, weighted)}


def run(projections: Projections, grid: Grid, settings: Sirt, callbacks: Sequence[Callback] = ()) -> Volume:
    """SIRT with bounds; see `Sirt` for the settings."""
    from .tuning import choose_iterations

    check_number("relaxation", settings.relaxation, exclusive=True)
    problem = build(projections, grid, settings)
    iterations, told = choose_iterations(
        projections, grid, settings, lambda kept, part, box: SirtSolver(part, settings.relaxation), most=100
    )
    solver = SirtSolver(problem, settings.relaxation)
    state = solver.start(start_volume(projections, grid, settings, problem))
    return iterate(lambda: solver.step(state), state, iterations, callbacks, resolved=told)


METHOD: Any = Method("sirt", run, Sirt, reference="Gregor and Benson, IEEE Trans. Med. Imaging 27 (2008) 918")
