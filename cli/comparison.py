"""`fewview bench table2` and `bench views`: methods over animals and numbers of views, the same for every method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from .bench import HERE, Bar, Place, SharedPlace
from .options import MaybeCount, MaybeMm, MaybePath, Pairs, settings
from .outputs import command_line


@dataclass(frozen=True)
class Comparison:
    """What is compared and how it is tuned: the same for both commands.

    Args:
        methods: names, control-mean, control-one-view, or my_file.py:my_function; by default all that run here, and the controls.
        size: voxels across.
        animals: at most so many test animals.
        budget: tuning candidates for each method, the same for all; 0 is no tuning.
        grey_fit: fit each volume's greys to the reference (gain and offset) before volumes are compared.
        register: move each volume rigidly onto the reference before volumes are compared.
        no_bin: take the detector as it is; by default pixels are averaged while two of them fit into a voxel, for all methods alike.
        checkpoints: folder of METHOD.pt for the methods that were trained; by default `checkpoints` in the results.
        train: train the methods whose checkpoint is missing there first (small presets, on the training animals).
        train_steps: so many steps of training; by default what each preset says.
        set: settings of methods, METHOD.KEY=VALUE (fewview methods METHOD lists them).
    """

    methods: tuple[str, ...] = ()
    size: int = 64
    animals: int = 6
    budget: int = 4
    grey_fit: bool = False
    register: bool = False
    no_bin: bool = False
    checkpoints: MaybePath = None
    train: bool = False
    train_steps: MaybeCount = None
    set: Pairs = ()


Shared = Annotated[Comparison, tyro.conf.OmitArgPrefixes]


def table2(
    *,
    data: Path,
    out: Path,
    views: tuple[int, ...] = (1, 5, 26, 52),
    features: str = "inception",
    quick: bool = False,
    how: Shared = Comparison(),
    place: SharedPlace = HERE,
) -> None:
    """The paper's Table 2 beside ours, per protocol, with intervals over animals; and the report.

    DATA is a BoneMet-layout folder (`fewview simulate ... --layout bonemet` makes one). Methods are tuned on its training animals and
    compared on its test animals. A run that was stopped goes on where it was.

    Examples:
      fewview simulate heads/*.nii.gz --layout bonemet --out paired && fewview bench table2 --data paired --out results --quick
      fewview bench table2 --data paired --out results --train --workers 2
      fewview bench table2 --data paired --out results --methods fdk fista_tv my_file.py:my_function

    Args:
        data: the data set.
        out: the folder of results; an earlier run there is continued.
        views: counts of views.
        features: of FID, KID and LPIPS: inception (published weights; a column says where they are absent), random (labelled), or none.
        quick: a rehearsal of a few minutes: few methods, two view counts, small volumes.
        how: what is compared and how it is tuned.
        place: where it runs.
    """
    plan = _plan(how, views=views, features=features)
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
    place: SharedPlace = HERE,
) -> None:
    """Quality against the number of views, or against how a fixed dose is spread over them.

    Examples:
      fewview bench views --data paired --out curve
      fewview bench views --data paired --out dose --total-photons 500000 --methods fdk fista_tv

    Args:
        data: a BoneMet-layout folder.
        out: the folder of results; an earlier run there is continued.
        views: counts of views.
        selections: evenly, random, or wedge (the first views, one after the other).
        total_photons: mean count of an unattenuated pixel over all views together: few views are then less noisy each.
        features: of FID, KID and LPIPS: inception, random, or none.
        how: what is compared and how it is tuned.
        place: where it runs.
    """
    plan = _plan(how, views=views, selections=selections, total_photons=total_photons, features=features)
    _compare("views", data, out, plan, place)


def _plan(how: Comparison, **more: Any) -> Any:
    from ..benchmarks.studies.table2 import Plan

    shared = {name: getattr(how, name) for name in ("methods", "size", "budget", "grey_fit", "register", "checkpoints", "train")}
    return Plan(**shared, bin=not how.no_bin, train_steps=how.train_steps, most_animals=how.animals, settings=per_method(how.set), **more)


def per_method(pairs: tuple[tuple[str, ...], ...]) -> dict[str, dict[str, Any]]:
    """``--set fista_tv.iterations=50`` to {method: {setting: value}}.

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
