"""Choices that a scan cannot serve: a grid outside what the views see, voxels like boulders, three views for a filtered back-projection."""

from __future__ import annotations

import numpy as np

from ..base import InputError
from ..geometry import Grid, Scan
from .selection import GridChoice

FEW_VIEWS = 10  # below, a filtered back-projection is streaks more than an object
ANALYTIC = ("fdk", "fdk_astra", "fbp_astra")
FEW_VOXELS = 16  # across the field of view: coarser, and no shape is left
FEW_IN_A_GRID = 4  # across a grid of one's own: a slice or two are fine, a column is not
MOSTLY_SEEN = 0.6  # of a grid: the field of view, a cylinder, fills 0.79 of the box around it


def grid_doubts(choice: GridChoice, grid: Grid, scan: Scan) -> list[str]:
    """Warnings about the grid that was asked for; InputError, by the option's name, where the scan sees none of it."""
    view = scan.field_of_view_mm
    sees = f"a cylinder of radius {view.radius_mm:.4g} mm and height {2 * view.half_height_mm:.4g} mm"
    found = []
    if choice.voxel_mm is not None and choice.voxel_mm > 1.01 * view.pixel_mm:
        across = 2 * view.radius_mm / choice.voxel_mm
        if across < 1:
            raise InputError(
                f"--voxel-mm {choice.voxel_mm:g} is larger than what the scan sees, {sees}",
                expected=f"about {view.pixel_mm:.4g} mm, the detector pixel scaled to the axis",
            )
        if across < FEW_VOXELS:
            found.append(f"--voxel-mm {choice.voxel_mm:g} makes {across:.3g} voxels across the field of view: too few to tell shapes")
    option = "--box" if choice.box_mm is not None else "--grid" if choice.shape is not None else ""
    if not option:
        return found
    if choice.box_mm is not None and min(high - low for low, high in choice.box_mm) < 0.5 * grid.voxel_mm:
        sides = ", ".join(f"{high - low:g}" for low, high in choice.box_mm)
        raise InputError(
            f"--box has sides of {sides} mm", expected=f"a voxel ({grid.voxel_mm:.4g} mm) or more", remedy="--voxel-mm makes them smaller"
        )
    seen = float(grid.coarser(max(1, -(-max(grid.shape) // 48))).in_cylinder(scan).mean())
    if seen == 0:
        raise InputError(f"{option} lies outside what the scan sees", expected=f"some of {sees} about the axis, in mm")
    if seen < MOSTLY_SEEN:
        found.append(f"{option}: {1 - seen:.0%} of it lies outside what the scan sees, {sees}: nothing is known there")
    if min(grid.shape[1:]) < FEW_IN_A_GRID:
        found.append(f"{option} has {grid.shape[2]} x {grid.shape[1]} voxels across the axis: too few to tell shapes")
    return found


def view_doubts(method: str, scan: Scan) -> list[str]:
    """A warning where an analytic method gets so few views that it shows their directions and not the object."""
    if method not in ANALYTIC or len(scan) >= FEW_VIEWS:
        return []
    step = float(np.median(np.diff(np.sort(scan.angles_deg)))) if len(scan) > 1 else 180.0
    radius = scan.field_of_view_mm.pixel_mm / np.radians(max(step, 1e-6))
    return [
        f"{len(scan)} view{'s' * (len(scan) > 1)} by {method}: enough for details of a pixel within {radius:.2g} mm of the axis only; "
        "farther out there are streaks along the views. An iterative method with a prior (fista_tv) makes the most of few views"
    ]
