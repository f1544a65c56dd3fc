"""`bench table2` and `bench views`: the paper's table beside ours, and quality against the number of views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...base import InputError
from ...base.files import own_path, remove
from ...base.psnr import DATA_RANGE_PER_MM
from ...data.pairs import AS_STATED, AsRead, Pair, split_pairs
from ...recon import METHODS
from ...recon.corrections.prepared import prepared_in_words
from ...recon.method.device import usable_device
from ..comparison.checkpoints import checkpoints_in, on_device, preset_for, stand_ins, train_missing
from ..comparison.choosing.linear_fit import fit_animals, fit_maps
from ..comparison.choosing.tuning import TUNED, Choice, candidates, choices_of, choose
from ..comparison.control_methods import CONTROLS, ONLY_AT, TV_FDK, UNTRAINED
from ..comparison.evaluate import Evaluation
from ..comparison.loaded import SHELF, thresholds
from ..comparison.making_tasks import make_tasks
from ..comparison.pair_task import PairTask
from ..comparison.sample_distance import PUBLISHED_COUNT, measure_samples
from ..comparison.tables import PUBLISHED, as_csv, as_json, markdown, rows_of, sections_of
from ..datasets.usable import in_words as data_in_words
from ..datasets.usable import usable_pairs
from ..pages.leads import in_words
from ..pages.report import write_report
from ..scores.metric_table import MEANING, METRICS
from ..scores.networks.feature_networks import judges
from ..sweeps.records import Record
from ..sweeps.study import Desk, Study, made_by, run_study
from ..sweeps.sweep import HERE, Tell, Where

SLOW = ("naf", "wcrr")  # without a GPU ten times as long as total variation or more (docs/table2.md, "How long it takes")
QUICK_METHODS = ("fdk", "cgls", "pdhg_tv", "control-mean", TV_FDK)


@dataclass(frozen=True)
class Plan:
    """What is compared. With ``methods`` empty it is every method that runs here without training (or has a checkpoint), and the controls;
    those of `SLOW` only on a GPU.

    ``data`` is a folder in the layout of BoneMet, ``views`` are numbers of views, ``size`` is that of voxels across, and ``budget`` the
    number of candidate settings for each method, its defaults among them, which are tried on ``tuned_on`` validation animals; ``settings``
    of a method are the same in all of them. Linear maps are fitted on ``mapped_on`` training animals (0: there are none). ``checkpoints``
    is a folder of ``METHOD.pt`` (default: in the results); with ``train`` those that are missing are trained first with ``preset`` (None:
    the paper's on a GPU, a small stand-in on a CPU), for ``train_steps`` (None: as the preset says). ``device`` is that of training and of
    all methods that can use one; ``as_read`` says how the data is read. A generator invents ``samples`` X-rays for
    FID and KID.
    """

    data: Path = Path()
    methods: tuple[str, ...] = ()
    views: tuple[int, ...] = (1, 5, 26, 52)
    size: int = 64
    selections: tuple[str, ...] = ("evenly",)
    seeds: tuple[int, ...] = (0,)
    budget: int = 3
    most_animals: int = 6
    tuned_on: int = 2
    mapped_on: int = 2
    samples: int = PUBLISHED_COUNT
    features: str = "inception"
    as_read: AsRead = AS_STATED
    line_window: tuple[float, float] = (0.0, 3.0)
    total_photons: float | None = None
    keep_volumes: bool = False
    grey_fit: bool = False
    register: bool = False
    bin: bool = True
    prepare: bool = True
    checkpoints: Path | None = None
    train: bool = False
    train_steps: int | None = None
    preset: str | None = None
    device: str = "cpu"
    settings: Mapping[str, Mapping[str, Any]] | None = None

    def quick(self) -> Plan:
        """A rehearsal: few methods, two numbers of views, 32 voxels across, two animals, no tuning, and at most
        twenty steps of training.
        """
        chosen = self.methods or QUICK_METHODS
        steps = min(self.train_steps or 20, 20)
        return replace(
            self,
            methods=chosen,
            views=self.views[-2:],
            size=min(self.size, 32),
            budget=1,
            most_animals=2,
            mapped_on=1,
            samples=64,
            train_steps=steps,
        )


@dataclass(frozen=True)
class Ready:
    """A plan whose animals were found and split, whose networks were trained, and whose settings and linear maps were chosen."""

    plan: Plan
    test: tuple[Pair, ...]
    train: tuple[Pair, ...]
    settings: Mapping[str, Mapping[str, Any]]
    choices: tuple[Choice, ...]
    mapped_on: tuple[str, ...]
    tuned_on: tuple[str, ...]
    evaluation: Evaluation
    remarks: tuple[str, ...] = ()

    @property
    def animals_trained_on(self) -> list[str]:
        """The ids of the training animals, in order."""
        return sorted({pair.animal for pair in self.train}, key=int)


def compare(
    data: str | Path,
    results: str | Path,
    plan: Plan,
    *,
    name: str = "table2",
    where: Where = HERE,
    tell: Tell | None = None,
    command: str = "",
) -> dict[str, str]:
    """Run the plan on the test animals of ``data`` (tuned on the training animals) and write tables and report to ``results``.

    Returns the Markdown table of each protocol. It can be resumed: complete records are not made again. Raises InputError for a data set of
    one animal, an unknown method, or more views than a scan has.
    """
    study = TABLE2 if name == "table2" else VIEWS
    records = run_study(study, replace(plan, data=Path(data)), results, where=where, tell=tell, command=command)
    return tables_of(records, Path(results), plan)


def prepare(plan: Plan, desk: Desk) -> Ready:
    """Find and split the animals, train what is missing, and tune what can be tuned."""
    plan = replace(plan, device=str(usable_device(plan.device)))
    usable = usable_pairs(plan.data, plan.as_read)
    parts = split_pairs(plan.data, list(usable.pairs))
    test = _first_animals(parts["test"], plan.most_animals)
    if not test:
        raise InputError(f"{plan.data} has no animal in its test part", expected="at least one", remedy="change split.json")
    given, remarks = _given(desk.results, plan, parts)
    methods = plan.methods or default_methods(given, plan.device)
    remarks = [*remarks, *_left_out(plan)]
    for name in methods:
        if name not in CONTROLS and not name.rpartition(":")[0].endswith(".py"):
            METHODS[name]  # an unknown name is refused before hours of work
    train = sorted({pair.animal for pair in parts["train"]}, key=int)
    evaluation = Evaluation(
        plan.data, plan.as_read, plan.line_window, tuple(train), plan.features, plan.keep_volumes, plan.grey_fit, plan.register, plan.bin,
        plan.prepare, thresholds(parts["train"], plan.size), shelf=desk.results.resolve() / SHELF,
    )  # fmt: skip
    tried = {method: candidates(method, plan.budget, given.get(method)) for method in methods}
    everything = [Choice(method, settings, ONLY_AT.get(method)) for method, found in tried.items() for settings in found]
    mapped_on = fit_animals(parts["train"], plan.mapped_on) if plan.mapped_on else []
    maps = fit_maps(
        evaluation,
        desk.results,
        _tasks(plan, mapped_on, [c for c in everything if c.method != UNTRAINED]),
        where=desk.where,
        tell=desk.tell,
    )
    evaluation = replace(evaluation, maps=maps)
    tuned_on = _first_animals(parts["validation"] or parts["train"], plan.tuned_on)
    several = [choice for choice in everything if len(tried[choice.method]) > 1]
    best = choose(evaluation, desk.results, evaluation.measured(_tasks(plan, tuned_on, several)), where=desk.where, tell=desk.tell)
    choices = [
        choice for method, found in tried.items() for choice in choices_of(method, found[0], best.get(method, {}), ONLY_AT.get(method))
    ]
    return Ready(
        plan, tuple(test), tuple(parts["train"]), {method: found[0] for method, found in tried.items()}, tuple(choices),
        tuple(pair.animal for pair in mapped_on), tuple(pair.animal for pair in tuned_on) if several else (), evaluation,
        (*remarks, *data_in_words(usable)),
    )  # fmt: skip


def _tasks(plan: Plan, pairs: Sequence[Pair], choices: Sequence[Choice]) -> list[PairTask]:
    return make_tasks(pairs, choices, plan.views, plan.size, selections=plan.selections, seeds=plan.seeds, total_photons=plan.total_photons)


def tasks(ready: Ready) -> list[PairTask]:
    """Test animals x methods with their settings x numbers and selections of views."""
    return ready.evaluation.measured(_tasks(ready.plan, ready.test, ready.choices))


def run(ready: Ready, task: PairTask) -> dict[str, Any]:
    """One reconstruction and its scores."""
    return ready.evaluation(task)


def info(ready: Ready) -> dict[str, Any]:
    """What the report says about how the comparison was done."""
    plan = ready.plan
    networks = judges(plan.features)
    budgets = {method: len(candidates(method, plan.budget, given)) for method, given in ready.settings.items()}
    return {
        "data": plan.data.name, "test": sorted({p.animal for p in ready.test}, key=int), "train": ready.animals_trained_on,
        "settings": ready.settings, "features": plan.features, "labels": networks.labels, "remarks": [*ready.remarks, *networks.remarks],
        "alignment": _alignment(plan), "window_per_mm": (0.0, DATA_RANGE_PER_MM), "bones": ready.evaluation.bones,
        "prepared": prepared_in_words(ready.test[0].corrections if plan.prepare else None),
        "line_window": plan.line_window, "size": plan.size,
        "bin": plan.bin, "published": PUBLISHED,
        "mapped_on": ready.mapped_on,
        "tuning": {"candidates": budgets, "animals": ready.tuned_on, "chosen for": TUNED},
        "choices": ready.choices,
    }  # fmt: skip


def write(study: Study, ready: Ready, results: Path, records: Sequence[Record], info: Mapping[str, Any]) -> None:
    """Write the tables in three formats, and the report."""
    plan = ready.plan
    remove(results / SHELF)  # all that needs prepared views is done
    measure_samples(results, ready.settings, ready.train, plan.size, plan.line_window, judges(plan.features).features, plan.samples)
    rows = rows_of(records, results)
    said = [f"* {line}" for line in (*in_words(records), *ready.remarks)]
    text = page(tables_of(records, results, plan), study.title, [*made_by(records), "", *said])
    for name, content in {"table.md": text, "table.csv": as_csv(rows), "table.json": as_json(rows)}.items():
        with own_path(results / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    write_report(results, force=True)


def tables_of(records: Sequence[Record], results: Path, plan: Plan) -> dict[str, str]:
    """Section -> Markdown table, the truth first."""
    rows = rows_of(records, results)
    return {section: markdown(rows, section, judges(plan.features).labels) for section in sections_of(rows)}


def default_methods(settings: Mapping[str, Mapping[str, Any]], device: str = "cpu") -> tuple[str, ...]:
    """Every registered method that can run here (learned ones with a checkpoint, those of ASTRA where there is a GPU), and the controls.

    Methods of `SLOW` are among them where ``device`` is a GPU.
    """
    import torch

    usable = []
    for name in METHODS:
        method = METHODS[name]
        if method.trained and not settings.get(name, {}).get("checkpoint"):
            continue
        if (method.needs and not torch.cuda.is_available()) or (name in SLOW and device == "cpu"):
            continue
        usable.append(name)
    return (*usable, *CONTROLS)


def page(tables: Mapping[str, str], title: str, made: Sequence[str] = ()) -> str:
    """The tables with an explanation of each section; the published rows stand in that of table2-compat."""
    lines = [f"# {title}", "", *made]
    for section, table in tables.items():
        lines += ["", f"## {section}", "", MEANING[section], "", table]
    return "\n".join(lines) + "\n"


def _given(results: Path, plan: Plan, parts: Mapping[str, Sequence[Pair]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Settings that tuning does not change: those of the plan, the device, and checkpoints (trained first where the plan says so); and
    what a page must say about the networks.
    """
    folder, failed = plan.checkpoints or results / "checkpoints", {}
    if plan.train:
        preset = preset_for(plan.preset, plan.device)
        failed = train_missing(folder, plan.methods, parts, plan.size, steps=plan.train_steps, preset=preset, device=plan.device)
    found, own, where = checkpoints_in(folder, plan.methods), plan.settings or {}, on_device(plan.methods, plan.device)
    given = {m: {**where.get(m, {}), **found.get(m, {}), **own.get(m, {})} for m in {*found, *own, *where}}
    return given, [*stand_ins(found), *(f"{name} could not be trained: {why}" for name, why in failed.items())]


def _left_out(plan: Plan) -> list[str]:
    """What the page says about methods that nobody named and that were left out for the time that they take."""
    if plan.methods or plan.device != "cpu":
        return []
    why = "without a GPU it takes ten times as long as total variation or more; --methods has it"
    return [f"{name} was left out: {why}" for name in SLOW]


def _alignment(plan: Plan) -> str:
    done = [text for asked, text in ((plan.register, "rigid registration"), (plan.grey_fit, "affine grey fit")) if asked]
    return (" and ".join(done) + " to the reference (each in its record)") if done else "nothing was aligned"


def _first_animals(pairs: Sequence[Pair], most: int) -> list[Pair]:
    kept = sorted({pair.animal for pair in pairs}, key=int)[:most]
    return [pair for pair in pairs if pair.animal in kept]


TABLE2 = Study(
    name="table2", title="Table 2", Plan=Plan, tasks=tasks, run=run, metrics=tuple(m.key for m in METRICS), prepare=prepare, info=info,
    write=write,
)  # fmt: skip
VIEWS = replace(TABLE2, name="views", title="Quality against the number of views")
