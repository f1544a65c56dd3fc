"""Calibrated intervals of one scan's quantities: from scans whose truth is known, by method and number of views.

On held-out animals the errors (true - measured) are collected; of a new scan made in the same way the truth lies within their quantiles
with the stated probability, whatever their distribution (split conformal bounds: arXiv 2404.15274).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...base import InputError
from ...base.errors import UnknownNameError, reading
from ...base.files import atomic_path
from ...base.record import record_text
from .quantities import QUANTITIES

_FORMAT = "fewview intervals 1"


@dataclass(frozen=True)
class KnownError:
    """One held-out scan: ``error`` of ``quantity`` (true - measured, in its unit) with a method and a number of views."""

    animal: str
    method: str
    views: int
    quantity: str
    error: float


@dataclass(frozen=True)
class IntervalTable:
    """``bounds``: (method, views, quantity) -> (low, high) to add to a measured value; ``level``: the probability; ``animals`` seen.

    ``provenance``: where it came from, in words and hashes, as it was given.
    """

    level: float
    bounds: Mapping[tuple[str, int, str], tuple[float, float]]
    animals: int
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def of(self, method: str, views: int, *, widen: float = 1.0) -> dict[str, tuple[float, float]]:
        """The bounds of a method and a number of views, by quantity, ``widen`` times as far from their middle.

        Raises InputError where the table has none for them: bounds of other views say nothing.
        """
        if not (math.isfinite(widen) and widen >= 1):
            raise InputError(f"widen is {widen}", expected="1 or more")
        found = {q: pair for (m, v, q), pair in self.bounds.items() if (m, v) == (method, views)}
        if not found:
            there = ", ".join(sorted({f"{m} with {v} views" for m, v, _ in self.bounds}))
            raise InputError(f"there are no intervals for {method} with {views} views", expected=f"one of: {there}")
        return {q: _widened(low, high, widen) for q, (low, high) in found.items()}

    def write(self, path: str | Path, *, force: bool = False) -> Path:
        """Write it to a .json file; returns the path."""
        rows = [
            {"method": m, "views": v, "quantity": q, "low": low, "high": high} for (m, v, q), (low, high) in sorted(self.bounds.items())
        ]
        facts = {"format": _FORMAT, "level": self.level, "animals": self.animals, "provenance": dict(self.provenance), "bounds": rows}
        with atomic_path(path, force=force) as temporary:
            temporary.write_text(record_text(facts), encoding="utf-8")
        return Path(path)


def fit_intervals(known: Sequence[KnownError], level: float = 0.9, provenance: Mapping[str, Any] | None = None) -> IntervalTable:
    """The bounds between which a new scan's error lies with probability ``level``, from the errors of held-out animals.

    For n animals the lower and upper bound are the order statistics of rank floor and ceil of (n + 1) times the tail, so that coverage is
    at least ``level`` for animals drawn alike. Raises InputError where there are too few: 19 for 0.9, 39 for 0.95.
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level}", expected="a probability between 0 and 1, such as 0.9")
    groups: dict[tuple[str, int, str], list[float]] = {}
    for row in known:
        if row.quantity not in QUANTITIES:
            raise UnknownNameError("quantity", row.quantity, QUANTITIES)
        if math.isfinite(row.error):
            groups.setdefault((row.method, row.views, row.quantity), []).append(row.error)
    bounds = {key: _conformal(np.sort(errors), level, key) for key, errors in groups.items()}
    if not bounds:
        raise InputError("no error is known", expected="errors of held-out animals")
    return IntervalTable(level, bounds, len({row.animal for row in known}), dict(provenance or {}))


def _conformal(errors: Any, level: float, key: tuple[str, int, str]) -> tuple[float, float]:
    count, tail = len(errors), (1 - level) / 2
    low = math.floor((count + 1) * tail + 1e-9)
    if low < 1:
        needed = math.ceil(1 / tail - 1e-9) - 1
        raise InputError(
            f"{count} animals for {key[2]} of {key[0]} with {key[1]} views", expected=f"at least {needed} for a level of {level:g}"
        )
    return float(errors[low - 1]), float(errors[count - low])


def _widened(low: float, high: float, factor: float) -> tuple[float, float]:
    middle, half = (low + high) / 2, (high - low) / 2 * factor
    return middle - half, middle + half


def read_intervals(path: str | Path) -> IntervalTable:
    """A table that `IntervalTable.write` wrote; InputError for anything else."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"intervals {path} are not there")
    with reading(path):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or facts.get("format") != _FORMAT:
            raise InputError(f"{path} is no file of intervals", expected=f'"format": "{_FORMAT}"')
        bounds = {(str(r["method"]), int(r["views"]), str(r["quantity"])): (float(r["low"]), float(r["high"])) for r in facts["bounds"]}
        return IntervalTable(float(facts["level"]), bounds, int(facts["animals"]), dict(facts["provenance"]))
