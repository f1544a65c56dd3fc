"""Intervals over animals, and paired differences between methods. The unit is always the animal, never the slice, the view or the week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ...base import InputError

Key = tuple[str, ...]  # the animal first, then what else tells two measurements of it apart: week, selection, seed


@dataclass(frozen=True)
class Interval:
    """A mean over ``count`` animals with the ends of its interval (NaN where one animal allows none), and a ``note`` on its worth."""

    mean: float
    low: float
    high: float
    count: int
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]" if self.count > 1 or np.isfinite(self.low) else f"{self.mean:.4g}"
        return f"{text} ({self.note})" if self.note else text


def mean_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of values (n,), one for each animal; values that are not finite are refused.

    With six animals a percentile bootstrap holds the mean in 86 % of all cases instead of 95 %, because it takes the spread of the six for
    that of all; Student's t knows how uncertain that spread is.

    >>> mean_interval([1.0, 1.0, 1.0])
    Interval(mean=1.0, low=1.0, high=1.0, count=3, note='')
    """
    x: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    if x.size == 0 or not np.isfinite(x).all():
        raise InputError(
            f"{x.size} values, {int(np.count_nonzero(~np.isfinite(x)))} of them not finite", expected="finite scores, one for each animal"
        )
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    half = float(stats.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size))
    return Interval(mean, mean - half, mean + half, int(x.size))


def by_animal(values: Mapping[Key, float]) -> dict[str, float]:
    """The mean of each animal over its weeks, selections and seeds."""
    found: dict[str, list[float]] = {}
    for key, value in values.items():
        found.setdefault(key[0], []).append(value)
    return {animal: float(np.mean(own)) for animal, own in found.items()}


def paired_difference(a: Mapping[Key, float], b: Mapping[Key, float], *, level: float = 0.95) -> Interval:
    """The interval of a - b over animals: each measurement with its own counterpart, then the mean of each animal, then Student's t.

    An error where the two share no measurement with finite scores.
    """
    shared = sorted(k for k in a.keys() & b.keys() if np.isfinite(a[k]) and np.isfinite(b[k]))
    if not shared:
        raise InputError("the two methods share no animal with finite scores", expected="scores of the same animals")
    return mean_interval(list(by_animal({k: a[k] - b[k] for k in shared}).values()), level=level)
