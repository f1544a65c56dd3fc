"""The loop around every solver: it reports progress, and stops a run that is done or diverges."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ....base.record import peak_memory_mib
from ...method import Callback, Progress, StopRun
from ..arrays import Volume, as_numpy
from .protocols import S, Solver, Values


class DivergenceWarning(RuntimeWarning):
    """A reconstruction diverged and was stopped; the last good volume is returned."""


class _Told(Progress):
    """Progress whose volume may be a tensor: it is brought from its device when it is asked for, and only then."""

    @property
    def has_volume(self) -> bool:
        """A step always has one."""
        return True

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return as_numpy(value) if name == "volume" else value


def solve(
    solver: Solver[S],
    state: S,
    iterations: int,
    callbacks: Sequence[Callback] = (),
    told: Mapping[str, Any] | None = None,
    stop: Callable[[Values], str | None] | None = None,
    shown: tuple[slice, ...] = (),
) -> Volume:
    """The volume [z, y, x] in 1/mm after ``iterations`` more steps from ``state``.

    The run ends earlier when ``stop`` gives a reason, when a callback raises StopRun, and when it diverges: when the residual is NaN or
    Inf, or above three times the least and 1.5 times the first. Then a DivergenceWarning is given, the history says ``diverged``, and the
    last good volume is returned. ``told`` are settings that were chosen for this run; the callbacks are told of them. They see the part
    ``shown`` of the volume (by default all of it).
    """
    total, told = state.count + iterations, dict(told or {})
    first = best = math.inf
    good = state.x
    for _ in range(iterations):
        before = state.x
        values = dict(solver.step(state))
        residual = float(values.get("residual", 0.0))
        first = residual if math.isinf(first) else first
        if not math.isfinite(residual) or (residual > 3 * best and residual > 1.5 * first):
            _tell(callbacks, _Told(state.count, total, good[shown], {**values, "diverged": True}, {"diverged_at": state.count}))
            change = f"the residual went from {best:.4g} to {residual:.4g} at step {state.count}"
            warnings.warn(f"{change}: diverged; the last good volume is returned", DivergenceWarning, stacklevel=2)
            return good
        if residual < best:
            best, good = residual, before  # the residual may be that of the volume before the step
        reason = stop(values) if stop else None
        told |= {"stopped": f"{reason}, at step {state.count}"} if reason else {}
        told["iterations"] = state.count
        memory = {"memory_mb": peak_memory_mib() or 0.0}
        if _tell(callbacks, _Told(state.count, total, state.x[shown], {**values, **memory}, told)) or reason:
            break
    return state.x


def _tell(callbacks: Sequence[Callback], progress: Progress) -> bool:
    """Whether a callback stops the run."""
    try:
        for callback in callbacks:
            callback(progress)
    except StopRun:
        return True
    return False
