"""Do the bone tools find the right bones, motions and landmarks, however an animal lies? Phantom animals in random poses, two weeks each.

``fewview bench bone_poses --out RESULTS``: each animal has two legs whose flesh touches in many poses, vertebrae between the thighs, and in
every second animal lesions that grow. It is scanned with few views (streaks, noise), reconstructed by FDK, segmented, registered, and its
tibiae are cut below the junction with the fibula. What the tools say is compared with what is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from ...base import InputError
from ...base.settings import Count, Mm, checked
from ...base.shapes import Volume
from ...bone import CTRegistration, ReconCTSegmentation, RoICompositeCropper
from ...bone.segmentation.segmenting import Segmented
from ...data.phantom.animal import BONES, Animal, Pose, hind_quarters
from ...data.phantom.leg import Leg
from ...data.phantom.limb import draw_lesions
from ...geometry import Grid, skyscan_1276, views
from ...recon import fdk, simulate
from ..sweeps.columns import Cell, Column, Row, TablePlan, count
from ..sweeps.records import Record
from ..sweeps.study import Study

SIZE_MM = (29.0, 27.0, 27.0)  # z, y, x
THRESHOLD = 0.09  # 1/mm: between muscle (0.04) and bone (0.17 and more)
FINER = 0.9  # voxel of the phantom, of that of the reconstruction
LEAST_DICE, MOST_VOXELS, MOST_DEG, MOST_SLICES = 0.95, 0.5, 0.5, 3
SURE = 0.5
MIDDLE_MM = np.array([0.05, 0.3, 7.5])  # of the tibia in its own frame


@checked(kind="option of bench bone_poses")
class Plan:
    """Animals in random poses.

    Args:
        poses: number of animals.
        views: of each scan, out of 260; 0 takes the phantom itself, with noise.
        voxel_mm: of the reconstruction.
        weeks: between the two scans.
        photons: mean count of an empty pixel.
    """

    poses: Count = 30
    views: Annotated[int, Field(ge=0, le=260)] = 52
    voxel_mm: Mm = 0.15
    weeks: Count = 2
    photons: Count = 20_000


@dataclass(frozen=True)
class Task:
    """One animal in two poses."""

    seed: int
    lesions: int
    views: int
    voxel_mm: float
    weeks: int
    photons: int

    @property
    def label(self) -> str:
        """The task in words."""
        return f"animal {self.seed}, {self.lesions} lesions"


def tasks(plan: Plan) -> list[Task]:
    """A task for each animal; every second one has lesions."""
    return [Task(seed, 2 * (seed % 2), plan.views, plan.voxel_mm, plan.weeks, plan.photons) for seed in range(plan.poses)]


@dataclass(frozen=True, eq=False)
class Scanned:
    """What a scan shows (1/mm), and the animal that lay in it, on the same grid."""

    volume: Volume
    animal: Animal
    found: Segmented


def run(plan: Plan, task: Task) -> dict[str, Any]:
    """Dice of each bone and week, errors of the registration and of the junction on both sides, and how sure the tools were."""
    rng = np.random.default_rng([task.seed, 4])
    apart = float(rng.uniform(11.5, 13.5))
    first, later = (_scanned(task, Pose.drawn(rng, apart), week) for week in (0, task.weeks))
    labels = [{"week": n, **row} for n, scan in enumerate((first, later)) for row in _labelled(scan)]
    sides = [_moved_and_cut(first, later, side) for side in ("left", "right")]
    doubts = [*first.found.doubts, *later.found.doubts]
    return {"labels": labels, "registration": [s[0] for s in sides], "junction": [s[1] for s in sides], "apart_mm": apart, "doubts": doubts}


def _scanned(task: Task, pose: Pose, week: int) -> Scanned:
    h = task.voxel_mm
    grid, fine = (Grid(tuple(round(size / step) for size in SIZE_MM), step) for step in (h, FINER * h))  # type: ignore[arg-type]
    given: dict[str, Any] = {"seed": task.seed, "week": week, "lesions": draw_lesions(task.lesions, task.seed)}
    animal = hind_quarters(grid, pose, **given)
    if task.views:
        scan = skyscan_1276(grid.shape[0] + 8, 2 * math.ceil(0.75 * grid.shape[2]), h)
        scan = scan[views.evenly(scan, task.views)]
        scene = hind_quarters(fine, pose, **given).volume
        volume = fdk(simulate(scene, fine, scan, seed=2 * task.seed + (week > 0), photons=task.photons), grid, filter="hann")
    else:
        noise = np.random.default_rng([task.seed, week, 5]).standard_normal(grid.shape)
        volume = (animal.volume + 0.01 * noise).astype(np.float32)
    return Scanned(volume, animal, ReconCTSegmentation(threshold=THRESHOLD)(volume, grid))


def _labelled(scan: Scanned) -> list[dict[str, Any]]:
    """A row for each bone: Dice of its voxels above the threshold. The truth takes in what is one voxel outside a bone, where it blurs."""
    nearest = np.asarray(ndimage.distance_transform_edt(scan.animal.labels == 0, return_distances=False, return_indices=True))
    near = np.asarray(ndimage.distance_transform_edt(scan.animal.labels == 0)) <= 1.5
    labels = np.where(near & (scan.volume > THRESHOLD), scan.animal.labels[tuple(nearest)], 0)
    rows = []
    for name in scan.found.names:
        members = [BONES.index(b) + 1 for b in (name, name.replace("tibia", "fibula"))]
        truth, mine = np.isin(labels, members), scan.found.labels == scan.found.names.index(name) + 1
        dice = 2 * float(np.count_nonzero(truth & mine)) / max(1, int(truth.sum()) + int(mine.sum()))
        rows.append({"bone": name, "dice": dice, "confidence": float(scan.found.confidence.get(name, 0.0))})
    return rows


def _moved_and_cut(first: Scanned, later: Scanned, side: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """How far registration and junction of a side are off; infinitely where the bone was not found, or is refused."""
    lost = {"side": side, "off": math.inf, "off_deg": math.inf, "confidence": 0.0}
    name = f"{side} tibia"
    if name not in first.found.found or name not in later.found.found:
        return lost, lost
    tool = CTRegistration(threshold=THRESHOLD)
    upright = tool.upright(*first.found.stack(name))
    moved = tool(*later.found.stack(name), upright.volume, upright.grid)
    before, after = first.animal.legs[side], later.animal.legs[side]
    at_first, at_later = (leg.to_scene(leg.bone("tibia").to_leg(MIDDLE_MM.tolist())) for leg in (before, after))
    place = upright.rotation.T @ (at_first - upright.shift_mm)
    turned = moved.rotation.T @ after.rotation @ before.rotation.T @ upright.rotation
    angle = math.degrees(math.acos(max(-1.0, min(1.0, (float(np.trace(turned)) - 1) / 2))))
    h = upright.grid.voxel_mm
    off = float(np.abs(moved.rotation @ place + moved.shift_mm - at_later).max()) / h
    registration = {"side": side, "off": off, "off_deg": angle, "confidence": moved.confidence, "doubts": list(moved.doubts)}
    registration |= {"turn_error_deg": moved.error.turn_deg, "shift_error": moved.error.shift_mm / h}
    tibia, fibula = (
        upright.apply(first.animal.mask(f"{side} {b}").astype(np.float32), first.animal.grid) > 0.5 for b in ("tibia", "fibula")
    )
    try:
        cut = RoICompositeCropper(threshold=THRESHOLD, length_mm=3.0)(upright.volume, moved.volume, upright.grid)
    except InputError as error:
        return registration, {**lost, "doubts": [str(error)]}
    known = true_junction(tibia, fibula, knee_up=_knee_is_up(before, upright.rotation))
    return registration, {"side": side, "off": abs(cut.junction - known), "confidence": cut.confidence, "doubts": list(cut.doubts)}


def _knee_is_up(leg: Leg, rotation: NDArray[np.float64]) -> bool:
    """Whether the knee is at large z in the upright frame."""
    return bool((rotation.T @ leg.rotation)[2, 2] > 0)


def true_junction(tibia: NDArray[np.bool_], fibula: NDArray[np.bool_], *, knee_up: bool) -> int:
    """The first slice, from the knee on, from which tibia and fibula [z, y, x] are two contours: none of their voxels touch."""
    order = slice(None, None, -1) if knee_up else slice(None)
    grown = np.asarray(ndimage.binary_dilation(tibia, np.ones((1, 3, 3), bool)), dtype=bool)
    touch, there = (np.asarray(np.any(mask, axis=(1, 2)))[order] for mask in (grown & fibula, fibula))
    used = np.flatnonzero(there)
    upper = np.arange(len(there)) < used[0] + len(used) // 2
    together = np.flatnonzero(touch & upper)
    place = int(together[-1]) + 1 if together.size else int(used[0])
    return len(there) - 1 - place if knee_up else place


Judge = Callable[[Row], bool]
RIGHT: dict[str, Judge] = {
    "labels": lambda row: row["dice"] >= LEAST_DICE,
    "registration": lambda row: row["off"] <= MOST_VOXELS and row["off_deg"] <= MOST_DEG,
    "junction": lambda row: row["off"] <= MOST_SLICES,
}


def admitted(row: Row) -> bool:
    """Whether what is wrong was said: by a low confidence, or because a registration is off by no more than the bound that it states."""
    bounds = row.get("turn_error_deg", math.nan), row.get("shift_error", math.nan)
    stated = all(map(math.isfinite, bounds)) and row["off_deg"] <= max(bounds[0], MOST_DEG) and row["off"] <= max(bounds[1], MOST_VOXELS)
    return row["confidence"] < SURE or stated


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for each tool and animal: whether all that it said was right, whether it was wrong without saying so, and how many turns lie
    within the bounds that were stated for them.
    """
    found = []
    for record in records:
        for tool, right in RIGHT.items():
            wrong = [row for row in record[tool] if not right(row)]
            silent = [row for row in wrong if not admitted(row)]
            bounds = [row for row in record[tool] if math.isfinite(row.get("turn_error_deg", math.nan))]
            values = [row.get("dice", row.get("off")) for row in record[tool]]
            inside = [row["off_deg"] <= row["turn_error_deg"] for row in bounds]
            found.append({"seed": record["task"]["seed"], "tool": tool, "right": not wrong, "silent": len(silent), "values": values})
            found[-1] |= {"inside": inside, "bounds": [row["turn_error_deg"] for row in bounds]}
    return found


def _share(group: Sequence[Row]) -> Cell:
    return Cell(f"{sum(row['right'] for row in group)} of {len(group)}")


def _silent(group: Sequence[Row]) -> Cell:
    return Cell(f"{sum(row['silent'] > 0 for row in group)}")


def _inside(group: Sequence[Row]) -> Cell:
    inside, bounds = ([value for row in group for value in row[name]] for name in ("inside", "bounds"))
    return Cell(f"{sum(inside)} of {len(inside)}, ± {np.median(bounds):.2f} deg" if inside else "")


def _worst(group: Sequence[Row]) -> Cell:
    values = np.array([value for row in group for value in row["values"]], dtype=float)
    ends = (values.min(), np.median(values)) if group[0]["tool"] == "labels" else (np.median(values), values.max())
    return Cell(" / ".join(f"{v:.3g}" for v in ends))


def about(plan: Plan) -> str:
    """What was done."""
    how = f"{plan.views} views of 260, {plan.photons} photons, FDK" if plan.views else "the phantom itself, with noise"
    return (
        f"{plan.poses} phantom animals, two scans {plan.weeks} weeks apart in poses of their own (any direction; legs turned by up to "
        f"12 and tilted by up to 7 deg; in most their flesh touches); {how}, voxel {plan.voxel_mm:g} mm. Right: all bones of both weeks "
        f"with Dice {LEAST_DICE:g}; both tibiae within {MOST_VOXELS:g} voxel and {MOST_DEG:g} deg; both junctions within {MOST_SLICES} "
        f"slices. Silently wrong: wrong with a confidence of {SURE:g} or more; of registrations, those that are off by more than the bound "
        "(95 %) that they state."
    )


STUDY = Study(
    name="bone_poses",
    title="Bones, motions and landmarks of phantom animals in random poses",
    Plan=Plan,
    tasks=tasks,
    run=run,
    metrics=("dice", "off"),
    about=about,
    tables=(
        TablePlan(
            title="",
            by=("tool",),
            rows=rows,
            columns=(
                count("animals", "seed"),
                Column("right", _share),
                Column("silently wrong", _silent),
                Column("turns within their bound, its median", _inside),
                Column("median and worst (Dice, voxels, slices)", _worst),
            ),
        ),
    ),
)
