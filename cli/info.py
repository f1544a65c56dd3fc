"""`fewview info`: where the source and the detector were, how that is known, and whether the views suffice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tyro

from ..geometry import Grid, Scan, draw_svg
from .options import MaybePath, Pairs, select_views, settings


def info(
    scan: tyro.conf.Positional[Path], /, *, views: str = "all", draw: MaybePath = None, read_as: Pairs = (), force: bool = False
) -> None:
    """The geometry of a scan, each assumption made to get it, and the grey levels of three of its images; nothing is changed.

    Examples:
      fewview info my_scan
      fewview info my_scan --views 26 --draw geometry.svg

    Args:
        scan: a SkyScan folder, a BoneMet folder, or an .h5 file.
        views: only these views: 26 (evenly spread), every:10, random:26:SEED, wedge:90.
        draw: write a drawing of the geometry to this .svg file.
        read_as: options of the reader, such as direction=CW or part=1.
        force: replace the drawing if it exists.
    """
    from ..base.files import atomic_path, refuse_existing
    from ..data import Projections
    from ..data.scans.reader import open_scan

    if draw is not None:
        refuse_existing(draw, force)
    found = open_scan(scan, **settings(read_as))
    kept = found.scan[select_views(found.scan, views)]
    print(f"{scan}")
    for line in geometry_lines(kept):
        print(f"  {line}")
    if isinstance(found, Projections):
        print(f"  line integrals {found.values.min():.4g} to {found.values.max():.4g}")
    else:
        picks = sorted({0, len(found.scan) // 2, len(found.scan) - 1})
        images = [np.asarray(found.views[i]) for i in picks]
        low, high = min(float(i.min()) for i in images), max(float(i.max()) for i in images)
        print(f"  grey levels {low:g} to {high:g} ({images[0].dtype}) in views {', '.join(map(str, picks))}")
        print(f"  flat field {_has(found.flat)}, dark field {_has(found.dark)}")
    doubts = found.meta.get("warnings", ())
    for title, lines in (("warnings", doubts), ("assumptions", [a for a in found.meta.get("assumptions", ()) if a not in doubts])):
        if lines:
            print(title)
        for line in lines:
            print(f"  {line}")
    if draw is not None:
        with atomic_path(draw, force=force) as temporary:
            temporary.write_text(draw_svg(kept, Grid.fit(kept), title=str(scan)), encoding="utf-8")
        print(f"wrote {draw}")


def _has(image: object) -> str:
    return "no" if image is None else "yes"


def geometry_lines(scan: Scan) -> Iterator[str]:
    """What a scan is, in lines for a person."""
    across, up = scan.cone_angles_deg
    radius, half, pixel = scan.field_of_view_mm
    grid = Grid.fit(scan)
    nz, ny, nx = grid.shape
    yield f"{len(scan)} views of {scan.shape[1]} columns x {scan.shape[0]} rows"
    yield f"source to axis {scan.dso_mm:.6g} mm, source to detector {scan.dsd_mm:.6g} mm, pixel at the axis {pixel * 1000:.6g} um"
    yield f"cone angles {across:.6f} x {up:.6f} deg (across the columns x across the rows)"
    yield from range_lines(scan, across)
    yield f"field of view: radius {radius:.4g} mm, height {2 * half:.4g} mm"
    gib = 4 * (nx * ny * nz + len(scan) * scan.shape[0] * scan.shape[1]) / 2**30
    yield f"natural grid {nx} x {ny} x {nz} voxels of {grid.voxel_mm:.6g} mm: {gib:.2f} GiB with its projections"


def range_lines(scan: Scan, fan_deg: float) -> Iterator[str]:
    """The angular range beside what a short scan needs; a view stands for its cell, so N views of a step cover N steps."""
    angles = np.sort(scan.angles_deg)
    yield f"angles {scan.angles_deg[0]:g} to {scan.angles_deg[-1]:g} deg"
    if len(scan) < 2:
        return
    gaps = np.diff(angles)
    covered = float(angles[-1] - angles[0] + (gaps[0] + gaps[-1]) / 2)
    needed = 180 + fan_deg
    if covered >= 360 - 1e-6:
        yield f"covers {covered:.2f} deg: a full turn"
    elif covered >= needed - gaps.min() / 2:
        yield f"covers {covered:.2f} deg: a short scan ({needed:.2f} deg needed)"
    else:
        inside = scan.dso_mm * np.sin(np.radians((covered - 180) / 2)) if covered > 180 else 0.0
        where = f"complete only within {inside:.4g} mm of the axis" if inside else "limited angle: expect distortion"
        yield f"covers {covered:.2f} deg of the {needed:.2f} deg that the whole field of view needs: {where}"
    if gaps.max() > 1.5 * np.median(gaps):
        yield f"steps {gaps.min():.4g} to {gaps.max():.4g} deg, not even"
