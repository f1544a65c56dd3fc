"""A simulated scan of a real volume with a known truth, which most studies reconstruct."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ...base import InputError
from ...base.psnr import DATA_RANGE_PER_MM
from ...base.record import sha256
from ...base.shapes import Volume, VolumeMask
from ...data import Projections
from ...data.volumes.attenuation import GreyScale, as_attenuation
from ...data.volumes.formats.nifti import whole_nifti
from ...data.volumes.resample import resample
from ...geometry import Grid, skyscan_1276, views
from ...recon import simulate
from ..scores.compared import VolumePair, Yardstick
from ..scores.metric_table import scores_of

AtLeast8 = Annotated[int, Field(ge=8)]
VOLUMES = ("BALB_CBYJ_", "BTBR_T_Itpr3tf_j_", "C3H_HEJ_", "C57BL_6NJ_", "CBA_CAJ_", "DBA_2J_", "FVB_NJ_", "SJL_J_")
MU_MAX, SOURCE_VOXEL_MM, BONE = 0.20, 0.141, 0.04  # 1/mm, mm, 1/mm
YARDSTICK = Yardstick(bone=BONE)
SCORED = ("psnr", "ssim", "dice_bone")
METRIC_KEYS = tuple(f"volume/{name}" for name in SCORED)
MEASURE = f"PSNR and SSIM over {DATA_RANGE_PER_MM:g} 1/mm, bone above {BONE:g} 1/mm, inside what every view sees (`Grid.seen_by_all`)."


@dataclass(frozen=True)
class Case:
    """A simulated scan, the grid for its reconstruction, the truth averaged over the voxels of that grid, and where to compare."""

    name: str
    scan: Projections
    grid: Grid
    truth: Volume
    inside: VolumeMask

    def views(self, count: int) -> Projections:
        """``count`` views, evenly chosen, including the first and the last."""
        return self.scan[views.evenly(self.scan.scan, count)]

    def scores(self, volume: Volume, names: Iterable[str] = SCORED) -> dict[str, float]:
        """The PSNR (dB), the SSIM and the Dice of bone."""
        return scores_of("volume", "volume", VolumePair(volume, self.truth, self.grid, self.inside, YARDSTICK), names)


def make_case(path: Path, size: int = 128, polychromatic: bool = False, seed: int = 0, slices: int | None = None) -> Case:
    """A SkyScan 1276 scan (``size`` rows, 3/2 ``size`` columns) of one volume, simulated on the volume's own grid.

    It is to be reconstructed on ``size`` x ``size`` voxels in ``slices`` slices (default ``size``); InputError where they do not hold the
    volume.
    """
    import nibabel

    with whole_nifti(path):
        image: Any = nibabel.load(path)  # type: ignore[attr-defined]
        edges = [float(edge) for edge in image.header.get_zooms()[:3]]
        stored = np.ascontiguousarray(np.asarray(image.dataobj).T)
    if stored.ndim != 3 or stored.dtype.kind not in "uif" or not np.allclose(edges, SOURCE_VOXEL_MM, rtol=0.02):
        raise InputError(
            f"{path} holds {stored.dtype} of shape {stored.shape} on voxels of {edges} mm",
            expected=f"a volume of numbers on voxels of {SOURCE_VOXEL_MM:g} mm, as all of this study are",
        )
    mu = as_attenuation(stored, {}, str(path), GreyScale(mu_max=MU_MAX) if stored.dtype.kind == "u" else None).volume
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
    return Case(path.name.split(".nii")[0], projections, grid, truth, grid.seen_by_all(scan))


@lru_cache(maxsize=1)
def case_of(path: Path, inputs: str, size: int, polychromatic: bool = False, slices: int | None = None) -> Case:
    """The same as `make_case`, with the last case kept because the tasks of one volume follow one another. ``inputs`` is the SHA-256 of the
    file.
    """
    if sha256(path) != inputs:
        raise InputError(f"{path} changed while the study ran", expected="the file that its tasks were made for")
    return make_case(path, size, polychromatic, slices=slices)


def find_volumes(data: Path, names: Sequence[str]) -> dict[str, str]:
    """Name -> SHA-256 of each volume; FileNotFoundError for one that is not in this folder."""
    return {name: sha256(volume_path(data, name)) for name in names}


def volume_path(data: Path, name: str) -> Path:
    """The file of a volume of this folder."""
    path = data / f"{name}.nii.gz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; --data names the folder that holds {name}.nii.gz")
    return path
