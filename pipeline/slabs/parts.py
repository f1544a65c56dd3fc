"""Oversize scans: parts ``~00``, ``~01`` ... that lie one above the other, reconstructed each by slabs and joined to one volume."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import remove
from ...base.plain import to_json
from ...base.record import make_record, recorded_path, sha256
from ...base.shapes import Volume
from ...data.hdf5_access import open_h5
from ...data.scans.reader import open_scan
from ...data.volumes.volume_format import Kept
from ...geometry import Grid
from ...geometry.skyscan.files import find_logs, part_number
from ...recon.method import Progress
from ..plan import ReconPlan
from ..run_plan import Watch, silent, unwatched
from ..stages import Tell
from .division import slab_format
from .run_slabs import run_slabs

_SLICES = 32  # that are joined at once


@dataclass(frozen=True)
class Place:
    """A part's own ``grid``, about its own origin, and the slice of the joined volume at which it begins."""

    number: int
    grid: Grid
    first: int

    @property
    def stop(self) -> int:
        """The slice of the joined volume behind its last."""
        return self.first + self.grid.shape[0]


def places(numbers: list[int], whole: Grid, step_mm: float) -> tuple[list[Place], Grid]:
    """Where each part comes to lie if each is ``step_mm`` further along z than the one before, and the joined grid, in the frame of the
    first part.

    The voxels of a part are shifted by a fraction of a voxel, so that they are those of the joined grid; ``whole`` is the grid of a part by
    itself.
    """
    voxel, (nz, ny, nx), (x, y, z) = whole.voxel_mm, whole.shape, whole.center_mm
    shifts = [k * step_mm / voxel for k in range(len(numbers))]
    firsts = [round(shift) for shift in shifts]
    lowest = min(firsts)
    found = [
        Place(number, Grid(whole.shape, voxel, (x, y, z - (shift - first) * voxel)), first - lowest)
        for number, shift, first in zip(numbers, shifts, firsts, strict=True)
    ]
    high = max(place.stop for place in found)
    return found, Grid((high, ny, nx), voxel, (x, y, z + (lowest + (high - nz) / 2) * voxel))


def weights(spots: list[Place], z: slice) -> NDArray[np.float32]:
    """The share [k, z] of each part k in the joined slices ``z``. Where two overlap, one fades out while the other fades in."""
    at = np.arange(z.start, z.stop)
    raw = np.array([np.clip(np.minimum(at - p.first + 1, p.stop - at), 0, None) for p in spots], dtype=np.float64)
    for number, place in enumerate(spots):  # a part by itself counts fully, up to its end
        alone = np.array([all(not (q.first <= s < q.stop) for q in spots if q is not place) for s in at])
        raw[number, alone] = np.where(raw[number, alone] > 0, 1.0, 0.0)
    return (raw / np.maximum(raw.sum(axis=0), 1e-30)).astype(np.float32)


def run_joined(
    plan: ReconPlan,
    step_mm: float,
    *,
    slab: int | None = None,
    cluster: str = "",
    tell: Tell = silent,
    watch: Watch = unwatched,
    command: str | None = None,
) -> Path:
    """Reconstruct all parts of an oversize scan by `run_slabs`, and join them; each lies ``step_mm`` along z from the one before.

    Finished parts wait in ``<output>.parts``, so that the same command continues. Raises InputError for a scan that is in one piece, for
    parts that leave a gap, and for a box or a grid, which would be that of each part.
    """
    plan.require_free_outputs()
    spots, grid, form = _placed(plan, step_mm)
    folder = plan.output.with_name(plan.output.name + ".parts")
    stamp = hashlib.sha256(f"{sha256(plan.source)} {step_mm!r} {to_json(plan.settings)} {plan.views} {plan.corrections!r}".encode())
    made = [folder / f"part_{p.number:02d}_{stamp.hexdigest()[:8]}.h5" for p in spots]
    for place, path in zip(spots, made, strict=True):
        if not path.exists():
            tell(f"part ~{place.number:02d}:")
            one = dataclasses.replace(
                plan, out=path, box=_box(place.grid), voxel_mm=grid.voxel_mm, read_as={**plan.read_as, "part": place.number}
            )
            run_slabs(one, slab=slab, cluster=cluster, tell=tell, watch=watch, command=command)
    assert form.slabs is not None
    facts = {"method": "fdk", "settings": dict(plan.settings), "parts": [p.number for p in spots], "step_mm": step_mm}
    record = make_record(
        command or f"fewview.pipeline.run_joined({plan!r}, {step_mm!r})", plan.settings, [plan.source], [plan.output], None, facts
    )
    with recorded_path(plan.output, lambda: record, force=plan.force, inputs=[plan.source]) as temporary, watch("joining") as callback:
        file = form.slabs(temporary, grid, _SLICES)
        file.create()
        low, high = np.inf, -np.inf
        for z in (slice(k, min(k + _SLICES, grid.shape[0])) for k in range(0, grid.shape[0], _SLICES)):
            joined = _joined(spots, made, z, grid)
            file.write(z.start, joined)
            low, high = min(low, float(joined.min())), max(high, float(joined.max()))
            callback(Progress(z.stop, grid.shape[0]))
        file.finish(Kept(facts), low, high)
    remove(folder)
    tell(
        f"wrote {plan.output}: {len(spots)} parts, {grid.shape[2]} x {grid.shape[1]} x {grid.shape[0]} voxels, {low:.4g} to {high:.4g} 1/mm"
    )
    return plan.output


def _placed(plan: ReconPlan, step_mm: float) -> tuple[list[Place], Grid, Any]:
    logs = find_logs(plan.source) if plan.source.is_dir() else {}
    numbers = sorted(n for n in (part_number(name) for name in logs) if n is not None)
    if len(numbers) < 2:
        raise InputError(f"{plan.source} is not an oversize scan", expected="two logs or more whose names end in ~00, ~01, ...")
    if plan.box or plan.grid:
        raise InputError("--parts-step-mm with --box or --grid", expected="the whole field of view of each part")
    source = open_scan(plan.source, **{**plan.open_options, "part": numbers[0]}, binning=plan.binning)
    whole = Grid.fit(source.scan, plan.voxel_mm)
    high = whole.shape[0] * whole.voxel_mm
    if not (np.isfinite(step_mm) and whole.voxel_mm <= abs(step_mm) <= high):
        raise InputError(
            f"--parts-step-mm {step_mm:g}: each part sees {high:.4g} mm",
            expected=f"a distance from {whole.voxel_mm:.4g} to {high:.4g} mm up or down, so that neighbours touch",
        )
    spots, grid = places(numbers, whole, step_mm)
    return spots, grid, slab_format(plan)


def _box(grid: Grid) -> str:
    """The grid as the text of ``--box``, to the last digit."""
    sides = zip(grid.center_mm, grid.size_mm, strict=True)
    return ",".join(f"{middle - size / 2!r}:{middle + size / 2!r}" for middle, size in ((float(m), float(s)) for m, s in sides))


def _joined(spots: list[Place], made: list[Path], z: slice, grid: Grid) -> Volume:
    shares = weights(spots, z)
    out = np.zeros((z.stop - z.start, *grid.shape[1:]), np.float32)
    for number, (place, path) in enumerate(zip(spots, made, strict=True)):
        for first, stop in _common(place, z):
            with open_h5(path) as file:
                values = file["volume"][first - place.first : stop - place.first]
            share = shares[number, first - z.start : stop - z.start]
            out[first - z.start : stop - z.start] += share[:, None, None] * values
    return out


def _common(place: Place, z: slice) -> Iterator[tuple[int, int]]:
    first, stop = max(place.first, z.start), min(place.stop, z.stop)
    if stop > first:
        yield first, stop
