"""The weight of a prior from the data alone: views are held out, and the choice leans towards the weight that predicts them best.

Held-out views lie between the measured ones, where noise that was fitted to those does not show. The weight that predicts them best
therefore smooths too little, and the more so the flatter the curve is. In the dimensionless unit of `weight_unit` the best weight varies
little between scans. So the choice lies, on a log scale, between the minimum of the curve and the weight that was best on average
(`TYPICAL`, `trust_in_minimum`).

A TV weight keeps its meaning on the smaller copy: with voxels and pixels both twice as large, a sum over rays has a quarter of the terms,
and a sum of difference lengths has an eighth of the terms, each twice as long. The unit is twice as large there. So the
coarse whole around a region has its weight in the unit of the region's voxels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import Field

from ....base.settings import Array, NotNegative, Positive, checked
from ..regularisers.priors import Prior
from ..solving import DataTerm, IterativeSettings, Run, Solver, dot, module_of
from .held_out import Split, split


@checked(of="a method with a prior")
class PriorSettings(IterativeSettings):
    """Settings of a method with a prior. ``lambda_`` is its weight; None: chosen from the data.

    ``prior`` is "tv", "huber" (rounded off below ``huber_delta`` in 1/mm) or "wavelet". ``reference`` is an earlier volume [z, y, x] in
    1/mm of the same object in the same place, None for none; ``alpha`` the share of the prior that is applied to the difference to it
    (None: chosen from the data, 0 where it predicts no view better).
    """

    lambda_: NotNegative | None = None
    prior: Literal["tv", "huber", "wavelet"] = "tv"
    huber_delta: Positive = 0.002
    reference: Array | None = None
    alpha: Annotated[float, Field(ge=0, le=0.95)] | None = None


class PathSolver(Solver[Any], Protocol):
    """A solver for one weight of the prior whose step sizes come from a ``norm`` that is the same for all weights.

    One of its iterations does what ``pace`` iterations with all of 26 or more views at once do.
    """

    norm: float
    pace: float


PathSolverOf = Callable[[DataTerm, Prior, float, "float | None"], PathSolver]  # term, prior, its weight, the norm where it is known


FINER = 0.2  # how the best weight, in units of A' W b, rises as pixels become finer than voxels: as the ratio to this power


def weight_unit(term: DataTerm, pixel_mm: float, voxel_mm: float) -> float:
    """What ``lambda_ = 1`` stands for: the mean of A' W b, itself weighted by |A' W b| (so that air around the object does not count), over
    the size of a pixel at the axis, in voxels, to the power `FINER`.

    It scales with the data, the number of views and the unit of length as the best weight does, and with the number of rays, which grows as
    pixels become finer. With pixels of 0.25 to 1.4 voxels, made from the same views by binning, the best ``lambda_`` was 0.0035 to 0.0089
    on two heads and a bone of 64 and 128 voxels across, from 13 and 26 views (docs/classical_table.md).
    """
    g = term.back_projected_data()
    total = float(abs(g).sum(dtype=module_of(g).float64))
    if total == 0:
        return 1.0
    return dot(g, g) / total * (voxel_mm / pixel_mm) ** FINER


LADDER = tuple(0.028 * 2 ** (-k / 2) for k in range(12))  # 0.028 down to 6e-4
# lambda_ = TYPICAL^(1 - trust) minimum^trust. The trust was fitted to phantoms and heads (C57BL6_J, NU_J, A_J; BALB_CBYJ and BTBR for that
# in a coarser copy), 13 to 52 views, 5 000 to 50 000 photons, 32^3 to 128^3 voxels, with pixels of about 0.67 voxels; TYPICAL to the 26
# scans of `weight_unit` (the heads C57BL6_J and BALB_CBYJ). On those the rule loses 0.11 dB on the mean to the best weight.
TYPICAL = 0.007


def trust_in_minimum(factor: int, held: int) -> float:
    """How much of the curve's minimum goes into the choice, on a log scale, from a copy coarser by ``factor`` with ``held`` views held out.

    Fewer than four say little: at 13 views, where two are held out, the minimum is anywhere and `TYPICAL` is best (BALB_CBYJ, C3H_HEJ).
    """
    return (1 / 3 if factor == 1 else 1 / 2) * min(1.0, (held / 4) ** 4)


def choose_lambda(
    run: Run[PriorSettings],
    prior: Prior,
    solver_of: PathSolverOf,
    norm: float | None = None,
) -> tuple[float, dict[str, Any]]:
    """The weight of the prior in the units of the objective, and what to tell: ``lambda_``, the curve, the rule and the cost in seconds.

    Weights are tried from strong to weak, each from the solution of the one before, until the score has risen twice in a row.
    ``solver_of`` makes the solver for it; ``norm`` is that solver's norm for the whole data term, where it is known.
    """
    projections, grid, settings = run.projections, run.grid, run.settings
    if "lambda_" in run.whole:  # chosen for the whole, in the unit of the region's voxels
        told = {name: value for name, value in run.whole.items() if name in ("lambda_", "lambda_unit", "lambda_minimum")}
        rule = {"lambda_rule": f"from the whole: {run.whole['lambda_rule']}"} if "lambda_rule" in run.whole else {}
        return run.whole["lambda_"] * run.whole["lambda_unit"], {**told, **rule}
    unit = weight_unit(run.term, projections.scan.field_of_view_mm.pixel_mm, grid.voxel_mm) / run.coarser
    if settings.lambda_ is not None:
        return settings.lambda_ * unit, {"lambda_": float(settings.lambda_), "lambda_unit": unit}
    begin = time.perf_counter()
    part = split(projections, grid, settings)
    steps = 6 if part.factor == 1 else 10  # on the scan itself every step counts: the choice must not cost more than two runs
    share = len(part.kept) / len(projections)
    known = norm * share if norm is not None and part.factor == 1 else None  # evenly spread views add up evenly
    curve = score_path(part, prior, solver_of, unit * share, steps, known)
    minimum = lowest(curve)
    trust = trust_in_minimum(part.factor * run.coarser, len(part.held))
    best = TYPICAL ** (1 - trust) * minimum**trust
    told = {
        "lambda_": best,
        "lambda_unit": unit,
        "lambda_curve": curve,
        "lambda_minimum": minimum,
        "lambda_held": len(part.held),
        "lambda_seconds": time.perf_counter() - begin,
        "lambda_rule": f"{part.described}; lambda_ = {TYPICAL:g}^{1 - trust:.2f} minimum^{trust:.2f}",
    }
    return best * unit, told


def score_path(
    part: Split, prior: Prior, solver_of: PathSolverOf, unit: float, steps: int, norm: float | None = None
) -> list[tuple[float, float]]:
    """(lambda_, score) along the ladder from strong to weak, each from the solution of the one before."""
    curve: list[tuple[float, float]] = []
    state = None
    for value in LADDER:
        solver = solver_of(part.term, prior, value * unit, norm)
        norm = solver.norm
        state = solver.start(part.start()) if state is None else state
        for _ in range(max(1, round((steps if curve else 2 * steps) / solver.pace))):
            solver.step(state)
        curve.append((value, part.score(state.x)))
        last = [score for _, score in curve[-3:]]
        if len(last) == 3 and last == sorted(last):
            break
    return curve


def lowest(curve: list[tuple[float, float]]) -> float:
    """Where the parabola through the lowest point of the curve and its neighbours, over log lambda, is lowest.

    >>> round(lowest([(0.04, 5.0), (0.02, 2.0), (0.01, 1.0), (0.005, 2.0)]), 6)
    0.01
    """
    k = int(np.argmin([score for _, score in curve]))
    if k in (0, len(curve) - 1):
        return curve[k][0]
    x = np.log([value for value, _ in curve[k - 1 : k + 2]])
    before, here, after = (score for _, score in curve[k - 1 : k + 2])
    bend = before - 2 * here + after  # the ladder's steps are even in log lambda
    return float(np.exp(x[1] + (x[2] - x[1]) * 0.5 * (before - after) / bend)) if bend > 0 else curve[k][0]
