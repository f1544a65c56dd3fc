"""`fewview bone roi`: what was lost and what is new below the tibia-fibula junction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..base import InputError
from ..base.files import atomic_path, refuse_existing
from ..base.record import make_record, record_text
from ..base.settings import Count
from .bone_animals import each_animal
from .options import MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line

if TYPE_CHECKING:
    from ..bone import RoICompositeCropper

Weeks = tyro.conf.Positional[
    Annotated[tuple[Path, ...], tyro.conf.arg(help="two weeks of one bone on one grid, z along the tibia, the first week first.")]
]


def roi(
    volumes: Weeks = (),
    *,
    out: Path,
    animals: MaybePath = None,
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

    The exit code is 1 where the junction is not sure (confidence below 0.5). Of a batch (--animals), in which every later week is composed
    with the first, those animals that are in OUT already are passed over.

    Examples:
      fewview bone roi registered/week0.ome.tif registered/week4.ome.tif --threshold 75 --out roi
      fewview bone roi a.ome.tif b.ome.tif --length-mm 3 --out roi
      fewview bone roi --animals registered --out roi

    Args:
        out: the folder to write: composite.ome.tif and record.json; of a batch a folder with one for each animal, a composite_WEEK each.
        animals: instead of two volumes, a folder as `fewview bone register --animals` writes it.
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

    if bool(volumes) == (animals is not None) or len(volumes) not in (0, 2):
        raise InputError(f"{len(volumes)} volume(s)", expected="the two volumes BASELINE and FOLLOW_UP, or --animals FOLDER")
    tool = RoICompositeCropper(threshold=threshold, slices=slices, length_mm=length_mm, proximal=proximal, keep_fibula=keep_fibula)  # type: ignore[arg-type]
    how = {"voxel_mm": volume_voxel_mm, **settings(read_as)}
    if animals is not None:
        return 0 if each_animal(animals, out, 2, force, lambda weeks, place: _one(tool, weeks, place, how, force)) else 1
    refuse_existing(out, force, volumes)
    return 0 if _one(tool, volumes, out, how, force) else 1


def _one(tool: RoICompositeCropper, volumes: Sequence[Path], out: Path, how: Mapping[str, Any], force: bool) -> bool:
    """The first week with each later one; whether the junction is sure in all."""
    from ..data import read_volume, write_volume

    start, facts, sure = time.perf_counter(), {}, True
    first, grid, _ = read_volume(volumes[0], **how)
    with atomic_path(out, force=force, inputs=volumes) as folder:
        folder.mkdir(parents=True)
        for path in volumes[1:]:
            name = "composite" if len(volumes) == 2 else f"composite_{path.name.split('.')[0]}"
            found = tool(first, read_volume(path, **how)[0], grid)
            facts[name] = {"junction_slice": found.junction, "proximal": found.proximal, "lost_mm3": found.lost_mm3}
            facts[name] |= {"new_mm3": found.new_mm3, "kept_mm3": found.kept_mm3}
            facts[name] |= {"confidence": found.confidence, "doubts": list(found.doubts)}
            write_volume(found.composite, folder / f"{name}.ome.tif", grid=found.grid)
            sure &= found.confidence >= 0.5
            print(f"{path}: junction in slice {found.junction}, knee at the {found.proximal}, confidence {found.confidence:.2f}")
            volumes_mm3 = f"lost {found.lost_mm3:.4f} mm^3, new {found.new_mm3:.4f} mm^3, kept {found.kept_mm3:.4f} mm^3"
            print(f"{volumes_mm3} in {len(found.composite)} slices")
            for doubt in found.doubts:
                print(doubt)
        record = make_record(command_line(), {"roi": tool}, list(volumes), [out], time.perf_counter() - start, {"composites": facts})
        (folder / "record.json").write_text(record_text(record), encoding="utf-8")
    print(f"wrote {out}")
    return sure
