"""`fewview bench speed`, `classical` and `intervals`: what needs no paired data set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ..base.files import refuse_existing
from ..base.record import make_record, recorded_path
from .options import MaybePath
from .outputs import command_line


def speed(*, size: str = "A", peers: bool = False, rounds: int = 3, out: MaybePath = None, force: bool = False) -> None:
    """Forward, adjoint and FDK in giga voxel-views per second, medians, after a warm-up.

    Examples:
      fewview bench speed
      fewview bench speed --peers --out speed.txt

    Args:
        size: A (256 x 256 x 171 voxels, 260 views of 384 x 256), medium or small.
        peers: also every other implementation that is installed here (itk-rtk, mbirjax, ASTRA), on the same data, in turn.
        rounds: timed repetitions.
        out: write the table to this file too.
        force: replace the file if it exists.
    """
    from ..base import InputError
    from ..benchmarks.studies.speed import run_speed, speed_table

    if rounds < 1:
        raise InputError(f"--rounds {rounds}", expected="1 or more")
    if out is not None:
        refuse_existing(out, force)
    rows, remarks = run_speed(size, peers=peers, rounds=rounds, report=_tell_line())
    table = "\n".join([speed_table(rows), *remarks])
    print(table)
    if out is not None:
        made = {"size": size, "rounds": rounds, "peers": peers}
        with recorded_path(out, lambda: make_record(command_line(), made, (), [out]), force=force) as temporary:
            temporary.write_text(table + "\n", encoding="utf-8")


def classical(
    *,
    data: Path,
    out: Path,
    volumes: tuple[str, ...] = (),
    views: tuple[int, ...] = (13, 26, 52, 130, 260),
    methods: tuple[str, ...] = (),
    size: int = 128,
    polychromatic: bool = False,
) -> None:
    """Classical methods tuned from the data alone, on simulated scans of real volumes: PSNR, SSIM, bone Dice, seconds, memory.

    Every cell is kept in OUT as soon as it is done; a run that was stopped goes on where it was.

    Examples:
      fewview bench classical --data mouse_head --out table
      fewview bench classical --data mouse_head --out table --views 26 52 --methods fdk pdhg_tv oracle

    Args:
        data: folder of .nii.gz heads (8-bit grey, voxel 0.141 mm).
        out: the folder of results; table.md is the table.
        volumes: names of heads without .nii.gz; by default eight.
        views: counts of views.
        methods: fdk, sirt, os_sart, cgls, asd_pocs, fista_tv, pdhg_tv, or oracle (lambda from the truth); by default all but the last.
        size: voxels across; the detector has as many rows.
        polychromatic: simulate the tube's spectrum.
    """
    from ..benchmarks.studies.classical import METHODS, VOLUMES, Plan, run

    plan = Plan(data, volumes or VOLUMES, views, methods or METHODS, size, polychromatic)
    print(run(plan, out, command_line(), lambda line: print(line, file=sys.stderr, flush=True)))


def intervals(
    *,
    data: Path,
    volumes: tuple[str, ...] = (),
    methods: tuple[str, ...] = ("fdk", "pdhg_tv"),
    kinds: tuple[str, ...] = ("views", "rays"),
    views: int = 26,
    size: int = 64,
    replicas: int = 8,
    level: float = 0.9,
) -> None:
    """What the intervals of `fewview recon --std` are worth, on simulated scans of real volumes: how often they hold the truth.

    Examples:
      fewview bench intervals --data mouse_head --methods pdhg_tv --kinds views

    Args:
        data: folder of .nii.gz heads (8-bit grey, voxel 0.141 mm).
        volumes: names of heads without .nii.gz; by default eight.
        methods: names of methods.
        kinds: views (jackknife) and rays (noise alone).
        views: count of views.
        size: voxels across.
        replicas: groups of views, or noisy copies.
        level: nominal share of truths inside the interval.
    """
    from ..benchmarks.studies.classical import VOLUMES
    from ..benchmarks.studies.intervals import IntervalPlan, interval_table, measure

    plan = IntervalPlan(data, volumes or VOLUMES, methods, kinds, views, size, replicas, level)
    print(interval_table(measure(plan, _tell_line()), plan))


def _tell_line() -> Callable[[str], None]:
    """What is being done, on the terminal only."""
    return (lambda line: print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)) if sys.stderr.isatty() else (lambda line: None)
