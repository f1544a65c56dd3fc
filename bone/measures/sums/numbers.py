"""From sums to quantities, with a note where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...thickness.surface_elements import AREA_STEPS, SHARE_STEPS
from ...thickness.wide_places import MARGIN
from ..density import DensityCalibration
from .tally import Sum, Tally

LEAST_FOUND = 0.5  # of a phase must have a local thickness, or its mean would speak for the rest
FEW = 50  # voxels of a phase below which its thickness is not given
_PER_CENT = 100.0
_NOT = "not measured: "


def of_network(found: Tally, voxel_mm: float, holes: float, reach: int, notes: dict[str, str]) -> dict[str, float]:
    """What is measured of trabeculae; ``holes`` is 1 - the Euler number, and ``reach`` how many slices around a slab were looked at."""
    h, count = voxel_mm, found.sums["inside"].count
    volume = float(found.slices.network.sum()) * h**3
    area = found.sums["area"].total / AREA_STEPS * h**2
    total = count * h**3
    fraction = volume / total if count else math.nan
    numbers = {"BV": volume, "TV": total, "BV_TV": _PER_CENT * fraction, "BS": area, "BS_BV": area / volume if volume else math.nan}
    for short, phase in (("Tb_Th", True), ("Tb_Sp", False)):
        numbers[short], numbers[f"{short}_sd"] = _thickness(found, short, phase, h, reach, notes)
    numbers["Tb_N"] = fraction / numbers["Tb_Th"]
    numbers["Tb_N_sp"] = 1 / (numbers["Tb_Th"] + numbers["Tb_Sp"])
    for short in ("Tb_N", "Tb_N_sp"):
        if math.isnan(numbers[short]):
            notes[short] = _NOT + notes.get("Tb_Th", notes.get("Tb_Sp", "")).removeprefix(_NOT)
    numbers["Conn_D"] = holes / total if count and volume else math.nan
    plates = found.sums["plate"]
    numbers["Tb_plate"] = _PER_CENT * plates.mean / 255 if plates.count >= FEW and not found.undecided.get(True) else math.nan
    return numbers


def _thickness(found: Tally, short: str, phase: bool, h: float, reach: int, notes: dict[str, str]) -> tuple[float, float]:
    """(mean, standard deviation) in mm."""
    diameters, wide = found.sums[short], found.undecided.get(phase, 0)
    if wide:
        notes[short] = _too_wide("bone" if phase else "spaces", reach, h)
        return math.nan, math.nan
    if diameters.known < FEW or diameters.known < LEAST_FOUND * diameters.count:
        notes[short] = f"{_NOT}{diameters.known} of {diameters.count} voxels lie in a ball that both sides hold; the region is too small"
        return math.nan, math.nan
    if diameters.mean < 3 and short != "Tb_Sp":
        notes[short] = f"{diameters.mean:.1f} voxels: below 3 a scan shows less than there is"
    return diameters.mean * h, diameters.deviation * h


def _too_wide(what: str, reach: int, h: float) -> str:
    said = f"{_NOT}{what} of more than {2 * (reach - MARGIN) * h:.3g} mm across, and memory holds {reach} slices on both sides of a slab; "
    return said + "measure in a region without them (--region auto, or a mask), or with more memory"


def of_cortex(found: Tally, voxel_mm: float, filled: tuple[Sum, int] | None, reach: int, notes: dict[str, str]) -> dict[str, float]:
    """What is measured of the cortex; ``filled``: diameters in the cortex with its pores filled, and how many voxels of it are undecided.
    Without compartments (None) all bone of the region is taken for it.
    """
    here = found.slices.cortical
    if not here.any():
        notes["Ct_Ar"] = _NOT + "there is no cortex in the region"
        return dict.fromkeys(("Ct_Ar", "Tt_Ar", "Ct_Ar_Tt_Ar", "Ct_Th", "Ct_pMOI"), math.nan)
    area, total = found.slices.area[here], found.slices.total[here]
    numbers = {"Ct_Ar": float(area.mean()), "Tt_Ar": float(total.mean()), "Ct_Ar_Tt_Ar": _PER_CENT * float(area.sum() / total.sum())}
    if filled is None:
        numbers["Ct_Th"], _ = _thickness(found, "Ct_Th", True, voxel_mm, reach, notes)
    else:
        diameters, wide = filled
        numbers["Ct_Th"] = math.nan if wide else diameters.mean * voxel_mm
        if wide:
            notes["Ct_Th"] = _too_wide("cortex", reach, voxel_mm)
        elif not diameters.count:
            notes["Ct_Th"] = _NOT + "the cortical compartment is too small"
        numbers["Ct_Po"] = _PER_CENT * (1 - found.sums["within cortex"].mean / SHARE_STEPS)
    numbers["Ct_pMOI"] = float(found.slices.moment[here].mean())
    return numbers


def of_density(greys: Mapping[str, Sum], calibration: DensityCalibration, notes: dict[str, str]) -> dict[str, float]:
    """Mean densities, in mg/cm^3."""
    region, core = greys["BMD"], greys["TMD"]
    numbers = {"BMD": calibration(region.mean) if region.count else math.nan, "TMD": math.nan}
    if core.count >= FEW:
        numbers["TMD"] = calibration(core.mean)
    else:
        notes["TMD"] = _NOT + "no bone of the region is thicker than two voxels"
    return numbers
