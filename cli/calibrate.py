"""`fewview calibrate`: what the log of a scan does not say, found from the projections themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tyro

from ..base.files import atomic_path, refuse_existing
from ..base.outputs.ownership import SIGNATURE
from ..base.record import make_record, record_text
from ..data import Projections, read
from ..pipeline.selection import parse_views
from ..pipeline.stages import counted, without_drift
from .options import MaybePath, MaybePixels, Pairs, settings
from .outputs import command_line, require_ending
from .progress import progress_bar


def calibrate(
    scan: tyro.conf.Positional[Path],
    *,
    views: str = "all",
    fit: tuple[str, ...] = ("axis_shift", "row_shift", "roll"),
    keep_sense: bool = False,
    keep_hardening: bool = False,
    drift: bool = False,
    search_px: MaybePixels = None,
    out: MaybePath = None,
    read_as: Pairs = (),
    force: bool = False,
) -> None:
    """Find axis shift, optical row, detector roll and sense of rotation from a scan's own projections.

    Any two views must agree about the planes that both see. The corrections that make their contradiction smallest are found, with
    standard errors. Nothing is changed; `fewview recon --calibrate` finds the same corrections and uses them.

    Examples:
      fewview calibrate my_scan
      fewview calibrate my_scan --views 52 --fit axis_shift roll --out calibration.json

    Args:
        scan: a SkyScan folder, a BoneMet folder, or an .h5 file.
        views: use only these views: 26 (evenly spread), every:10, random:26:SEED, wedge:90.
        fit: the corrections to search for: axis_shift, row_shift, roll.
        keep_sense: take the sense of rotation from the log.
        keep_hardening: search on the line integrals as they are, without straightening them for beam hardening.
        drift: also find how far each single view is off, in pixels along columns and rows.
        search_px: how far off axis and row may be, in detector pixels; by default a twentieth of the columns.
        out: write the result to this .json file, and a picture of the score to the same name with .png.
        read_as: options of the reader, such as direction=CW or part=1.
        force: replace the outputs if they exist, but only what fewview wrote (docs/outputs.md).
    """
    from ..recon import calibrate as find

    picture = out.with_suffix(".png") if out else None
    for path in filter(None, (out, picture)):
        refuse_existing(path, force, [scan])
    if out is not None:
        require_ending("--out", out, ".json")
    with progress_bar("reading") as callback:
        projections = read(scan, views=parse_views(views).of, progress=counted(callback), **settings(read_as))
    with progress_bar("calibration") as callback:
        found = find(projections, fit=fit, sense=not keep_sense, hardening=not keep_hardening, search_px=search_px, callbacks=(callback,))
    print(found)
    changes: dict[str, Any] = {**found.changes, "errors": dict(found.errors)}
    if drift:
        changes["drift"] = without_drift(Projections(projections.values, found.scan, projections.meta), print)[1]
    if out is None or picture is None:
        return
    from ..recon.calibration.picture import draw

    record = make_record(command_line(), {"views": views, "fit": fit}, [scan], [out, picture], extra={"calibration": changes})
    with atomic_path(picture, force=force, inputs=[scan]) as image, atomic_path(out, force=force, inputs=[scan]) as text:
        draw(found).savefig(image, dpi=140, metadata={"Software": SIGNATURE})
        text.write_text(record_text(record), encoding="utf-8")
    print(f"wrote {out} and {picture}")
