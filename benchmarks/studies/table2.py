"""`bench table2` and `bench views`: the paper's table beside ours, and quality against the number of views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...base import InputError
from ...base.files import own_path, refuse_strange_folder
from ...data.pairs import Pair, find_pairs, split_pairs
from ...recon import METHODS
from ..pages.report import write_report
from ..scores.feature_networks import judges
from ..sweeps.checkpoints import checkpoints_in, train_missing
from ..sweeps.control_methods import CONTROLS
from ..sweeps.evaluate import Evaluation, make_tasks
from ..sweeps.sample_distance import measure_samples
from ..sweeps.sweep import HERE, Tell, Where, run_sweep
from ..sweeps.tables import MEANING, PROTOCOLS, PUBLISHED, as_csv, as_json, markdown, rows_of
from ..sweeps.tuning import candidates, tune

QUICK_METHODS = ("fdk", "sirt", "cgls", "control-mean", "control-one-view")


@dataclass(frozen=True)
class Plan:
    """What is compared. ``methods`` empty: every method that runs here without training (or whose checkpoint is given), and the controls.

    ``views`` counts of views; ``size`` voxels across; ``budget`` tuning candidates a method; ``settings`` per method override tuning.
    ``checkpoints`` is a folder of ``METHOD.pt`` (default: in the results); with ``train`` those that are missing are trained first
    (``train_steps`` None: as long as their small presets say).
    """

    methods: tuple[str, ...] = ()
    views: tuple[int, ...] = (1, 5, 26, 52)
    size: int = 64
    selections: tuple[str, ...] = ("evenly",)
    seeds: tuple[int, ...] = (0,)
    budget: int = 4
    most_animals: int = 6
    features: str = "inception"
    window: tuple[float, float] | None = None
    line_window: tuple[float, float] = (0.0, 3.0)
    total_photons: float | None = None
    keep_volumes: bool = False
    grey_fit: bool = False
    register: bool = False
    bin: bool = True
    checkpoints: Path | None = None
    train: bool = False
    train_steps: int | None = None
    command: str = ""
    settings: Mapping[str, Mapping[str, Any]] | None = None

    def quick(self) -> Plan:
        """A rehearsal: few methods, two view counts, 32 voxels across, two animals, no tuning, twenty steps of training at most."""
        chosen = self.methods or QUICK_METHODS
        steps = min(self.train_steps or 20, 20)
        return replace(self, methods=chosen, views=self.views[-2:], size=min(self.size, 32), budget=0, most_animals=2, train_steps=steps)


OWN = ("records", "pictures", "table.md", "table.csv", "table.json", "report.html")  # in the folder of results, beside sweep.json


def compare(data: str | Path, results: str | Path, plan: Plan, *, where: Where = HERE, tell: Tell | None = None) -> dict[str, str]:
    """Run the plan on the test animals of ``data`` (tuned on the training animals) and write tables and report to ``results``.

    Returns the Markdown table of each protocol. Resumable: records that are whole are not made again.
    Raises InputError for a data set of one animal, an unknown method, or more views than a scan has.
    """
    data, results = Path(data), refuse_strange_folder(results, "sweep.json", OWN)
    parts = split_pairs(data, find_pairs(data, window=plan.window))
    test = _first_animals(parts["test"], plan.most_animals)
    if not test:
        raise InputError(f"{data} has no animal in its test part", expected="at least one", remedy="change split.json")
    given = _given(results, plan, parts)
    methods = plan.methods or default_methods(given)
    for name in methods:
        if name not in CONTROLS and not name.rpartition(":")[0].endswith(".py"):
            METHODS[name]  # an unknown name is refused before hours of work
    train = sorted({pair.animal for pair in parts["train"]}, key=int)
    evaluation = Evaluation(
        data, results, plan.window, plan.line_window, tuple(train), plan.features, plan.keep_volumes, plan.grey_fit, plan.register,
        plan.bin,
    )  # fmt: skip
    middle = plan.views[len(plan.views) // 2]
    tuned = tune(evaluation, parts["train"], methods, middle, plan.size, plan.budget, given=given, where=where, tell=tell)
    settings = {method: {**tuned.get(method, {}), **given.get(method, {})} for method in methods}
    tasks = make_tasks(
        test, methods, plan.views, plan.size, selections=plan.selections, seeds=plan.seeds, settings=settings,
        total_photons=plan.total_photons,
    )  # fmt: skip
    info = _info(data, plan, test, train, settings)
    records = run_sweep(evaluation.measured(tasks), evaluation, results, where=where, info=info, tell=tell)
    measure_samples(results, settings, parts["train"], plan.size, plan.line_window, judges(plan.features).features)
    return _write(results, records, plan)


def _given(results: Path, plan: Plan, parts: Mapping[str, Sequence[Pair]]) -> dict[str, dict[str, Any]]:
    """Settings that no tuning changes: the plan's own, and checkpoints (trained first where the plan says so)."""
    folder = plan.checkpoints or results / "checkpoints"
    if plan.train:
        train_missing(folder, plan.methods, parts, plan.size, steps=plan.train_steps)
    found, own = checkpoints_in(folder, plan.methods), plan.settings or {}
    return {method: {**found.get(method, {}), **own.get(method, {})} for method in {*found, *own}}


def _info(data: Path, plan: Plan, test: Sequence[Pair], train: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the report says of how it was done."""
    networks = judges(plan.features)
    budgets = {method: len(candidates(method)[: plan.budget]) for method in settings}
    info = {
        "data": data.name, "test": sorted({p.animal for p in test}, key=int), "train": train, "settings": settings,
        "features": plan.features, "labels": networks.labels, "remarks": networks.remarks, "alignment": _alignment(plan),
        "tuning": {
            "candidates": budgets, "views": plan.views[len(plan.views) // 2], "animals": "at most 2 training animals",
            "chosen by": "volume PSNR",
        },
        "window_per_mm": test[0].window, "line_window": plan.line_window, "size": plan.size, "bin": plan.bin, "published": PUBLISHED,
    }  # fmt: skip
    return info | ({"command": plan.command} if plan.command else {})


def _write(results: Path, records: Sequence[Mapping[str, Any]], plan: Plan) -> dict[str, str]:
    rows = rows_of(records, results)
    tables = {protocol: markdown(rows, protocol, judges(plan.features).labels) for protocol in PROTOCOLS}
    for name, text in {"table.md": page(tables), "table.csv": as_csv(rows), "table.json": as_json(rows)}.items():
        with own_path(results / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_report(results, force=True)
    return tables


def default_methods(settings: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Every registered method that can run here (those that need training with a checkpoint, ASTRA's with CUDA), and the controls."""
    import torch

    usable = []
    for name in METHODS:
        method = METHODS[name]
        if method.trained and not settings.get(name, {}).get("checkpoint"):
            continue
        if name.endswith("_astra") and not torch.cuda.is_available():
            continue
        usable.append(name)
    return (*usable, *CONTROLS)


def page(tables: Mapping[str, str]) -> str:
    """The tables with the published one above them, and what each protocol means."""
    lines = [
        "# Table 2",
        "",
        "Published (protocol not stated; see docs/benchmarks.md):",
        "",
        "| method | PSNR | SSIM | FID | KID |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {name} | {v['psnr']} | {v['ssim']} | {v['fid']} | {v['kid']} |" for name, v in PUBLISHED.items()]
    for protocol, table in tables.items():
        lines += ["", f"## {protocol}", "", MEANING[protocol], "", table]
    return "\n".join(lines) + "\n"


def _alignment(plan: Plan) -> str:
    done = [text for asked, text in ((plan.register, "rigid registration"), (plan.grey_fit, "affine grey fit")) if asked]
    return (" and ".join(done) + " to the reference (each in its record)") if done else "nothing was aligned"


def _first_animals(pairs: Sequence[Pair], most: int) -> list[Pair]:
    kept = sorted({pair.animal for pair in pairs}, key=int)[:most]
    return [pair for pair in pairs if pair.animal in kept]
