"""How far a step may go: the largest eigenvalue of A' W A, and the momentum of accelerated methods."""

from __future__ import annotations

import math

from ....base import InputError
from .data_term import DataTerm


def largest_eigenvalue(term: DataTerm, iterations: int = 3) -> float:
    """An upper bound of the largest eigenvalue of A' W A, a few per cent above it.

    A has no negative entries, so any positive volume v gives the bound max (A'WA v)_i / v_i (Collatz and Wielandt); it falls to the
    eigenvalue as v is iterated. Voxels that hardly any ray meets are kept positive, which can only raise the bound.
    """
    v, bound = term.zeros() + 1, math.inf
    for _ in range(iterations):
        w = term.normal(v)[1]
        top = float(w.max())
        if not top > 0:
            bound = 0.0
            break
        bound = min(bound, float((w / v).max()))
        v = (w / top).clip(1e-3)
    if not (math.isfinite(bound) and bound > 0):
        raise InputError("no ray of the scan meets the grid", expected="a grid inside the field of view", remedy="see Grid.fit(scan)")
    return bound


def next_momentum(t: float) -> float:
    """The next number of Nesterov's sequence (1, 1.62, 2.19, ...): a step is extrapolated by ``(t - 1) / next_momentum(t)``.

    >>> round(next_momentum(1.0), 3)
    1.618
    """
    return (1 + math.sqrt(1 + 4 * t**2)) / 2
