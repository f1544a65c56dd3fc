"""What a run by slabs will need: memory, disk and time, before it begins."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ....base.memory import GIB, available_bytes
from ....geometry import Grid, Scan
from ....recon.analytic.feldkamp_slabs import SlabFdk
from ....recon.corrections.beam_hardening import search_grid
from ...plan import ReconPlan
from ...stages import Tell
from ..division import Division, slab_method
from ..room import disk_bytes
from ..run_slabs import opened
from .correction_probe import correction_time
from .probe import Took, byte_time, filter_time, image_time, voxel_time

PROGRAM = 480 << 20  # bytes of the program and its libraries
_CHUNKS = 64 << 20  # chunks and small copies while a slab is written
_WORKING = 4  # copies of a block of views while bone is looked for


@dataclass(frozen=True)
class Estimate:
    """Bytes of memory at the most, on the disk at the most and of the output, and the seconds of each step."""

    memory: int
    disk: int
    output: int
    steps: dict[str, Took]

    @property
    def seconds(self) -> float:
        """All of it, by the clock."""
        return sum(took.wall for took in self.steps.values())

    @property
    def cpu_seconds(self) -> float:
        """All of it, of the processor."""
        return sum(took.cpu for took in self.steps.values())


def estimate(plan: ReconPlan, *, slab: int | None = None, tell: Tell) -> Estimate:
    """Estimate `run_slabs`; nothing is written but a temporary file, which is gone then. It takes some seconds.

    Calibration, and the search for drift, are not in the time.
    """
    source, grid, cut = opened(plan, slab, tell)
    scan, folder = source.scan, _existing(plan.output)
    fdk = SlabFdk(scan, grid, **slab_method(plan))  # type: ignore[arg-type]
    output, disk = disk_bytes(plan, source, grid, cut)
    voxels, views = math.prod(grid.shape), len(scan)
    byte = byte_time(folder)
    steps = {
        "reading": image_time(source).times(views),
        "filter": filter_time(fdk, cut.needed).times(views),
        "corrections": correction_time(plan.corrections, scan, source.meta, cut.kept.stop - cut.kept.start, grid),
        "slabs": voxel_time(scan, grid, cut.height).times(voxels * views),
        "writing": byte.times(disk),
    }
    found = Estimate(_memory(plan, scan, grid, cut), disk, output, {name: took for name, took in steps.items() if took.wall > 0})
    for line in _lines(found, folder):
        tell(line)
    return found


def _existing(output: Path) -> Path:
    return next(p for p in output.absolute().parents if p.is_dir())


def _memory(plan: ReconPlan, scan: Scan, grid: Grid, cut: Division) -> int:
    """The larger of what reading and what a slab takes, and the program."""
    rows, cols = scan.shape
    fdk = SlabFdk(scan, grid)
    image = rows * cols
    kept = 4 * (cut.kept.stop - cut.kept.start) * cols
    reading = 24 * image + 3 * kept
    block = max(views.stop - views.start for views in fdk.blocks)
    filtering = 4 * block * (cut.needed.stop - cut.needed.start) * cols * 2
    _, ny, nx = grid.shape
    wide = min(cut.height + 2 * plan.corrections.median, grid.shape[0])
    of_slab = max(rows.stop - rows.start for rows in (fdk.rows(z) for z in cut.slabs))
    slab = 4 * wide * ny * nx * (3 if plan.corrections.median else 1) + 4 * block * of_slab * cols + _CHUNKS
    searching = 12 * math.prod(search_grid(scan, grid).shape) + 4 * _WORKING * block * image if plan.corrections.bone_hardening else 0
    return PROGRAM + max(reading, filtering, searching, slab + 4 * cut.height * ny * nx // 5)  # of the coarser levels, or the check


def _lines(found: Estimate, folder: Path) -> Iterator[str]:
    free = available_bytes()
    yield f"memory: {found.memory / GIB:.2f} GiB at the most{'' if free is None else f' ({free / GIB:.1f} GiB are free)'}"
    room = shutil.disk_usage(folder).free
    disk, output = found.disk / GIB, found.output / GIB
    yield f"disk: {disk:.2f} GiB while it is made, {output:.2f} GiB then ({room / GIB:.1f} GiB are free in {folder})"
    parts = ", ".join(f"{name} {_spoken(took.wall)}" for name, took in found.steps.items())
    yield f"time: about {_spoken(found.seconds)} ({parts}); {_spoken(found.cpu_seconds)} of one core"


def _spoken(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
