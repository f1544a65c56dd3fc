"""Volumes on disk as attenuation, which `simulate` and `demo --volume` scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.shapes import Volume
from ..data import read_volume
from ..data.volumes.attenuation import GreyScale, as_attenuation
from ..geometry import Grid, Scan, skyscan_1276

FINER = 1.5  # an object is simulated on voxels that are smaller than those of its reconstruction by at least this factor


@dataclass(frozen=True, eq=False)
class Sample:
    """A ``volume`` in 1/mm on ``grid``; ``largest`` is the largest value that it can have, and ``why`` says how its meaning is known."""

    volume: Volume
    grid: Grid
    largest: float
    why: str


def read_sample(path: Path, scale: GreyScale | None = None, voxel_mm: float | None = None, **options: Any) -> Sample:
    """The attenuation that a volume on disk means, with its middle at the origin; `as_attenuation` says what is asked for or refused.

    ``voxel_mm`` is the edge of its voxels, where the file does not state it or is wrong; ``options`` are those of `read_volume`.
    """
    stored, grid, facts = read_volume(path, voxel_mm=voxel_mm, **options)
    found = as_attenuation(stored, facts, str(path), scale)
    return Sample(found.volume, Grid(grid.shape, grid.voxel_mm), found.largest, found.why)


def fitting_scan(grid: Grid, rows: int, cols: int, voxel_mm: float | None = None) -> Scan:
    """A SkyScan 1276 whose field of view holds the grid, with the given pixel, or one of at least `FINER` voxels
    of the grid at the axis.
    """
    if voxel_mm is None:
        radius, half, _ = skyscan_1276(rows, cols, 1.0).field_of_view_mm
        wide, high = max(grid.size_mm[:2]), grid.size_mm[2]
        voxel_mm = max(wide / (2 * radius), high / (2 * half), FINER * grid.voxel_mm)
    return skyscan_1276(rows, cols, voxel_mm)


def scene(seed: int, rows: int, cols: int, voxel_mm: float | None) -> tuple[Sample, Scan]:
    """The hind-limb phantom of a seed on a grid finer than the pixel of the scan, and the scan that holds it (0.2226 mm at 192 columns)."""
    from ..data.phantom.limb import MATERIALS, hind_limb

    scan = skyscan_1276(rows, cols, voxel_mm or 0.2226 * 192 / cols)
    fit = Grid.fit(scan)
    fine, across, high = fit.voxel_mm / FINER, min(fit.size_mm[0], 26.0), fit.size_mm[2]
    grid = Grid((max(1, round(high / fine)), max(1, round(across / fine)), max(1, round(across / fine))), fine)
    volume = hind_limb(grid, seed=seed, supersample=2).volume
    return Sample(volume, grid, max(MATERIALS.values()), "cortical bone, the densest material"), scan
