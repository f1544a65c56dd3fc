"""Which faults does the self-check find, and does it leave sound scans alone? Simulated scans of real volumes with known faults.

``fewview bench self_check --data FOLDER --out RESULTS --views 26 260``

Each volume is simulated once. A fault is put into the geometry or the values of the scan, the scan is reconstructed by FDK, and what
`fewview.recon.selfcheck` says about it is compared with what was done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.record import sha256
from ...base.settings import Count, Several, checked
from ...base.shapes import LineIntegrals
from ...data import Projections
from ...data.self_check import WRONG
from ...data.volumes.attenuation import GreyScale
from ...geometry import Grid, skyscan_1276, views
from ...geometry.transform import correct, turn_views
from ...recon import fdk, simulate
from ...recon.selfcheck.check import self_check
from ...recon.selfcheck.opposite_rays import travelled_deg
from ..datasets.subjects import scene_of_volume
from ..sweeps.columns import Cell, Column, Row, TablePlan, flat
from ..sweeps.records import Record
from ..sweeps.study import Study

MU_MAX, OFF_CENTER_PX = 0.20, 4.5
AXIS_PX, STEP_PERCENT, ROLL_DEG, REPEATED = 2.0, 2.0, 1.0, 10


@checked(kind="option of bench self_check")
class Plan:
    """Self-checks of volumes x numbers of views, each with all faults.

    Args:
        data: a folder of volumes, *.nii.gz.
        volumes: names without .nii.gz; by default all.
        views: numbers of views, out of 260.
        cols: number of detector columns; there are two thirds as many rows.
        photons: mean count of an empty pixel.
        voxel_pixels: edge of a voxel of the reconstruction in detector pixels; 1 shows what the check costs beside FDK.
    """

    data: Path
    volumes: Several[str] = ()
    views: Several[Count] = (26, 260)
    cols: Count = 192
    photons: Count = 20_000
    voxel_pixels: Count = 2


@dataclass(frozen=True)
class Task:
    """One volume and number of views, with all faults; ``inputs`` is the SHA-256 of the volume's file."""

    volume: str
    views: int
    cols: int
    photons: int
    voxel_pixels: int
    seed: int
    inputs: str

    @property
    def label(self) -> str:
        """The task in words."""
        return f"{self.volume}, {self.views} views"


def tasks(plan: Plan) -> list[Task]:
    """The tasks, volume by volume; InputError for a folder without volumes."""
    every = sorted(path.name.split(".nii")[0] for path in plan.data.glob("*.nii.gz"))
    if not every:
        raise InputError(f"{plan.data} holds no *.nii.gz", expected="a folder of volumes")
    hashes = {name: sha256(plan.data / f"{name}.nii.gz") for name in plan.volumes or every}
    fixed = plan.cols, plan.photons, plan.voxel_pixels
    return [Task(name, count, *fixed, seed, inputs) for seed, (name, inputs) in enumerate(hashes.items()) for count in plan.views]


@dataclass(frozen=True, eq=False)
class Simulated:
    """A sound scan of 260 views, and ``still``: images of a stage that stands still from view ``stopped`` on, each with its own noise."""

    sound: Projections
    stopped: int
    still: NDArray[np.float32]


@lru_cache(maxsize=1)
def simulated(path: Path, inputs: str, cols: int, photons: int, seed: int) -> Simulated:
    """The scan of a volume that is a little off the axis; the last one is kept."""
    if sha256(path) != inputs:
        raise InputError(f"{path} changed while the study ran", expected="the file that its tasks were made for")
    scan = skyscan_1276(cols * 2 // 3, cols, 0.2226 * 192 / cols)
    rng = np.random.default_rng(seed)
    stopped = int(rng.integers(20, len(scan) - 20 - REPEATED))
    scene = scene_of_volume(path, scan, GreyScale(mu_max=MU_MAX))
    x, y, z = (c + o for c, o in zip(scene.grid.center_mm, rng.uniform(-1, 1, 3) * OFF_CENTER_PX * 0.2226, strict=True))
    grid = Grid(scene.grid.shape, scene.grid.voxel_mm, (x, y, z))
    sound = simulate(scene.volume, grid, scan, seed=seed, photons=photons)
    still = simulate(scene.volume, grid, scan[[stopped] * REPEATED], seed=seed + 1, photons=photons)
    return Simulated(sound, stopped, still.values)


def faulty(given: Simulated, count: int) -> Iterator[tuple[str, str, Projections]]:
    """(fault, the suspicion that it should raise, the scan) for ``count`` evenly spread views."""
    index = views.evenly(given.sound.scan, count)
    part = given.sound[index]
    values, scan = part.values, part.scan
    pixel = float(np.linalg.norm(scan.u, axis=1).mean())
    yield "none", "", part
    for sign in (1, -1):
        yield f"axis {sign * AXIS_PX:+g} px", "axis", Projections(values, correct(scan, sign * AXIS_PX * pixel))
    for sign in (1, -1):
        further = travelled_deg(scan) * sign * STEP_PERCENT / 100
        yield f"step {sign * STEP_PERCENT:+g} %", "step", Projections(values, turn_views(scan, further))
    yield "columns flipped", "sense", Projections(values[:, :, ::-1], scan)
    yield "counts inverted", "inverted", Projections(inverted(values), scan)
    start = min(given.stopped * count // len(given.sound), count - REPEATED - 1)
    repeated = values.copy()
    repeated[start : start + REPEATED] = values[start]
    yield f"{REPEATED} views repeat", "repeated", Projections(repeated, scan)
    whole = given.sound.values.copy()
    whole[given.stopped : given.stopped + REPEATED] = given.still
    yield f"stage still for {REPEATED} of 260", "repeated", Projections(whole[index], scan)
    yield f"roll {ROLL_DEG:g} deg", "roll", Projections(values, correct(scan, 0, 0, ROLL_DEG))


def inverted(values: LineIntegrals) -> LineIntegrals:
    """Line integrals of a scan whose 16-bit counts were inverted (air at 57 000 of 65 535)."""
    counts = 65535.0 - np.clip(57000.0 * np.exp(-values.astype(np.float64)), 0, 65534)
    return np.log(np.percentile(counts, 99.9) / counts).astype(np.float32)


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """What the check says about each fault, and the processor seconds of the check and of FDK."""
    given = simulated(plan.data / f"{task.volume}.nii.gz", task.inputs, task.cols, task.photons, task.seed)
    grid = Grid.fit(given.sound.scan)
    grid = grid.coarser(task.voxel_pixels) if task.voxel_pixels > 1 else grid
    found = []
    for fault, expected, projections in faulty(given, task.views):
        start = time.process_time()
        volume = fdk(projections, grid)
        middle = time.process_time()
        check = self_check(projections, volume, grid)
        cpu = {"cpu_seconds": time.process_time() - middle, "fdk_cpu_seconds": middle - start}
        found.append({"fault": fault, "expected": expected, **check.as_record(), **cpu})
    return {"found": found}


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each fault of each record: ``warned``, and ``named``, which says that the check names the fault that was put in first."""
    return [{**flat(r), **one, "warned": _warned(one), "named": _named(one)} for r in records for one in r["found"]]


def _warned(one: Row) -> bool:
    return one["level"] == WRONG


def _named(one: Row) -> bool:
    return bool(one["expected"]) and _warned(one) and one["suspicions"][0]["name"] == one["expected"]


def _share(name: str, head: str) -> Column:
    return Column(head, lambda group: Cell(f"{sum(bool(row[name]) for row in group)} of {len(group)}"))


def _span(name: str, head: str) -> Column:
    def cell(group: Sequence[Row]) -> Cell:
        low, high = (100 * float(x) for x in np.percentile([row[name] for row in group], (0, 100)))
        return Cell(f"{low:.1f} to {high:.1f}")

    return Column(head, cell)


def _seconds(group: Sequence[Row]) -> Cell:
    return Cell(" of ".join(f"{np.median([row[name] for row in group]):.2f}" for name in ("cpu_seconds", "fdk_cpu_seconds")))


def about(plan: Plan) -> str:
    """The first paragraph of the page."""
    return (
        f"Real mouse heads (one per strain; grey/255 x {MU_MAX:g} 1/mm), scanned by `fewview.recon.simulate` with its default physics "
        f"and {plan.photons} photons on a SkyScan 1276 of {plan.cols * 2 // 3} x {plan.cols} pixels, 260 views at 0.8 deg, up to "
        f"{OFF_CENTER_PX:g} px (at 192 columns) off the axis. Warned: the level is 'wrong'. Named first: the first suspicion is the fault "
        "that was put in. Contradiction and error in percent, least to largest."
    )


STUDY = Study(
    name="self_check",
    title="The self-check on simulated scans of real volumes with known faults",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=("found",),
    about=about,
    tables=(
        TablePlan(
            title="",
            by=("views", "fault"),
            rows=rows,
            columns=(
                _share("warned", "warned"),
                _share("named", "named first"),
                _span("contradiction", "contradiction, %"),
                _span("error", "error, %"),
                Column("check of FDK, CPU s", _seconds),
            ),
        ),
    ),
)
