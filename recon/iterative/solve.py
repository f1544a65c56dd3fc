"""The loop around every solver: progress, stopping, divergence. A solver itself is a state and a step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..method import Callback, Progress

Volume = NDArray[np.float32]


class DivergenceWarning(RuntimeWarning):
    """A reconstruction diverged and was stopped; the last good volume is returned."""


@runtime_checkable
class State(Protocol):
    """``x`` is the volume after ``count`` steps. A step writes the next volume elsewhere and then swaps, so ``x`` is always whole."""

    x: Volume
    count: int


Stop = Callable[[Mapping[str, float]], str | None]


def iterate(
    step: Callable[[], Mapping[str, float]],
    state: State,
    iterations: int,
    callbacks: Sequence[Callback] = (),
    *,
    resolved: Mapping[str, Any] | None = None,
    stop: Stop | None = None,
) -> Volume:
    """Run ``iterations`` more steps, or until ``stop`` gives a reason, or the residual runs away; the best volume known then.

    ``step`` advances ``state`` and returns numbers, among them ``residual`` (the norm of A x - b that the step saw). The run has diverged
    when the
    residual is NaN or Inf, or above three times the least and 1.5 times the first: a DivergenceWarning tells, the history says
    ``diverged``.
    """
    total = state.count + iterations
    first = best = math.inf
    good = state.x.copy()
    told = dict(resolved or {})
    for _ in range(iterations):
        before = state.x
        values = dict(step())
        residual = float(values.get("residual", 0.0))
        first = residual if math.isinf(first) else first
        if not math.isfinite(residual) or (residual > 3 * best and residual > 1.5 * first):
            for callback in callbacks:
                callback(Progress(state.count, total, good, {**values, "diverged": True}, {"diverged_at": state.count}))
            message = (
                f"the residual went from {best:.4g} to {residual:.4g} at step {state.count}: diverged; the last good volume is returned"
            )
            warnings.warn(message, DivergenceWarning, stacklevel=2)
            return good
        if residual < best:
            best = residual
            np.copyto(good, before)  # the residual may be that of the volume before the step; that array is whole until the next one
        reason = stop(values) if stop else None
        if reason:
            told["stopped"] = f"{reason}, at step {state.count}"
        told["iterations"] = state.count
        for callback in callbacks:
            callback(Progress(state.count, total, state.x, {**values, "memory_mb": peak_memory_mb()}, told))
        if reason:
            break
    return state.x


def thinned_history(history: Sequence[Mapping[str, Any]], most: int = 100) -> list[dict[str, Any]]:
    """At most ``most`` entries of a history, evenly spread, the first and the last among them: for a record or a plot.

    >>> [h["step"] for h in thinned_history([{"step": k} for k in range(1, 1001)], most=4)]
    [1, 334, 667, 1000]
    """
    keep = np.unique(np.linspace(0, len(history) - 1, min(most, len(history))).round().astype(int))
    return [dict(history[k]) for k in keep]


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB (0 where the system does not say)."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
