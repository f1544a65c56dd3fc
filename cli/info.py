"""`fewview info`: where the source and the detector were, how that is known, and whether the views suffice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tyro

from ..geometry import Grid, draw_svg
from .options import MaybePath, Pairs, settings
from .outputs import require_ending


def info(
    scan: tyro.conf.Positional[Path], /, *, views: str = "all", draw: MaybePath = None, read_as: Pairs = (), force: bool = False
) -> None:
    """Show the geometry of a scan, each assumption behind it, and the grey levels of three of its images. Nothing is changed.

    Examples:
      fewview info my_scan
      fewview info my_scan --views 26 --draw geometry.svg

    Args:
        scan: a SkyScan folder, a BoneMet folder, or an .h5 file.
        views: only these views: 26 (evenly spread), every:10, random:26:SEED, wedge:90.
        draw: write a drawing of the geometry to this .svg file.
        read_as: options of the reader, such as direction=CW or part=1.
        force: replace the drawing if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    from ..base.files import atomic_path, refuse_existing
    from ..data import Projections
    from ..data.scans.reader import open_scan
    from ..pipeline.findings import findings, geometry_lines
    from ..pipeline.selection import select_views

    if draw is not None:
        refuse_existing(draw, force, [scan])
        require_ending("--draw", draw, ".svg")
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
    told = findings(kept, found.meta)
    for title, lines in (("warnings", told.warnings), ("assumptions", told.assumptions)):
        for line in [title, *(f"  {line}" for line in lines)] if lines else ():
            print(line)
    if draw is not None:
        with atomic_path(draw, force=force, inputs=[scan]) as temporary:
            temporary.write_text(draw_svg(kept, Grid.fit(kept), title=str(scan)), encoding="utf-8")
        print(f"wrote {draw}")


def _has(image: object) -> str:
    return "no" if image is None else "yes"
