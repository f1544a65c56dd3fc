"""The table of classical methods on simulated scans of real volumes: views x methods, each tuned from the data alone.

``fewview bench classical --data FOLDER --out RESULTS``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...base.settings import Count, Several, checked
from ...recon import load_method, reconstruct
from ...recon.iterative.pdhg_tv import PdhgTvSettings, PdhgTvSolver
from ...recon.iterative.regularisers.priors import TotalVariation
from ...recon.iterative.solving.setup import data_term, start_volume
from ...recon.iterative.tuning.prior_weight import weight_unit
from ...recon.method.registry import ROWS, names_of_kind
from ..sweeps.columns import Cell, Column, Row, TablePlan, count, first, flat, mean, metric
from ..sweeps.peak_memory import peak_memory_mib, reset_peak_memory
from ..sweeps.records import Record
from ..sweeps.study import Study
from .cases import MEASURE, METRIC_KEYS, VOLUMES, AtLeast8, Case, case_of, find_volumes, volume_path

METHODS = tuple(name for name in names_of_kind("analytic", "iterative") if not ROWS[name].needs)
ORACLE, ORACLE_NAME = "oracle", "pdhg_tv, lambda from the truth"
FDK_FILTER = "hann"  # the best window at full bandwidth on these scans, so that the baseline is a fair one
LADDER = (0.014, 0.01, 0.007, 0.005, 0.0035, 0.0025)


@checked(kind="option of bench classical")
class Plan:
    """Reconstructions of volumes x numbers of views x methods.

    Args:
        data: folder of .nii.gz heads (8-bit grey, voxel 0.141 mm).
        volumes: names of heads without .nii.gz.
        views: numbers of views.
        methods: names of methods, or oracle (pdhg_tv with the lambda that the truth prefers).
        size: voxels across; the detector has as many rows.
        polychromatic: simulate the tube's spectrum.
    """

    data: Path
    volumes: Several[str] = VOLUMES
    views: Several[Count] = (13, 26, 52, 130, 260)
    methods: Several[str] = METHODS
    size: AtLeast8 = 128
    polychromatic: bool = False


@dataclass(frozen=True)
class Task:
    """One reconstruction; ``inputs`` is the SHA-256 of the file of the volume."""

    volume: str
    views: int
    method: str
    size: int
    polychromatic: bool
    inputs: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The task in words."""
        return f"{self.volume}, {self.views} views, {self.method}"


def tasks(plan: Plan) -> list[Task]:
    """The tasks, volume by volume. An unknown method or a missing volume is refused before the work."""
    for method in plan.methods:
        if method != ORACLE:
            load_method(method)
    files = find_volumes(plan.data, plan.volumes)
    return [
        Task(volume, views, method, plan.size, plan.polychromatic, inputs, {"filter": FDK_FILTER} if method == "fdk" else {})
        for volume, inputs in files.items()
        for views in plan.views
        for method in plan.methods
    ]


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """One reconstruction of the table."""
    case = case_of(volume_path(plan.data, task.volume), task.inputs, task.size, task.polychromatic)
    return run_oracle(case, task.views) if task.method == ORACLE else run_cell(case, task.views, task.method, **task.settings)


def run_cell(case: Case, views: int, method: str, **settings: Any) -> dict[str, Any]:
    """One reconstruction of ``views`` evenly spread views: scores, cost, and what the method chose itself.

    ``memory_mib`` is what the run took in addition to the scan, the libraries and what else was in memory before.
    """
    part = case.views(views)
    reset_peak_memory()
    before, cpu = peak_memory_mib(), time.process_time()
    rec = reconstruct(part, method, case.grid, check=False, **settings)
    if "interrupted" in rec.settings:  # after Ctrl-C this is the volume of the last step, which is not a result to keep
        raise KeyboardInterrupt
    cost = {"seconds": rec.seconds, "cpu_seconds": time.process_time() - cpu, "memory_mib": peak_memory_mib() - before}
    chosen = ", ".join(f"{k} {rec.settings[k]:.3g}" for k in ("lambda_", "iterations", "epsilon") if rec.settings.get(k) is not None)
    return {**case.scores(rec.volume), **cost, "chosen": chosen}


def run_oracle(case: Case, views: int) -> dict[str, Any]:
    """TV with the lambda that the truth prefers, which is what perfect tuning would give. Each lambda starts where
    the previous one ended.
    """
    part = case.views(views)
    begin, cpu, settings = time.perf_counter(), time.process_time(), PdhgTvSettings()
    problem = data_term(part, case.grid, settings)
    unit = weight_unit(problem, part.scan.field_of_view_mm.pixel_mm, case.grid.voxel_mm)
    state, norm, best = None, None, {"psnr": -np.inf}
    for value in LADDER:
        solver = PdhgTvSolver(problem, TotalVariation(), value * unit, norm=norm)
        norm = solver.norm
        steps = 20 if state else 40
        state = state or solver.start(start_volume(part, case.grid, settings, problem))
        for _ in range(steps):
            solver.step(state)
        scores = case.scores(state.x)
        if scores["psnr"] < best["psnr"] - 0.1:
            break
        if scores["psnr"] > best["psnr"]:
            best = {**scores, "chosen": f"lambda_ {value:g}"}
    return {**best, "seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - cpu}


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each record, with its gain over FDK of the same volume and views."""
    found = [flat(r) for r in records]
    fdk = {(r["volume"], r["views"]): float(r["psnr"]) for r in found if r["method"] == "fdk"}
    return [{**r, "method": _shown(r["method"]), "gain": _over(float(r["psnr"]), fdk.get((r["volume"], r["views"])))} for r in found]


def _shown(method: str) -> str:
    return ORACLE_NAME if method == ORACLE else method


def _over(value: float, base: float | None) -> float | None:
    return None if base is None else value - base


def _gain(group: Sequence[Row]) -> Cell:
    gains = [row["gain"] for row in group if row["gain"] is not None]
    return Cell(f"{np.mean(gains):+.2f} ({min(gains):+.2f})" if gains else "")


def against_truth(records: Sequence[Record]) -> list[str]:
    """For each volume: self-tuned TV compared with FDK, and with TV with the lambda that the truth prefers."""
    psnr_of = {(r["task"]["volume"], r["task"]["views"], r["task"]["method"]): float(r["psnr"]) for r in records}
    lines = []
    for views in sorted({views for _, views, method in psnr_of if method == ORACLE}):
        parts = []
        for volume in dict.fromkeys(volume for volume, _, _ in psnr_of):
            own, fdk, best = (psnr_of.get((volume, views, method)) for method in ("pdhg_tv", "fdk", ORACLE))
            if own is not None and fdk is not None and best is not None:
                parts.append(f"{volume} {own - fdk:+.2f}, {own - best:+.2f}")
        lines.append(f"{views} views, pdhg_tv over FDK, over the lambda from the truth (dB): " + " | ".join(parts))
    return lines


def about(plan: Plan) -> str:
    """The paragraph on what was reconstructed."""
    beam = "polychromatic" if plan.polychromatic else "monochromatic"
    return (
        f"{len(plan.volumes)} real mouse-head micro-CTs, {beam} scans with the simulator's default noise, {plan.size}^3 voxels, "
        f"{plan.size} x {plan.size * 3 // 2} pixels. {MEASURE} Seconds include the choice of lambda and iterations; CPU s is what to "
        "compare on a busy machine; `chosen` is the choice for the first volume."
    )


STUDY = Study(
    name="classical",
    title="Classical methods, tuned from the data alone",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=METRIC_KEYS,
    about=about,
    notes=against_truth,
    tables=(
        TablePlan(
            title="",
            by=("views", "method"),
            within=("views",),
            sort=True,
            rows=rows,
            columns=(
                count("volumes", "volume"),
                metric("psnr", ".2f", spread=True),
                Column("over FDK, dB (least)", _gain),
                metric("ssim", ".4f"),
                metric("dice_bone", ".3f"),
                mean("seconds", "seconds", ".1f"),
                mean("cpu_seconds", "CPU s", ".1f"),
                mean("memory_mib", "memory MiB", ".0f"),
                first("chosen", "chosen"),
            ),
        ),
    ),
)
