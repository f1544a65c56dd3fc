"""What is known and what was assumed about a scan, in lines for a person: the same in `info`, in `recon` and in the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry import Grid, Scan


@dataclass(frozen=True)
class Findings:
    """What there is to say about a scan, the most serious first.

    ``warnings`` are contradictions and numbers that are hardly plausible, ``gaps`` is what the views leave out, and ``assumptions`` is what
    was taken for granted.
    """

    warnings: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Everything but the warnings, each line with its kind in front."""
        return (*(f"views: {line}" for line in self.gaps), *(f"assumed: {line}" for line in self.assumptions))


def findings(scan: Scan, meta: Mapping[str, Any]) -> Findings:
    """What the readers left in ``meta`` (``warnings``, ``assumptions``) and what follows from the geometry, with each line once.

    >>> scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=8, cols=16, pixel_mm=1.0, angles_deg=range(0, 360, 10))
    >>> findings(scan, {"assumptions": ["the axis is at the middle column"]}).notes()
    ('assumed: the axis is at the middle column',)
    """
    doubts = tuple(dict.fromkeys(meta.get("warnings", ())))
    assumed = tuple(line for line in dict.fromkeys(meta.get("assumptions", ())) if line not in doubts)
    return Findings(doubts, tuple(_gaps(scan)), assumed)


def geometry_lines(scan: Scan) -> Iterator[str]:
    """Lines that describe the geometry of a scan."""
    across, up = scan.cone_angles_deg
    radius, half, pixel = scan.field_of_view_mm
    grid = Grid.fit(scan)
    nz, ny, nx = grid.shape
    yield f"{len(scan)} views of {scan.shape[1]} columns x {scan.shape[0]} rows"
    yield f"source to axis {scan.dso_mm:.6g} mm, source to detector {scan.dsd_mm:.6g} mm, pixel at the axis {pixel * 1000:.6g} um"
    yield f"cone angles {across:.6f} x {up:.6f} deg (across the columns x across the rows)"
    yield f"angles {scan.angles_deg[0]:g} to {scan.angles_deg[-1]:g} deg"
    if len(scan) > 1:
        yield coverage(scan)[1]
    yield from _uneven(scan)
    yield f"field of view: radius {radius:.4g} mm, height {2 * half:.4g} mm"
    gib = 4 * (nx * ny * nz + len(scan) * scan.shape[0] * scan.shape[1]) / 2**30
    yield f"natural grid {nx} x {ny} x {nz} voxels of {grid.voxel_mm:.6g} mm: {gib:.2f} GiB with its projections"


def covered_deg(scan: Scan) -> float:
    """The range in degrees that the views cover. A view stands for its angular cell, so N views cover N steps.

    >>> covered_deg(Scan.circular(dso_mm=100, dsd_mm=200, rows=8, cols=16, pixel_mm=1.0, angles_deg=range(0, 90, 10)))
    90.0
    """
    angles = np.sort(scan.angles_deg)
    gaps = np.diff(angles)
    return float(round(angles[-1] - angles[0] + (gaps[0] + gaps[-1]) / 2, 9)) if gaps.size else 0.0


def coverage(scan: Scan) -> tuple[bool, str]:
    """Whether the angles suffice for the whole field of view, and a line that says so."""
    gaps, covered = np.diff(np.sort(scan.angles_deg)), covered_deg(scan)
    needed = 180 + scan.cone_angles_deg[0]
    if covered >= 360 - 1e-6:
        return True, f"covers {covered:.2f} deg: a full turn"
    if gaps.size and covered >= needed - gaps.min() / 2:
        return True, f"covers {covered:.2f} deg: a short scan ({needed:.2f} deg needed)"
    inside = scan.dso_mm * np.sin(np.radians((covered - 180) / 2)) if covered > 180 else 0.0
    where = f"complete only within {inside:.4g} mm of the axis" if inside else "limited angle: expect distortion"
    return False, f"covers {covered:.2f} deg of the {needed:.2f} deg that the whole field of view needs: {where}"


def _gaps(scan: Scan) -> Iterator[str]:
    enough, line = coverage(scan)
    if not enough:
        yield line
    yield from _uneven(scan)


def _uneven(scan: Scan) -> Iterator[str]:
    gaps = np.diff(np.sort(scan.angles_deg))
    if gaps.size and gaps.max() > 1.5 * np.median(gaps):
        yield f"steps {gaps.min():.4g} to {gaps.max():.4g} deg, uneven"
