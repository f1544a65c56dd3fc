"""The table of classical methods on simulated scans of real volumes: views x methods, each tuned from the data alone.

``fewview bench classical --data FOLDER --out RESULTS`` prints it. Every cell is a file in RESULTS/cells as soon as it is done; a run that
was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import datetime
import gc
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import own_path, refuse_strange_folder
from ...base.plain import from_json, to_json
from ...data import Projections
from ...data.volumes.resample import resample
from ...geometry import Grid, skyscan_1276, views
from ...recon import reconstruct, simulate
from ...recon.iterative.pdhg_tv import PdhgTvSettings, PdhgTvSolver
from ...recon.iterative.regularisers.priors import TotalVariation
from ...recon.iterative.solving.setup import data_term, start_volume
from ...recon.iterative.tuning.prior_weight import weight_unit
from ..scores.metrics import psnr, ssim
from ..scores.volume_metrics import dice

Volume = NDArray[np.float32]
VOLUMES = ("BALB_CBYJ_", "BTBR_T_Itpr3tf_j_", "C3H_HEJ_", "C57BL_6NJ_", "CBA_CAJ_", "DBA_2J_", "FVB_NJ_", "SJL_J_")
METHODS = ("fdk", "sirt", "os_sart", "cgls", "asd_pocs", "fista_tv", "pdhg_tv")
MU_MAX, SOURCE_VOXEL_MM, BONE, RANGE = 0.20, 0.141, 0.04, 0.20  # 1/mm, mm, 1/mm, 1/mm
ORACLE_NAME = "pdhg_tv, lambda from the truth"
FDK_FILTER = "hann"  # the best at full bandwidth on these scans, so that nobody beats a straw man
ORACLE = (0.014, 0.01, 0.007, 0.005, 0.0035, 0.0025)


@dataclass(frozen=True)
class Row:
    """One reconstruction: its quality inside what every view sees, its cost, and the lambda or iterations that were chosen.

    ``memory_mb`` is what the run took beside the scan, the libraries and what else was there before it; ``load`` the load average of the
    machine at its end.
    """

    volume: str
    views: int
    method: str
    psnr: float
    ssim: float
    dice: float
    seconds: float
    memory_mb: float
    chosen: str = ""
    cpu_seconds: float = 0.0
    load: float = 0.0


@dataclass(frozen=True)
class Case:
    """A simulated scan, the grid to reconstruct on, the truth averaged over that grid's voxels, and where to compare."""

    name: str
    scan: Projections
    grid: Grid
    truth: Volume
    inside: NDArray[np.bool_]


def make_case(path: Path, size: int = 128, polychromatic: bool = False, seed: int = 0, slices: int | None = None) -> Case:
    """A SkyScan 1276 scan (``size`` rows, 3/2 ``size`` columns) of one volume, simulated from its own grid.

    To be reconstructed on ``size`` x ``size`` voxels in ``slices`` slices (default ``size``); InputError where they do not hold the volume.
    """
    import nibabel

    image: Any = nibabel.load(path)  # type: ignore[attr-defined]
    mu = np.ascontiguousarray(np.asarray(image.dataobj).T, dtype=np.float32) * np.float32(MU_MAX / 255)
    voxel = 0.2226 * 128 / size
    fine, grid = Grid((mu.shape[0], mu.shape[1], mu.shape[2]), SOURCE_VOXEL_MM), Grid((slices or size, size, size), voxel)
    if any(have > room + 3 * SOURCE_VOXEL_MM for have, room in zip(fine.size_mm, grid.size_mm, strict=True)):
        raise InputError(
            f"{path.name} measures {fine.size_mm} mm",
            expected=f"at most {grid.size_mm} mm (and 1.5 voxels at either end), the box to reconstruct",
        )
    scan = skyscan_1276(rows=size, cols=size * 3 // 2, voxel_mm=voxel)
    projections = simulate(mu, fine, scan, polychromatic=polychromatic, seed=seed)
    truth = np.asarray(resample(mu, fine, grid), dtype=np.float32)
    return Case(path.name.split(".nii")[0], projections, grid, truth, grid.seen_by_all(projections.scan))


def score(case: Case, volume: Volume) -> tuple[float, float, float]:
    """PSNR (dB), SSIM and Dice of bone."""
    return (
        psnr(volume, case.truth, data_range=RANGE, mask=case.inside),
        ssim(volume, case.truth, data_range=RANGE, mask=case.inside),
        dice(volume * case.inside, case.truth * case.inside, BONE),
    )


def run_cell(case: Case, count: int, method: str, **settings: Any) -> Row:
    """One reconstruction of ``count`` even views."""
    part = case.scan[views.evenly(case.scan.scan, count)]
    given: dict[str, Any] = {"filter": FDK_FILTER} if method == "fdk" else settings
    reset_peak_memory()
    before, cpu = peak_memory_mb(), time.process_time()
    rec = reconstruct(part, method, case.grid, **given)
    if "interrupted" in rec.settings:  # Ctrl-C gives the volume of the last step: not a result to keep
        raise KeyboardInterrupt
    cost = {"cpu_seconds": time.process_time() - cpu, "load": os.getloadavg()[0]}
    chosen = ", ".join(f"{k} {rec.settings[k]:.3g}" for k in ("lambda_", "iterations", "epsilon") if rec.settings.get(k) is not None)
    memory = peak_memory_mb() - before
    return Row(case.name, count, method, *score(case, rec.volume), rec.seconds, memory, chosen, **cost)


def run_oracle(case: Case, count: int) -> Row:
    """TV with the lambda that the truth itself prefers: what perfect tuning would give. Each lambda starts where the one before ended."""
    part = case.scan[views.evenly(case.scan.scan, count)]
    begin, cpu, settings = time.perf_counter(), time.process_time(), PdhgTvSettings()
    problem = data_term(part, case.grid, settings)
    unit = weight_unit(problem, part.scan.field_of_view_mm.pixel_mm, case.grid.voxel_mm)
    state, norm, best = None, None, Row(case.name, count, ORACLE_NAME, -np.inf, 0, 0, 0, 0)
    for value in ORACLE:
        solver = PdhgTvSolver(problem, TotalVariation(), value * unit, norm=norm)
        norm = solver.norm
        steps = 20 if state else 40
        state = state or solver.start(start_volume(part, case.grid, settings, problem))
        for _ in range(steps):
            solver.step(state)
        scores = score(case, state.x)
        if scores[0] < best.psnr - 0.1:
            break
        if scores[0] > best.psnr:
            best = dataclasses.replace(best, psnr=scores[0], ssim=scores[1], dice=scores[2], chosen=f"lambda_ {value:g}")
    cost = {"cpu_seconds": time.process_time() - cpu, "load": os.getloadavg()[0]}
    return dataclasses.replace(best, seconds=time.perf_counter() - begin, **cost)


def reset_peak_memory() -> None:
    """Start the peak of this process's memory afresh, what was freed given back first, where Linux allows it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library: freed memory stays in the figure
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mb() -> float:
    """The most memory this process has held since the last reset, in MB (NaN where the system does not say)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), float("nan"))


@dataclass(frozen=True)
class Plan:
    """What to run: volumes x views x methods (names of METHODS, or "oracle") on ``size``^3 voxels."""

    data: Path
    volumes: Sequence[str] = VOLUMES
    views: Sequence[int] = (13, 26, 52, 130, 260)
    methods: Sequence[str] = METHODS
    size: int = 128
    polychromatic: bool = False

    def file(self, folder: Path, name: str, count: int, method: str) -> Path:
        """Where the cell is kept."""
        beam = "poly" if self.polychromatic else "mono"
        return folder / "cells" / f"{self.size}-{beam}-{name}-{count}-{method}.json"


def sweep(plan: Plan, out: Path) -> Iterator[tuple[Row, bool]]:
    """Every cell, and whether it was computed now; each is a file under ``out`` before the next begins."""
    for name in plan.volumes:
        case: Case | None = None
        for count in plan.views:
            for method in plan.methods:
                file = plan.file(out, name, count, method)
                if file.is_file():
                    yield Row(**from_json(file.read_text(encoding="utf-8"))), False
                    continue
                case = case or make_case(find_volume(plan.data, name), plan.size, plan.polychromatic)
                row = run_oracle(case, count) if method == "oracle" else run_cell(case, count, method)
                file.parent.mkdir(parents=True, exist_ok=True)
                with own_path(file) as temporary:
                    temporary.write_text(to_json(row, indent=1), encoding="utf-8")
                yield row, True


def find_volume(data: Path, name: str) -> Path:
    """The file of a volume of this folder."""
    path = data / f"{name}.nii.gz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; --data names the folder that holds {name}.nii.gz")
    return path


def table(rows: Sequence[Row]) -> str:
    """Means over the volumes, as Markdown: PSNR with its standard deviation over volumes and its gain over FDK volume by volume."""
    lines = [
        "| views | method | volumes | PSNR dB | over FDK dB (least) | SSIM | Dice of bone | seconds | CPU s | memory MB | chosen |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    fdk = {(r.volume, r.views): r.psnr for r in rows if r.method == "fdk"}
    for count, method in sorted({(r.views, r.method) for r in rows}):
        part = [r for r in rows if (r.views, r.method) == (count, method)]
        gains = [r.psnr - fdk[r.volume, count] for r in part if (r.volume, count) in fdk]
        values = np.array([(r.psnr, r.ssim, r.dice, r.seconds, r.cpu_seconds, r.memory_mb) for r in part])
        mean = values.mean(axis=0)
        gain = f"{np.mean(gains):+.2f} ({min(gains):+.2f})" if gains else ""
        memory = f"{mean[5]:.0f}" if mean[5] > 0 else ""
        lines.append(
            f"| {count} | {method} | {len(part)} | {mean[0]:.2f} ± {values[:, 0].std():.2f} | {gain} | {mean[1]:.4f} | {mean[2]:.3f} "
            f"| {mean[3]:.1f} | {mean[4]:.1f} | {memory} | {part[0].chosen} |"
        )
    return "\n".join(lines)


def against_truth(rows: Sequence[Row]) -> list[str]:
    """Volume by volume: self-tuned TV over FDK, and over TV with the lambda that the truth prefers."""
    psnr_of = {(r.volume, r.views, r.method): r.psnr for r in rows}
    lines = []
    for count in sorted({r.views for r in rows if r.method == ORACLE_NAME}):
        found = [(v, psnr_of.get((v, count, "pdhg_tv")), psnr_of.get((v, count, "fdk"))) for v in dict.fromkeys(r.volume for r in rows)]
        parts = [f"{v} {a - b:+.2f}, {a - psnr_of[v, count, ORACLE_NAME]:+.2f}" for v, a, b in found if a is not None and b is not None]
        lines.append(f"* {count} views, pdhg_tv over FDK, over the lambda from the truth (dB): " + " | ".join(parts))
    return lines


def page(rows: Sequence[Row], plan: Plan, command: str) -> str:
    """The table with what is needed to make it again."""
    beam = "polychromatic" if plan.polychromatic else "monochromatic"
    loads = [r.load for r in rows] or [0.0]
    return "\n".join(
        [
            f"`{command}`",
            "",
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} cores, "
            f"{numba.get_num_threads()} thread(s) used; load average of the machine {min(loads):.1f} to {max(loads):.1f}.",
            f"{len({r.volume for r in rows})} real mouse-head micro-CTs, {beam} scans with the simulator's default noise, "
            f"{plan.size}^3 voxels, {plan.size} x {plan.size * 3 // 2} pixels.",
            "",
            table(rows),
            "",
            *against_truth(rows),
        ]
    )


def run(plan: Plan, out: Path, command: str, tell: Callable[[str], None] = print) -> str:
    """Run what is not there yet, write ``out/table.md``, and return it."""
    refuse_strange_folder(out, "cells", ("table.md",))
    rows = []
    for row, new in sweep(plan, out):
        rows.append(row)
        if new:
            tell(f"{row.volume} {row.views} views {row.method}: {row.psnr:.2f} dB, {row.cpu_seconds:.1f} CPU s {row.chosen}")
    text = page(rows, plan, command)
    with own_path(out / "table.md") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sweep and print the table."""
    parser = argparse.ArgumentParser(prog="python -m fewview.benchmarks.studies.classical", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of .nii.gz volumes (8-bit grey, voxel 0.141 mm)")
    parser.add_argument("--out", type=Path, required=True, help="folder of results; cells that are there are not computed again")
    parser.add_argument("--volumes", nargs="+", default=list(VOLUMES))
    parser.add_argument("--views", nargs="+", type=int, default=[13, 26, 52, 130, 260])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="names of METHODS, or oracle")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--polychromatic", action="store_true")
    given = parser.parse_args(arguments)
    plan = Plan(given.data, given.volumes, given.views, given.methods, given.size, given.polychromatic)
    command = f"python -m fewview.benchmarks.studies.classical {shlex.join(sys.argv[1:] if arguments is None else list(arguments))}"
    print(run(plan, given.out, command, lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
