"""From a plan to its tasks: scans x choices of settings x numbers of views x selections x seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...base.record import sha256
from ...data.pairs import Pair
from .choosing.tuning import Choice
from .pair_task import PairTask


def make_tasks(
    pairs: Sequence[Pair],
    choices: Sequence[Choice],
    counts: Sequence[int],
    size: int,
    *,
    selections: Sequence[str] = ("evenly",),
    seeds: Sequence[int] = (0,),
    total_photons: float | None = None,
) -> list[PairTask]:
    """One task for each scan, choice, number of views (one that the choice is meant for), selection and seed (random selections only).

    ``total_photons`` (in a pixel, over all views) keeps the dose constant.
    """
    tasks = []
    for pair in pairs:
        inputs = pair.fingerprint()
        for choice in choices:
            file_hash = method_hash(choice.method, choice.settings)
            for count in (n for n in counts if choice.views is None or n in choice.views):
                photons = None if total_photons is None else total_photons / count
                for selection, seed in _draws(selections, seeds):
                    where = (pair.animal, pair.week, count, selection, seed, choice.method, size)
                    tasks.append(PairTask(*where, choice.settings, photons, inputs, file_hash, stands_for=choice.stands_for))
    return tasks


def _draws(selections: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    return [(selection, seed) for selection in selections for seed in (seeds if selection == "random" else seeds[:1])]


def method_hash(method: str, settings: Mapping[str, Any]) -> str:
    """SHA-256 of a method's own file and of its checkpoint, so that a changed one is run again; empty for a built-in method."""
    path = method.rpartition(":")[0]
    parts = [sha256(path)] if path.endswith(".py") and Path(path).is_file() else []
    checkpoint = settings.get("checkpoint")
    if checkpoint and Path(checkpoint).is_file():
        parts.append(sha256(checkpoint))
    return " ".join(parts)
