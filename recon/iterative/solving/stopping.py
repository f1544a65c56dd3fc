"""When a run may stop: the residual that the noise of the data explains."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ....data import Projections
from ...physics.noise import noise_level
from ..arrays import as_numpy
from .data_term import DataTerm
from .protocols import Values


def discrepancy(
    projections: Projections, term: DataTerm, noise: float | None, tolerance: float
) -> tuple[Callable[[Values], str | None], dict[str, Any]]:
    """Morozov's principle: stop when the root mean square of the residual is below ``tolerance`` times the noise of a line integral.

    Where ``noise`` is None it is estimated from the data. Returns the rule, as `solve` takes it, and what to report about it.
    """
    sigma = noise_level(projections, as_numpy(term.weights)) if noise is None else noise
    enough = tolerance * sigma * math.sqrt(term.rays)

    def stop(values: Values) -> str | None:
        return "the residual is what the noise explains (discrepancy principle)" if values["residual"] <= enough else None

    return stop, {"noise": sigma, "residual_wanted": enough}
