"""What the intervals of `fewview recon --std` are worth, on simulated scans of real volumes whose truth is known.

``fewview bench intervals --data FOLDER --out RESULTS``. For each method and kind of resampling it finds how often ``volume +- z std``
contains the truth, and the factor on ``std`` that would make it the nominal share. The factor is then taken from half of the volumes and
tried on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...base import InputError
from ...base.settings import Count, Several, checked
from ...data import Reconstruction
from ...nerf.spread.std import conformal_std
from ...recon import load_method
from ...recon.uncertainty import coverage, resampled_std
from ..sweeps.columns import Cell, Column, Row, TablePlan, count, flat, mean
from ..sweeps.records import Record
from ..sweeps.study import Study
from .cases import VOLUMES, AtLeast8, Case, case_of, find_volumes, volume_path

OBJECT = 0.01  # 1/mm; what is above this is object, not air
REGIONS = ("seen by all views", "object")
FACTORS = tuple(2 ** (k / 32) for k in range(-160, 161))  # from 1/32 to 32 times the standard deviation, in steps of 2 %


@checked(kind="option of bench intervals")
class Plan:
    """Intervals of volumes x methods x kinds of resampling, at one number of views.

    Args:
        data: folder of .nii.gz heads (8-bit grey, voxel 0.141 mm).
        volumes: names of heads without .nii.gz.
        methods: names of methods.
        kinds: views (jackknife), rays (noise alone), and conformal (learned on procedural volumes; pdhg_tv and tvnet).
        views: number of views.
        size: voxels across.
        replicas: groups of views, or noisy copies.
        level: nominal share of truths inside the interval.
    """

    data: Path
    volumes: Several[str] = VOLUMES
    methods: Several[str] = ("fdk", "pdhg_tv")
    kinds: Several[Literal["views", "rays", "conformal"]] = ("views", "rays")
    views: Count = 26
    size: AtLeast8 = 64
    replicas: Annotated[int, Field(ge=2)] = 8
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9


@dataclass(frozen=True)
class Task:
    """One volume, method and kind of resampling; ``inputs`` is the SHA-256 of the volume's file."""

    volume: str
    method: str
    kind: str
    views: int
    size: int
    replicas: int
    level: float
    inputs: str

    @property
    def label(self) -> str:
        """The task in words."""
        return f"{self.volume}, {self.method}, {self.kind} resampled"


def tasks(plan: Plan) -> list[Task]:
    """The tasks, volume by volume."""
    for method in plan.methods:
        load_method(method)
    files = find_volumes(plan.data, plan.volumes)
    return [
        Task(volume, method, kind, plan.views, plan.size, plan.replicas, plan.level, inputs)
        for volume, inputs in files.items()
        for method in plan.methods
        for kind in plan.kinds
    ]


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """For each region: the share of truths inside, the factor for the nominal share, and the share at each of `FACTORS`."""
    case = case_of(volume_path(plan.data, task.volume), task.inputs, task.size)
    return {"regions": worth_of(case, task)}


def worth_of(case: Case, task: Task) -> dict[str, dict[str, Any]]:
    """Region -> share, factor, and the curve of shares."""
    rec = _with_std(case, task)
    if rec.std is None:
        raise InputError(f"{task.method} has no standard deviation")
    masks = dict(zip(REGIONS, (case.inside, case.inside & (case.truth > OBJECT)), strict=True))
    found: dict[str, dict[str, Any]] = {}
    for region, mask in masks.items():
        share, factor = coverage(rec.volume, rec.std, case.truth, task.level, mask)
        ratio = np.sort(np.abs(rec.volume - case.truth)[mask] / np.maximum(rec.std[mask], 1e-30))
        found[region] = {"share": share, "factor": factor, "curve": _curve(ratio.astype(np.float32), task.level)}
    return found


def _with_std(case: Case, task: Task) -> Reconstruction:
    given = case.views(task.views)
    if task.kind == "conformal":
        return conformal_std(given, task.method, case.grid)
    return resampled_std(given, task.method, case.grid, kind=task.kind, replicas=task.replicas)


def _curve(ratio: NDArray[np.float32], level: float) -> list[float]:
    """The share of voxels whose |error| / std is at most z times each of `FACTORS`; ``ratio`` is sorted."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    return (np.searchsorted(ratio, z * np.array(FACTORS), side="right") / len(ratio)).tolist()


def share_with(row: Mapping[str, Any], factor: float) -> float:
    """The share of truths inside with ``std`` times a factor, interpolated between the neighbours in `FACTORS`."""
    return float(np.interp(np.log(factor), np.log(FACTORS), row["curve"]))


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each region. The first half of the volumes determines the factor, and the others test it."""
    names = list(dict.fromkeys(r["task"]["volume"] for r in records))
    teachers = set(names[: len(names) // 2])
    return [
        {**flat(r), "region": region, **worth, "teaches": r["task"]["volume"] in teachers}
        for r in records
        for region, worth in r["regions"].items()
    ]


def _shares(group: Sequence[Row]) -> Cell:
    shares = [float(row["share"]) for row in group]
    return Cell(f"{np.mean(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})")


def _taught(group: Sequence[Row]) -> float | None:
    factors = [float(row["factor"]) for row in group if row["teaches"]]
    return float(np.mean(factors)) if factors else None


def _factor_of_half(group: Sequence[Row]) -> Cell:
    factor = _taught(group)
    return Cell("" if factor is None else f"{factor:.2f}")


def _share_of_others(group: Sequence[Row]) -> Cell:
    factor = _taught(group)
    others = [] if factor is None else [share_with(row, factor) for row in group if not row["teaches"]]
    return Cell(f"{np.mean(others):.3f} ({min(others):.3f} to {max(others):.3f})" if others else "")


def about(plan: Plan) -> str:
    """The paragraph on what was resampled."""
    return (
        f"{len(plan.volumes)} volumes, {plan.size}^3 voxels, {plan.views} views, {plan.replicas} replicas; nominal share {plan.level:g}. "
        f"Voxels that every view sees; object is what lies above {OBJECT:g} 1/mm in the truth."
    )


STUDY = Study(
    name="intervals",
    title="What the intervals are worth",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=("share inside", "factor"),
    about=about,
    tables=(
        TablePlan(
            title="",
            by=("method", "kind", "region"),
            rows=rows,
            columns=(
                count("volumes", "volume"),
                Column("share inside (least to most)", _shares),
                mean("factor", "factor for the nominal share", ".2f"),
                Column("factor of the first half of the volumes", _factor_of_half),
                Column("share inside on the other half with it", _share_of_others),
            ),
        ),
    ),
)
