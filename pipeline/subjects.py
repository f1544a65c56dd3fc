"""A volume on disk as attenuation: what `simulate` and `demo --volume` scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base import InputError
from ..geometry import Grid, Scan, skyscan_1276

FINER = 1.5  # an object is simulated on voxels at least this much smaller than those it is reconstructed on


@dataclass(frozen=True, eq=False)
class Attenuation:
    """``volume`` [z, y, x] float32 in 1/mm on ``grid``, ``largest``: the value that it can reach, ``why``: the reason."""

    volume: NDArray[np.float32]
    grid: Grid
    largest: float
    why: str


def read_attenuation(path: Path, mu_max: float) -> Attenuation:
    """A volume whose whole numbers are grey levels (0 to the type's largest is 0 to ``mu_max`` 1/mm), or that is in 1/mm already.

    Raises FileNotFoundError, and InputError for a volume that holds negative attenuation throughout, or nothing.
    """
    from ..data import read_volume

    if not (np.isfinite(mu_max) and mu_max > 0):
        raise InputError(f"--mu-max {mu_max}", expected="a positive attenuation in 1/mm, such as 0.2")
    stored, grid, _ = read_volume(path)
    values = np.asarray(stored, dtype=np.float32)
    top = float(values.max())
    if not np.isfinite(values).all() or top <= 0:
        raise InputError(f"{path} holds values up to {top:g}", expected="finite values with something above 0")
    grid = Grid(grid.shape, grid.voxel_mm)
    if np.issubdtype(stored.dtype, np.integer):
        levels = float(np.iinfo(stored.dtype).max)
        return Attenuation(values * np.float32(mu_max / levels), grid, mu_max, f"grey level {levels:g}, as --mu-max says")
    if top > 10:
        raise InputError(
            f"{path} holds real numbers up to {top:g}",
            expected="attenuation in 1/mm (bone is about 0.2), or whole numbers",
            remedy="scale the volume to 1/mm, or store it as 8 or 16 bit and give --mu-max",
        )
    return Attenuation(np.maximum(values, 0), grid, float(f"{top:.2g}"), "the volume's largest value, to two digits")


def fitting_scan(grid: Grid, rows: int, cols: int, voxel_mm: float | None = None) -> Scan:
    """A SkyScan 1276 whose field of view holds the grid, its pixel at the axis at least `FINER` voxels of it; or of the given pixel."""
    if voxel_mm is None:
        radius, half, _ = skyscan_1276(rows, cols, 1.0).field_of_view_mm
        wide, high = max(grid.size_mm[:2]), grid.size_mm[2]
        voxel_mm = max(wide / (2 * radius), high / (2 * half), FINER * grid.voxel_mm)
    return skyscan_1276(rows, cols, voxel_mm)


def scene(seed: int, rows: int, cols: int, voxel_mm: float | None) -> tuple[Attenuation, Scan]:
    """The hind-limb phantom of a seed on a grid finer than the scan's pixel, and the scan that holds it (0.2226 mm at 192 columns)."""
    from ..data.phantom.limb import MATERIALS, hind_limb

    scan = skyscan_1276(rows, cols, voxel_mm or 0.2226 * 192 / cols)
    fit = Grid.fit(scan)
    fine, across, high = fit.voxel_mm / FINER, min(fit.size_mm[0], 26.0), fit.size_mm[2]
    grid = Grid((max(1, round(high / fine)), max(1, round(across / fine)), max(1, round(across / fine))), fine)
    volume = hind_limb(grid, seed=seed, supersample=2).volume
    return Attenuation(volume, grid, max(MATERIALS.values()), "cortical bone, the densest material"), scan
