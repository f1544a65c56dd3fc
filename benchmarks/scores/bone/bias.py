"""Bias of quantities of bone, conformal intervals from bones that are spared for them, and how often these hold.

A row has the names ``bone``, ``method``, ``views``, ``quantity``, ``error`` (measured - true, in the quantity's unit), ``bias`` (the same
in per cent of the truth), ``true``, and ``for_intervals``, which says that the bone is one of those that the intervals are made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....bone import KnownError, fit_intervals

Row = Mapping[str, Any]
LEVEL, LEAST = 0.9, 19  # of the intervals, and as many bones as conformal ones of this level need


def bias_of(group: Sequence[Row]) -> tuple[float, float]:
    """(mean bias in per cent, half the width of its 90 % interval by Student's t; infinite for one bone)."""
    from scipy.stats import t

    values = np.array([row["bias"] for row in group])
    n = len(values)
    half = float(t.ppf(0.5 + LEVEL / 2, n - 1) * values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    return float(values.mean()), half


def known_errors(group: Sequence[Row]) -> list[KnownError]:
    """The errors of the bones of which intervals are made, where they are enough for the level."""
    enough = [own for own in groups_of([r for r in group if r["for_intervals"]]) if len(own) >= LEAST]
    return [KnownError(str(r["bone"]), r["method"], r["views"], r["quantity"], -r["error"]) for own in enough for r in own]


def interval_of(group: Sequence[Row]) -> tuple[float, float] | None:
    """Between what bounds (true - measured) lies, of a method, a number of views and a quantity; None where too few bones say it."""
    known = known_errors(group)
    return fit_intervals(known, LEVEL).of(known[0].method, known[0].views)[known[0].quantity] if known else None


def coverage_of(group: Sequence[Row]) -> tuple[int, int] | None:
    """(bones whose truth lies in the interval that the other bones give, bones); None where these are too few for a level of 90 %."""
    bounds, tried = interval_of(group), studied(group)
    if bounds is None or not tried:
        return None
    return sum(bounds[0] <= -r["error"] <= bounds[1] for r in tried), len(tried)


def studied(found: Sequence[Row]) -> list[Row]:
    """The rows of the bones that are studied."""
    return [row for row in found if not row["for_intervals"]]


def views_needed(found: Sequence[Row], method: str, quantity: str, most: float) -> int | None:
    """The fewest views from which on the mean bias stays within ``most`` per cent; None where even the most views do not."""
    own = [row for row in found if row["method"] == method and row["quantity"] == quantity]
    needed = None
    for n in sorted({row["views"] for row in own}, reverse=True):
        if abs(bias_of([row for row in own if row["views"] == n])[0]) > most:
            break
        needed = n
    return needed


def groups_of(found: Sequence[Row]) -> list[list[Row]]:
    """The rows of each method, number of views and quantity."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in found:
        groups.setdefault((row["method"], row["views"], row["quantity"]), []).append(row)
    return list(groups.values())
