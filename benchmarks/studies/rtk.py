"""The conjugate gradients and ADMM-TV of itk-rtk beside ours, on the same scan and box: PSNR against seconds.

``fewview bench rtk --data FOLDER --out RESULTS`` (extra ``peers``). itk-rtk takes part with a grid of settings, all of which are shown;
ours is self-tuned and shown after some of its iterations. Both have the same number of threads and run in turn in one process.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import MissingBackendError
from ...base.settings import Count, checked
from ...base.shapes import Volume
from ...data import Projections
from ...recon import Progress, reconstruct
from ..peers.rtk import rtk_geometry, rtk_image
from ..sweeps.columns import Cell, Column, Row, TablePlan, flat, mean, metric
from ..sweeps.records import Record
from ..sweeps.study import Study
from .cases import MEASURE, VOLUMES, AtLeast8, Case, case_of, find_volumes, volume_path

CG = "ConjugateGradientConeBeamReconstructionFilter"
ADMM = "ADMMTotalVariationConeBeamReconstructionFilter"
SHOWN, GIVEN = (3, 5, 8, 12, 20, 40), 0.007


@checked(kind="option of bench rtk")
class Plan:
    """A comparison on one volume.

    Args:
        data: folder of .nii.gz heads (8-bit grey, voxel 0.141 mm).
        volume: name of a head without .nii.gz.
        views: number of views.
        size: voxels across.
    """

    data: Path
    volume: str = VOLUMES[0]
    views: Count = 26
    size: AtLeast8 = 128


@dataclass(frozen=True)
class Task:
    """One comparison; ``inputs`` is the SHA-256 of the file of the volume."""

    volume: str
    views: int
    size: int
    inputs: str

    @property
    def label(self) -> str:
        """The task in words."""
        return f"{self.volume}, {self.views} views, {self.size} voxels across"


@dataclass(frozen=True)
class Point:
    """One volume: who made it, after how many wall and processor seconds, and how good it is (negative values are set to 0 for all)."""

    maker: str
    seconds: float
    cpu_seconds: float
    psnr: float


def tasks(plan: Plan) -> list[Task]:
    """The only task; MissingBackendError where itk-rtk is not installed."""
    _itk_rtk()
    return [Task(plan.volume, plan.views, plan.size, find_volumes(plan.data, [plan.volume])[plan.volume])]


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """The points of both sides."""
    case = case_of(volume_path(plan.data, task.volume), task.inputs, task.size)
    part = case.views(task.views)
    reconstruct(part, "pdhg_tv", case.grid, check=False, lambda_=0.01, iterations=1)  # compiled before the clock starts
    rtk_volume(part, case, CG, {"SetNumberOfIterations": 1})
    return {"points": [astuple(p) for p in own_points(case, part) + rtk_points(case, part)]}


def _itk_rtk() -> tuple[Any, Any]:
    try:
        itk: Any = importlib.import_module("itk")
        return itk, itk.RTK
    except (ImportError, AttributeError) as error:
        raise MissingBackendError("itk-rtk is not installed", remedy="pip install 'fewview[peers]'") from error


def _clock() -> NDArray[np.float64]:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def _point(maker: str, taken: NDArray[np.float64], score: float) -> Point:
    return Point(maker, float(taken[0]), float(taken[1]), score)


def rtk_volume(part: Projections, case: Case, name: str, setters: dict[str, Any]) -> Volume:
    """The volume that an iterative filter of itk-rtk makes with these settings from a zero volume, with Joseph's method both ways."""
    import numba

    itk, rtk = _itk_rtk()
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(numba.get_num_threads())
    kind, empty = itk.Image[itk.F, 3], np.zeros(case.grid.shape, np.float32)
    pixel = (*(2 * float(np.linalg.norm(step[0])) for step in (part.scan.u, part.scan.v)), 1.0)
    tool = getattr(rtk, name)[kind].New()
    tool.SetInput(0, rtk_image(itk, empty.transpose(1, 0, 2), (case.grid.voxel_mm,) * 3))
    tool.SetInput(1, rtk_image(itk, part.values, pixel))
    tool.SetGeometry(rtk_geometry(itk, rtk, part.scan))
    tool.SetForwardProjectionFilter(tool.ForwardProjectionType_FP_JOSEPH)
    tool.SetBackProjectionFilter(tool.BackProjectionType_BP_JOSEPH)
    for setter, value in setters.items():
        getattr(tool, setter)(value)
    tool.Update()
    return np.ascontiguousarray(itk.array_from_image(tool.GetOutput())[::-1].transpose(1, 0, 2))


def rtk_points(case: Case, part: Projections) -> list[Point]:
    """Conjugate gradients for some numbers of iterations, and ADMM-TV for some weights of its prior (alpha) and of its penalty (beta)."""
    jobs = [(f"itk-rtk CG, {n} iterations", CG, {"SetNumberOfIterations": n}) for n in (3, 5, 10, 20)]
    alphas, betas, rounds = ((0.005, 0.01, 0.02), (1.0,), (5, 15))
    for alpha in alphas:
        for beta in betas:
            for n in rounds:
                setters = {"SetAlpha": alpha, "SetBeta": beta, "SetAL_iterations": n, "SetCG_iterations": 3}
                jobs.append((f"itk-rtk ADMM-TV, alpha {alpha:g}, beta {beta:g}, {n} x 3 iterations", ADMM, setters))
    points = []
    for label, name, setters in jobs:
        begin = _clock()
        volume = rtk_volume(part, case, name, setters)
        points.append(_point(label, _clock() - begin, _psnr(case, volume)))
    return points


def own_points(case: Case, part: Projections) -> list[Point]:
    """FDK, and pdhg_tv after some of its iterations: with lambda given, as for itk-rtk, and with lambda chosen from the data (its time
    included).
    """
    begin = _clock()
    first = reconstruct(part, "fdk", case.grid, check=False).volume
    points = [_point("fewview fdk", _clock() - begin, _psnr(case, first))]
    return points + _watched(case, part, f"lambda {GIVEN:g}", lambda_=GIVEN) + _watched(case, part, "self-tuned")


def _watched(case: Case, part: Projections, label: str, **settings: Any) -> list[Point]:
    points: list[Point] = []
    scoring, begin = np.zeros(2), _clock()

    def look(progress: Progress) -> None:
        nonlocal scoring
        if progress.volume is not None and (progress.step in SHOWN or progress.step == progress.total):
            now = _clock()
            label_now = f"fewview pdhg_tv, {label}, {progress.step} iterations"
            points.append(_point(label_now, now - begin - scoring, _psnr(case, progress.volume)))
            scoring += _clock() - now

    rec = reconstruct(part, "pdhg_tv", case.grid, callbacks=[look], check=False, **settings)
    if "interrupted" in rec.settings:
        raise KeyboardInterrupt
    return points


def _psnr(case: Case, volume: Volume) -> float:
    return case.scores(np.maximum(volume, 0), ["psnr"])["psnr"]


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each point."""
    points = [[Point(str(maker), *map(float, rest)) for maker, *rest in record["points"]] for record in records]
    return [{**flat(record), **row} for record, some in zip(records, points, strict=True) for row in verdicts(some)]


def verdicts(points: Sequence[Point]) -> list[Row]:
    """For each point of the others, our best one in no more time: by the clock, and by processor time (which depends less on the load)."""
    ours = [p for p in points if p.maker.startswith("fewview")]
    found: list[Row] = []
    for p in points:
        by_clock = [o.psnr for o in ours if o.seconds <= p.seconds]
        by_processor = [o.psnr for o in ours if o.cpu_seconds <= p.cpu_seconds]
        best = ["" if p in ours else (f"{max(rivals):.2f}" if rivals else "none yet") for rivals in (by_clock, by_processor)]
        found.append({**vars(p), "by_clock": best[0], "by_processor": best[1]})
    return found


def _text(name: str, head: str) -> Column:
    return Column(head, lambda group: Cell("; ".join(row[name] for row in group)))


STUDY = Study(
    name="rtk",
    title="itk-rtk beside fewview: PSNR against seconds",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=("volume/psnr",),
    about=lambda plan: f"{plan.volume}, {plan.views} views, {plan.size}^3 voxels; in turn in one process. {MEASURE}",
    tables=(
        TablePlan(
            title="",
            by=("maker",),
            rows=rows,
            columns=(
                mean("seconds", "seconds", ".1f"),
                mean("cpu_seconds", "CPU s", ".1f"),
                metric("psnr", ".2f"),
                _text("by_clock", "fewview in no more seconds, dB"),
                _text("by_processor", "in no more CPU s, dB"),
            ),
        ),
    ),
)
