"""An earlier volume of the same animal, moved to where the animal lies now: what `--prior` reads and registers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..base import InputError
from ..base.shapes import Volume
from ..data import Projections, read_volume
from ..data.multiresolution import bin_projections
from ..data.volumes.attenuation import as_attenuation
from ..data.volumes.resample import resample
from ..geometry import Grid
from ..recon import reconstruct

ACROSS = 96  # voxels across the field of view on which the two are registered
LEAST_CONFIDENCE = 0.5  # of the registration: below it is another animal, another part, or a limb that was bent
SURE_DICE = (
    0.88  # of the bone: a second registration that fits as well is then a degree or so away, and held-out views decide about the use
)
SCALE = (0.8, 1.25)  # what beam hardening and another voltage can do to the values; more is another unit
_WEIGHT, _STEPS = 0.0095, 20  # of the total variation with which the present state is looked at


def earlier_volume(path: Path, projections: Projections, grid: Grid, tell: Callable[[str], object]) -> tuple[Volume, dict[str, Any]]:
    """The volume in a file, in 1/mm [z, y, x] on ``grid``, as the animal lies in ``projections``; and how well it fits.

    It is registered by its bone with a quick reconstruction of all that the views see. Where the file's volume does not reach, that
    reconstruction is in its place.

    Raises InputError where the units are not known, where the values are on another scale, and where the registration is not sure.
    """
    from ..bone import CTRegistration

    stored, own, facts = read_volume(path)
    known = as_attenuation(stored, facts, str(path))
    now, whole = _present(projections, grid)
    earlier, coarse = known.volume, own
    if own.voxel_mm < whole.voxel_mm:
        coarse = _with_voxel(own, whole.voxel_mm)
        earlier = resample(known.volume, own, coarse)
    found = CTRegistration()(np.asarray(earlier, np.float32), coarse, now, whole)
    fit = f"turned by {found.angle_deg:.2f} deg and moved by {np.linalg.norm(found.shift_mm):.3g} mm, its bone overlaps by {found.dice:.0%}"
    if found.confidence < LEAST_CONFIDENCE and found.dice < SURE_DICE:
        doubts = "; ".join(found.doubts) or "the overlap is too small"
        raise InputError(
            f"--prior {path} does not fit the scan: {fit} (confidence {found.confidence:.2f}: {doubts})",
            expected="an earlier volume of the same animal and part",
            remedy="check its voxel size, or leave --prior out",
        )
    bone = (found.volume > np.percentile(found.volume, 98)) | (now > np.percentile(now, 98))
    scale = float(np.linalg.norm(now[bone]) / max(float(np.linalg.norm(found.volume[bone])), 1e-30))  # a regression would shrink it
    if not SCALE[0] < scale < SCALE[1]:
        raise InputError(
            f"--prior {path}: its bone would have to be multiplied by {scale:.3g} to match the scan",
            expected=f"values in 1/mm, within {SCALE[0]:g} to {SCALE[1]:g} of the scan's",
            remedy="write it in 1/mm",
        )
    tell(f"prior {path}: {fit}, values times {scale:.3f}, confidence {found.confidence:.2f}")
    for doubt in found.doubts:
        tell(f"prior {path}: {doubt}")
    fine, finer = known.volume, own
    if own.voxel_mm < grid.voxel_mm:
        finer = _with_voxel(own, grid.voxel_mm)
        fine = resample(known.volume, own, finer)
    here = dataclasses.replace(found, grid=grid)
    inside = np.ones(finer.shape, np.float32)
    inside[:, :2] = 0  # what `apply` takes the surroundings to be
    there = here.apply(inside, finer) > 0.99
    volume = np.where(there, scale * here.apply(np.asarray(fine, np.float32), finer), resample(now, whole, grid)).astype(np.float32)
    account = {
        "file": str(path), "why": known.why, "turned_deg": found.angle_deg, "shift_mm": found.shift_mm.tolist(), "dice": found.dice,
        "confidence": found.confidence, "doubts": list(found.doubts), "scale": scale, "covers": float(there.mean()),
    }  # fmt: skip
    return volume, account


def _present(projections: Projections, grid: Grid) -> tuple[Volume, Grid]:
    """A quick volume [z, y, x] in 1/mm of all that the views see, and its grid."""
    voxel = max(grid.voxel_mm, 2 * projections.scan.field_of_view_mm.radius_mm / ACROSS)
    factor = max(1, round(voxel / projections.scan.field_of_view_mm.pixel_mm))
    small = bin_projections(projections, factor)
    whole = Grid.fit(projections.scan, voxel)
    return reconstruct(small, "pdhg_tv", whole, check=False, lambda_=_WEIGHT, iterations=_STEPS).volume, whole


def _with_voxel(grid: Grid, voxel_mm: float) -> Grid:
    """The same box, or a little more, with voxels of this size."""
    nz, ny, nx = (max(1, -int(-(n * grid.voxel_mm) // voxel_mm)) for n in grid.shape)
    return Grid((nz, ny, nx), voxel_mm, grid.center_mm)
