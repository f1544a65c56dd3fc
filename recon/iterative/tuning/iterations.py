"""The number of iterations from the data alone: as many as predict held-out views best."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ....base import InputError
from ..solving import DataTerm, Run, Solver
from .held_out import split


def choose_iterations(
    run: Run[Any],
    solver_of: Callable[[DataTerm], Solver[Any]],
    most: int,
    patience: int = 5,
) -> tuple[int, dict[str, Any]]:
    """The number of iterations that predicts held-out views best, and what to report; the search ends after ``patience`` worse ones."""
    if run.settings.iterations is not None:
        return run.settings.iterations, {}
    if "iterations_rule" in run.whole:
        return int(run.whole["iterations"]), {"iterations_rule": f"of the whole: {run.whole['iterations_rule']}"}
    begin = time.perf_counter()
    part = split(run.projections, run.grid, run.settings)
    solver = solver_of(part.term)
    state = solver.start(part.start())
    scores: list[float] = []
    for _ in range(most):
        solver.step(state)
        scores.append(part.score(state.x))
        if len(scores) - int(np.argmin(scores)) > patience:
            break
    if not np.isfinite(scores).all():
        raise InputError("the search for the number of iterations diverged", remedy="give a smaller relaxation, or iterations yourself")
    told = {
        "iterations_curve": scores,
        "iterations_seconds": time.perf_counter() - begin,
        "iterations_rule": f"the best of those tried, {part.described}",
    }
    return int(np.argmin(scores)) + 1, told
