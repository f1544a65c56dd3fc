"""From a scan on disk to filtered views on disk: read, calibrate, correct and filter, with a view or a few rows in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import Projections
from ...data.scans.preparation import TooFewRowsError
from ...data.scans.raw import RawSource
from ...data.scans.reader import integrals_into
from ...data.scans.view_store import ViewStore
from ...geometry import Grid, Scan
from ...recon.analytic.feldkamp_slabs import SlabFdk
from ...recon.corrections.by_view import corrected
from ...recon.selfcheck.small_views import CheckViews, SmallViews
from ..findings import findings
from ..plan import ReconPlan
from ..run_plan import Watch, say
from ..stages import Tell, calibrated, counted, without_drift
from .division import Division, slab_method, widened
from .slab_job import FilteredRows
from .work_folder import WorkFolder

_VECTORS = ("source", "detector", "u", "v", "angles_deg")


@dataclass(frozen=True, eq=False)
class Ingested:
    """The ``fdk`` of the views with the geometry that was found, their filtered ``rows``, the ``notes`` for the record, and the views for
    the self-check (None where the rows that are kept do not suffice for it).
    """

    fdk: SlabFdk
    rows: FilteredRows
    notes: dict[str, Any]
    check: CheckViews | None


@dataclass(frozen=True)
class _Stored:
    """Line integrals on a disk with their scan, as `CheckViews.of` takes them."""

    values: ViewStore
    scan: Scan

    def __len__(self) -> int:
        return len(self.scan)


def ingest(
    plan: ReconPlan, source: RawSource | Projections, grid: Grid, cut: Division, folder: WorkFolder, tell: Tell, watch: Watch
) -> Ingested:
    """Do everything that comes before the first slab; what it finds is kept in ``folder`` (`recall`)."""
    with watch("reading") as callback:
        store, kept, meta = _read(plan, source, cut, folder, counted(callback))
    early = findings(source.scan, source.meta)
    told = findings(source.scan, meta)
    say(told, early, tell)
    notes: dict[str, Any] = {"reader": meta.get("assumptions", ()), "findings": told, "prepare": meta.get("prepare")}
    scan = source.scan
    whole = kept == slice(0, scan.shape[0])
    if plan.calibrate or plan.drift:
        part = Projections(store.mapped(), scan, meta)
        if plan.calibrate:
            with watch("calibration") as callback:
                part, notes["calibration"] = calibrated(part, tell, (callback,))
        if plan.drift:
            with watch("drift of the views"):
                part, notes["drift"] = without_drift(part, tell)
        scan = part.scan
    with watch("corrections") as callback:
        notes["corrections"] = corrected(store, scan, plan.corrections, meta, grid, counted(callback))[1]
    check = CheckViews.of(_Stored(store, scan)) if whole else None  # type: ignore[arg-type]
    fdk = SlabFdk(scan, grid, **slab_method(plan))  # type: ignore[arg-type]
    with watch("filter") as callback:
        _filter(store, fdk, kept, counted(callback))
    folder.put_arrays("geometry", **_packed("scan", scan), **_packed_check(check))
    folder.put_note("read", {"notes": notes, "first_row": kept.start, "rows": kept.stop - kept.start})
    return Ingested(fdk, FilteredRows(store, kept.start), notes, check)


def recall(plan: ReconPlan, grid: Grid, folder: WorkFolder) -> Ingested | None:
    """What `ingest` kept in a folder; None where it was stopped before its end."""
    note, arrays = folder.note("read"), folder.arrays("geometry")
    if note is None or arrays is None:
        return None
    scan = _scan("scan", arrays)
    store = ViewStore(folder.projections, (len(scan), int(note["rows"]), scan.shape[1]))
    fdk = SlabFdk(scan, grid, **slab_method(plan))  # type: ignore[arg-type]
    return Ingested(fdk, FilteredRows(store, int(note["first_row"])), note["notes"], _check("scan", arrays))


def _read(
    plan: ReconPlan, source: RawSource | Projections, cut: Division, folder: WorkFolder, progress: Any
) -> tuple[ViewStore, slice, dict[str, Any]]:
    """Line integrals of the rows that are kept; more rows where unusable pixels are filled from further away."""
    rows, cols = source.scan.shape
    kept = cut.kept
    while True:
        store = ViewStore.create(folder.projections, (len(source.scan), kept.stop - kept.start, cols))
        try:
            return store, kept, integrals_into(store, kept, cut.sure, source, progress=progress, **plan.count_options)
        except TooFewRowsError as error:
            kept = widened(cut.sure, error.margin, rows)


def _filter(store: ViewStore, fdk: SlabFdk, kept: slice, progress: Any) -> None:
    """Filter the rows that the slabs need, in place."""
    needed = fdk.rows(slice(0, fdk.grid.shape[0]))
    part = slice(needed.start - kept.start, needed.stop - kept.start)
    for views in fdk.blocks:
        store[views, part] = fdk.filtered(store[views, part], views, needed.start)
        progress(views.stop, len(fdk.scan))


def _packed(name: str, scan: Scan) -> dict[str, Any]:
    return {f"{name}_shape": np.array(scan.shape), **{f"{name}_{v}": getattr(scan, v) for v in _VECTORS}}


def _scan(name: str, arrays: dict[str, Any]) -> Scan:
    rows, cols = (int(n) for n in arrays[f"{name}_shape"])
    return Scan((rows, cols), *(arrays[f"{name}_{v}"] for v in _VECTORS))


def _packed_check(check: CheckViews | None) -> dict[str, Any]:
    if check is None:
        return {}
    found: dict[str, Any] = {"chosen": check.chosen}
    for field in ("middle", "few", "wide"):
        small = getattr(check, field)
        if small is not None:
            found |= {f"{field}_values": small.values, f"{field}_factor": small.factor, **_packed(field, small.scan)}
    return found


def _check(name: str, arrays: dict[str, Any]) -> CheckViews | None:
    if "chosen" not in arrays:
        return None
    small = {
        field: SmallViews(arrays[f"{field}_values"], _scan(field, arrays), int(arrays[f"{field}_factor"]))
        for field in ("middle", "few", "wide")
        if f"{field}_values" in arrays
    }
    return CheckViews(_scan(name, arrays), small["middle"], small["few"], arrays["chosen"], small.get("wide"))
