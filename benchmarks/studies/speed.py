"""How fast: forward, adjoint and FDK in giga voxel-views per second (GUPS), beside every other implementation that is installed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base import UnknownNameError
from ...data import Projections
from ...geometry import Grid, Scan, skyscan_1276
from ...recon import Operator, fdk

Array = NDArray[np.float32]
TASKS = ("forward", "adjoint", "fdk")
# (volume shape, detector rows, cols): A is the work that peers were measured on; every grid fills the field of view with 1.5 pixel voxels.
SIZES = {"small": ((43, 64, 64), 64, 96), "medium": ((86, 128, 128), 128, 192), "A": ((171, 256, 256), 256, 384)}
OURS = "fewview"


@dataclass(frozen=True)
class Work:
    """One piece of work for all: a body inside the grid, its line integrals, and the back-projection and FDK of those by fewview."""

    scan: Scan
    grid: Grid
    volume: Array
    projections: Array

    def every(self, step: int) -> Work:
        """The same from every ``step``-th view, for implementations that would take minutes."""
        return Work(self.scan[::step], self.grid, self.volume, self.projections[::step])

    @property
    def giga_updates(self) -> float:
        """Voxels times views, in 1e9."""
        return self.volume.size * len(self.scan) / 1e9


@dataclass(frozen=True)
class Contender:
    """``run()`` does ``task`` of ``work`` and returns [view, row, col] or [z, y, x], as fewview's own arrays; only this is timed.

    ``needs_correlation``: the least correlation with fewview's result at which the two are taken to have done the same.
    """

    name: str
    task: str
    work: Work
    run: Callable[[], Array]
    needs_correlation: float = 0.99


@dataclass(frozen=True)
class SpeedRow:
    """One line of the table: median ``seconds``, ``ratio`` of fewview's GUPS to this one's, ``correlation`` with fewview's result."""

    task: str
    name: str
    views: int
    seconds: float
    gups: float
    ratio: float
    correlation: float
    same: bool


def make_work(size: str = "A") -> Work:
    """A scan of the SkyScan 1276 and smooth blobs that end inside the grid: at its border every implementation has its own convention."""
    if size not in SIZES:
        raise UnknownNameError("size of the speed benchmark", size, SIZES)
    shape, rows, cols = SIZES[size]
    scan, grid = skyscan_1276(rows, cols, voxel_mm=0.1), Grid(shape, voxel_mm=0.15)
    z, y, x = (axis.astype(np.float32) for axis in np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij", sparse=True))
    volume = np.zeros(shape, np.float32)
    random = np.random.default_rng(0)
    half = np.array(grid.size_mm) / 2
    for _ in range(12):
        middle, radius = random.uniform(-0.45, 0.45, 3) * half, random.uniform(0.1, 0.35, 3) * half
        distance = sum(((a - m) / r) ** 2 for a, m, r in zip((x, y, z), middle, radius, strict=True))
        volume += random.uniform(0.02, 0.1) * np.clip(1.5 - 1.5 * np.asarray(distance), 0, 1).astype(np.float32)
    return Work(scan, grid, volume, Operator(scan, grid)(volume))


def own_contenders(work: Work) -> list[Contender]:
    """fewview itself."""
    A, measured = Operator(work.scan, work.grid), Projections(work.projections, work.scan)
    return [
        Contender(OURS, "forward", work, lambda: A(work.volume)),
        Contender(OURS, "adjoint", work, lambda: A.T(work.projections)),
        Contender(OURS, "fdk", work, lambda: fdk(measured, work.grid)),
    ]


def run_speed(
    size: str = "A",
    *,
    peers: bool = False,
    rounds: int = 3,
    tasks: Sequence[str] = TASKS,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[list[SpeedRow], list[str]]:
    """Time every contender ``rounds`` times after one warm-up, in turn, so that a busy machine is busy for all of them.

    Returns the rows and remarks about implementations that are not here. ``report`` hears what is being done.
    Raises UnknownNameError for an unknown size or task.
    """
    for task in tasks:
        if task not in TASKS:
            raise UnknownNameError("task of the speed benchmark", task, TASKS)
    work, remarks = make_work(size), []
    runners = own_contenders(work)
    if peers:
        from .speed_peers import peer_contenders

        more, remarks = peer_contenders(work)
        runners += more
    rows: list[SpeedRow] = []
    for task in tasks:
        rows += _race([r for r in runners if r.task == task], rounds, report)
    return rows, remarks


def speed_table(rows: Sequence[SpeedRow]) -> str:
    """The rows as a text table."""
    lines = [f"{'task':8s} {'implementation':32s} {'views':>5s} {'seconds':>9s} {'GUPS':>7s} {'fewview is':>11s}  agreement"]
    for r in rows:
        against = "" if r.name == OURS else f"{r.ratio:.1f}x"
        agree = "" if r.name == OURS else f"r = {r.correlation:.4f}" + ("" if r.same else ": NOT the same result")
        lines.append(f"{r.task:8s} {r.name:32s} {r.views:5d} {r.seconds:9.2f} {r.gups:7.3f} {against:>11s}  {agree}".rstrip())
    return "\n".join(lines)


def _race(runners: Sequence[Contender], rounds: int, report: Callable[[str], None]) -> list[SpeedRow]:
    results, seconds = [], [[] for _ in runners]
    for runner in runners:
        report(f"{runner.task}: {runner.name}, warm-up")
        results.append(runner.run())
    for turn in range(rounds):
        for runner, times in zip(runners, seconds, strict=True):
            report(f"{runner.task}: {runner.name}, round {turn + 1} of {rounds}")
            start = time.perf_counter()
            runner.run()
            times.append(time.perf_counter() - start)
    gups = [runner.work.giga_updates / statistics.median(times) for runner, times in zip(runners, seconds, strict=True)]
    return [
        _row(runner, statistics.median(times), speed, gups[0], _likeness(runner, result))
        for runner, times, speed, result in zip(runners, seconds, gups, results, strict=True)
    ]


def _row(runner: Contender, seconds: float, gups: float, ours: float, likeness: float) -> SpeedRow:
    same = likeness >= runner.needs_correlation
    return SpeedRow(runner.task, runner.name, len(runner.work.scan), seconds, gups, ours / gups, likeness, same)


def _likeness(runner: Contender, result: Array) -> float:
    """Correlation with fewview's result away from the border of the volume, where implementations differ by convention."""
    own = next(c for c in own_contenders(runner.work) if c.task == runner.task).run()
    inner = tuple(slice(n // 16, n - n // 16) for n in own.shape) if runner.task != "forward" else (slice(None),) * 3
    return float(np.corrcoef(own[inner].ravel(), result[inner].ravel())[0, 1])
