"""Equal tuning for every method: the same number of candidates, tried on validation animals only, for each number of views and each metric.

A setting that suits PSNR need not suit Dice: a tuner that looks at PSNR alone can spoil the bone. So each metric that is tuned for has its
own choice, and the settings that a method has by default stand beside it as a row of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ....base.plain import plain, to_json
from ....recon import METHODS
from ...scores.against.references import judged_by
from ...scores.metric_table import METRICS
from ...scores.scoring import scores_against
from ...sweeps.sweep import HERE, Tell, Where, run_sweep, stamp_of
from ..evaluate import Evaluation
from ..pair_task import DEFAULT, PairTask
from .map_keys import map_key

HEADLINE = "psnr_object_linear"  # what decides where a metric has no choice of its own
TUNED = ("psnr_object", "ssim_object", "dice_bone", HEADLINE, "dice_bone_linear")


@dataclass(frozen=True)
class Choice:
    """The settings of a method at these numbers of views (None: at all), and the columns for which they stand (`DEFAULT`, metrics)."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    views: tuple[int, ...] | None = None
    stands_for: tuple[str, ...] = (DEFAULT,)


@dataclass(frozen=True)
class Trying:
    """What a task of tuning does: reconstruct, and score what settings are chosen for, against the reference that counts. Everything else
    is scored on the test animals alone, because it would take longer than many a reconstruction.
    """

    evaluation: Evaluation

    def __call__(self, task: PairTask) -> dict[str, Any]:
        """The measured part of the record."""
        scene = self.evaluation.scene(task)
        made, rec = self.evaluation.made(task, scene)
        subject, name = scene.subject, judged_by(scene.subject.references)
        maps = self.evaluation.maps.get(map_key(task), {}).get(name)
        seen, yardstick = subject.grid.seen_by_all(scene.whole.scan), self.evaluation.yardstick
        scores, _, _ = scores_against(subject.references[name], made, subject.grid, seen, yardstick, subject.body, maps, TUNED)
        return {"scores": {name: scores}, "seconds": rec.seconds, "settings": rec.settings}


def candidates(method: str, budget: int, given: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """At most ``budget`` settings that are tried for a method: its defaults first, then those of its row in the registry that differ.

    ``given`` settings (a checkpoint, or what the user set) are the same in all of them. A control, or a method of the user's own, has its
    defaults alone.
    """
    fixed = dict(given or {})
    if method not in METHODS:
        return [fixed]
    known = METHODS[method]
    found, seen = [], []
    for settings in ({}, *known.candidates):
        chosen = {**settings, **fixed}
        made = known.settings(**chosen)
        if made not in seen:
            seen.append(made)
            found.append(chosen)
    return found[: max(1, budget)]


def choose(
    evaluation: Evaluation, results: Path, tasks: Sequence[PairTask], *, where: Where = HERE, tell: Tell | None = None
) -> dict[str, dict[int, dict[str, dict[str, Any]]]]:
    """Method -> number of views -> metric -> the settings with the best mean score over the validation animals of the ``tasks``.

    The records stay in ``results/tuning``. A candidate without a finite score is out, and a method all of whose candidates are out has no
    choice.
    """
    if not tasks:
        return {}
    stamp, info = stamp_of("tuning", TUNED), {"title": "tuning on validation animals"}
    records = run_sweep(tasks, Trying(evaluation), results / "tuning", stamp, where=where, tell=tell, info=info)
    better = {m.name: m.better for m in METRICS if m.protocol == "volume"}
    scores: dict[tuple[str, int, str, str], list[float]] = {}
    settings_of: dict[str, dict[str, Any]] = {}
    for task, record in zip(tasks, records, strict=True):
        key = to_json(plain(task.settings), sort_keys=True)
        settings_of[key] = dict(task.settings)
        own = {} if "failed" in record else record["scores"][judged_by(record["scores"])]
        for metric in TUNED:
            scores.setdefault((task.method, task.views, metric, key), []).append(float(own.get(metric, np.nan)))
    best: dict[str, dict[int, dict[str, dict[str, Any]]]] = {}
    tops: dict[tuple[str, int, str], float] = {}
    for (method, views, metric, key), values in scores.items():
        mean = float(np.mean(values)) * (1 if better[metric] == "high" else -1)
        if np.isfinite(mean) and mean > tops.get((method, views, metric), -np.inf):
            tops[method, views, metric] = mean
            best.setdefault(method, {}).setdefault(views, {})[metric] = settings_of[key]
    return best


def choices_of(
    method: str,
    default: Mapping[str, Any],
    chosen: Mapping[int, Mapping[str, Mapping[str, Any]]],
    only_at: tuple[int, ...] | None = None,
) -> list[Choice]:
    """What is run on the test animals: the default settings, and at each number of views whatever was chosen; nothing is run twice."""
    if not chosen:
        return [Choice(method, default, only_at)]
    found = []
    for views, by_metric in chosen.items():
        stands: dict[str, tuple[Mapping[str, Any], list[str]]] = {to_json(plain(default), sort_keys=True): (default, [DEFAULT])}
        for metric, settings in by_metric.items():
            stands.setdefault(to_json(plain(settings), sort_keys=True), (settings, []))[1].append(metric)
        found += [Choice(method, settings, (views,), tuple(names)) for settings, names in stands.values()]
    return found
