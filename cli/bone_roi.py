"""`fewview bone roi`: what was lost and what is new below the tibia-fibula junction."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from ..base.files import atomic_path, refuse_existing
from ..base.record import make_record, record_text
from ..base.settings import Count
from .options import MaybeMm, Pairs, settings
from .outputs import command_line


def roi(
    baseline: tyro.conf.Positional[Path],
    follow_up: tyro.conf.Positional[Path],
    *,
    out: Path,
    threshold: Annotated[float | None, tyro.conf.arg(metavar="VALUE")] = None,
    slices: Count = 300,
    length_mm: MaybeMm = None,
    proximal: str = "auto",
    keep_fibula: bool = False,
    volume_voxel_mm: MaybeMm = None,
    read_as: Pairs = (),
    force: bool = False,
) -> int:
    """The composite of two registered weeks of a tibia below its junction with the fibula: bone in both 180, new 240, lost 60, neither 0.

    The exit code is 1 where the junction is not sure (confidence below 0.5).

    Examples:
      fewview bone roi registered/week0.ome.tif registered/week4.ome.tif --threshold 75 --out roi
      fewview bone roi a.ome.tif b.ome.tif --length-mm 3 --out roi

    Args:
        baseline: the first week, z along the tibia.
        follow_up: the later week, on the same grid.
        out: the folder to write: composite.ome.tif and record.json.
        threshold: what is above it is bone, in the unit of the volumes; by default Otsu's threshold of the first.
        slices: how many below the junction are kept.
        length_mm: the same in mm.
        proximal: which end of z is the knee's: top, bottom, or auto (the wider bone).
        keep_fibula: do not remove the fibula.
        volume_voxel_mm: edge of a voxel, where the files do not state it or are wrong.
        read_as: options of the volume reader.
        force: replace the output if it is there, but only one that fewview wrote (docs/outputs.md).
    """
    from ..bone import RoICompositeCropper
    from ..data import read_volume, write_volume

    refuse_existing(out, force, [baseline, follow_up])
    start = time.perf_counter()
    tool = RoICompositeCropper(threshold=threshold, slices=slices, length_mm=length_mm, proximal=proximal, keep_fibula=keep_fibula)  # type: ignore[arg-type]
    (first, grid, _), (second, _, _) = (read_volume(p, voxel_mm=volume_voxel_mm, **settings(read_as)) for p in (baseline, follow_up))
    found = tool(first, second, grid)
    facts = {"junction_slice": found.junction, "proximal": found.proximal, "lost_mm3": found.lost_mm3, "new_mm3": found.new_mm3}
    facts |= {"kept_mm3": found.kept_mm3, "confidence": found.confidence, "doubts": list(found.doubts)}
    with atomic_path(out, force=force, inputs=[baseline, follow_up]) as folder:
        folder.mkdir()
        write_volume(found.composite, folder / "composite.ome.tif", grid=found.grid)
        record = make_record(command_line(), {"roi": tool}, [baseline, follow_up], [out], time.perf_counter() - start, facts)
        (folder / "record.json").write_text(record_text(record), encoding="utf-8")
    print(f"junction in slice {found.junction}, knee at the {found.proximal}, confidence {found.confidence:.2f}")
    print(f"lost {found.lost_mm3:.4f} mm^3, new {found.new_mm3:.4f} mm^3, kept {found.kept_mm3:.4f} mm^3 in {len(found.composite)} slices")
    for doubt in found.doubts:
        print(doubt)
    print(f"wrote {out}")
    return 0 if found.confidence >= 0.5 else 1
