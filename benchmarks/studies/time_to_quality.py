"""How long a self-tuned reconstruction takes to come within 0.1 dB of where it converges, and what an iteration costs.

``fewview bench time --data FOLDER --out RESULTS`` (128^3 from 26 views) and, with ``--size 256 --slices 171 --views 52``, 256 x 256 x 171.
Wall and processor seconds include the choice of settings; NUMBA_NUM_THREADS sets the number of threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ...base.settings import Count, checked
from ...recon import Operator, Progress, load_method, reconstruct
from ..sweeps.columns import Cell, Column, Row, TablePlan, flat, mean
from ..sweeps.records import Record
from ..sweeps.study import Study
from .cases import MEASURE, VOLUMES, AtLeast8, Case, case_of, find_volumes, volume_path

CLOSE_DB = 0.1


@checked(kind="option of bench time")
class Plan:
    """A measurement of one method on one volume.

    Args:
        data: folder of .nii.gz heads (8-bit grey, voxel 0.141 mm).
        volume: name of a head without .nii.gz.
        method: an iterative method that chooses lambda itself.
        views: number of views.
        size: voxels across.
        slices: number of slices along the axis; 0 means as many as voxels across.
        converged: iterations after which the method counts as converged.
    """

    data: Path
    volume: str = VOLUMES[2]
    method: str = "pdhg_tv"
    views: Count = 26
    size: AtLeast8 = 128
    slices: Annotated[int, Field(ge=0)] = 0
    converged: Count = 120


@dataclass(frozen=True)
class Task:
    """One run that is observed; ``inputs`` is the SHA-256 of the file of the volume."""

    volume: str
    method: str
    views: int
    size: int
    slices: int
    converged: int
    inputs: str

    @property
    def label(self) -> str:
        """The task in words."""
        return f"{self.volume}, {self.method}, {self.views} views, {self.size} voxels across"


@dataclass(frozen=True)
class Watched:
    """One step of a run: its number, the wall and processor seconds since the run began (without scoring), and its PSNR."""

    step: int
    wall: float
    cpu: float
    psnr: float


def tasks(plan: Plan) -> list[Task]:
    """The only task."""
    load_method(plan.method)
    inputs = find_volumes(plan.data, [plan.volume])[plan.volume]
    return [Task(plan.volume, plan.method, plan.views, plan.size, plan.slices or plan.size, plan.converged, inputs)]


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """Observe the method twice: with its own settings, and for many iterations with the lambda that it chose."""
    case = case_of(volume_path(plan.data, task.volume), task.inputs, task.size, slices=task.slices)
    watch(case, 13, task.method, 1, 0.01)  # compiled before the clock starts
    steps, lambda_ = watch(case, task.views, task.method, None)
    pair = pair_seconds(case, task.views)
    end, _ = watch(case, task.views, task.method, task.converged, lambda_)
    return {"lambda_": lambda_, "pair_seconds": pair, "steps": [astuple(s) for s in steps], "end": [astuple(s) for s in end]}


def watch(case: Case, views: int, method: str, iterations: int | None, lambda_: float | None = None) -> tuple[list[Watched], float]:
    """A run with the PSNR of every volume that it shows, and the lambda that it used."""
    found: list[Watched] = []
    begin, spent = np.array([time.perf_counter(), time.process_time()]), np.zeros(2)

    def look(progress: Progress) -> None:
        nonlocal spent
        now = np.array([time.perf_counter(), time.process_time()])
        if progress.volume is not None:
            wall, cpu = now - begin - spent
            found.append(Watched(progress.step, float(wall), float(cpu), case.scores(progress.volume, ["psnr"])["psnr"]))
        spent += np.array([time.perf_counter(), time.process_time()]) - now

    rec = reconstruct(case.views(views), method, case.grid, [look], check=False, iterations=iterations, lambda_=lambda_)
    if "interrupted" in rec.settings:
        raise KeyboardInterrupt
    return found, float(rec.settings["lambda_"])


def pair_seconds(case: Case, views: int, rounds: int = 5) -> tuple[float, float]:
    """The median wall and processor seconds of one forward projection and one adjoint."""
    A = Operator(case.views(views).scan, case.grid)
    return _median(lambda: A.T(A(case.truth)), rounds)


def _median(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    taken = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(np.array(taken), axis=0)
    return float(wall), float(cpu)


@dataclass(frozen=True)
class Summary:
    """A run in figures: where it was close enough to the end, how long it took, and what an iteration costs beside its two projections.

    ``close`` is the first step from which the run stays within 0.1 dB, or None. ``over`` is the time of an iteration beyond its pair of
    projections, as a share of wall seconds and of processor seconds.
    """

    close: Watched | None
    first: Watched
    last: Watched
    iteration: tuple[float, float]
    over: tuple[float, float]


def summary(steps: Sequence[Watched], converged: float, pair: tuple[float, float]) -> Summary:
    """The figures of a run whose method converges at ``converged`` dB; ``pair`` are the seconds of one forward
    projection and one adjoint.
    """
    far = max((w.step for w in steps if abs(w.psnr - converged) > CLOSE_DB), default=0)
    first, last = steps[0], steps[-1]
    count = max(1, last.step - first.step)
    wall, cpu = (last.wall - first.wall) / count, (last.cpu - first.cpu) / count
    close = next((w for w in steps if w.step > far), None)
    return Summary(close, first, last, (wall, cpu), (wall / pair[0] - 1, cpu / pair[1] - 1))


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each record."""
    return [_row(record) for record in records]


def _row(record: Record) -> Row:
    steps, end = ([Watched(int(k), *map(float, rest)) for k, *rest in record[name]] for name in ("steps", "end"))
    wall, cpu = map(float, record["pair_seconds"])
    s = summary(steps, end[-1].psnr, (wall, cpu))
    close = s.close or Watched(0, math.nan, math.nan, math.nan)
    return {
        **flat(record), "converged_db": end[-1].psnr, "close_step": close.step or "never", "close_s": close.wall, "close_cpu": close.cpu,
        "all_steps": s.last.step, "all_s": s.last.wall, "all_cpu": s.last.cpu, "before_s": s.first.wall, "rate": 1 / s.iteration[0],
        "pair_s": wall, "over": s.over,
    }  # fmt: skip


def _reached(group: Sequence[Row]) -> Cell:
    row = group[0]
    return Cell(
        row["close_step"]
        if row["close_step"] == "never"
        else f"step {row['close_step']}: {row['close_s']:.1f} s, {row['close_cpu']:.1f} CPU s"
    )


def _whole(group: Sequence[Row]) -> Cell:
    row = group[0]
    return Cell(f"{row['all_steps']} iterations, {row['all_s']:.1f} s, {row['all_cpu']:.1f} CPU s")


def _over(group: Sequence[Row]) -> Cell:
    wall, cpu = group[0]["over"]
    return Cell(f"{100 * wall:+.0f} % ({100 * cpu:+.0f} % in CPU s)")


def notes(records: Sequence[Record]) -> list[str]:
    """The progress of the run, step by step."""
    lines = []
    for record in records:
        shown = [f"{int(w[0])}: {float(w[3]):.2f}" for w in record["end"] if w[0] in (1, 2, 5) or w[0] % 10 == 0]
        lines.append(f"{record['label']}, lambda_ {float(record['lambda_']):.4g}: PSNR by iteration " + ", ".join(shown))
    return lines


STUDY = Study(
    name="time",
    title="Time to quality",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=("volume/psnr",),
    about=lambda plan: f"Close: within {CLOSE_DB:g} dB of where the method converges, to the end. {MEASURE}",
    notes=notes,
    tables=(
        TablePlan(
            title="",
            by=("method", "views", "volume"),
            rows=rows,
            columns=(
                mean("converged_db", "converged, dB", ".2f"),
                Column("close from", _reached),
                Column("whole run", _whole),
                mean("before_s", "before the first iteration ended, s", ".1f"),
                mean("rate", "iterations/s", ".2f"),
                mean("pair_s", "forward and adjoint, s", ".3f"),
                Column("an iteration takes beyond that", _over),
            ),
        ),
    ),
)
