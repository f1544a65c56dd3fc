"""How many views does a quantity of bone need? Pieces of phantom tibiae at 20 um, scanned with fewer and fewer views, beside the truth.

``fewview bench bone_views --out RESULTS``: bias of each quantity with its interval, per method and number of views; conformal intervals of
one scan (made from all bones but one, tried on that one); and from how many views on the bias stays below 2 and 5 %.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...base.settings import Count, Mm, Several, checked
from ...base.shapes import Volume
from ...bone import CompartmentSettings, KnownError, fit_intervals, measure
from ...data import Projections
from ...data.phantom.piece import tibia_piece
from ...data.volumes.resample import resample
from ...geometry import Grid, Scan, skyscan_1276, views
from ...recon import load_method, reconstruct, simulate
from ..sweeps.columns import Cell, Column, Row, TablePlan, count, flat
from ..sweeps.records import Record
from ..sweeps.study import Study, write_tables

QUANTITIES = ("BV_TV", "Tb_Th", "Tb_Sp", "Ct_Th", "Ct_Ar")
THRESHOLD = 0.10  # 1/mm: between marrow (0.033) and bone (0.17 and 0.20)
PANEL = (512, 768)  # rows and columns of the whole detector, on whose middle the specimen falls
FINER = 0.625  # voxel of the phantom, of that of the reconstruction
WIDTH_MM, EDGE = 3.52, 2  # of the reconstruction; slices at both ends that are not measured
LEVEL = 0.9
NEEDED = (2.0, 5.0)  # per cent of bias
SETTINGS: Mapping[str, Mapping[str, Any]] = {"fdk": {"filter": "hann"}}


@checked(kind="option of bench bone_views")
class Plan:
    """Pieces of bones x numbers of views x methods.

    Args:
        bones: number of animals.
        views: numbers of views, out of 260.
        methods: names of methods, or my_file.py:my_function.
        voxel_mm: of the reconstruction, and pixel of the detector at the axis.
        slices: that are measured.
        t_mm: how far below the knee the middle of the piece is.
        photons: mean count of an empty pixel.
    """

    bones: Count = 24
    views: Several[Count] = (13, 26, 52, 130, 260)
    methods: Several[str] = ("fdk", "fista_tv")
    voxel_mm: Mm = 0.02
    slices: Count = 24
    t_mm: Mm = 2.4
    photons: Count = 20_000


@dataclass(frozen=True)
class Task:
    """One reconstruction of one bone."""

    bone: int
    views: int
    method: str
    voxel_mm: float
    slices: int
    t_mm: float
    photons: int

    @property
    def label(self) -> str:
        """The task in words."""
        return f"bone {self.bone}, {self.views} views, {self.method}"


def tasks(plan: Plan) -> list[Task]:
    """The tasks, method by method and bone by bone, so that the quick methods are done first. An unknown method is refused."""
    for method in plan.methods:
        load_method(method)
    fixed = plan.voxel_mm, plan.slices, plan.t_mm, plan.photons
    return [Task(bone, n, method, *fixed) for method in plan.methods for bone in range(plan.bones) for n in plan.views]


@dataclass(frozen=True, eq=False)
class Specimen:
    """The scan of a piece of bone, the grid to reconstruct, and what is true there."""

    scan: Projections
    grid: Grid
    truth: Mapping[str, float]


@lru_cache(maxsize=1)
def specimen(bone: int, voxel_mm: float, slices: int, t_mm: float, photons: int) -> Specimen:
    """Simulated on a finer grid; the truth is measured in the phantom averaged over the voxels of the reconstruction."""
    deep, wide = slices + 2 * EDGE, round(WIDTH_MM / voxel_mm)
    grid = Grid((deep, wide, wide), voxel_mm)
    step = FINER * voxel_mm
    fine = Grid((math.ceil((deep + 8) / FINER), math.ceil(1.09 * wide / FINER), math.ceil(1.09 * wide / FINER)), step)
    phantom = tibia_piece(fine, seed=bone, t_mm=t_mm, radius_mm=0.54 * WIDTH_MM)
    whole = skyscan_1276(*PANEL, voxel_mm)
    dso_mm = float(np.linalg.norm(whole.source[0]))
    part = Scan.circular(
        dso_mm=dso_mm, dsd_mm=dso_mm, rows=deep + 8, cols=math.ceil(1.18 * wide), pixel_mm=voxel_mm, angles_deg=whole.angles_deg
    )
    truth = np.asarray(resample(phantom, fine, grid), dtype=np.float32)
    return Specimen(simulate(phantom, fine, part, seed=bone, photons=photons, polychromatic=False), grid, quantities(truth, grid))


def quantities(volume: Volume, grid: Grid) -> dict[str, float]:
    """What is studied of a volume [z, y, x], without the slices at its ends; compartments found as in any scan."""
    inner = Grid((grid.shape[0] - 2 * EDGE, *grid.shape[1:]), grid.voxel_mm, grid.center_mm)
    found = measure(volume[EDGE:-EDGE], inner, threshold=THRESHOLD, region="auto", compartments=CompartmentSettings())
    return {name: found[name] for name in QUANTITIES}


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """Quantities of a reconstruction, and what is true."""
    known = specimen(task.bone, task.voxel_mm, task.slices, task.t_mm, task.photons)
    part, cpu = known.scan[views.evenly(known.scan.scan, task.views)], time.process_time()
    rec = reconstruct(part, task.method, known.grid, check=False, **SETTINGS.get(task.method, {}))
    if "interrupted" in rec.settings:
        raise KeyboardInterrupt
    cpu = time.process_time() - cpu
    return {"measured": quantities(rec.volume, known.grid), "truth": dict(known.truth), "cpu_seconds": cpu}


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each quantity of each record: its ``error`` (measured - true) in its unit, and ``bias`` in per cent of the truth."""
    found = []
    for record in records:
        for name in QUANTITIES:
            true, value = record["truth"][name], record["measured"][name]
            if true is None or value is None:  # what could not be measured
                continue
            found.append({**flat(record), "quantity": name, "error": value - true, "bias": 100 * (value - true) / true, "true": true})
    return found


def bias_of(group: Sequence[Row]) -> tuple[float, float]:
    """(mean bias in per cent, half the width of its 90 % interval by Student's t; infinite for one bone)."""
    from scipy.stats import t

    values = np.array([row["bias"] for row in group])
    n = len(values)
    half = float(t.ppf(0.5 + LEVEL / 2, n - 1) * values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    return float(values.mean()), half


def coverage_of(group: Sequence[Row]) -> tuple[int, int] | None:
    """(bones whose truth lies in the interval that all other bones give, bones); None where there are too few for a level of 90 %."""
    known = [KnownError(str(r["bone"]), r["method"], r["views"], r["quantity"], -r["error"]) for r in group]
    if len(known) < 20:
        return None
    inside = 0
    for n, one in enumerate(known):
        low, high = fit_intervals([*known[:n], *known[n + 1 :]], LEVEL).of(one.method, one.views)[one.quantity]
        inside += low <= one.error <= high
    return inside, len(known)


def _bias(group: Sequence[Row]) -> Cell:
    middle, half = bias_of(group)
    return Cell(f"{middle:+.1f}" + (f" ± {half:.1f}" if math.isfinite(half) else ""), abs(middle))


def _one_scan(group: Sequence[Row]) -> Cell:
    low, high = np.percentile([row["bias"] for row in group], [50 - 50 * LEVEL, 50 + 50 * LEVEL])
    return Cell(f"{low:+.1f} to {high:+.1f}")


def _coverage(group: Sequence[Row]) -> Cell:
    found = coverage_of(group)
    return Cell("" if found is None else f"{found[0]} of {found[1]}")


def views_needed(found: Sequence[Row], method: str, quantity: str, most: float) -> int | None:
    """The fewest views from which on the mean bias stays within ``most`` per cent; None where even the most views do not."""
    own = [row for row in found if row["method"] == method and row["quantity"] == quantity]
    needed = None
    for n in sorted({row["views"] for row in own}, reverse=True):
        if abs(bias_of([row for row in own if row["views"] == n])[0]) > most:
            break
        needed = n
    return needed


def notes(records: Sequence[Record]) -> list[str]:
    """The answer in sentences, and how often the intervals held."""
    found, said = rows(records), []
    for method in dict.fromkeys(row["method"] for row in found):
        for most in NEEDED:
            needed = {q: views_needed(found, method, q, most) for q in QUANTITIES}
            words = ", ".join(f"{q.replace('_', '/' if q == 'BV_TV' else '.')} {n or 'more than there are'}" for q, n in needed.items())
            said.append(f"{method}: views needed for a bias of at most {most:g} %: {words}.")
    held = [c for group in _groups(found) if (c := coverage_of(group)) is not None]
    if held:
        inside, total = (sum(column) for column in zip(*held, strict=True))
        said.append(
            f"Intervals of {LEVEL:.0%} held for {inside} of {total} truths ({inside / total:.1%}), each of a bone that was not used."
        )
    return said


def _groups(found: Sequence[Row]) -> list[list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in found:
        groups.setdefault((row["method"], row["views"], row["quantity"]), []).append(row)
    return list(groups.values())


def about(plan: Plan) -> str:
    """What was scanned."""
    return (
        f"{plan.bones} phantom tibiae, {plan.slices} slices around {plan.t_mm:g} mm below the knee at {1000 * plan.voxel_mm:g} um, on the "
        f"middle of a detector of {PANEL[0]} x {PANEL[1]}; physics of `fewview.recon.simulate` at one energy with {plan.photons} photons; "
        f"threshold {THRESHOLD:g} 1/mm; compartments found in each reconstruction. Bias: (measured - true) / true in per cent, its "
        "mean over bones with a 90 % interval; then where nine of ten single scans lie."
    )


TABLE = TablePlan(
    title="",
    by=("method", "quantity", "views"),
    rows=rows,
    columns=(
        count("bones", "bone"),
        Column("mean bias, %", _bias, "low"),
        Column("single scans, %", _one_scan),
        Column("truth inside the interval of the other bones", _coverage),
    ),
    sort=True,
    within=("quantity", "views"),
)


def write(study: Study, plan: Plan, results: Path, records: Sequence[Record], info: Mapping[str, Any]) -> None:
    """table.md, and the curves as curves.png."""
    from ..pages.bone_curve import write_bone_curve

    write_tables(study, plan, results, records, info)
    found = rows([r for r in records if "failed" not in r])
    if found:
        write_bone_curve(found, bias_of, results / "curves.png")


STUDY = Study(
    name="bone_views",
    title="Quantities of bone against the number of views",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=QUANTITIES,
    about=about,
    tables=(TABLE,),
    notes=notes,
    write=write,
)
