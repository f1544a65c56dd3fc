"""Is there room on the disk? Asked before the work begins, with the number."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from ...base import InputError
from ...base.memory import GIB
from ...data import Projections
from ...data.scans.raw import RawSource
from ...data.volumes.slabs.contract import bytes_of
from ...geometry import Grid
from ..plan import ReconPlan
from .division import Division, slab_format


def disk_bytes(plan: ReconPlan, source: RawSource | Projections, grid: Grid, cut: Division) -> tuple[int, int]:
    """(bytes of the output, bytes on the disk at the most while it is made)."""
    projections = 4 * len(source.scan) * (cut.kept.stop - cut.kept.start) * source.scan.shape[1]
    values, name = bytes_of(grid), slab_format(plan).name
    if name == "OME-Zarr":
        whole = [[-(-n // 128) * 128 for n in (-(-m // 2**level) for m in grid.shape[1:])] for level in range(_levels(grid))]
        values = sum(4 * -(-grid.shape[0] // 2**level) * math.prod(sides) for level, sides in enumerate(whole))
    if name == SLICES:
        return values // 2, projections + values + values // 2
    return values, projections + values


SLICES = "slices"


def _levels(grid: Grid) -> int:
    from ...data.volumes.slabs.zarr_pyramid import ZarrPyramid

    return ZarrPyramid(Path("-"), grid, 1).levels


def require_room(plan: ReconPlan, source: RawSource | Projections, grid: Grid, cut: Division) -> None:
    """InputError with both numbers where the disk of the output has too little room for it and for the projections beside it."""
    folder = next(p for p in (plan.output.absolute().parent, *plan.output.absolute().parents) if p.is_dir())
    output, needed = disk_bytes(plan, source, grid, cut)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{plan.output} needs {needed / GIB:.3g} GiB on the disk while it is made ({output / GIB:.3g} GiB then) and "
            f"{free / GIB:.3g} GiB are free in {folder}",
            remedy="use a larger --voxel-mm, a smaller --box, or an --out on another disk",
        )
