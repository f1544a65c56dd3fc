"""Equal tuning for every method: the same number of candidates, tried on training animals only, and chosen by the PSNR of the volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.pairs import Pair
from ...recon import METHODS
from ..scores.metric_table import METRICS
from ..sweeps.sweep import HERE, Tell, Where, run_sweep, stamp_of
from .evaluate import Evaluation, make_tasks


def candidates(method: str) -> list[dict[str, Any]]:
    """The settings that are tried for a method, as its row in the registry says; none for methods that choose for themselves, and for
    others.
    """
    return [dict(given) for given in METHODS[method].candidates] if method in METHODS else []


def tune(
    evaluation: Evaluation,
    results: Path,
    train: Sequence[Pair],
    methods: Sequence[str],
    views: int,
    size: int,
    budget: int,
    *,
    animals: int = 2,
    given: Mapping[str, Mapping[str, Any]] | None = None,
    where: Where = HERE,
    tell: Tell | None = None,
) -> dict[str, dict[str, Any]]:
    """The best settings of each method among its first ``budget`` candidates, by the mean volume PSNR over ``animals`` training animals.

    ``given`` settings of a method (its checkpoint) are the same in all candidates. Methods that choose their own settings from the data
    (lambda_=None) have no candidates, because that choice is part of the method. The records stay in ``results/tuning``. A candidate that
    fails is out; a method all of whose candidates fail keeps its defaults. A network has seen the training animals, so that its data
    consistency, which is chosen on them, tends to be too small.
    """
    if budget < 1 or not train:
        return {}
    by_animal = {pair.animal: pair for pair in reversed(train)}
    chosen_on = [by_animal[a] for a in sorted(by_animal, key=int)[:animals]]
    tasks = []
    for method in methods:
        fixed = (given or {}).get(method, {})
        for settings in candidates(method)[:budget]:
            tasks += evaluation.measured(make_tasks(chosen_on, [method], [views], size, settings={method: {**settings, **fixed}}))
    info, stamp = {"title": "tuning on training animals"}, stamp_of("tuning", [m.key for m in METRICS])
    records = run_sweep(tasks, evaluation, results / "tuning", stamp, where=where, tell=tell, info=info) if tasks else []
    scores: dict[tuple[str, str], list[float]] = {}
    settings_of: dict[tuple[str, str], dict[str, Any]] = {}
    for task, record in zip(tasks, records, strict=True):
        key = task.method, repr(sorted(task.settings.items()))
        settings_of[key] = dict(task.settings)
        scores.setdefault(key, []).append(float(record["scores"]["volume"]["psnr"]) if "failed" not in record else -np.inf)
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for key, values in scores.items():
        mean = float(np.mean(values))
        if np.isfinite(mean) and mean > best.get(key[0], (-np.inf, {}))[0]:
            best[key[0]] = mean, settings_of[key]
    return {method: settings for method, (_, settings) in best.items()}
