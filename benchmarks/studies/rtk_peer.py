"""itk-rtk's conjugate gradient and ADMM-TV beside ours, on the same scan and box: PSNR against seconds.

``python -m fewview.benchmarks.studies.rtk_peer --data FOLDER`` (extra ``peers``). itk-rtk takes part with a grid of settings, all of them
shown; ours is self-tuned, and shown after some of its iterations. Both have the same number of threads, and run in turn in one process.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ...base import MissingBackendError
from ...data import Projections
from ...geometry import views
from ...recon import Progress, reconstruct
from ..scores.metrics import psnr
from .classical import RANGE, VOLUMES, Case, make_case
from .speed import Work
from .speed_peers import _rtk_geometry, _rtk_image

Volume = NDArray[np.float32]
CG = "ConjugateGradientConeBeamReconstructionFilter"
SHOWN, GIVEN = (3, 5, 8, 12, 20, 40), 0.007
ADMM = "ADMMTotalVariationConeBeamReconstructionFilter"


@dataclass(frozen=True)
class Point:
    """One volume: who made it, after how many wall and processor seconds, how good it is (negative values set to 0 for everyone)."""

    maker: str
    seconds: float
    cpu_seconds: float
    psnr: float


def _clock() -> NDArray[np.float64]:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def _point(maker: str, taken: NDArray[np.float64], score: float) -> Point:
    return Point(maker, float(taken[0]), float(taken[1]), score)


def rtk_volume(part: Projections, case: Case, name: str, setters: dict[str, Any]) -> Volume:
    """What an iterative filter of itk-rtk gives with these settings, from a zero volume, Joseph's method both ways."""
    try:
        itk: Any = importlib.import_module("itk")
        rtk: Any = itk.RTK
    except (ImportError, AttributeError) as error:
        raise MissingBackendError("itk-rtk is not installed", remedy="pip install 'fewview[peers]'") from error
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(numba.get_num_threads())
    kind, empty = itk.Image[itk.F, 3], np.zeros(case.grid.shape, np.float32)
    work = Work(part.scan, case.grid, empty, part.values)
    pixel = (*(2 * float(np.linalg.norm(step[0])) for step in (part.scan.u, part.scan.v)), 1.0)
    tool = getattr(rtk, name)[kind].New()
    tool.SetInput(0, _rtk_image(itk, empty.transpose(1, 0, 2), (case.grid.voxel_mm,) * 3))
    tool.SetInput(1, _rtk_image(itk, part.values, pixel))
    tool.SetGeometry(_rtk_geometry(itk, rtk, work))
    tool.SetForwardProjectionFilter(tool.ForwardProjectionType_FP_JOSEPH)
    tool.SetBackProjectionFilter(tool.BackProjectionType_BP_JOSEPH)
    for setter, value in setters.items():
        getattr(tool, setter)(value)
    tool.Update()
    return np.ascontiguousarray(itk.array_from_image(tool.GetOutput())[::-1].transpose(1, 0, 2))


def rtk_points(case: Case, part: Projections) -> list[Point]:
    """Conjugate gradients for some numbers of iterations; ADMM-TV for some weights of its prior (alpha) and of its penalty (beta)."""
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
        print(f"{label}: {points[-1].seconds:.1f} s, {points[-1].cpu_seconds:.1f} CPU s, {points[-1].psnr:.2f} dB", flush=True)
    return points


def own_points(case: Case, part: Projections) -> list[Point]:
    """FDK, and pdhg_tv after some of its iterations: with lambda given, as itk-rtk has it, and chosen from the data, that time included."""
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

    reconstruct(part, "pdhg_tv", case.grid, callbacks=[look], check=False, **settings)
    return points


def _psnr(case: Case, volume: Volume) -> float:
    return psnr(np.maximum(volume, 0), case.truth, data_range=RANGE, mask=case.inside)


def verdicts(points: Sequence[Point]) -> list[str]:
    """For each of the others' points, the best of ours in no more time: by the clock, and by the processor (the load matters less)."""
    ours = [p for p in points if p.maker.startswith("fewview")]
    lines = ["| who | seconds | CPU s | PSNR dB | fewview in no more seconds | in no more CPU s |", "|---|---|---|---|---|---|"]
    for p in points:
        by_clock = [o.psnr for o in ours if o.seconds <= p.seconds]
        by_processor = [o.psnr for o in ours if o.cpu_seconds <= p.cpu_seconds]
        best = ["" if p in ours else (f"{max(rivals):.2f}" if rivals else "none yet") for rivals in (by_clock, by_processor)]
        lines.append(f"| {p.maker} | {p.seconds:.1f} | {p.cpu_seconds:.1f} | {p.psnr:.2f} | {best[0]} | {best[1]} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both and print the table."""
    parser = argparse.ArgumentParser(prog="python -m fewview.benchmarks.studies.rtk_peer", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of .nii.gz volumes (8-bit grey, voxel 0.141 mm)")
    parser.add_argument("--volume", default=VOLUMES[0])
    parser.add_argument("--views", type=int, default=26)
    parser.add_argument("--size", type=int, default=128)
    given = parser.parse_args(arguments)
    case = make_case(given.data / f"{given.volume}.nii.gz", given.size)
    part = case.scan[views.evenly(case.scan.scan, given.views)]
    reconstruct(part, "pdhg_tv", case.grid, check=False, lambda_=0.01, iterations=1)  # compiled before the clock starts
    rtk_volume(part, case, CG, {"SetNumberOfIterations": 1})
    points = own_points(case, part) + rtk_points(case, part)
    print("\n".join(verdicts(points)))


if __name__ == "__main__":
    main()
