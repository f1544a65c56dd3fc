"""`fewview bench`: compare methods over animals and views, and measure speed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..data import make_record, write_record
from ..data.atomic import atomic_path, refuse_existing
from .options import MaybeCount, MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line


def table2(
    *,
    data: Path,
    out: Path,
    methods: tuple[str, ...] = (),
    views: tuple[int, ...] = (1, 5, 26, 52),
    size: int = 64,
    animals: int = 6,
    budget: int = 4,
    features: str = "inception",
    grey_fit: bool = False,
    register: bool = False,
    bin: bool = True,
    checkpoints: MaybePath = None,
    train: bool = False,
    train_steps: MaybeCount = None,
    set: Pairs = (),
    quick: bool = False,
    workers: int = 0,
    scheduler: str = "",
) -> None:
    """The paper's Table 2 beside ours, per protocol, with intervals over animals; and the report.

    DATA is a BoneMet-layout folder (`fewview simulate ... --layout bonemet` makes one). Methods are tuned on its training animals and
    compared on its test animals. A run that was stopped goes on where it was.

    Examples:
      fewview simulate heads/*.nii.gz --layout bonemet --out paired && fewview bench table2 --data paired --out results --quick
      fewview bench table2 --data paired --out results --workers 4
      fewview bench table2 --data paired --out results --methods fdk fista_tv my_file.py:my_function

    Args:
        data: the data set.
        out: the folder of results; an earlier run there is continued.
        methods: names, control-mean, control-one-view, or my_file.py:my_function; by default all that run here, and the controls.
        views: counts of views.
        size: voxels across.
        animals: at most so many test animals.
        budget: tuning candidates for each method, the same for all; 0 is no tuning.
        features: of FID, KID and LPIPS: inception (published weights; a column says where they are absent), random (labelled), or none.
        grey_fit: fit each volume's greys to the reference (gain and offset) before volumes are compared.
        register: move each volume rigidly onto the reference before volumes are compared.
        bin: average detector pixels while two of them fit into a voxel, for all methods alike.
        checkpoints: folder of METHOD.pt for the methods that were trained; by default `checkpoints` in the results.
        train: train the methods whose checkpoint is missing there first (small presets, on the training animals).
        train_steps: so many steps of training; by default what each preset says.
        set: settings of methods, METHOD.KEY=VALUE.
        quick: a rehearsal of a few minutes: few methods, two view counts, small volumes.
        workers: local processes; 0 is this one.
        scheduler: address of a dask scheduler.
    """
    from ..benchmarks.table2 import Plan

    plan = Plan(
        methods=methods,
        views=views,
        size=size,
        most_animals=animals,
        budget=budget,
        features=features,
        grey_fit=grey_fit,
        register=register,
        bin=bin,
        checkpoints=checkpoints,
        train=train,
        train_steps=train_steps,
        settings=per_method(set),
        command=command_line(),
    )
    _compare(data, out, plan.quick() if quick else plan, workers, scheduler)


def views(
    *,
    data: Path,
    out: Path,
    methods: tuple[str, ...] = (),
    views: tuple[int, ...] = (5, 13, 26, 52, 130, 260),
    selections: tuple[str, ...] = ("evenly",),
    total_photons: MaybeMm = None,
    size: int = 64,
    animals: int = 6,
    budget: int = 4,
    features: str = "none",
    grey_fit: bool = False,
    register: bool = False,
    bin: bool = True,
    checkpoints: MaybePath = None,
    train: bool = False,
    train_steps: MaybeCount = None,
    set: Pairs = (),
    workers: int = 0,
    scheduler: str = "",
) -> None:
    """Quality against the number of views, or against how a fixed dose is spread over them.

    Examples:
      fewview bench views --data paired --out curve
      fewview bench views --data paired --out dose --total-photons 500000 --methods fdk fista_tv

    Args:
        data: a BoneMet-layout folder.
        out: the folder of results; an earlier run there is continued.
        methods: names, or my_file.py:my_function; by default all that run here, and the controls.
        views: counts of views.
        selections: evenly, random, or wedge (the first views, one after the other).
        total_photons: mean count of an unattenuated pixel over all views together: few views are then less noisy each.
        size: voxels across.
        animals: at most so many test animals.
        budget: tuning candidates for each method.
        features: of FID, KID and LPIPS: inception, random, or none.
        grey_fit: fit each volume's greys to the reference (gain and offset) before volumes are compared.
        register: move each volume rigidly onto the reference before volumes are compared.
        bin: average detector pixels while two of them fit into a voxel, for all methods alike.
        checkpoints: folder of METHOD.pt for the methods that were trained; by default `checkpoints` in the results.
        train: train the methods whose checkpoint is missing there first (small presets, on the training animals).
        train_steps: so many steps of training; by default what each preset says.
        set: settings of methods, METHOD.KEY=VALUE.
        workers: local processes; 0 is this one.
        scheduler: address of a dask scheduler.
    """
    from ..benchmarks.table2 import Plan

    plan = Plan(
        methods=methods,
        views=views,
        selections=selections,
        total_photons=total_photons,
        size=size,
        most_animals=animals,
        budget=budget,
        features=features,
        grey_fit=grey_fit,
        register=register,
        bin=bin,
        checkpoints=checkpoints,
        train=train,
        train_steps=train_steps,
        settings=per_method(set),
        command=command_line(),
    )
    _compare(data, out, plan, workers, scheduler)


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
    from ..benchmarks.speed import run_speed, speed_table
    from ..geometry import InputError

    if rounds < 1:
        raise InputError(f"--rounds {rounds}", expected="1 or more")
    if out is not None:
        refuse_existing(out, force)
    rows, remarks = run_speed(size, peers=peers, rounds=rounds, report=_tell_line())
    table = "\n".join([speed_table(rows), *remarks])
    print(table)
    if out is not None:
        with atomic_path(out, force=force) as temporary:
            temporary.write_text(table + "\n", encoding="utf-8")
        write_record(make_record(command_line(), {"size": size, "rounds": rounds, "peers": peers}, (), [out]), out)


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
    from ..benchmarks.classical import METHODS, VOLUMES, Plan, run

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
    from ..benchmarks.classical import VOLUMES
    from ..benchmarks.intervals import IntervalPlan, interval_table, measure

    plan = IntervalPlan(data, volumes or VOLUMES, methods, kinds, views, size, replicas, level)
    print(interval_table(measure(plan, _tell_line()), plan))


def per_method(pairs: tuple[tuple[str, ...], ...]) -> dict[str, dict[str, Any]]:
    """``--set fista_tv.iterations=50`` to {method: {setting: value}}.

    >>> per_method((("fdk.filter=hann", "unet.checkpoint=a.pt"),))
    {'fdk': {'filter': 'hann'}, 'unet': {'checkpoint': 'a.pt'}}
    """
    from ..geometry import InputError

    found: dict[str, dict[str, Any]] = {}
    for pair in (item for group in pairs for item in group):
        method, dot, rest = pair.rpartition("=")[0].rpartition(".")
        if not (method and dot):
            raise InputError(f"--set {pair}", expected="METHOD.KEY=VALUE")
        found.setdefault(method, {}).update(settings([[rest + "=" + pair.partition("=")[2]]]))
    return found


def _compare(data: Path, out: Path, plan: Any, workers: int, scheduler: str) -> None:
    from tqdm import tqdm

    from ..benchmarks.sweep import Where
    from ..benchmarks.table2 import compare, page

    with tqdm(desc="tasks", disable=None, leave=False, dynamic_ncols=True) as bar:

        def tell(done: int, total: int, task: Any, record: Mapping[str, Any]) -> None:
            bar.total = total
            bar.update(max(0, done - bar.n))

        tables = compare(data, out, plan, where=Where(workers, scheduler or None), tell=tell)
    print(page(tables))
    print(f"wrote {out / 'report.html'}")


def _tell_line() -> Callable[[str], None]:
    """What is being done, on the terminal only."""
    return (lambda line: print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)) if sys.stderr.isatty() else (lambda line: None)
