"""`run_slabs`: the run of a plan slab by slab, for volumes and scans that memory does not hold; it can be stopped and continued."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...base.files import refuse_existing, remove
from ...base.record import kept_warnings, make_record, recorded_path
from ...data import Projections
from ...data.scans.raw import RawSource
from ...data.scans.reader import open_scan
from ...data.self_check import WRONG, SelfCheck
from ...data.volumes.resample import thumbnail_grid, thumbnail_slices
from ...data.volumes.slabs.contract import SlabFile
from ...data.volumes.volume_format import Kept
from ...geometry import Grid
from ...recon.analytic.feldkamp import warn_of_gaps
from ...recon.method import Progress
from ...recon.selfcheck.check import COARSE, check_small
from ..findings import Findings, findings
from ..plan import ReconPlan
from ..plausible_plan import plan_doubts
from ..run_plan import Watch, say, silent, unwatched
from ..stages import Tell
from .cluster import on_cluster
from .division import Division, divided, slab_format, slab_method
from .ingest import Ingested, ingest, recall
from .preview import preview_path, write_preview
from .room import require_room
from .slab_job import SlabJob
from .work_folder import FINISHED, WorkFolder, discard, discard_finished, file_hashes, hash_of_all, height_before, stamp_of, work_folder


@dataclass(frozen=True, eq=False)
class Streamed:
    """The volume and its preview, the notes in the record, how many slabs an earlier run had made, and the seconds of this run."""

    path: Path
    preview: Path
    notes: dict[str, Any]
    continued: int
    seconds: float


def run_slabs(
    plan: ReconPlan,
    *,
    slab: int | None = None,
    cluster: str = "",
    tell: Tell = silent,
    watch: Watch = unwatched,
    command: str | None = None,
    named: Callable[[Path], Path] = lambda path: path,
) -> Streamed:
    """Reconstruct what the plan says in slabs of ``slab`` slices (default: as memory allows), on the scheduler ``cluster`` if given.

    The volume is that of `run` to the last bit. Until it is complete it lies in ``<output>.unfinished`` with the filtered projections; the
    same plan then continues where it was stopped, and an input, setting or version that has changed is an InputError that names it. The
    other arguments are those of `run`.

    Raises InputError before the work begins for what cannot be done by slabs (see `division`), or too little room on the disk.
    """
    start = time.perf_counter()
    slab_method(plan)
    discard_finished(plan.output, tell)
    plan.require_free_outputs()
    with kept_warnings() as warned:
        source, grid, cut = opened(plan, slab, tell)
        if height_before(plan.output) is None:
            require_room(plan, source, grid, cut)
        hashes = file_hashes(plan.source, _images(source))

        stamp = stamp_of(hashes, _settings(plan, cut))
        with work_folder(plan.output, stamp, plan.force) as (folder, before):
            known = recall(plan, grid, folder) if before else None
            if known is None:
                remove(folder.projections)  # of a run that was stopped while it read
                require_room(plan, source, grid, cut)
                refuse_existing(preview_path(plan.output), plan.force, [plan.source])
                with folder.keeping(lambda: "nothing of the reading is", tell):
                    known = ingest(plan, source, grid, cut, folder, tell, watch)
                _require_same(plan.source, _images(source), hashes)
            job = SlabJob(known.fdk, known.rows, _file(plan, grid, cut, folder), plan.corrections.median)
            continued = _make_slabs(plan, job, cut, folder, cluster, tell, watch)
            with folder.keeping(lambda: "all slabs are", tell):
                check = _checked(known, grid, cut, folder)
                notes = {**known.notes, "corrections": [*known.notes["corrections"], *_median_account(plan, grid, cut, folder)]}
                if check is not None:
                    _tell_check(check, tell)
                notes["warnings"] = list(warned)
                facts = {"command": command or f"fewview.pipeline.run_slabs({plan!r})", "named": named, "continued": continued}
                _finish(plan, known, job, cut, folder, {**facts, "start": start, "hashes": hashes, "notes": notes, "check": check}, tell)
        discard(folder)
    return Streamed(plan.output, preview_path(plan.output), notes, continued, time.perf_counter() - start)


def opened(plan: ReconPlan, slab: int | None, tell: Tell) -> tuple[RawSource | Projections, Grid, Division]:
    """The scan, the grid and its slabs; what follows from the geometry alone is said or refused here."""
    source = open_scan(plan.source, views=plan.view_choice.of, binning=plan.binning, **plan.open_options)
    grid = plan.grid_choice.of(source.scan)
    doubts = plan_doubts(plan, source.scan, grid)
    cut = divided(plan, source.scan, grid, slab or height_before(plan.output))
    nz, ny, nx = grid.shape
    tell(
        f"{plan.reconstructor.name}: {len(source.scan)} views to {nx} x {ny} x {nz} voxels of {grid.voxel_mm:.6g} mm, in {len(cut.slabs)} "
        f"slabs of {cut.height} slices, from rows {cut.needed.start} to {cut.needed.stop - 1} of {source.scan.shape[0]}"
    )
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=3)
    warn_of_gaps(source.scan, grid, stacklevel=3)
    say(findings(source.scan, source.meta), Findings(), tell)
    return source, grid, cut


def _settings(plan: ReconPlan, cut: Division) -> dict[str, Any]:
    """All that decides the numbers of the volume, and how it is stored."""
    left_out = ("out", "force", "scan", "method")
    own = {f.name: getattr(plan, f.name) for f in dataclasses.fields(plan) if f.init and f.name not in left_out}
    return {**own, "method": plan.reconstructor.name, "slab": cut.height, "format": slab_format(plan).name}


def _images(source: RawSource | Projections) -> Iterator[str]:
    if isinstance(source, RawSource):
        yield from (source.views.name(view) for view in range(len(source.views)))


def _require_same(source: Path, images: Iterator[str], hashes: dict[str, str]) -> None:
    """OSError that names the file of a scan that was changed while it was read."""
    now = file_hashes(source, images)
    changed = [name for name in hashes if now.get(name) != hashes[name]]
    if changed:
        raise OSError(f"{source}: {changed[0]} was changed while it was read; run the same command again when nothing writes there")


def _file(plan: ReconPlan, grid: Grid, cut: Division, folder: WorkFolder) -> SlabFile:
    make = slab_format(plan).slabs
    assert make is not None
    return make(folder.volume(plan.output).absolute(), grid, cut.height)


def _make_slabs(plan: ReconPlan, job: SlabJob, cut: Division, folder: WorkFolder, cluster: str, tell: Tell, watch: Watch) -> int:
    """Make the preview, the file, and the slabs that are not there yet; returns how many were."""
    if folder.note("begun") is not None and not job.file.there():
        folder.begin_again()
    if folder.note("begun") is None:
        with watch("preview"):
            write_preview(job.fdk, job.rows, preview_path(plan.output))
        tell(f"wrote {preview_path(plan.output)}: the middle slices")
        job.file.create()
        folder.put_note("begun", {"slabs": len(cut.slabs)})
    left = [z for z in cut.slabs if folder.arrays(f"slab_{z.start}") is None]
    there = len(cut.slabs) - len(left)
    if there:
        tell(f"{there} of {len(cut.slabs)} slabs are there from an earlier run")
    done = there
    with folder.keeping(lambda: f"{done} of {len(cut.slabs)} slabs are", tell), watch("slabs") as callback:
        views = len(job.fdk.scan)
        told = lambda some: callback(Progress(done * views + some, len(cut.slabs) * views))  # noqa: E731
        for z, found in on_cluster(cluster, job, left) if cluster else ((z, job.do(z, told)) for z in left):
            folder.put_arrays(f"slab_{z.start}", **found)
            done += 1
            told(0)
    return there


def _slab_notes(cut: Division, folder: WorkFolder) -> list[dict[str, Any]]:
    return [folder.sure_arrays(f"slab_{z.start}") for z in cut.slabs]


def _checked(known: Ingested, grid: Grid, cut: Division, folder: WorkFolder) -> SelfCheck | None:
    factor, slices = thumbnail_slices(grid, COARSE)
    if known.check is None or not factor:
        return None
    notes = _slab_notes(cut, folder)
    planes, at = np.concatenate([n["coarse"] for n in notes]), np.concatenate([n["coarse_z"] for n in notes])
    coarse = np.zeros(thumbnail_grid(grid, factor).shape, np.float32)
    np.add.at(coarse, at // factor, planes)
    return check_small(known.check, coarse / np.float32(len(slices)), thumbnail_grid(grid, factor), grid)


def _tell_check(check: SelfCheck, tell: Tell) -> None:
    if check.level == WRONG:
        warnings.warn(f"self-check: {check.message}", stacklevel=3)
    else:
        tell(f"self-check: {check.message}")


def _median_account(plan: ReconPlan, grid: Grid, cut: Division, folder: WorkFolder) -> list[dict[str, Any]]:
    if not plan.corrections.median:
        return []
    total = squares = 0.0
    for first, second in (row for note in _slab_notes(cut, folder) for row in note["changes"]):
        total, squares = total + float(first), squares + float(second)
    size = float(np.prod(grid.shape, dtype=np.float64))
    return [{"step": "median", "radius": plan.corrections.median, "mean_change": total / size, "rms_change": (squares / size) ** 0.5}]


def _finish(plan: ReconPlan, known: Ingested, job: SlabJob, cut: Division, folder: WorkFolder, facts: dict[str, Any], tell: Tell) -> None:
    """Complete the volume, give it its final name, and write its record."""
    ranges = np.array([note["range"] for note in _slab_notes(cut, folder)])
    low, high = float(ranges[:, 0].min()), float(ranges[:, 1].max())
    scan, grid = known.fdk.scan, known.fdk.grid
    check: SelfCheck | None = facts["check"]
    said = None if check is None else check.as_record()
    settings = {"filter": known.fdk.filter, "cutoff": known.fdk.cutoff, "backend": known.fdk.backend}
    own = {"method": "fdk", "settings": settings, "views": len(scan)}
    kept = own if said is None else {**own, "check": {name: value for name, value in said.items() if name != "seconds"}}
    job.file.finish(Kept(kept, scan=scan), low, high)
    folder.put_note(FINISHED, {"slabs": len(cut.slabs)})
    name: Callable[[Path], Path] = facts["named"]
    seconds = time.perf_counter() - facts["start"]
    final = dataclasses.replace(plan, scan=name(plan.source), out=name(plan.output))
    extra = {
        "method": "fdk", "views": len(scan), "view_angles_deg": scan.angles_deg, "grid": grid, "scan": str(scan), "check": said,
        "slabs": {"height": cut.height, "count": len(cut.slabs), "of_an_earlier_run": facts["continued"]},
        "notes": facts["notes"], "plan": final,
    }  # fmt: skip
    record = make_record(facts["command"], settings, (), (name(plan.output),), seconds, extra)
    record["inputs"] = [{"path": str(name(plan.source)), "sha256": hash_of_all(plan.source, facts["hashes"])}]
    with recorded_path(plan.output, lambda: record, force=plan.force, inputs=[plan.source]) as temporary:
        os.replace(folder.volume(plan.output), temporary)
    tell(f"wrote {plan.output}: {low:.4g} to {high:.4g} 1/mm, {seconds:.1f} s in all")
