"""How many views does a quantity of bone need? Pieces of phantom tibiae at 20 um, scanned with fewer and fewer views, beside the truth.

``fewview bench bone_views --out RESULTS``: bias of each quantity with its interval, per method and number of views; conformal intervals of
one scan, made from other bones and tried on these; and from how many views on the bias stays below 2 and 5 %.
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

from ...base.settings import Count, Mm, Several, Whole, checked
from ...base.shapes import Volume
from ...bone import CompartmentSettings, fit_intervals, measure
from ...data import Projections
from ...data.phantom.piece import tibia_piece
from ...data.volumes.resample import resample
from ...geometry import Grid, Scan, skyscan_1276, views
from ...recon import load_method, reconstruct, simulate
from ...recon.corrections.beam_hardening import correct_two_materials
from ...recon.physics.effects import Physics
from ..scores.bone.bias import LEVEL, bias_of, coverage_of, groups_of, interval_of, known_errors, studied, views_needed
from ..sweeps.columns import Cell, Column, Row, TablePlan, flat
from ..sweeps.records import Record
from ..sweeps.study import Study, write_tables

QUANTITIES = ("BV_TV", "Tb_Th", "Tb_Sp", "Ct_Th", "Ct_Ar")
THRESHOLD = 0.10  # 1/mm: between marrow (0.033) and bone (0.17 and 0.20)
PANEL = (512, 768)  # rows and columns of the whole detector, on whose middle the specimen falls
FINER = 0.625  # voxel of the phantom, of that of the reconstruction
WIDTH_MM, EDGE = 3.52, 2  # of the reconstruction; slices at both ends that are not measured
NEEDED = (2.0, 5.0)  # per cent of bias
SETTINGS: Mapping[str, Mapping[str, Any]] = {"fdk": {"filter": "hann"}}


@checked(kind="option of bench bone_views")
class Plan:
    """Pieces of bones x numbers of views x methods.

    Args:
        bones: number of animals.
        others: number of further animals, of which conformal intervals are made; 0 for none.
        views: numbers of views, out of 260.
        methods: names of methods, or my_file.py:my_function.
        voxel_mm: of the reconstruction, and pixel of the detector at the axis.
        slices: that are measured.
        t_mm: how far below the knee the middle of the piece is.
        photons: mean count of an empty pixel.
    """

    bones: Count = 12
    others: Whole = 19
    views: Several[Count] = (13, 26, 52, 130, 260)
    methods: Several[str] = ("fdk", "pdhg_tv", "tvnet")
    voxel_mm: Mm = 0.02
    slices: Count = 24
    t_mm: Mm = 2.4
    photons: Count = 20_000


@dataclass(frozen=True)
class Task:
    """One reconstruction of one bone; of one ``for_intervals`` nothing else is told."""

    bone: int
    for_intervals: bool
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
    """The tasks, bone by bone, so that each is scanned once. An unknown method is refused."""
    for method in plan.methods:
        load_method(method)
    fixed = plan.voxel_mm, plan.slices, plan.t_mm, plan.photons
    bones = [(bone, bone >= plan.bones) for bone in range(plan.bones + plan.others)]
    return [Task(*bone, n, method, *fixed) for bone in bones for n in plan.views for method in plan.methods]


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
    return Specimen(simulate(phantom, fine, part, seed=bone, photons=photons), grid, quantities(truth, grid))


@lru_cache(maxsize=1)
def chosen_views(scan: Projections, count: int) -> Projections:
    """So many views, corrected for the spectrum of the tube by what they show themselves: the same for all methods."""
    part = scan[views.evenly(scan.scan, count)]
    return correct_two_materials(part, Physics().beam().binned(24), reference_kev=Physics().reference_kev)


def quantities(volume: Volume, grid: Grid) -> dict[str, float]:
    """What is studied of a volume [z, y, x], without the slices at its ends; compartments found as in any scan."""
    inner = Grid((grid.shape[0] - 2 * EDGE, *grid.shape[1:]), grid.voxel_mm, grid.center_mm)
    found = measure(volume[EDGE:-EDGE], inner, threshold=THRESHOLD, region="auto", compartments=CompartmentSettings())
    return {name: found[name] for name in QUANTITIES}


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """Quantities of a reconstruction, and what is true."""
    known = specimen(task.bone, task.voxel_mm, task.slices, task.t_mm, task.photons)
    part, cpu = chosen_views(known.scan, task.views), time.process_time()
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


def _bones(group: Sequence[Row]) -> Cell:
    return Cell(str(len(studied(group))))


def _bias(group: Sequence[Row]) -> Cell:
    middle, half = bias_of(studied(group))
    return Cell(f"{middle:+.1f}" + (f" ± {half:.1f}" if math.isfinite(half) else ""), abs(middle))


def _one_scan(group: Sequence[Row]) -> Cell:
    low, high = np.percentile([row["bias"] for row in studied(group)], [50 - 50 * LEVEL, 50 + 50 * LEVEL])
    return Cell(f"{low:+.1f} to {high:+.1f}")


def _width(group: Sequence[Row]) -> Cell:
    bounds, true = interval_of(group), float(np.mean([row["true"] for row in studied(group)]))
    return Cell("" if bounds is None else f"± {50 * (bounds[1] - bounds[0]) / true:.1f}")


def _coverage(group: Sequence[Row]) -> Cell:
    found = coverage_of(group)
    return Cell("" if found is None else f"{found[0]} of {found[1]}")


def notes(records: Sequence[Record]) -> list[str]:
    """The answer in sentences, and how often the intervals held."""
    everything, said = rows(records), []
    found = studied(everything)
    for method in dict.fromkeys(row["method"] for row in found):
        for most in NEEDED:
            needed = {q: views_needed(found, method, q, most) for q in QUANTITIES}
            words = ", ".join(f"{q.replace('_', '/' if q == 'BV_TV' else '.')} {n or 'more than there are'}" for q, n in needed.items())
            said.append(f"{method}: views needed for a bias of at most {most:g} %: {words}.")
    held = [c for group in groups_of(everything) if (c := coverage_of(group)) is not None]
    if held:
        inside, total = (sum(column) for column in zip(*held, strict=True))
        said.append(
            f"Intervals of {LEVEL:.0%} held for {inside} of {total} truths ({inside / total:.1%}), each of a bone that was not used."
        )
    return said


def about(plan: Plan) -> str:
    """What was scanned."""
    return (
        f"{plan.bones} phantom tibiae, and {plan.others} for the intervals: {plan.slices} slices around {plan.t_mm:g} mm below the knee at "
        f"{1000 * plan.voxel_mm:g} um, on the middle of a detector of {PANEL[0]} x {PANEL[1]}; physics of `fewview.recon.simulate` with "
        f"{plan.photons} photons; all methods are given the same views, which `correct_two_materials` has corrected for the spectrum of "
        f"the tube; threshold {THRESHOLD:g} 1/mm; compartments found in each reconstruction. Bias: (measured - true) / true in per cent, "
        "its mean over bones with a 90 % interval; then where nine of ten single scans lie; then the conformal interval of a scan, from "
        "the other bones, in per cent of the mean truth, and for how many bones it holds the truth."
    )


TABLE = TablePlan(
    title="",
    by=("method", "quantity", "views"),
    rows=rows,
    columns=(
        Column("bones", _bones),
        Column("mean bias, %", _bias, "low"),
        Column("single scans, %", _one_scan),
        Column("interval of one scan, %", _width),
        Column("truth inside it", _coverage),
    ),
    sort=True,
    within=("quantity", "views"),
)


def write(study: Study, plan: Plan, results: Path, records: Sequence[Record], info: Mapping[str, Any]) -> None:
    """table.md, the curves as curves.png, and the intervals as intervals.json for ``fewview bone measure --intervals``."""
    from ..pages.bone_curve import write_bone_curve

    write_tables(study, plan, results, records, info)
    found = rows([r for r in records if "failed" not in r])
    if studied(found):
        write_bone_curve(studied(found), bias_of, results / "curves.png")
    if known := known_errors(found):
        provenance = {"study": study.name, "about": study.about(plan), "code": records[0]["code"]}
        fit_intervals(known, LEVEL, provenance=provenance).write(results / "intervals.json", force=True)


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
