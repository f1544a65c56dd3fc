"""Intervals over animals, and paired differences between methods. The unit is always the animal, never the slice or the view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base import InputError


@dataclass(frozen=True)
class Interval:
    """A mean over ``count`` animals with the ends of its bootstrap interval (NaN where one animal allows none)."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]" if self.count > 1 else f"{self.mean:.4g}"


def bootstrap_mean(values: ArrayLike, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> Interval:
    """Percentile bootstrap (Efron 1979) of the mean of values (n,), one for each animal; values that are not finite are refused.

    >>> bootstrap_mean([1.0, 1.0, 1.0])
    Interval(mean=1.0, low=1.0, high=1.0, count=3)
    """
    x: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    if x.size == 0 or not np.isfinite(x).all():
        raise InputError(
            f"{x.size} values, {int(np.count_nonzero(~np.isfinite(x)))} of them not finite", expected="finite scores, one for each animal"
        )
    if x.size == 1:
        return Interval(float(x[0]), float("nan"), float("nan"), 1)
    index = np.random.default_rng(seed).integers(0, x.size, (draws, x.size))
    low, high = np.quantile(x[index].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(x.mean()), float(low), float(high), int(x.size))


def paired_difference(a: Mapping[str, float], b: Mapping[str, float], **options: float) -> Interval:
    """The bootstrap interval of a - b over the animals that both have; an error where they share none."""
    shared = sorted(k for k in a.keys() & b.keys() if np.isfinite(a[k]) and np.isfinite(b[k]))
    if not shared:
        raise InputError("the two methods share no animal with finite scores", expected="scores of the same animals")
    return bootstrap_mean([a[k] - b[k] for k in shared], **options)  # type: ignore[arg-type]
