"""`fewview bone follow`: one animal over weeks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from ..base import InputError
from ..base.files import atomic_path, refuse_existing
from ..base.record import make_record, record_text
from ..base.settings import Whole
from .options import MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line, require_ending

Weeks = tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(help="volumes of one bone, one a week.")]]


def follow(
    volumes: Weeks = (),
    *,
    weeks: tuple[Whole, ...] = (),
    threshold: Annotated[float | None, tyro.conf.arg(metavar="VALUE")] = None,
    region: str = "whole",
    out: MaybePath = None,
    volume_voxel_mm: MaybeMm = None,
    read_as: Pairs = (),
    force: bool = False,
) -> None:
    """Measure a bone each week, and say what changed since the first.

    Examples:
      fewview bone follow week0.ome.tif week2.ome.tif week4.ome.tif --weeks 0 2 4 --threshold 0.12 --out change.csv

    Args:
        weeks: the week of each volume; by default 0, 1, 2, ...
        threshold: what is above it is bone, in the unit of the volumes; give one, so that weeks can be compared.
        region: whole, trabecular, cortical, or auto.
        out: write every value and change to this .csv file, with a record beside it.
        volume_voxel_mm: edge of a voxel, where the files do not state it or are wrong.
        read_as: options of the volume reader.
        force: replace the output if it is there, but only one that fewview wrote (docs/outputs.md).
    """
    from ..bone import follow as followed
    from ..bone import measure
    from ..data import open_volume

    if len(volumes) < 2:
        raise InputError(f"{len(volumes)} volume", expected="two weeks or more")
    when = weeks or tuple(range(len(volumes)))
    if len(when) != len(volumes) or len(set(when)) < len(when):
        raise InputError(f"--weeks {' '.join(map(str, when))} for {len(volumes)} volumes", expected="a different week for each")
    if out is not None:
        require_ending("--out", out, ".csv")
        refuse_existing(out, force, volumes)
    start, found = time.perf_counter(), {}
    for week, path in zip(when, volumes, strict=True):
        values, grid, _ = open_volume(path, voxel_mm=volume_voxel_mm, **settings(read_as))
        found[week] = measure(values, grid, threshold=threshold, region=region)  # type: ignore[arg-type]
    result = followed(found)
    print(result.table())
    if result.missing:
        print(f"no volume for week {', '.join(map(str, result.missing))}")
    if out is not None:
        record = make_record(command_line(), {"threshold": threshold, "region": region}, volumes, [out], time.perf_counter() - start)
        note = out.with_name(out.name + ".record.json")
        with atomic_path(note, force=True) as text, atomic_path(out, force=force, inputs=volumes) as table:
            table.write_text(result.csv(), encoding="utf-8")
            text.write_text(record_text(record), encoding="utf-8")
        print(f"wrote {out}")
