"""Speed of forward projection, adjoint and FDK in giga voxel-views per second (GUPS), beside every other
implementation that is installed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...base import UnknownNameError
from ..peers.contenders import peer_contenders
from ..peers.work import OURS, TASKS, Contender, Result, make_work, own_contenders

MOST_COMPARED = 1 << 25  # numbers, to say whether two did the same


@dataclass(frozen=True)
class SpeedRow:
    """One line of the table: median ``seconds``, ``ratio`` of fewview's GUPS to this one's, and ``correlation`` with fewview's result."""

    task: str
    name: str
    views: int
    seconds: float
    gups: float
    ratio: float
    correlation: float
    same: bool


def run_speed(
    size: str = "A",
    *,
    peers: bool = False,
    rounds: int = 3,
    tasks: Sequence[str] = TASKS,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[list[SpeedRow], list[str]]:
    """Time every contender ``rounds`` times after one warm-up, in turn, so that a busy machine is busy for all of them.

    Returns the rows, and remarks about implementations that are not installed. ``report`` is told what is being done. Raises
    UnknownNameError for an unknown size or task.
    """
    for task in tasks:
        if task not in TASKS:
            raise UnknownNameError("task of the speed benchmark", task, TASKS)
    work, remarks = make_work(size), []
    runners = own_contenders(work)
    if peers:
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
        lines.append(f"{r.task:8s} {r.name:32s} {r.views:5d} {r.seconds:9.3f} {r.gups:7.3f} {against:>11s}  {agree}".rstrip())
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
        _row(
            runner,
            statistics.median(times),
            speed,
            gups[0],
            _likeness(runner, result, results[0] if runner.work is runners[0].work else None),
        )
        for runner, times, speed, result in zip(runners, seconds, gups, results, strict=True)
    ]


def _row(runner: Contender, seconds: float, gups: float, ours: float, likeness: float) -> SpeedRow:
    same = likeness >= runner.needs_correlation
    return SpeedRow(runner.task, runner.name, len(runner.work.scan), seconds, gups, ours / gups, likeness, same)


def _likeness(runner: Contender, result: Result, own: Result | None = None) -> float:
    """The correlation with fewview's result away from the border of the volume, where implementations follow different conventions.

    Of large results every so many planes of the first axis are compared. ``own`` is fewview's result where it is at hand.
    """
    mine = next(c for c in own_contenders(runner.work) if c.task == runner.task).run() if own is None else own
    inner = tuple(slice(n // 16, n - n // 16) for n in mine.shape) if runner.task != "forward" else (slice(None),) * 3
    step = max(1, math.prod(mine.shape) // MOST_COMPARED)
    one, other = (np.asarray(array[inner][::step].cpu() if isinstance(array, Tensor) else array[inner][::step]) for array in (mine, result))
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
