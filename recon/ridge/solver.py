"""Accelerated projected gradients that never raise the objective, for a data term and a smooth prior that need not be convex."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..iterative.arrays import Volume, beside, combined, copied, dot
from ..iterative.solving.data_term import DataTerm
from ..iterative.solving.protocols import State, Values
from ..iterative.solving.step_sizes import largest_eigenvalue, next_momentum
from .prior import RidgePrior

ROUNDING = 1e-6  # objectives that differ by less are equal in single precision


@dataclass
class RidgeState(State):
    """The last two volumes and the gradients of the objective there, the objective, the momentum, and the inverse step length."""

    before: Volume
    slope: Volume
    slope_before: Volume
    data_term: float
    objective: float
    lipschitz: float
    momentum: float = 1.0


class RidgeSolver:
    """Minimises ``E(x) = 1/2 |A x - b|_W^2 + strength unit^2 R(x / unit)`` under the bounds.

    Each step goes from an extrapolated point, where the gradient is extrapolated from the last two: one pass over the data and one over the
    prior, both at the result. A step that would raise E is refused and the momentum starts again; a plain step that would is made half as
    long. So E falls with every accepted step, and the limits are stationary points (Li and Lin, NIPS 2015, on such safeguards).
    """

    def __init__(self, term: DataTerm, prior: RidgePrior, strength: float, unit: float, lipschitz: float | None = None) -> None:
        self.term, self.prior, self.strength, self.unit = term, prior, strength, unit
        self.data_lipschitz = largest_eigenvalue(term) if lipschitz is None else lipschitz

    def objective_and_gradient(self, x: Volume) -> tuple[float, float, Volume]:
        """The data term, the objective, and the gradient of the objective [z, y, x] at a volume [z, y, x] in 1/mm."""
        data, slope = self.term.gradient(x)
        value, bend = self.prior.value_and_gradient(x, self.unit)
        combined(1, slope, self.strength * self.unit, bend, out=slope)
        return data, data + self.strength * self.unit**2 * value, slope

    def start(self, x: Volume) -> RidgeState:
        """The state before the first step, from a volume [z, y, x] in 1/mm."""
        data, objective, slope = self.objective_and_gradient(x)
        lipschitz = self.data_lipschitz + self.strength * self.prior.steepest
        return RidgeState(copied(x), copied(x), slope, copied(slope), data, objective, lipschitz)

    def step(self, s: RidgeState) -> Values:
        """One iteration."""
        momentum = next_momentum(s.momentum)
        beta = (s.momentum - 1) / momentum
        y = combined(1 + beta, s.x, -beta, s.before)
        g = combined(1 + beta, s.slope, -beta, s.slope_before)
        z = self.term.project(combined(1, y, -1 / s.lipschitz, g, out=y))
        data, objective, slope = self.objective_and_gradient(z)
        if objective <= s.objective * (1 + ROUNDING) or not math.isfinite(objective):
            s.before, s.slope_before = s.x, s.slope
            s.x, s.slope, s.data_term, s.objective, s.momentum = z, slope, data, objective, momentum
        else:
            s.lipschitz *= 2 if s.momentum == 1.0 else 1
            s.momentum, s.before, s.slope_before = 1.0, s.x, s.slope
        s.count += 1
        return {"objective": s.objective, "residual": math.sqrt(2 * s.data_term)}


def mean_curvature(term: DataTerm) -> float:
    """The mean eigenvalue of A' W A (mm^2), from a volume of noise that is always the same: |A e|_W^2 / |e|^2."""
    noise = np.random.default_rng(0).standard_normal(term.shape, dtype=np.float32)
    e = term.masked(beside(noise, term.data))
    return term.normal(e)[0] / max(dot(e, e), 1e-30)
