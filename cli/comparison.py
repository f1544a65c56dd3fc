"""`fewview bench table2` and `bench views`: methods compared over animals and numbers of views, on the same terms for every method."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from .bench import HERE, Bar, Place, SharedPlace
from .data_options import AS_IT_SAYS, DataOptions, HowRead
from .options import MaybeCount, MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line


@dataclass(frozen=True)
class Comparison:
    """What is compared and how it is tuned, the same for both commands.

    Args:
        methods: names, controls (control-mean, control-tv-fdk, ...), or my_file.py:my_function; by default all that run here (without a
            GPU not naf and wcrr, which are slow there).
        size: voxels across the field of view.
        animals: use at most this many test animals.
        budget: number of candidate settings for each method, its defaults among them; 1 means no tuning.
        tuned_on: number of validation animals on which candidates are tried.
        mapped_on: number of training animals on which linear maps are fitted; 0 means no columns after a map.
        grey_fit: fit the grey values of each volume to the reference (gain and offset) before they are compared.
        register: move each volume rigidly onto the reference before they are compared.
        raw: give every method the views as measured; by default they are corrected as the reference was, for all methods alike.
        no_bin: use the detector as it is; by default pixels are averaged while two of them fit into a voxel, for all methods alike.
        checkpoints: folder with a METHOD.pt for each trained method; by default `checkpoints` in the results.
        train: first train the methods whose checkpoint is missing there, on the training animals.
        preset: the preset to train with; by default paper on a GPU, and small, a stand-in, on a CPU (the page says so).
        device: where networks are trained and methods run: cpu, cuda, or auto, a GPU where there is one.
        train_steps: number of training steps; by default what each preset says.
        set: settings of methods, METHOD.KEY=VALUE (fewview methods METHOD lists them).
    """

    methods: tuple[str, ...] = ()
    size: int = 64
    animals: int = 6
    budget: int = 3
    tuned_on: int = 2
    mapped_on: int = 2
    grey_fit: bool = False
    register: bool = False
    raw: bool = False
    no_bin: bool = False
    checkpoints: MaybePath = None
    train: bool = False
    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    device: str = "auto"
    train_steps: MaybeCount = None
    set: Pairs = ()


Shared = Annotated[Comparison, tyro.conf.OmitArgPrefixes]


def table2(
    *,
    data: Path,
    out: Path,
    views: tuple[int, ...] = (1, 5, 26, 52),
    features: str = "inception",
    paper: bool = False,
    quick: bool = False,
    how: Shared = Comparison(),
    read_as: DataOptions = AS_IT_SAYS,
    place: SharedPlace = HERE,
) -> None:
    """Make the paper's Table 2 beside ours, for each protocol, with intervals over animals; and the report.

    DATA is a folder in the layout of BoneMet: a download (docs/bonemet.md), or one that `fewview simulate ... --layout bonemet` made.
    Methods are tuned on its training animals and compared on its test animals. A run that was stopped continues where it was.

    Examples:
      fewview bench table2 --data BoneMet --out results --paper --device cuda
      fewview simulate heads/*.nii.gz --layout bonemet --out paired && fewview bench table2 --data paired --out results --quick
      fewview bench table2 --data paired --out results --train --workers 2
      fewview bench table2 --data paired --out results --methods fdk fista_tv my_file.py:my_function

    Args:
        data: the data set.
        out: the folder of results; an earlier run there is continued.
        views: the numbers of views to compare.
        features: for FID, KID and LPIPS: inception (published weights; a column says where they are absent), random (labelled), or none.
        paper: the whole table from nothing: the networks whose checkpoint is missing are trained first, as with --train.
        quick: a rehearsal of a few minutes with few methods, two numbers of views and small volumes.
        how: what is compared and how it is tuned.
        read_as: what the files of the data set do not say.
        place: where it runs.
    """
    plan = _plan(how, read_as, views=views, features=features)
    plan = dataclasses.replace(plan, train=plan.train or paper)
    _compare("table2", data, out, plan.quick() if quick else plan, place)


def views(
    *,
    data: Path,
    out: Path,
    views: tuple[int, ...] = (5, 13, 26, 52, 130, 260),
    selections: tuple[str, ...] = ("evenly",),
    total_photons: MaybeMm = None,
    features: str = "none",
    how: Shared = Comparison(),
    read_as: DataOptions = AS_IT_SAYS,
    place: SharedPlace = HERE,
) -> None:
    """Measure quality against the number of views, or against how a fixed dose is spread over them.

    Examples:
      fewview bench views --data paired --out curve
      fewview bench views --data paired --out dose --total-photons 500000 --methods fdk fista_tv

    Args:
        data: a BoneMet-layout folder.
        out: the folder of results; an earlier run there is continued.
        views: the numbers of views to compare.
        selections: evenly, random, or wedge (the first views, one after the other).
        total_photons: mean count of an unattenuated pixel, summed over all views; few views are then less noisy each.
        features: the features for FID, KID and LPIPS: inception, random, or none.
        how: what is compared and how it is tuned.
        read_as: what the files of the data set do not say.
        place: where it runs.
    """
    plan = _plan(how, read_as, views=views, selections=selections, total_photons=total_photons, features=features)
    _compare("views", data, out, plan, place)


def _plan(how: Comparison, read_as: HowRead, **more: Any) -> Any:
    from ..benchmarks.studies.table2 import Plan

    shared = {
        name: getattr(how, name)
        for name in (
            "methods",
            "size",
            "budget",
            "tuned_on",
            "mapped_on",
            "grey_fit",
            "register",
            "checkpoints",
            "train",
            "preset",
            "device",
        )
    }
    return Plan(
        **shared,
        as_read=read_as.as_read(),
        bin=not how.no_bin,
        prepare=not how.raw,
        train_steps=how.train_steps,
        most_animals=how.animals,
        settings=per_method(how.set),
        **more,
    )


def per_method(pairs: tuple[tuple[str, ...], ...]) -> dict[str, dict[str, Any]]:
    """``--set fista_tv.iterations=50`` as {method: {setting: value}}.

    >>> per_method((("fdk.filter=hann", "unet.checkpoint=a.pt"),))
    {'fdk': {'filter': 'hann'}, 'unet': {'checkpoint': 'a.pt'}}
    """
    from ..base import InputError

    found: dict[str, dict[str, Any]] = {}
    for pair in (item for group in pairs for item in group):
        method, dot, rest = pair.rpartition("=")[0].rpartition(".")
        if not (method and dot):
            raise InputError(f"--set {pair}", expected="METHOD.KEY=VALUE")
        found.setdefault(method, {}).update(settings([[rest + "=" + pair.partition("=")[2]]]))
    return found


def _compare(name: str, data: Path, out: Path, plan: Any, place: Place) -> None:
    from ..benchmarks.studies.table2 import compare
    from ..benchmarks.sweeps.sweep import Where

    where = Where(place.workers, place.scheduler or None, place.accept_code)
    with Bar() as bar:
        compare(data, out, plan, name=name, where=where, tell=bar.tell, command=command_line())
    print((out / "table.md").read_text(encoding="utf-8"))
    print(f"wrote {out / 'report.html'}")
