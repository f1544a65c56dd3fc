"""From records to tables: one row for each method and number of views, means with intervals over animals, and FID and KID over all their
images.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...base.plain import to_json
from ..scores.against.references import judged_by
from ..scores.compared import FeatureSets
from ..scores.metric_table import SECTIONS, Metric, distances_of, metrics_of
from ..scores.networks.feature_networks import ABSENT
from ..scores.statistics import Interval, Key, by_animal, mean_interval
from ..sweeps.columns import ARROWS, Cell, mark_best
from .choosing.tuning import HEADLINE, TUNED
from .pair_task import DEFAULT
from .pictures import open_pictures
from .sample_distance import sample_cells

COMPAT = "table2-compat"
# Table 2 of the BoneMet paper. It does not state its protocol; the published code scores the fit to the input view.
PUBLISHED = {
    "PixelNeRF": {"psnr": 20.2, "ssim": 0.740, "fid": 155.2, "kid": 0.128},
    "MedNeRF": {"psnr": 30.2, "ssim": 0.810, "fid": 91.5, "kid": 0.092},
}


@dataclass(frozen=True)
class Row:
    """One method at one number of views. ``cells`` maps metric -> interval for each section; ``failed`` has the messages of tasks without
    a volume.

    Of a ``tuned`` row each column has the settings that were chosen for it on validation animals (`TUNED`), and columns without a choice of
    their own have those of `HEADLINE`. The other rows have the method's default settings.
    """

    method: str
    views: int
    selection: str
    animals: tuple[str, ...]
    cells: Mapping[str, Mapping[str, Interval]]
    seconds: float
    peak_memory_mib: float
    failed: tuple[str, ...]
    tuned: bool = False

    @property
    def name(self) -> str:
        """The method, and whether it was tuned, as tables print it."""
        return f"{self.method}, tuned" if self.tuned else self.method


def rows_of(records: Sequence[Mapping[str, Any]], results: str | Path | None = None) -> list[Row]:
    """The rows of each method, number of views and selection, in the order of the records: default settings first, then tuned ones.

    Weeks and seeds are first averaged within an animal.
    """
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for record in records:
        task = record["task"]
        groups.setdefault((task["method"], task["views"], task["selection"]), []).append(record)
    folder = Path(results) if results else None
    return [_row(*key, group, folder, tuned) for key, group in groups.items() for tuned in (False, True) if stands(group, tuned)]


def stands(records: Sequence[Mapping[str, Any]], tuned: bool, metric: str = HEADLINE) -> list[Mapping[str, Any]]:
    """Those of the records whose settings stand for a metric in a row of default or of tuned settings."""
    wanted = DEFAULT if not tuned else metric if metric in TUNED else HEADLINE
    return [r for r in records if wanted in r["task"]["stands_for"]]


def _row(method: str, views: int, selection: str, records: Sequence[Mapping[str, Any]], results: Path | None, tuned: bool) -> Row:
    chosen = stands(records, tuned)
    good = [r for r in chosen if "failed" not in r]
    cells: dict[str, dict[str, Interval]] = {}
    for section, protocol in SECTIONS.items():
        cells[section] = {}
        for name in dict.fromkeys(m.name for m in metrics_of(protocol)):
            values = values_of(stands(records, tuned, name), section, name)
            means = list(by_animal(values).values())
            if means and np.isfinite(means).all():
                cells[section][name] = mean_interval(means)
    if results is not None and good:
        for section, kind in (("heldout-views", "views"), (judged_by(good[0]["scores"]), "slices")):
            cells[section] |= _distances([results / "pictures" / f"{r['key']}.npz" for r in good], SECTIONS[section], kind)
        cells[COMPAT] |= sample_cells(results, method)
    return Row(
        method,
        views,
        selection,
        tuple(dict.fromkeys(r["task"]["animal"] for r in good)),
        cells,
        float(np.median([r["seconds"] for r in good])) if good else float("nan"),
        max((float(r["peak_memory_mib"]) for r in good), default=float("nan")),
        tuple(f"{r['task']['animal']}: {r['failed']}" for r in chosen if "failed" in r),
        tuned,
    )


def values_of(records: Sequence[Mapping[str, Any]], section: str, metric: str) -> dict[Key, float]:
    """(animal, week, selection, seed) -> the score of each record that did not fail and has it."""
    found = {}
    for record in records:
        value = None if "failed" in record else record["scores"].get(section, {}).get(metric)
        if value is not None:
            task = record["task"]
            found[task["animal"], str(task["week"]), task["selection"], str(task["seed"])] = float(value)
    return found


def _distances(files: Sequence[Path], protocol: str, name: str) -> dict[str, Interval]:
    """FID and KID of the images of all animals together. A distance between sets has no value for one animal, and so no interval over
    animals.
    """
    real, made = (_stack(files, f"features_{name}{end}") for end in ("_reference", ""))
    if real is None or made is None or min(len(real), len(made)) < 2:
        return {}
    return distances_of(protocol, FeatureSets(real, made))


def _stack(files: Sequence[Path], name: str) -> torch.Tensor | None:
    parts: list[NDArray[np.float32]] = []
    for file in files:
        if file.exists():
            with open_pictures(file) as kept:
                if name in kept:
                    parts.append(kept[name])
    return torch.from_numpy(np.concatenate(parts)).double() if parts else None


def columns_of(rows: Sequence[Row], section: str) -> list[Metric]:
    """The listed metrics of a section that occur in a row; none for a section that no row has, such as the truth of measured data."""
    return [m for m in metrics_of(SECTIONS[section]) if m.listed and any(m.name in row.cells[section] for row in rows)]


def sections_of(rows: Sequence[Row]) -> list[str]:
    """The sections that some row has, in their order."""
    return [section for section in SECTIONS if any(row.cells[section] for row in rows)]


def head_of(metric: Metric, labels: Mapping[str, str]) -> str:
    """The head of a column: its name, unit or network, and an arrow towards the good values, such as ``PSNR, dB ↑``."""
    network = f" ({labels[metric.name]})" if metric.name in labels else ""
    return f"{metric.head}{f', {metric.unit}' if metric.unit else ''}{network}\N{NO-BREAK SPACE}{ARROWS[metric.better]}"


def cells_of(rows: Sequence[Row], section: str, metric: Metric) -> list[Cell]:
    """The column of a metric, with the best method at each number and selection of views marked, and "-" where a row has no value."""
    found = [row.cells[section].get(metric.name) for row in rows]
    cells = [Cell("-") if cell is None else Cell(f"{cell.mean:#.4g}".rstrip("."), cell.mean) for cell in found]
    return mark_best(cells, [(row.views, row.selection) for row in rows], metric.better) if metric.marked else cells


def absent_columns(rows: Sequence[Row], section: str, labels: Mapping[str, str]) -> str:
    """A note on the metrics of a section that have no column, and what each would need; empty where all have one."""
    missing = [m for m in metrics_of(SECTIONS[section]) if m.listed and not any(m.name in row.cells[section] for row in rows)]
    reasons: dict[str, list[str]] = {}
    for metric in missing:
        reasons.setdefault(_lack(metric, labels), []).append(metric.head)
    return " ".join(f"No column for {', '.join(heads)}: {reason}." for reason, heads in reasons.items())


def _lack(metric: Metric, labels: Mapping[str, str]) -> str:
    if labels.get(metric.name) == ABSENT:
        return "the weights of its network are not here (`fewview data fetch fid-inception lpips-alexnet`)"
    if metric.needs in ("images and a network", "sets of features") and metric.name not in labels:
        return "no network was asked for (`--features inception` or `random`)"
    if metric.protocol == "table2-compat" and metric.needs == "sets of features":
        return "it needs a generative method with a checkpoint, such as mednerf"
    if metric.name == "lpips":
        return "it needs images of at least 32 pixels each way"
    return "no reconstruction has a finite value"


def markdown(rows: Sequence[Row], section: str, labels: Mapping[str, str] | None = None) -> str:
    """One section as a Markdown table with the best values in bold. ``labels`` name the networks on whose
    features FID, KID and LPIPS are.
    """
    labels = labels or {}
    columns = columns_of(rows, section)
    best = {m.name: [cell.best for cell in cells_of(rows, section, m)] for m in columns}
    heads = ["method", "views", *(head_of(m, labels) for m in columns), "s", "animals"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for place, row in enumerate(rows):
        texts = [(str(row.cells[section].get(m.name, "-")), best[m.name][place]) for m in columns]
        cells = [f"**{text}**" if marked else text for text, marked in texts]
        tail = [f"{row.seconds:.3g}", f"{len(row.animals)}" + (f" ({len(row.failed)} failed)" if row.failed else "")]
        lines.append("| " + " | ".join([row.name, str(row.views), *cells, *tail]) + " |")
    lines += published_rows(columns) if section == COMPAT else []
    note = absent_columns(rows, section, labels)
    return "\n".join(lines) + (f"\n\n{note}" if note else "")


def published_rows(columns: Sequence[Metric]) -> list[str]:
    """The paper's two rows, which are of other data and other images, under the same columns."""
    return [
        "| " + " | ".join([f"{name} (paper)", "1", *(f"{values.get(m.name, '-')}" for m in columns), "-", "-"]) + " |"
        for name, values in PUBLISHED.items()
    ]


def as_csv(rows: Sequence[Row]) -> str:
    """All sections and metrics as CSV, one line for each cell."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["section", "method", "views", "selection", "metric", "mean", "low", "high", "animals"])
    for row in rows:
        for section, cells in row.cells.items():
            for metric, cell in cells.items():
                write([section, row.name, row.views, row.selection, metric, cell.mean, cell.low, cell.high, len(row.animals)])
    return out.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """The rows as JSON."""
    return to_json(
        [{**vars(row), "cells": {p: {m: vars(i) for m, i in c.items()} for p, c in row.cells.items()}} for row in rows], indent=1
    )
