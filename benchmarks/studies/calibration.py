"""How well `fewview.recon.calibrate` finds a known misalignment: simulated scans of real volumes, several numbers of views.

``fewview bench calibration --data FOLDER --out RESULTS``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...base import InputError
from ...base.record import sha256
from ...base.settings import Count, Several, checked
from ...data import Projections
from ...data.volumes.attenuation import GreyScale
from ...geometry import Grid, Scan, skyscan_1276, views
from ...geometry.transform import correct, reverse_rotation
from ...recon import calibrate, simulate
from ..datasets.subjects import scene_of_volume
from ..sweeps.columns import Cell, Column, Row, TablePlan, count, flat, mean
from ..sweeps.records import Record
from ..sweeps.study import Study

MU_MAX, ROWS, COLS, PIXEL_MM = 0.20, 128, 192, 0.2226
SHIFT_PX, ROLL_DEG, OFF_CENTER_MM = 4.0, 0.8, 1.0  # of either sign, drawn uniformly
LIMITS = {260: (0.1, 0.3, 0.03), 52: (0.1, 0.3, 0.03), 26: (0.2, np.inf, np.inf)}  # axis px, row px, roll deg
ERRORS = ("axis_px", "row_px", "roll_deg")


@checked(kind="option of bench calibration")
class Plan:
    """Calibration of volumes x numbers of views, each volume with its own misalignment.

    Args:
        data: a folder of volumes, *.nii.gz.
        volumes: names without .nii.gz; by default 20, spread evenly over the sorted folder.
        views: numbers of views.
        seed: seed of the misalignments.
    """

    data: Path
    volumes: Several[str] = ()
    views: Several[Count] = (260, 52, 26)
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """One volume, the misalignment with which it is scanned, and the number of views.

    ``off_center_mm`` is how far it is off the axis (x, y) and the middle (z); ``inputs`` is the SHA-256 of the volume's file.
    """

    volume: str
    axis_px: float
    row_px: float
    roll_deg: float
    reversed: bool
    off_center_mm: tuple[float, float, float]
    seed: int
    views: int = 260
    inputs: str = ""

    @property
    def label(self) -> str:
        """The trial in words."""
        return f"{self.volume}, {self.views} views"

    @classmethod
    def draw(cls, volume: str, seed: int, place: int, views: int = 260, inputs: str = "") -> Trial:
        """The misalignment of volume number ``place`` of a study with this seed: the same for all numbers of views."""
        rng = np.random.default_rng([seed, place])
        axis, row, roll = (float(x) for x in rng.uniform(-1, 1, 3) * (SHIFT_PX, SHIFT_PX, ROLL_DEG))
        x, y, z = (float(x) for x in rng.uniform(-OFF_CENTER_MM, OFF_CENTER_MM, 3))
        return cls(volume, axis, row, roll, bool(rng.random() < 0.5), (x, y, z), int(rng.integers(2**31)), views, inputs)


def tasks(plan: Plan) -> list[Trial]:
    """The trials, volume by volume; InputError for a folder without volumes."""
    paths = sorted(plan.data.glob("*.nii.gz"))
    if plan.volumes:
        paths = [plan.data / f"{name}.nii.gz" for name in plan.volumes]
    elif len(paths) > 20:
        paths = [paths[i * len(paths) // 20] for i in range(20)]
    if not paths:
        raise InputError(f"{plan.data} holds no *.nii.gz", expected="a folder of volumes")
    hashes = {path: sha256(path) for path in paths}
    return [
        Trial.draw(path.name.split(".nii")[0], plan.seed, place, views, hashes[path])
        for place, path in enumerate(paths)
        for views in plan.views
    ]


def nominal_scan() -> Scan:
    """The SkyScan 1276 of BoneMet, binned to 128 x 192 pixels: 260 views, 207.2 deg from the first to the last, 208 deg covered."""
    return skyscan_1276(rows=ROWS, cols=COLS, voxel_mm=PIXEL_MM)


def misaligned(path: Path, trial: Trial) -> Projections:
    """The scan of the volume under the trial's misalignment, with the simulator's default physics and noise, in the nominal geometry."""
    nominal = nominal_scan()
    scene = scene_of_volume(path, nominal, GreyScale(mu_max=MU_MAX))
    x, y, z = (c + o for c, o in zip(scene.grid.center_mm, trial.off_center_mm, strict=True))
    base = reverse_rotation(nominal) if trial.reversed else nominal
    true = correct(base, trial.axis_px * PIXEL_MM, trial.row_px * PIXEL_MM, trial.roll_deg)
    p = simulate(scene.volume, Grid(scene.grid.shape, scene.grid.voxel_mm, (x, y, z)), true, seed=trial.seed)
    return Projections(p.values, nominal)


@lru_cache(maxsize=1)
def _misaligned(path: Path, inputs: str, trial: Trial) -> Projections:
    """The last scan that was made is kept; ``trial`` is that of all views."""
    if sha256(path) != inputs:
        raise InputError(f"{path} changed while the study ran", expected="the file that its tasks were made for")
    return misaligned(path, trial)


def run(plan: Plan, trial: Trial) -> dict[str, Any]:
    """Calibrate from ``trial.views`` evenly spread views: error = found - true, and the error that calibration
    estimates (pixels, degrees).
    """
    first = replace(trial, views=0)
    p = _misaligned(plan.data / f"{trial.volume}.nii.gz", trial.inputs, first)
    start = time.process_time()
    found = calibrate(p[views.evenly(p.scan, trial.views)])
    seconds = time.process_time() - start
    got = (found.axis_shift_mm / PIXEL_MM, found.row_shift_mm / PIXEL_MM, found.roll_deg)
    stated = (found.errors["axis_shift_mm"] / PIXEL_MM, found.errors["row_shift_mm"] / PIXEL_MM, found.errors["roll_deg"])
    true = (trial.axis_px, trial.row_px, trial.roll_deg)
    return {
        "errors": dict(zip(ERRORS, (float(g - t) for g, t in zip(got, true, strict=True)), strict=True)),
        "stated": dict(zip(ERRORS, map(float, stated), strict=True)),
        "sense_right": found.reversed == trial.reversed,
        "cpu_seconds": seconds,
    }


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each record; ``within`` says whether the limits for its number of views are kept."""
    return [{**flat(r), "within": within_limits(r["task"]["views"], r["errors"], r["sense_right"])} for r in records]


def within_limits(count: int, errors: dict[str, float], sense_right: bool) -> bool:
    """Whether the errors keep `LIMITS`, and the sense of rotation is right."""
    limits = LIMITS.get(count, LIMITS[26])
    return sense_right and all(abs(float(errors[name])) <= limit for name, limit in zip(ERRORS, limits, strict=True))


def _largest(name: str, head: str) -> Column:
    def cell(group: Sequence[Row]) -> Cell:
        x = np.array([float(row["errors"][name]) for row in group])
        return Cell(f"{np.abs(x).max():.3f} ({np.sqrt((x**2).mean()):.3f})")

    return Column(f"{head}: max (rms)", cell)


def _share(name: str, head: str) -> Column:
    return Column(head, lambda group: Cell(f"{sum(bool(row[name]) for row in group)} of {len(group)}"))


def _single(name: str, head: str) -> Column:
    return Column(head, lambda group: Cell(f"{float(group[0]['errors'][name]):+.3f} ± {float(group[0]['stated'][name]):.3f}"))


def _true(group: Sequence[Row]) -> Cell:
    return Cell("{axis_px:+.2f}, {row_px:+.2f}, {roll_deg:+.2f}".format(**group[0]))


def about(plan: Plan) -> str:
    """The first paragraph of the page."""
    return (
        f"Real mouse heads (one per strain; grey/255 x {MU_MAX:g} 1/mm), scanned by `fewview.recon.simulate` with its default physics "
        "(50 kVp spectrum, soft tissue and bone, 20 000 photons, electronic noise, blur, gain errors, dead pixels, scatter, drift of the "
        f"tube) on a SkyScan 1276 of {ROWS} x {COLS} pixels of {PIXEL_MM:g} mm at the axis, 260 views over 207.2 deg (208 deg covered). "
        f"Axis and row shift (up to {SHIFT_PX:g} px), roll (up to {ROLL_DEG:g} deg), sense of rotation and position (up to "
        f"{OFF_CENTER_MM:g} mm off) are drawn at random, and unknown to `calibrate`. Error = found - true; ± is what calibration itself "
        "says. Limits: axis 0.1 px, row 0.3 px, roll 0.03 deg from 260 and from 52 views, axis 0.2 px from 26, and the sense of rotation."
    )


STUDY = Study(
    name="calibration",
    title="Self-calibration on simulated scans of real volumes",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=("errors", "stated", "sense_right"),
    about=about,
    tables=(
        TablePlan(
            title="",
            by=("views",),
            rows=rows,
            columns=(
                count("scans", "volume"),
                *(_largest(n, h) for n, h in zip(ERRORS, ("axis px", "row px", "roll deg"), strict=True)),
                _share("sense_right", "sense right"),
                _share("within", "within"),
                mean("cpu_seconds", "CPU s", ".1f"),
            ),
        ),
        TablePlan(
            title="Each scan",
            by=("views", "volume"),
            rows=rows,
            columns=(
                Column("true axis px, row px, roll deg", _true),
                *(_single(n, h) for n, h in zip(ERRORS, ("axis px", "row px", "roll deg"), strict=True)),
                Column("sense", lambda group: Cell("right" if group[0]["sense_right"] else "WRONG")),
            ),
        ),
    ),
)
