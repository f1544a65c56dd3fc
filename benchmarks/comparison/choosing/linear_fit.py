"""Fitting the linear maps of a comparison: every method with all its candidate settings reconstructs a few training animals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....data.pairs import Pair
from ...scores.against.linear_map import NormalEquations, grey_map, normal_equations, solved
from ...scores.scoring import Maps
from ...sweeps.records import Record
from ...sweeps.results import PICTURES
from ...sweeps.sweep import HERE, Tell, Where, run_sweep, stamp_of
from ..evaluate import Evaluation
from ..pair_task import PairTask
from ..pictures import open_pictures
from .map_keys import map_key

FOLDER = "fitting"  # in the results
_METRICS = ("normal equations of a linear map",)


@dataclass(frozen=True)
class Fitting:
    """What a task of the fit does: reconstruct, and keep the normal equations against every reference inside the object."""

    evaluation: Evaluation

    def __call__(self, task: PairTask) -> dict[str, Any]:
        """The measured part of the record."""
        scene = self.evaluation.scene(task)
        made, rec = self.evaluation.made(task, scene)
        arrays = {}
        for name, reference in scene.subject.references.items():
            found = normal_equations(made.channels, reference.volume, scene.subject.body)
            arrays |= {f"{name} gram": found.gram, f"{name} right": found.right}
        return {"arrays": arrays, "channels": len(made.channels), "seconds": rec.seconds}


def fit_maps(
    evaluation: Evaluation, results: Path, tasks: Sequence[PairTask], *, where: Where = HERE, tell: Tell | None = None
) -> dict[str, Maps]:
    """The maps for each `map_key` of the ``tasks``, which are of training animals. A task that failed is left out."""
    if not tasks:
        return {}
    info = {"title": "linear maps, fitted on training animals"}
    records = run_sweep(
        evaluation.measured(tasks), Fitting(evaluation), results / FOLDER, stamp_of(FOLDER, _METRICS), where=where, tell=tell, info=info
    )
    groups: dict[str, list[Record]] = {}
    for task, record in zip(tasks, records, strict=True):
        if "failed" not in record:
            groups.setdefault(map_key(task), []).append(record)
    return {key: _maps(group, results / FOLDER / PICTURES) for key, group in groups.items()}


def fit_animals(train: Sequence[Pair], most: int) -> list[Pair]:
    """The first week of the last ``most`` training animals (the mean-volume control and the networks see the same animals)."""
    first = {pair.animal: pair for pair in reversed(train)}
    return [first[animal] for animal in sorted(first, key=int)[-most:]]


def _maps(records: Sequence[Record], folder: Path) -> Maps:
    total: dict[str, NormalEquations] = {}
    for record in records:
        with open_pictures(folder / f"{record['key']}.npz") as kept:
            for name in sorted({head.rpartition(" ")[0] for head in kept}):
                found = NormalEquations(kept[f"{name} gram"], kept[f"{name} right"], int(record["channels"]))
                total[name] = total[name] + found if name in total else found
    return {name: {"grey": grey_map(e), "linear": solved(e)} for name, e in total.items()}
