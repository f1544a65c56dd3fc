"""`fewview bone measure`: the quantities of bone in a volume."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..base import InputError, UnknownNameError
from ..base.files import atomic_path, refuse_existing
from ..base.record import make_record, record_text
from ..base.settings import Count, Positive
from .options import MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line

MaybeNumber = Annotated[float | None, tyro.conf.arg(metavar="VALUE")]
MaybeName = Annotated[str | None, tyro.conf.arg(metavar="NAME")]


def measure(
    volume: tyro.conf.Positional[Path],
    *,
    threshold: MaybeNumber = None,
    region: str = "whole",
    density: tuple[float, ...] = (),
    intervals: MaybePath = None,
    method: MaybeName = None,
    views: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    widen: Positive = 1.0,
    slab: Annotated[Count | None, tyro.conf.arg(metavar="SLICES")] = None,
    estimate: bool = False,
    out: MaybePath = None,
    volume_voxel_mm: MaybeMm = None,
    read_as: Pairs = (),
    force: bool = False,
) -> None:
    """Measure bone in a volume: BV/TV, Tb.Th, Tb.Sp, Conn.D, Ct.Ar, Ct.Th, pMOI and the others, each with its definition.

    The z axis of the volume runs along the bone. Where the surface lies between the voxels is told by the grey values. A volume that is
    large for the memory is measured slab by slab, with the same numbers, and read as it goes (slices, HDF5, OME-Zarr, TIFF).

    Examples:
      fewview bone measure tibia.ome.tif --threshold 0.12
      fewview bone measure tibia_slices --volume-voxel-mm 0.0106 --threshold 75 --region auto --out measured
      fewview bone measure long_stack --volume-voxel-mm 0.01 --threshold 75 --region auto --slab 64 --out measured
      fewview bone measure few.ome.tif --intervals intervals.json --method fista_tv --views 26

    Args:
        volume: a volume that fewview can read, or a folder of slices.
        threshold: what is above it is bone, in the unit of the volume; by default Otsu's threshold of all voxels.
        region: whole, trabecular, cortical, auto (trabeculae and cortex each in their compartment), or a volume that is 0 outside of it.
        density: known values for BMD and TMD: VALUE MG_PER_CM3 VALUE MG_PER_CM3 ..., two pairs or more.
        intervals: a file of intervals, from scans whose truth is known.
        method: the method that made the volume, as the file of intervals names it; by default that of the volume's own facts.
        views: the number of views it was made from, likewise.
        widen: factor on the intervals: how much worse the scan's own held-out views are predicted than those of the calibration.
        slab: measure in slabs of this many slices; by default only where memory demands it, and as high as it allows.
        estimate: print the slabs and the memory that they will take, and do nothing else.
        out: a folder to write: measures.csv, slices.csv, page.html with pictures, record.json.
        volume_voxel_mm: edge of a voxel, where the file does not state it or is wrong.
        read_as: options of the volume reader, such as dataset=recon/mu for an .h5 file of others.
        force: replace the output if it is there, but only one that fewview wrote (docs/outputs.md).
    """
    from ..bone import DensityCalibration, slab_plan
    from ..bone import measure as measured_in
    from ..data import open_volume

    inputs: list[Path] = [volume, *([Path(region)] if _is_file(region) else []), *([] if intervals is None else [intervals])]
    if out is not None:
        refuse_existing(out, force, inputs)
    if len(density) % 2:
        raise InputError(f"--density has {len(density)} numbers", expected="pairs: VALUE MG_PER_CM3 VALUE MG_PER_CM3")
    calibration = DensityCalibration.from_values(list(zip(density[::2], density[1::2], strict=True))) if density else None
    start = time.perf_counter()
    values, grid, facts = open_volume(volume, voxel_mm=volume_voxel_mm, **settings(read_as))
    if estimate:
        named: Any = None if _is_file(region) else region
        print(f"{volume}: {slab_plan(grid, named, slab).said()}")
        return
    where = _region(region, volume_voxel_mm)
    errors = None if intervals is None else _intervals(intervals, method or facts.get("method"), views or facts.get("views"), widen)
    found = measured_in(values, grid, threshold=threshold, region=where, calibration=calibration, intervals=errors, slab=slab)
    level, how = found.settings["threshold"], found.settings["threshold_found"]
    print(f"{volume}: voxel {grid.voxel_mm:g} mm, threshold {level:g} ({how}), region {region}")
    if found.settings["slabs"] > 1:
        print("slab by slab: {slabs} slabs of {slab_slices} slices, {around_slab} looked at on both sides of each".format(**found.settings))
    print(found.table())
    if out is not None:
        _write(out, found, values, inputs, start, force, f"Bone in {volume.name}")
        print(f"wrote {out}")


def _is_file(region: str) -> bool:
    from ..bone.measures.asked import NAMES

    return region not in NAMES


def _region(region: str, voxel_mm: float | None) -> Any:
    from ..bone.measures.asked import NAMES
    from ..data import open_volume

    if not _is_file(region):
        return region
    if not Path(region).exists():
        raise UnknownNameError("region", region, NAMES)
    return open_volume(region, voxel_mm=voxel_mm)[0]


def _intervals(path: Path, method: str | None, views: int | None, widen: float) -> Any:
    from ..bone import read_intervals

    if method is None or views is None:
        raise InputError(f"{path}: neither the volume nor the command says method and views", expected="--method NAME and --views N")
    return read_intervals(path).of(method, int(views), widen=widen)


def _write(out: Path, found: Any, values: Any, inputs: list[Path], start: float, force: bool, title: str) -> None:
    from ..bone.measures.subject import thinned
    from ..bone.pages.measure_page import measure_page

    shown = thinned(values, found.settings["map_step"])
    with atomic_path(out, force=force, inputs=inputs) as folder:
        folder.mkdir()
        (folder / "measures.csv").write_text(found.csv(), encoding="utf-8")
        (folder / "slices.csv").write_text(found.slices_csv(), encoding="utf-8")
        (folder / "page.html").write_text(measure_page(found, shown, title, command_line()).html(), encoding="utf-8")
        extra = {"measured": dict(found), "intervals": dict(found.intervals), "notes": dict(found.notes)}
        record = make_record(command_line(), found.settings, inputs, [out], time.perf_counter() - start, extra)
        (folder / "record.json").write_text(record_text(record), encoding="utf-8")
