"""`fewview bone register`: a bone onto a reference, onto its own first week, or upright."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..base import InputError
from ..base.files import atomic_path, refuse_existing
from ..base.record import make_record, record_text
from ..base.settings import Positive
from .bone_animals import each_animal
from .options import MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line

if TYPE_CHECKING:
    from ..bone import CTRegistration

Weeks = tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(help="volumes of one bone, the first week first.")]]


def register(
    volumes: Weeks = (),
    *,
    out: Path,
    animals: MaybePath = None,
    reference: MaybePath = None,
    threshold: Annotated[float | None, tyro.conf.arg(metavar="VALUE")] = None,
    turn_tolerance_deg: Positive = 1.0,
    ending: str = ".ome.tif",
    volume_voxel_mm: MaybeMm = None,
    read_as: Pairs = (),
    force: bool = False,
) -> int:
    """Move the weeks of one bone onto one another: the first onto the reference, or upright, and the later ones onto the first.

    Each becomes a volume in the reference's frame, with its transform (.tfm) and a record of how well the two fit. The exit code is 1
    where one of them is not sure (confidence below 0.5). Of a batch (--animals) those that are in OUT already are passed over.

    Examples:
      fewview bone register week0/left_tibia.ome.tif week2/left_tibia.ome.tif --out registered
      fewview bone register week0.ome.tif --reference atlas_tibia.nii.gz --out registered
      fewview bone register --animals left_tibiae --out registered

    Args:
        out: the folder to write; of a batch a folder with one for each animal.
        animals: instead of VOLUMES, a folder with a folder for each animal, in which every week is a volume, in the order of the names.
        reference: the bone whose frame is taken; by default the first week's own long axis becomes z.
        threshold: what is above it is bone, in the unit of the volumes; by default Otsu's threshold of each.
        turn_tolerance_deg: a registration whose turn is not known to so many degrees (95 %) is not sure.
        ending: of the volumes that are written, such as .ome.tif or .nii.gz.
        volume_voxel_mm: edge of a voxel, where the files do not state it or are wrong.
        read_as: options of the volume reader.
        force: replace the output if it is there, but only one that fewview wrote (docs/outputs.md).
    """
    from ..bone import CTRegistration

    if bool(volumes) == (animals is not None):
        raise InputError("no volume" if not volumes else "VOLUMES and --animals", expected="at least one VOLUME, or --animals FOLDER")
    tool = CTRegistration(threshold=threshold, turn_tolerance_deg=turn_tolerance_deg)
    how = Reading(reference, volume_voxel_mm, settings(read_as), ending, force)
    if animals is not None:
        return 0 if each_animal(animals, out, 1, force, lambda weeks, place: _one(tool, weeks, place, how)) else 1
    refuse_existing(out, force, [*volumes, *([] if reference is None else [reference])])
    return 0 if _one(tool, volumes, out, how) else 1


@dataclass(frozen=True)
class Reading:
    """How volumes are read and written."""

    reference: Path | None
    voxel_mm: float | None
    options: Mapping[str, Any]
    ending: str
    force: bool


def _one(tool: CTRegistration, volumes: Sequence[Path], out: Path, how: Reading) -> bool:
    """The weeks of one animal; whether all are sure."""
    from ..data import read_volume, write_volume

    names = [path.name.split(".")[0] for path in volumes]
    if len(set(names)) < len(names):
        names = [f"{n}_{name}" for n, name in enumerate(names)]
    inputs = [*volumes, *([] if how.reference is None else [how.reference])]
    start, sure, facts = time.perf_counter(), True, {}
    fixed = None if how.reference is None else read_volume(how.reference, voxel_mm=how.voxel_mm)[:2]
    with atomic_path(out, force=how.force, inputs=inputs) as folder:
        folder.mkdir(parents=True)
        for path, name in zip(volumes, names, strict=True):
            values, grid, _ = read_volume(path, voxel_mm=how.voxel_mm, **how.options)
            found = tool.upright(values, grid) if fixed is None else tool(values, grid, *fixed)
            if fixed is None or path == volumes[0]:
                fixed = found.volume, found.grid
            write_volume(found.volume, folder / f"{name}{how.ending}", grid=found.grid)
            found.write_transform(folder / f"{name}.tfm")
            facts[name] = {"turned_deg": found.angle_deg, "shift_mm": found.shift_mm, "dice": found.dice, "likeness": found.likeness}
            facts[name] |= {"confidence": found.confidence, "doubts": list(found.doubts)}
            if not (alone := math.isnan(found.information)):
                facts[name] |= {"turn_error_deg": found.error.turn_deg, "shift_error_mm": found.error.shift_mm}
            sure &= found.confidence >= 0.5
            fit = "upright" if alone else f"bone overlaps by {found.dice:.0%}"
            print(f"{path}: turned by {found.angle_deg:.2f} deg, {fit}, confidence {found.confidence:.2f}")
            if not alone:
                print(f"{path}: {found.error.in_words}")
            for doubt in found.doubts:
                print(f"{path}: {doubt}")
        seconds = time.perf_counter() - start
        asked = {"threshold": tool.threshold, "turn_tolerance_deg": tool.turn_tolerance_deg}
        record = make_record(command_line(), asked, inputs, [out], seconds, {"registered": facts})
        (folder / "record.json").write_text(record_text(record), encoding="utf-8")
    print(f"wrote {out}")
    return sure
