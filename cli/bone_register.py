"""`fewview bone register`: a bone onto a reference, onto its own first week, or upright."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated

import tyro

from ..base import InputError
from ..base.files import atomic_path, refuse_existing
from ..base.record import make_record, record_text
from .options import MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line

Weeks = tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(help="volumes of one bone, the first week first.")]]


def register(
    volumes: Weeks = (),
    *,
    out: Path,
    reference: MaybePath = None,
    threshold: Annotated[float | None, tyro.conf.arg(metavar="VALUE")] = None,
    ending: str = ".ome.tif",
    volume_voxel_mm: MaybeMm = None,
    read_as: Pairs = (),
    force: bool = False,
) -> int:
    """Move the weeks of one bone onto one another: the first onto the reference, or upright, and the later ones onto the first.

    Each becomes a volume in the reference's frame, with its transform (.tfm) and a record of how well the two fit. The exit code is 1
    where one of them is not sure (confidence below 0.5).

    Examples:
      fewview bone register week0/left_tibia.ome.tif week2/left_tibia.ome.tif --out registered
      fewview bone register week0.ome.tif --reference atlas_tibia.nii.gz --out registered

    Args:
        out: the folder to write.
        reference: the bone whose frame is taken; by default the first week's own long axis becomes z.
        threshold: what is above it is bone, in the unit of the volumes; by default Otsu's threshold of each.
        ending: of the volumes that are written, such as .ome.tif or .nii.gz.
        volume_voxel_mm: edge of a voxel, where the files do not state it or are wrong.
        read_as: options of the volume reader.
        force: replace the output if it is there, but only one that fewview wrote (docs/outputs.md).
    """
    from ..bone import CTRegistration
    from ..data import read_volume, write_volume

    if not volumes:
        raise InputError("no volume", expected="at least one VOLUME")
    names = [path.name.split(".")[0] for path in volumes]
    if len(set(names)) < len(names):
        names = [f"{n}_{name}" for n, name in enumerate(names)]
    inputs = [*volumes, *([] if reference is None else [reference])]
    refuse_existing(out, force, inputs)
    tool, start, sure, facts = CTRegistration(threshold=threshold), time.perf_counter(), True, {}
    fixed = None if reference is None else read_volume(reference, voxel_mm=volume_voxel_mm)[:2]
    with atomic_path(out, force=force, inputs=inputs) as folder:
        folder.mkdir()
        for path, name in zip(volumes, names, strict=True):
            values, grid, _ = read_volume(path, voxel_mm=volume_voxel_mm, **settings(read_as))
            found = tool.upright(values, grid) if fixed is None else tool(values, grid, *fixed)
            if fixed is None or path == volumes[0]:
                fixed = found.volume, found.grid
            write_volume(found.volume, folder / f"{name}{ending}", grid=found.grid)
            found.write_transform(folder / f"{name}.tfm")
            facts[name] = {"turned_deg": found.angle_deg, "shift_mm": found.shift_mm, "dice": found.dice, "confidence": found.confidence}
            facts[name] |= {"doubts": list(found.doubts)}
            sure &= found.confidence >= 0.5
            fit = "upright" if math.isnan(found.information) else f"bone overlaps by {found.dice:.0%}"
            print(f"{path}: turned by {found.angle_deg:.2f} deg, {fit}, confidence {found.confidence:.2f}")
            for doubt in found.doubts:
                print(f"{path}: {doubt}")
        record = make_record(command_line(), {"threshold": threshold}, inputs, [out], time.perf_counter() - start, {"registered": facts})
        (folder / "record.json").write_text(record_text(record), encoding="utf-8")
    print(f"wrote {out}")
    return 0 if sure else 1
