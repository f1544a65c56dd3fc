"""The table of metrics: what is documented, what is recorded, and what is shown are the same."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import fewview
import numpy as np
import pytest
from fewview.benchmarks.scores import metric_table, volume_metrics
from fewview.benchmarks.scores.compared import VolumePair, Yardstick
from fewview.benchmarks.scores.metric_table import METRICS, PROTOCOLS, as_markdown, metrics_of, scores_of
from fewview.benchmarks.scores.metrics import psnr
from fewview.benchmarks.studies.table2 import TABLE2
from fewview.geometry import Grid

ROOT = Path(fewview.__file__).resolve().parent


def _pair() -> VolumePair:
    rng = np.random.default_rng(0)
    reference = rng.random((16, 16, 16), dtype=np.float32)
    volume = (reference + 0.1 * rng.standard_normal(reference.shape)).astype(np.float32)
    return VolumePair(volume, reference, Grid((16, 16, 16), 0.5), np.ones(reference.shape, bool), Yardstick(0.6, (0.0, 2.0)))


def test_the_page_lists_every_metric() -> None:
    assert as_markdown() in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_every_metric_is_named_once_and_is_part_of_the_keys_of_records() -> None:
    keys = [m.key for m in METRICS]
    assert len(keys) == len(set(keys))
    assert {m.protocol for m in METRICS} == set(PROTOCOLS)
    assert set(TABLE2.metrics) == set(keys)
    assert PROTOCOLS[0] == "volume"  # what a user gets comes first


def test_no_metric_is_forgotten() -> None:
    """Every public function of the file of volume metrics is used by the table, or by what the table's functions are given."""
    used = "".join((ROOT / "benchmarks" / "scores" / f"{name}.py").read_text(encoding="utf-8") for name in ("metric_table", "compared"))
    defined = [f for _, f in inspect.getmembers(volume_metrics, inspect.isfunction) if f.__module__ == volume_metrics.__name__]
    names = [f.__name__ for f in defined if not f.__name__.startswith("_")]
    assert len(names) >= 5
    assert [name for name in names if f"{name}(" not in used] == []


def test_a_metric_of_ones_own_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(
        METRICS[0], name="largest", head="largest error", better="low", function=lambda p: float(np.abs(p.volume - p.reference).max())
    )
    monkeypatch.setattr(metric_table, "METRICS", (*METRICS, own))
    pair = _pair()
    scores = scores_of("volume", "volume", pair)
    assert scores["largest"] == pytest.approx(np.abs(pair.volume - pair.reference).max())
    assert [m.name for m in metrics_of("volume")][-1] == "largest"


def test_only_what_is_asked_for_is_computed_and_the_range_is_the_window() -> None:
    pair = _pair()
    assert scores_of("volume", "volume", pair, ["psnr"]) == {"psnr": psnr(pair.volume, pair.reference, data_range=2.0)}


def test_psnr_is_written_once() -> None:
    """The logarithm of PSNR stands in one place of the library: nobody has a formula of their own."""
    found = []
    for room in ("geometry", "data", "recon", "nerf", "pipeline", "benchmarks", "cli", "base"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if "log10" in text and "psnr" in text.lower():
                found.append(path.relative_to(ROOT).as_posix())
    assert found == ["base/psnr.py"]
