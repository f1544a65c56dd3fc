"""`measure`: the quantities of bone in a region of a volume, from a surface that is placed between the voxels by the grey values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.memory import require_memory
from ...geometry import Grid
from ..masks import grown, shrunk
from ..thickness.local_thickness import LocalThickness, local_thickness
from ..thickness.surface_elements import AREA_STEPS, SHARE_STEPS, find_surface
from .asked import Region, checked_volume, found_threshold, region_mask, region_name, require_bone
from .compartments import Compartments, CompartmentSettings, find_compartments
from .density import DensityCalibration
from .measured import Intervals, Measured
from .shares import SliceSums, slice_sums
from .topology import euler_number, purified

_BYTES = 40  # a voxel, at the most: the grey values, discs and nearest discs, maps
_LEAST_FOUND = 0.5  # of a phase must have a local thickness, or its mean would speak for the rest
_FEW = 50  # voxels of a phase below which its thickness is not given
_PER_CENT = 100.0
_PART = 2**22  # values of which real numbers of 64 bits are made at a time


@dataclass(frozen=True, eq=False)
class Job:
    """What the functions below need: grey values, bone, how much of each voxel is bone (in 1/255), of the surface in it (in 1/140 square
    voxel), local thickness, the sums of slices, and the voxel.
    """

    grey: NDArray[np.float32]
    bone: NDArray[np.bool_]
    share: NDArray[np.uint8]
    area: NDArray[np.uint8]
    thickness: LocalThickness
    sums: SliceSums
    voxel_mm: float


def measure(
    volume: NDArray[Any],
    grid: Grid,
    *,
    threshold: float | None = None,
    region: Region = None,
    calibration: DensityCalibration | None = None,
    compartments: CompartmentSettings | None = None,
    intervals: Intervals | None = None,
) -> Measured:
    """The quantities of bone (`fewview.bone.QUANTITIES`) in ``region`` of ``volume`` [z, y, x], whose z axis runs along the bone.

    ``threshold`` says what is bone, in the unit of the volume (Otsu's unless given). Where the surface lies between the voxels is told by
    the grey values on both sides of it, so that plates and rods of few voxels are measured as thick as they are.

    ``region``: None or "whole" is the whole volume; an array of the volume's shape is the region itself; "trabecular" and "cortical" are
    compartments that are found in it, and "auto" takes the quantities of trabeculae from the one and those of the cortex from the other.
    ``calibration`` maps values to density for BMD and TMD. ``intervals`` are the errors (low, high) to add to a value: see
    `fewview.bone.IntervalTable`.

    A quantity that the region is too small for is NaN, and ``notes`` says why. Raises InputError for values that are not finite, a shape
    that is not the grid's, a threshold that is not between the values or in another unit than they are, and a region without bone.

    >>> x = np.arange(-20, 20) + 0.5
    >>> plate = np.broadcast_to(np.clip(2.15 - np.abs(x) + 0.5, 0, 1), (20, 30, 40))  # 4.3 voxels thick
    >>> m = measure(plate, Grid(plate.shape, 0.01), threshold=0.5)
    >>> round(m["Tb_Th"], 3), round(m["BV_TV"], 1)
    (0.043, 10.8)
    """
    name = region_name(region)
    values = checked_volume(volume, grid)
    level, how = found_threshold(values, threshold)
    bone = values > level
    require_bone(bone, level)
    require_memory(_BYTES * values.size, f"the maps of a volume of shape {values.shape}", "measure a part of it, or a coarser volume")
    found = find_compartments(bone, grid.voxel_mm, compartments) if name in ("trabecular", "cortical", "auto") else None
    inside = _inside(region, name, found, bone.shape)
    job = _job(values, bone, inside, name, found, grid.voxel_mm)
    numbers, notes = _numbers(job, inside, name, found, calibration)
    maps = _maps(job, found)
    settings = {"threshold": level, "threshold_found": how, "region": name, "compartments": compartments, "calibration": calibration}
    shifts = {
        k: (numbers[k] + low, numbers[k] + high) for k, (low, high) in (intervals or {}).items() if not math.isnan(numbers.get(k, math.nan))
    }
    return Measured(numbers, grid, maps, _slices(job, inside, name, found, grid), shifts, notes, settings)


def _inside(region: Region, name: str, found: Compartments | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if found is not None:
        return found.cortical if name == "cortical" else found.trabecular
    return np.ones(shape, bool) if region is None or isinstance(region, str) else region_mask(region, shape)


def _job(
    values: NDArray[np.float32], bone: NDArray[np.bool_], inside: NDArray[np.bool_], name: str, found: Compartments | None, voxel_mm: float
) -> Job:
    """The discs of the surface are let go here: nothing else needs them."""
    surface = find_surface(values, bone)
    thickness = local_thickness(surface, bone, spaces=name != "cortical")
    sums = slice_sums(surface.share, bone, inside, found, voxel_mm)
    return Job(values, bone, surface.share, surface.area, thickness, sums, voxel_mm)


def _numbers(
    job: Job, inside: NDArray[np.bool_], name: str, found: Compartments | None, calibration: DensityCalibration | None
) -> tuple[dict[str, float], dict[str, str]]:
    notes: dict[str, str] = {}
    numbers: dict[str, float] = {}
    if name != "cortical":
        numbers |= _network(job, inside, found, notes)
    if name != "trabecular":
        numbers |= _cortex(job, inside, found, notes)
    if calibration is not None:
        numbers |= _density(job, inside, calibration, notes)
    return numbers, notes


def _network(job: Job, inside: NDArray[np.bool_], found: Compartments | None, notes: dict[str, str]) -> dict[str, float]:
    """What is measured of trabeculae."""
    h, count = job.voxel_mm, int(np.count_nonzero(inside))
    own = inside if found is None else inside & ~(grown(found.cortical) & ~job.bone)
    volume = float(job.sums.network.sum()) * h**3
    area = float(np.sum(job.area, where=own, dtype=np.int64)) / AREA_STEPS * h**2
    total = count * h**3
    fraction = volume / total if count else math.nan
    numbers = {"BV": volume, "TV": total, "BV_TV": _PER_CENT * fraction, "BS": area, "BS_BV": area / volume if volume else math.nan}
    free = inside if found is None else inside & ~found.roots
    for short, phase in (("Tb_Th", job.bone), ("Tb_Sp", ~job.bone)):
        numbers[short], numbers[f"{short}_sd"] = _mean_thickness(job, free & phase, short, notes)
    numbers["Tb_N"] = fraction / numbers["Tb_Th"]
    numbers["Tb_N_sp"] = 1 / (numbers["Tb_Th"] + numbers["Tb_Sp"])
    for short in ("Tb_N", "Tb_N_sp"):
        if math.isnan(numbers[short]):
            notes[short] = "not measured: " + notes.get("Tb_Th", notes.get("Tb_Sp", "")).removeprefix("not measured: ")
    numbers["Conn_D"] = (1 - euler_number(purified(job.bone & _box(inside)), inside)) / total if count and volume else math.nan
    plates = job.thickness.plate[inside & job.bone]
    numbers["Tb_plate"] = _PER_CENT * _mean(plates) / 255 if plates.size >= _FEW else math.nan
    return numbers


def _box(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The region, grown by a voxel: what touches it counts for how it hangs together."""
    return inside if inside.all() else grown(inside)


def _mean_thickness(job: Job, where: NDArray[np.bool_], short: str, notes: dict[str, str]) -> tuple[float, float]:
    diameters = job.thickness.voxels[where]
    known = diameters[diameters > 0]
    if known.size < _FEW or known.size < _LEAST_FOUND * diameters.size:
        notes[short] = f"not measured: {known.size} of {diameters.size} voxels lie in a ball that both sides hold; the region is too small"
        return math.nan, math.nan
    mean = _mean(known)
    squares = sum(float(np.square(known[n : n + _PART] - mean, dtype=np.float64).sum()) for n in range(0, known.size, _PART))
    if mean < 3 and short != "Tb_Sp":
        notes[short] = f"{mean:.1f} voxels: below 3 a scan shows less than there is"
    return mean * job.voxel_mm, math.sqrt(squares / known.size) * job.voxel_mm


def _cortex(job: Job, inside: NDArray[np.bool_], found: Compartments | None, notes: dict[str, str]) -> dict[str, float]:
    """What is measured of the cortex; without compartments all bone of the region is taken for it."""
    here = job.sums.cortical
    if not here.any():
        notes["Ct_Ar"] = "not measured: there is no cortex in the region"
        return dict.fromkeys(("Ct_Ar", "Tt_Ar", "Ct_Ar_Tt_Ar", "Ct_Th", "Ct_pMOI"), math.nan)
    area, total = job.sums.area[here], job.sums.total[here]
    numbers = {"Ct_Ar": float(area.mean()), "Tt_Ar": float(total.mean()), "Ct_Ar_Tt_Ar": _PER_CENT * float(area.sum() / total.sum())}
    if found is None:
        numbers["Ct_Th"], _ = _mean_thickness(job, inside & job.bone, "Ct_Th", notes)
    else:
        numbers["Ct_Th"] = _cortical_thickness(job, found.cortical, notes)
        numbers["Ct_Po"] = _PER_CENT * (1 - _mean(job.share[shrunk(found.cortical)]) / SHARE_STEPS)
    numbers["Ct_pMOI"] = float(job.sums.moment[here].mean())
    return numbers


def _cortical_thickness(job: Job, cortex: NDArray[np.bool_], notes: dict[str, str]) -> float:
    """Thickness of the compartment: pores made bone, trabeculae made marrow, the surface placed by the grey values left."""
    if np.count_nonzero(cortex) < _FEW:
        notes["Ct_Th"] = "not measured: the cortical compartment is too small"
        return math.nan
    high, low = float(job.grey[cortex & job.bone].mean()), float(job.grey[~job.bone].mean())
    grey = job.grey.copy()
    grey[cortex & ~job.bone], grey[~cortex & job.bone] = high, low
    filled = local_thickness(find_surface(grey, cortex), cortex, spaces=False).voxels[cortex]
    return float(filled[filled > 0].mean(dtype=np.float64)) * job.voxel_mm if (filled > 0).any() else math.nan


def _density(job: Job, inside: NDArray[np.bool_], calibration: DensityCalibration, notes: dict[str, str]) -> dict[str, float]:
    core = shrunk(job.bone) & inside
    numbers = {"BMD": calibration(float(job.grey[inside].mean(dtype=np.float64))) if inside.any() else math.nan, "TMD": math.nan}
    if np.count_nonzero(core) >= _FEW:
        numbers["TMD"] = calibration(float(job.grey[core].mean(dtype=np.float64)))
    else:
        notes["TMD"] = "not measured: no bone of the region is thicker than two voxels"
    return numbers


def _maps(job: Job, found: Compartments | None) -> dict[str, NDArray[Any]]:
    separation = job.thickness.voxels * np.float32(job.voxel_mm)
    thickness, plate = np.where(job.bone, separation, np.float32(0)), np.zeros(job.bone.shape, np.float32)
    separation[job.bone] = 0
    np.divide(job.thickness.plate, np.float32(255), out=plate, where=job.bone)
    maps: dict[str, NDArray[Any]] = {"thickness": thickness, "separation": separation, "plate": plate}
    return maps if found is None else maps | {"compartments": found.labels}


def _slices(job: Job, inside: NDArray[np.bool_], name: str, found: Compartments | None, grid: Grid) -> list[dict[str, float]]:
    """A row for each slice that the region reaches."""
    h = job.voxel_mm
    walls = inside if found is None else found.cortical
    rows = []
    for z in np.flatnonzero((inside | walls).any(axis=(1, 2))):
        row: dict[str, float] = {"slice": float(z), "z_mm": float(grid.z_mm[z])}
        diameters, bone = job.thickness.voxels[z] * h, job.bone[z]
        if name != "cortical":
            row["BV_TV"] = _PER_CENT * float(job.sums.network[z]) / count if (count := np.count_nonzero(inside[z])) else math.nan
            row["Tb_Th"], row["Tb_Sp"] = (_mean(diameters[inside[z] & phase & (diameters > 0)]) for phase in (bone, ~bone))
        if name != "trabecular":
            row["Ct_Ar"], row["Ct_pMOI"], row["Tt_Ar"] = (float(of[z]) for of in (job.sums.area, job.sums.moment, job.sums.total))
            row["Ct_Th"] = _mean(diameters[walls[z] & bone & (diameters > 0)])
        rows.append(row)
    return rows


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else math.nan
