"""Lambda and the number of iterations from the data alone: views are held out, and the setting that predicts them best is taken.

The score of a volume is the energy of the ramp-filtered difference between the held-out views and its projections,
``sum |f| |P(f)|^2``. By the central slice theorem that is, view by view, the squared error of the volume itself (Parseval, in polar
coordinates); noise of the held-out views adds a constant, whatever the volume. So the score ranks settings as the mean squared error would.

Held-out views lie between the measured ones, where the noise that was fitted does not show: taken as it is, the minimum smooths too
little, the more so the flatter the curve. In the dimensionless unit of `weight_unit` the best weight varies little between scans, so the
minimum is shrunk, on a log scale, towards the weight that was best on average (`TYPICAL`, `trust_in_minimum`).

The search runs on a copy of the scan with a coarser grid and a binned detector. A TV weight keeps its meaning there: with voxels and
pixels both twice as large, a sum over rays has a quarter of the terms, and a sum of difference lengths an eighth of twice the length.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...data import Projections
from ...data.multiresolution import bin_detector, bin_projections, coarsen, coarsening
from ...geometry import Grid
from .cosine_transform import cosines
from .problem import IterativeSettings, Problem, build, check_views, start_volume
from .regularisers.priors import Prior

Volume = NDArray[np.float32]
LEAST_VIEWS = 5


@runtime_checkable
class Solver(Protocol):
    """A solver as the tuning sees it."""

    def start(self, x: Volume) -> Any: ...  # noqa: D102

    def step(self, s: Any) -> Mapping[str, float]: ...  # noqa: D102


@dataclass(frozen=True)
class Split:
    """A smaller copy of a reconstruction, its views parted into those that are fitted and those that are predicted."""

    kept: Projections
    held: Projections
    grid: Grid
    factor: int
    settings: IterativeSettings
    problem: Problem
    held_operator: Any

    def score(self, volume: Volume) -> float:
        """The ramp-weighted mean squared error of the held-out views as this volume predicts them."""
        return ramp_energy(self.held_operator(volume) - self.held.values)

    @property
    def described(self) -> str:
        """The split in words."""
        held = len(self.held)
        return f"{held} of {held + len(self.kept)} views held out, grid coarser by {self.factor}"

    def start(self) -> Volume:
        """The volume that the settings begin with, on the smaller grid."""
        return start_volume(self.kept, self.grid, self.settings, self.problem)


def ramp_energy(views: NDArray[np.float32]) -> float:
    """Mean over rays of the energy behind the filter |f|^(1/2), f in units of the Nyquist frequency."""
    c = cosines(views)
    ramp = np.arange(views.shape[-1], dtype=np.float32) / views.shape[-1]
    return float(np.einsum("vrc,vrc,c->", c, c, ramp, dtype=np.float64)) / views.size


def held_out(views: int) -> NDArray[np.intp]:
    """Which views to hold out: about one in seven, at most ten, spread evenly, never the first or the last.

    >>> held_out(26).tolist()
    [3, 9, 16, 22]
    """
    count = int(np.clip(round(views / 7), 1, 10))
    return np.unique(np.floor((np.arange(count) + 0.5) * views / count).astype(np.intp).clip(1, views - 2))


def split(projections: Projections, grid: Grid, settings: IterativeSettings, factor: int | None = None) -> Split:
    """The smaller copy, split; InputError when there are too few views to hold any out."""
    check_views(projections, LEAST_VIEWS, "a choice by held-out views (or give lambda_ / iterations yourself)")
    factor = coarsening(projections, grid) if factor is None else factor
    small, box = bin_projections(projections, factor), grid.coarser(factor)
    out = held_out(len(projections))
    stay = np.setdiff1d(np.arange(len(projections)), out)
    changes: dict[str, Any] = {"iterations": None}
    for name in ("start", "mask"):
        value = getattr(settings, name)
        if isinstance(value, np.ndarray) and value.shape == grid.shape and factor > 1:
            coarse = coarsen(value, factor)
            changes[name] = coarse > 0.5 if name == "mask" else coarse
    if isinstance(settings.weights, np.ndarray) and settings.weights.shape == projections.values.shape:
        changes["weights"] = bin_detector(settings.weights, factor)[stay]
    reduced = dataclasses.replace(settings, **changes)
    kept, held = small[stay], small[out]
    from ..projector.operator import Operator

    return Split(kept, held, box, factor, reduced, build(kept, box, reduced), Operator(held.scan, box, backend=settings.backend))


def weight_unit(problem: Problem, pixel_mm: float, voxel_mm: float) -> float:
    """What ``lambda_ = 1`` stands for: the mean of A' W b, itself weighted by |A' W b| (so that air around the object does not count).

    It scales with the data, the number of views and the unit of length as the best weight does; the ratio of the pixel at the axis to the
    voxel
    makes it the same on every grid.
    """
    g = problem.back_projected_data()
    total = float(np.abs(g).sum(dtype=np.float64))
    if total == 0:
        return 1.0
    return float(np.einsum("zyx,zyx->", g, g, dtype=np.float64)) / total * pixel_mm / voxel_mm


LADDER = tuple(0.028 * 2 ** (-k / 2) for k in range(12))  # 0.028 down to 6e-4
# lambda_ = TYPICAL^(1 - trust) minimum^trust, fitted to phantoms and heads (C57BL6_J, NU_J, A_J; BALB_CBYJ and BTBR for the trust in a
# coarser copy), 13 to 52 views, 5 000 to 50 000 photons, 32^3 to 128^3 voxels. The best lambda_ was 0.0035 to 0.014 on all of them; the
# minimum of the curve 0.0006 to 0.0096 on the scan itself (small scans), 0.0023 to 0.005 on a coarser copy, where it scatters less.
TYPICAL = 0.0095


def trust_in_minimum(factor: int, held: int) -> float:
    """How much of the curve's minimum goes into the choice, on a log scale, from a copy coarser by ``factor`` with ``held`` views held out.

    Fewer than four say little: at 13 views, where two are held out, the minimum is anywhere and `TYPICAL` is best (BALB_CBYJ, C3H_HEJ).
    """
    return (1 / 3 if factor == 1 else 1 / 2) * min(1.0, (held / 4) ** 2)


def choose_lambda(
    projections: Projections, grid: Grid, settings: Any, problem: Problem, prior: Prior, norm: float | None = None
) -> tuple[float, dict[str, Any]]:
    """The weight of the prior in the units of the objective, and what to tell: ``lambda_``, the curve, the rule and the cost in seconds.

    A path of weights from strong to weak, every solution the start of the next, until the score has risen twice in a row. ``norm``: that
    of `PdhgTvSolver` for this problem, where it is known.
    """
    unit = weight_unit(problem, projections.scan.field_of_view_mm.pixel_mm, grid.voxel_mm)
    if settings.lambda_ is not None:
        return settings.lambda_ * unit, {"lambda_": float(settings.lambda_), "lambda_unit": unit}
    begin = time.perf_counter()
    part = split(projections, grid, settings)
    steps = 6 if part.factor == 1 else 10  # on the scan itself every step counts: the choice must not cost more than two runs
    share = len(part.kept) / len(projections)
    known = norm * share if norm is not None and part.factor == 1 else None  # evenly spread views add up evenly
    curve = score_path(part, prior, unit * share, steps, known)
    minimum = lowest(curve)
    trust = trust_in_minimum(part.factor, len(part.held))
    best = TYPICAL ** (1 - trust) * minimum**trust
    told = {
        "lambda_": best,
        "lambda_unit": unit,
        "lambda_curve": curve,
        "lambda_minimum": minimum,
        "lambda_seconds": time.perf_counter() - begin,
        "lambda_rule": f"{part.described}; lambda_ = {TYPICAL:g}^{1 - trust:.2f} minimum^{trust:.2f}",
    }
    return best * unit, told


def score_path(part: Split, prior: Prior, unit: float, steps: int, norm: float | None = None) -> list[tuple[float, float]]:
    """(lambda_, score) along the ladder, from strong to weak, warm-started."""
    from .pdhg_tv import PdhgTvSolver

    curve: list[tuple[float, float]] = []
    state = None
    for value in LADDER:
        solver = PdhgTvSolver(part.problem, prior, value * unit, norm=norm)
        norm = solver.norm
        state = solver.start(part.start()) if state is None else state
        for _ in range(steps if curve else 2 * steps):
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


def choose_iterations(
    projections: Projections,
    grid: Grid,
    settings: IterativeSettings,
    solver_of: Callable[[Projections, Problem, Grid], Solver],
    most: int,
    patience: int = 5,
) -> tuple[int, dict[str, Any]]:
    """The number of iterations after which held-out views are predicted best; the search ends after ``patience`` worse ones."""
    if settings.iterations is not None:
        return settings.iterations, {}
    begin = time.perf_counter()
    part = split(projections, grid, settings)
    solver = solver_of(part.kept, part.problem, part.grid)
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
