"""How much an earlier volume counts, from the data alone: the least share that predicts held-out views about as well as the best."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ....base import InputError
from ..regularisers.priors import Prior
from ..regularisers.referenced import Referenced
from ..solving import Run, beside
from .held_out import Split, split
from .prior_weight import PathSolverOf, PriorSettings

SHARES = (0.0, 0.25, 0.5, 0.75)
_STEPS = 24  # with all views at once, from the same start for every share
_WORTH = 0.02  # of the score without the earlier volume: less is no gain
_NEAR = 0.25  # of the gain may be left for a smaller share


def with_reference(
    run: Run[PriorSettings], prior: Prior, weight: float, solver_of: PathSolverOf, norm: float | None = None
) -> tuple[Prior, dict[str, Any]]:
    """The prior with the ``reference`` of the settings, if there is one, and what to tell: ``alpha`` and the curve that it comes from.

    ``weight`` is that of the prior on the whole data term, and ``norm`` the solver's norm there, where it is known.
    """
    settings = run.settings
    if settings.reference is None:
        return prior, {}
    reference = np.ascontiguousarray(settings.reference, np.float32)
    if reference.shape != run.grid.shape or not np.isfinite(reference).all():
        raise InputError(f"the reference has shape {reference.shape}", expected=f"a finite volume of {run.grid.shape} (z, y, x), in 1/mm")
    told: dict[str, Any] = {"alpha": settings.alpha}
    if settings.alpha is None:
        told = _chosen(split(run.projections, run.grid, settings), prior, weight, solver_of, len(run.projections), norm)
    alpha = float(told["alpha"])
    return (Referenced(prior, beside(reference, run.term.data), alpha) if alpha > 0 else prior), told


def _chosen(part: Split, prior: Prior, weight: float, solver_of: PathSolverOf, views: int, norm: float | None) -> dict[str, Any]:
    """The least share whose score is near that of the best one."""
    begin, share = time.perf_counter(), len(part.kept) / views
    known = norm * share if norm is not None and part.factor == 1 else None
    settings: Any = part.settings
    scores = []
    for alpha in SHARES:
        mixed = Referenced(prior, beside(settings.reference, part.term.data), alpha) if alpha else prior
        solver = solver_of(part.term, mixed, weight * share, known)
        known = solver.norm
        state = solver.start(part.start())
        for _ in range(max(1, round(_STEPS / solver.pace))):
            solver.step(state)
        scores.append(part.score(state.x))
    gain = scores[0] - min(scores)
    enough = min(scores) + _NEAR * gain
    alpha = next(a for a, score in zip(SHARES, scores, strict=True) if score <= enough) if gain > _WORTH * scores[0] else 0.0
    return {
        "alpha": alpha,
        "alpha_curve": list(zip(SHARES, scores, strict=True)),
        "alpha_seconds": time.perf_counter() - begin,
        "alpha_rule": f"the least share with most of the gain, {part.described}" if alpha else "0: the reference predicts no view better",
    }
