"""How a volume is cut into slabs, which rows of the panel they need, and what cannot be cut."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...base import InputError, UnknownNameError
from ...base.memory import GIB, available_bytes, require_memory
from ...data.volumes.volume_format import VolumeFormat, format_to_write, formats
from ...geometry import Grid, Scan
from ...recon.analytic.feldkamp_slabs import SlabFdk
from ...recon.corrections.by_view import rows_around
from ...recon.projector.backend import backends
from ...recon.projector.projection_matrices import projection_matrices
from ..plan import ReconPlan

MOST_SLICES = 192  # as many as the back-projection takes at once
MARGIN = 16  # rows beyond those that are needed, from which unusable pixels may be filled
MOST_LEAN_DEG = 20.0  # of the rotation axis from z, where slabs need all rows anyhow
MOST_ROWS = 0.8  # of the panel, that a slab needs on average then
_SHARE = 0.25  # of the free memory that a slab may take


@dataclass(frozen=True)
class Division:
    """The ``slabs`` (slices along z, each but the last ``height`` high), and rows of the panel: those ``needed`` by all of them, those that
    have to be right before the corrections (``sure``), and those that are ``kept`` on the disk.
    """

    height: int
    slabs: tuple[slice, ...]
    needed: slice
    sure: slice
    kept: slice


def slab_method(plan: ReconPlan) -> dict[str, object]:
    """The settings of `SlabFdk` for a plan; InputError where its method, settings, corrections or format do not work by slabs."""
    name = plan.reconstructor.name
    if name != "fdk":
        raise InputError(f"--slab with --method {name}", expected="fdk: every other method needs the whole volume in memory")
    if plan.spread.replicas:
        raise InputError(f"--slab with --std {plan.spread.replicas}", expected="no standard deviation")
    settings = plan.reconstructor.settings(**plan.settings)
    able = [b.name for b in backends().values() if b.fdk_rows is not None]
    if settings.backend not in ("auto", *able):
        raise UnknownNameError("backend of slabs", settings.backend, ["auto", *able])
    if settings.storage != "float32":
        raise InputError(f"storage={settings.storage!r} with slabs", expected="float32")
    slab_format(plan)
    return {"filter": settings.filter, "cutoff": settings.cutoff, "backend": able[0]}


def slab_format(plan: ReconPlan) -> VolumeFormat:
    """The format of the plan's output; InputError for one that cannot be written by slabs."""
    form = format_to_write(plan.output)
    if form.slabs is None:
        names = ", ".join(f.endings[0] if f.endings else "a folder of slices" for f in formats() if f.slabs is not None)
        raise InputError(f"{plan.output} is {form.name}, which is not written slab by slab", expected=names, remedy="give another --out")
    return form


def divided(plan: ReconPlan, scan: Scan, grid: Grid, asked: int | None) -> Division:
    """The slabs of ``asked`` slices, or of as many as a quarter of the free memory holds; InputError for what cannot be cut."""
    height = min(asked or _height(grid, plan.corrections.median), grid.shape[0])
    needed_bytes = 4 * (height + 2 * plan.corrections.median) * grid.shape[1] * grid.shape[2]
    require_memory(needed_bytes, f"slabs of {height} slices", "give a smaller --slab, a larger --voxel-mm, or a smaller --box")
    slabs = tuple(slice(z, min(z + height, grid.shape[0])) for z in range(0, grid.shape[0], height))
    job = SlabFdk(scan, grid, **slab_method(plan))  # type: ignore[arg-type]
    require_separate(plan, job, slabs)
    rows, around = scan.shape[0], rows_around(plan.corrections)
    needed = job.rows(slice(0, grid.shape[0]))
    everything = slice(0, rows)
    if plan.calibrate or plan.drift or around is None:
        return Division(height, slabs, needed, everything, everything)
    sure = slice(max(0, needed.start - around), min(rows, needed.stop + around))
    return Division(height, slabs, needed, sure, widened(sure, MARGIN, rows))


def widened(sure: slice, margin: int, rows: int) -> slice:
    """The rows ``sure`` and a margin on either side, as far as the panel goes."""
    return slice(max(0, sure.start - margin), min(rows, sure.stop + margin))


def _height(grid: Grid, median: int) -> int:
    """Slabs of nearly equal height, within a quarter of the free memory; multiples of 8 where possible, for the levels of a pyramid."""
    nz, ny, nx = grid.shape
    free = available_bytes() or 8 * GIB
    room = int(_SHARE * free) // (4 * ny * nx * (2 if median else 1)) - 2 * median
    if room < 1:
        need = 4 * ny * nx * (1 + 2 * median) / _SHARE / GIB
        raise InputError(
            f"a slice of {nx} x {ny} voxels needs {need:.2f} GiB of free memory and {free / GIB:.2f} GiB are free",
            remedy="use a larger --voxel-mm, or a smaller --box",
        )
    most = min(room, MOST_SLICES, nz)
    height = math.ceil(nz / math.ceil(nz / most))
    return min(-(-height // 8) * 8, most // 8 * 8) if most >= 8 else height


def require_separate(plan: ReconPlan, job: SlabFdk, slabs: tuple[slice, ...]) -> None:
    """InputError for slabs that no view sees, where the user asked for them, and for an axis that leans so far that every slab needs all
    rows.
    """
    scan, grid, last = job.scan, job.grid, job.scan.shape[0] - 1
    found = [job.rows(z) for z in slabs]
    unseen = [z for z, rows in zip(slabs, found, strict=True) if not rows.stop]
    if len(unseen) == len(slabs) or (unseen and (plan.grid or plan.box)):
        z = unseen[0]
        low, high = row_span(scan, grid, z)
        radius, half, _ = scan.field_of_view_mm
        asked = f"--box {plan.box}" if plan.box else f"--grid {plan.grid}" if plan.grid else "the grid"
        raise InputError(
            f"{asked}: slices {z.start} to {z.stop - 1} ({grid.z_mm[z.start]:.4g} to {grid.z_mm[z.stop - 1]:.4g} mm) need rows "
            f"{low:.0f} to {high:.0f} and the detector has rows 0 to {last}",
            expected=f"slices within {half:.4g} mm of the middle of the field of view (radius {radius:.4g} mm)",
        )
    lean = float(np.degrees(np.arccos(min(1.0, abs(float(scan.axis.direction[2]))))))
    shares = [(rows.stop - rows.start) / (last + 1) for rows in found if rows.stop]
    if len(slabs) > 2 and lean > MOST_LEAN_DEG and np.mean(shares) > MOST_ROWS:
        raise InputError(
            f"the rotation axis leans {lean:.1f} deg from z: slabs of {slabs[0].stop} of {grid.shape[0]} slices need "
            f"{np.mean(shares):.0%} of the {last + 1} rows on average",
            expected=f"an axis within about {MOST_LEAN_DEG:g} deg of z, so that slabs need different rows",
            remedy="move the scan so that its axis is z (fewview.geometry.transform.move), or reconstruct the whole volume without slabs",
        )


def row_span(scan: Scan, grid: Grid, z: slice) -> tuple[float, float]:
    """The least and the largest row at which any view sees the corners of some slices, on a panel without an end."""
    xs, ys, zs = (grid.x_mm[[0, -1]], grid.y_mm[[0, -1]], grid.z_mm[[z.start, z.stop - 1]])
    corners = np.array([(x, y, k, 1.0) for x in xs for y in ys for k in zs])
    matrices = projection_matrices(scan)
    depth = matrices[:, 2] @ corners.T
    rows = (matrices[:, 1] @ corners.T)[depth > 0] / depth[depth > 0]
    return (float(rows.min()), float(rows.max())) if rows.size else (math.nan, math.nan)
