"""`fewview bone segment`: scans of hind limbs to their bones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from ..base import InputError
from ..base.files import atomic_path, refuse_existing
from ..base.outputs.ownership import SIGNATURE, foreign
from ..base.record import make_record, record_text
from .options import MaybeMm, Pairs, settings
from .outputs import command_line

Scans = tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(help="volumes, or folders of slices; several are a batch.")]]


def segment(
    volumes: Scans = (),
    *,
    out: Path,
    threshold: Annotated[float | None, tyro.conf.arg(metavar="VALUE")] = None,
    rule: str = "75/255",
    ending: str = ".ome.tif",
    volume_voxel_mm: MaybeMm = None,
    read_as: Pairs = (),
    force: bool = False,
) -> int:
    """Part a CT volume of one or two hind limbs into spine, left and right femur, left and right tibia with fibula.

    Each bone becomes a volume of its own, beside a picture of what was decided and a record with confidences and doubts. The exit code is
    1 where a decision is not sure (confidence below 0.5). Of several volumes those that are in OUT already are passed over.

    Examples:
      fewview bone segment recon_slices --volume-voxel-mm 0.0106 --out bones
      fewview bone segment a.ome.tif b.ome.tif --threshold 0.1 --out bones

    Args:
        out: the folder to write; with several volumes a folder with one of each name.
        threshold: what is above it is bone, in the unit of the volume; by default by the rule.
        rule: 75/255 (of 8-bit volumes; Otsu's threshold for others), or otsu for all.
        ending: of the volumes that are written, such as .ome.tif or .nii.gz.
        volume_voxel_mm: edge of a voxel, where the file does not state it or is wrong.
        read_as: options of the volume reader.
        force: replace the output if it is there, but only one that fewview wrote (docs/outputs.md).
    """
    from ..bone import ReconCTSegmentation

    if not volumes:
        raise InputError("no volume", expected="at least one VOLUME")
    tool = ReconCTSegmentation(threshold=threshold, rule=rule)  # type: ignore[arg-type]
    names = [path.name.split(".")[0] for path in volumes]
    if len(set(names)) < len(names):
        raise InputError("two volumes have the same name", expected="one name each", remedy="their results are named after them")
    sure = True
    for path, name in zip(volumes, names, strict=True):
        place = out if len(volumes) == 1 else out / name
        if len(volumes) > 1 and not force and place.is_dir() and not foreign(place):
            print(f"{place} is there already")
            continue
        refuse_existing(place, force, volumes)
        sure &= _one(tool, path, place, ending, volume_voxel_mm, read_as, force)
    return 0 if sure else 1


def _one(tool, path: Path, place: Path, ending: str, voxel_mm: float | None, read_as: Pairs, force: bool) -> bool:  # type: ignore[no-untyped-def]
    from ..bone.pages.segment_picture import segment_picture
    from ..data import read_volume, write_volume

    start = time.perf_counter()
    values, grid, _ = read_volume(path, voxel_mm=voxel_mm, **settings(read_as))
    found = tool(values, grid)
    for name in found.found:
        print(f"{path}: {name}, confidence {found.confidence.get(name, 0):.2f}")
    for doubt in found.doubts:
        print(f"{path}: {doubt}")
    with atomic_path(place, force=force, inputs=[path]) as folder:
        folder.mkdir()
        for name in found.found:
            volume, own = found.stack(name)
            write_volume(volume, folder / f"{name.replace(' ', '_')}{ending}", grid=own)
        segment_picture(found).savefig(folder / "segmentation.png", dpi=120, metadata={"Software": SIGNATURE})
        extra = {"confidence": dict(found.confidence), "doubts": list(found.doubts), "knees_mm": dict(found.knees_mm)}
        record = make_record(command_line(), {"threshold": found.threshold}, [path], [place], time.perf_counter() - start, extra)
        (folder / "record.json").write_text(record_text(record), encoding="utf-8")
    print(f"wrote {place}")
    return found.sure
