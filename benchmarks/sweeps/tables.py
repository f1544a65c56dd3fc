"""From records to tables: one row a method and view count, means with intervals over animals, FID and KID over all their images."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...base import InputError
from ...base.plain import to_json
from ..scores.distribution import frechet_distance, kernel_distance
from ..scores.feature_networks import ABSENT
from ..scores.statistics import Interval, bootstrap_mean
from .cell import read_record
from .sample_distance import sample_cells

PROTOCOLS = ("table2-compat", "heldout-views", "volume")
MEANING = {
    "table2-compat": "Fit to the view that was given, data range 2 on [-1, 1]; FID and KID of X-rays that a generator invents "
    "against those of the training animals: as the published code scores. It judges no volume.",
    "heldout-views": "Projections of the volume at measured angles that were not given, fixed window.",
    "volume": "The volume against Recon-CT (an FDK of all views, the given ones among them), inside what every view sees.",
}
# The paper's Table 2 (BoneMet). Its protocol is not stated; the published code scores the fit to the input view.
PUBLISHED = {
    "PixelNeRF": {"psnr": 20.2, "ssim": 0.740, "fid": 155.2, "kid": 0.128},
    "MedNeRF": {"psnr": 30.2, "ssim": 0.810, "fid": 91.5, "kid": 0.092},
}


@dataclass(frozen=True)
class Row:
    """One method at one number of views: ``cells`` metric -> interval, per protocol; ``failed``: messages of tasks without a volume."""

    method: str
    views: int
    selection: str
    animals: tuple[str, ...]
    cells: Mapping[str, Mapping[str, Interval]]
    seconds: float
    peak_memory_mib: float
    failed: tuple[str, ...]


def load_records(results: str | Path) -> list[dict[str, Any]]:
    """All whole records of a results folder that its sweep.json names, in its order."""
    results = Path(results)
    state = results / "sweep.json"
    if not state.exists():
        raise InputError(f"{results} holds no sweep.json", expected="a results folder of `fewview bench`")
    keys = [task["key"] for task in json.loads(state.read_text(encoding="utf-8"))["tasks"]]
    found = [read_record(results / "records" / f"{key}.json") for key in keys]
    return [record for record in found if record is not None]


def rows_of(records: Sequence[Mapping[str, Any]], results: str | Path | None = None) -> list[Row]:
    """One row for each method, view count and selection, in the order of the records. Seeds are averaged within an animal first."""
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for record in records:
        task = record["task"]
        groups.setdefault((task["method"], task["views"], task["selection"]), []).append(record)
    return [_row(*key, group, Path(results) if results else None) for key, group in groups.items()]


def _row(method: str, views: int, selection: str, records: Sequence[Mapping[str, Any]], results: Path | None) -> Row:
    good = [r for r in records if "failed" not in r]
    cells: dict[str, dict[str, Interval]] = {}
    for protocol in PROTOCOLS:
        per_animal: dict[str, dict[str, list[float]]] = {}
        for record in good:
            for metric, value in record["scores"].get(protocol, {}).items():
                per_animal.setdefault(metric, {}).setdefault(record["task"]["animal"], []).append(float(value))
        means = {m: [float(np.mean(v)) for v in animals.values()] for m, animals in per_animal.items()}
        cells[protocol] = {m: bootstrap_mean(v) for m, v in means.items() if np.isfinite(v).all()}
    if results is not None and good:
        for protocol, name in (("heldout-views", "views"), ("volume", "slices")):
            cells[protocol] |= _distances([results / "pictures" / f"{r['key']}.npz" for r in good], name)
        cells["table2-compat"] |= sample_cells(results, method)
    return Row(
        method,
        views,
        selection,
        tuple(dict.fromkeys(r["task"]["animal"] for r in good)),
        cells,
        float(np.median([r["seconds"] for r in good])) if good else float("nan"),
        max((float(r["peak_memory_mib"]) for r in good), default=float("nan")),
        tuple(f"{r['task']['animal']}: {r['failed']}" for r in records if "failed" in r),
    )


def _distances(files: Sequence[Path], name: str) -> dict[str, Interval]:
    """FID and KID of the images of all animals together: distances between sets have no value per animal, so no interval over animals."""
    real, fake = (_stack(files, f"features_{name}{end}") for end in ("_reference", ""))
    if real is None or fake is None or min(len(real), len(fake)) < 2:
        return {}
    kid, spread = kernel_distance(real, fake)
    return {
        "fid": Interval(frechet_distance(real, fake), float("nan"), float("nan"), 1),
        "kid": Interval(kid, kid - spread, kid + spread, 1),
    }


def _stack(files: Sequence[Path], name: str) -> torch.Tensor | None:
    parts: list[NDArray[np.float32]] = []
    for file in files:
        if file.exists():
            with np.load(file) as kept:
                if name in kept:
                    parts.append(kept[name])
    return torch.from_numpy(np.concatenate(parts)).double() if parts else None


COLUMNS = {
    "table2-compat": ("psnr", "ssim", "fid", "kid"),
    "heldout-views": ("psnr", "ssim", "lpips", "fid", "kid", "residual"),
    "volume": (
        "psnr",
        "ssim",
        "ssim_slices",
        "lpips",
        "fid",
        "kid",
        "dice_bone",
        "surface_mm",
        "nrmse",
        "edge_error",
        "fsc_half_mm",
        "psnr_grey_fit",
    ),
}


def columns_of(rows: Sequence[Row], protocol: str, labels: Mapping[str, str]) -> list[str]:
    """The metrics of a protocol that a row has, and those that were asked for but whose weights are not here."""
    return [c for c in COLUMNS[protocol] if labels.get(c) == ABSENT or any(c in row.cells[protocol] for row in rows)]


def markdown(rows: Sequence[Row], protocol: str, labels: Mapping[str, str] | None = None) -> str:
    """One protocol as a Markdown table; ``labels`` say over which network's features FID, KID and LPIPS are."""
    labels = labels or {}
    columns = columns_of(rows, protocol, labels)
    names = [f"{c} ({labels[c]})" if c in labels else c for c in columns]
    lines = ["| " + " | ".join(["method", "views", *names, "s", "animals"]) + " |", "|" + "---|" * (len(columns) + 4)]
    for row in rows:
        cells = [str(row.cells[protocol][c]) if c in row.cells[protocol] else "-" for c in columns]
        tail = [f"{row.seconds:.3g}", f"{len(row.animals)}" + (f" ({len(row.failed)} failed)" if row.failed else "")]
        lines.append("| " + " | ".join([row.method, str(row.views), *cells, *tail]) + " |")
    return "\n".join(lines)


def as_csv(rows: Sequence[Row]) -> str:
    """All protocols and metrics, one line a cell."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["protocol", "method", "views", "selection", "metric", "mean", "low", "high", "animals"])
    for row in rows:
        for protocol, cells in row.cells.items():
            for metric, cell in cells.items():
                write([protocol, row.method, row.views, row.selection, metric, cell.mean, cell.low, cell.high, len(row.animals)])
    return out.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """The rows as JSON."""
    return to_json(
        [{**vars(row), "cells": {p: {m: vars(i) for m, i in c.items()} for p, c in row.cells.items()}} for row in rows], indent=1
    )
