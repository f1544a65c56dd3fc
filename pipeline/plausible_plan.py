"""What a plan asks of a scan that the scan cannot give, or can only give badly: errors and warnings before anything is read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from ..base import InputError
from ..base.shapes import FloatVolume
from ..geometry import Grid, Scan
from ..geometry.field_of_view import inside_cylinder
from .plan import ReconPlan

FEW_VIEWS = 16  # views; with fewer, an analytic reconstruction is little but streaks
COARSE = 8  # voxels across the field of view
OUTSIDE = 0.6  # share of a box (0.79 for a box about a cylinder); a warning where less of it lies inside what the scan sees
UNSEEN = 2e-3  # share of the attenuation of a volume that is to be simulated
SAMPLES = 48  # voxels along an axis on which this is judged


def plan_doubts(plan: ReconPlan, scan: Scan, grid: Grid) -> list[str]:
    """Warnings about the views, binning and voxels of a plan for this scan (its chosen views, binned); InputError
    for what is impossible.
    """
    return [*_view_doubts(plan, scan), *_binning_doubts(plan, scan), *_voxel_doubts(plan, scan, grid), *_place_doubts(plan, scan, grid)]


def _view_doubts(plan: ReconPlan, scan: Scan) -> Iterator[str]:
    if plan.reconstructor.kind == "analytic" and len(scan) < FEW_VIEWS:
        step = float(np.median(np.diff(np.sort(scan.angles_deg)))) if len(scan) > 1 else 180.0
        sharp = scan.field_of_view_mm.pixel_mm / np.radians(max(step, 1e-6))  # where neighbouring views are a pixel apart
        yield (
            f"{len(scan)} views{_given('--views', plan.views, 'all')}: {plan.reconstructor.name} makes streaks from so few, which resolve "
            f"single pixels only within {sharp:.2g} mm of the axis; use an iterative method, such as fista_tv"
        )


def _binning_doubts(plan: ReconPlan, scan: Scan) -> Iterator[str]:
    rows, cols = scan.shape
    if plan.binning > 1 and (rows < 4 or cols < 16):
        yield f"--binning {plan.binning} leaves {rows} rows of {cols} columns: little can be seen in them"


def _voxel_doubts(plan: ReconPlan, scan: Scan, grid: Grid) -> Iterator[str]:
    across = 2 * scan.field_of_view_mm.radius_mm
    if plan.voxel_mm is not None and plan.voxel_mm > across:
        raise InputError(f"--voxel-mm {plan.voxel_mm:g}", expected=f"voxels that fit into the field of view, {across:.4g} mm wide")
    if plan.voxel_mm is not None and plan.voxel_mm * COARSE > across:
        yield f"--voxel-mm {plan.voxel_mm:g} is {across / plan.voxel_mm:.1f} voxels across the field of view of {across:.4g} mm"
    if plan.grid and min(grid.shape[1:]) < 4:
        yield f"--grid {plan.grid}: a slice of {grid.shape[2]} x {grid.shape[1]} voxels"


def _place_doubts(plan: ReconPlan, scan: Scan, grid: Grid) -> Iterator[str]:
    if not (plan.box or plan.grid):
        return
    asked = f"--box {plan.box}" if plan.box else f"--grid {plan.grid}"
    spans = plan.grid_choice.box_mm
    if spans is not None and max(high - low for low, high in spans) < grid.voxel_mm:
        raise InputError(
            f"{asked} is smaller than a voxel of {grid.voxel_mm:.4g} mm", expected="a box of several voxels", remedy="or give --voxel-mm"
        )
    seen = seen_share(grid, scan)
    radius, half, _ = scan.field_of_view_mm
    sees = f"{radius:.4g} mm about the axis and {half:.4g} mm up and down from the middle"
    if seen == 0:
        raise InputError(f"{asked} lies outside what the scan sees", expected=f"a part of {sees}")
    if seen < OUTSIDE:
        yield f"{asked}: {seen:.0%} of it lies inside what the scan sees, {sees}; the rest is not measured"


def seen_share(grid: Grid, scan: Scan) -> float:
    """The share of a grid's box that lies in the cylinder that the scan sees."""
    coarse = grid.coarser(max(1, -(-max(grid.shape) // SAMPLES)))
    return float(inside_cylinder(coarse, scan).mean())


def unseen_share(volume: FloatVolume, grid: Grid, scan: Scan) -> float:
    """The share of a volume's attenuation that lies outside the cylinder that the scan sees."""
    step = max(1, -(-max(grid.shape) // (2 * SAMPLES)))
    part = np.abs(volume[::step, ::step, ::step], dtype=np.float64)
    nz, ny, nx = part.shape
    origin = np.array(grid.origin_mm)
    voxel = grid.voxel_mm * step
    x, y, z = (float(c) for c in origin + (np.array([nx, ny, nz]) - 1) / 2 * voxel)
    seen = inside_cylinder(Grid((nz, ny, nx), voxel, (x, y, z)), scan)
    total = float(part.sum())
    return float(part[~seen].sum()) / total if total > 0 else 0.0


def warn_of_outside(volume: FloatVolume, grid: Grid, scan: Scan, name: str) -> None:
    """Warn where more than `UNSEEN` of a volume's attenuation lies outside what the scan sees."""
    outside = unseen_share(volume, grid, scan)
    if outside > UNSEEN:
        said = f"{name}: {outside:.1%} of its attenuation lies outside the field of view, where some views see it and others do not"
        warnings.warn(f"{said}; give a larger --voxel-mm, or more --rows and --cols", stacklevel=2)


def _given(option: str, value: object, default: str) -> str:
    return "" if str(value) == default else f" ({option} {value})"
