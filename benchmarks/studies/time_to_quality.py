"""How long a self-tuned reconstruction takes to come within 0.1 dB of where it converges, and what an iteration costs.

``python -m fewview.benchmarks.studies.time_to_quality --data FOLDER`` (128^3 from 26 views) and, with
``--size 256 --slices 171 --views 52``, 256 x 256 x 171. Wall and processor seconds,
the choice of settings included; set NUMBA_NUM_THREADS for the number of threads.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from ...geometry import views
from ...recon import Operator, Progress, reconstruct
from ..scores.metrics import psnr
from .classical import RANGE, VOLUMES, Case, find_volume, make_case

CLOSE_DB = 0.1


@dataclass(frozen=True)
class Watched:
    """One step of a run: its number, wall and processor seconds since the run began (scoring left out), and its PSNR."""

    step: int
    wall: float
    cpu: float
    psnr: float


def watch(case: Case, count: int, method: str, iterations: int | None, lambda_: float | None = None) -> tuple[list[Watched], float]:
    """A run with the PSNR of every volume it shows, and the lambda it used."""
    part = case.scan[views.evenly(case.scan.scan, count)]
    found: list[Watched] = []
    begin, spent = np.array([time.perf_counter(), time.process_time()]), np.zeros(2)

    def look(progress: Progress) -> None:
        nonlocal spent
        now = np.array([time.perf_counter(), time.process_time()])
        if progress.volume is not None:
            wall, cpu = now - begin - spent
            score = psnr(progress.volume, case.truth, data_range=RANGE, mask=case.inside)
            found.append(Watched(progress.step, float(wall), float(cpu), score))
        spent += np.array([time.perf_counter(), time.process_time()]) - now

    rec = reconstruct(part, method, case.grid, [look], check=False, iterations=iterations, lambda_=lambda_)
    return found, float(rec.settings["lambda_"])


def pair_seconds(case: Case, count: int, rounds: int = 5) -> tuple[float, float]:
    """Median wall and processor seconds of one forward and one adjoint projection."""
    part = case.scan[views.evenly(case.scan.scan, count)]
    A = Operator(part.scan, case.grid)
    return _median(lambda: A.T(A(case.truth)), rounds)


def _median(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    taken = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(np.array(taken), axis=0)
    return float(wall), float(cpu)


def summary(run: Sequence[Watched], converged: float, pair: tuple[float, float]) -> list[str]:
    """The run in lines: when it was close enough, what it took in all, and an iteration beside its two projections."""
    far = max((w.step for w in run if abs(w.psnr - converged) > CLOSE_DB), default=0)
    close = next((w for w in run if w.step > far), None)
    first, last = run[0], run[-1]
    steps = max(1, last.step - first.step)
    wall, cpu = (last.wall - first.wall) / steps, (last.cpu - first.cpu) / steps
    reached = f"step {close.step}: {close.wall:.1f} s, {close.cpu:.1f} CPU s" if close else "never"
    return [
        f"converged {converged:.2f} dB; within {CLOSE_DB:g} dB of it to the end from {reached}",
        f"whole run: {last.step} iterations, {last.psnr:.2f} dB, {last.wall:.1f} s, {last.cpu:.1f} CPU s, of which before the first "
        f"iteration ended {first.wall:.1f} s, {first.cpu:.1f} CPU s",
        f"{1 / wall:.2f} iterations/s; an iteration takes {wall:.3f} s ({cpu:.3f} CPU s), forward and adjoint {pair[0]:.3f} s "
        f"({pair[1]:.3f} CPU s): {100 * (wall / pair[0] - 1):+.0f} % ({100 * (cpu / pair[1] - 1):+.0f} % in CPU s) for all else",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m fewview.benchmarks.studies.time_to_quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of .nii.gz volumes (8-bit grey, voxel 0.141 mm)")
    parser.add_argument("--volume", default=VOLUMES[2])
    parser.add_argument("--views", type=int, default=26)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--slices", type=int, help="slices along the axis, by default as many as voxels across")
    parser.add_argument("--method", default="pdhg_tv")
    parser.add_argument("--converged", type=int, default=120, help="iterations after which the method counts as converged")
    given = parser.parse_args(arguments)
    case = make_case(find_volume(given.data, given.volume), given.size, slices=given.slices)
    watch(case, 13, given.method, 1, 0.01)  # compiled before the clock starts
    load = os.getloadavg()[0]
    run, lambda_ = watch(case, given.views, given.method, None)
    pair = pair_seconds(case, given.views)
    end, _ = watch(case, given.views, given.method, given.converged, lambda_)
    shape = " x ".join(map(str, case.grid.shape[::-1]))
    rows, cols = case.scan.scan.shape
    print(f"{given.method}, {shape} voxels, {given.views} views of {cols} x {rows}, {case.name}, lambda_ {lambda_:.4g}")
    print(f"{numba.get_num_threads()} thread(s), load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print("PSNR by iteration: " + ", ".join(f"{w.step}: {w.psnr:.2f}" for w in end if w.step in (1, 2, 5) or w.step % 10 == 0))
    print("\n".join(summary(run, end[-1].psnr, pair)))


if __name__ == "__main__":
    main()
