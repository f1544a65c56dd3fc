"""The curve of quantities against views: what is made of records whose errors are known, and one reconstruction end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewview.benchmarks.studies.bone_views import QUANTITIES, STUDY, Plan, bias_of, coverage_of, notes, rows, views_needed
from fewview.benchmarks.sweeps.study import run_study

TRUTH = dict.fromkeys(QUANTITIES, 2.0)


def record(bone: int, views: int, bias: float) -> dict[str, Any]:
    """All quantities off by ``bias`` per cent."""
    task = {"bone": bone, "views": views, "method": "fdk"}
    measured = {name: value * (1 + bias / 100) for name, value in TRUTH.items()}
    return {"task": task, "truth": TRUTH, "measured": measured, "peak_memory_mib": 0.0, "memory_before_mib": 0.0}


def test_views_needed() -> None:
    found = rows([record(bone, views, bias) for bone in (0, 1) for views, bias in ((13, 9.0), (26, 1.0), (52, 4.0), (130, -1.5))])
    assert views_needed(found, "fdk", "Tb_Th", 5.0) == 26
    assert views_needed(found, "fdk", "Tb_Th", 2.0) == 130, "26 are by chance: with 52 it is off again"
    assert views_needed(found, "fdk", "Tb_Th", 1.0) is None


def test_bias_and_its_interval() -> None:
    """Student's t of two values a and b: half width 6.314 |a - b| / 2 at 90 %."""
    middle, half = bias_of([row for row in rows([record(0, 13, 3.0), record(1, 13, 5.0)]) if row["quantity"] == "BV_TV"])
    assert middle == pytest.approx(4.0)
    assert half == pytest.approx(6.3138, rel=1e-3)


def test_intervals_hold_as_often_as_they_say() -> None:
    """The least and the greatest of n errors are outside what the others give; all else is inside."""
    biases = np.random.default_rng(0).normal(3, 1, 24)
    found = [row for row in rows([record(n, 13, b) for n, b in enumerate(biases)]) if row["quantity"] == "Ct_Ar"]
    assert coverage_of(found) == (22, 24)
    assert coverage_of(found[:12]) is None
    assert any("held for 110 of 120 truths (91.7%)" in note for note in notes([record(n, 13, b) for n, b in enumerate(biases)]))


def test_one_bone_end_to_end(tmp_path: Path) -> None:
    """Many views of a coarse scan measure what is there; the picture is written."""
    plan = Plan(bones=1, views=(13, 260), methods=("fdk",), voxel_mm=0.04, slices=12)
    records = run_study(STUDY, plan, tmp_path / "out")
    assert not any("failed" in r for r in records), records
    few, many = ({row["quantity"]: row for row in rows([r])} for r in records)
    assert abs(many["Ct_Ar"]["bias"]) < 8
    assert abs(many["BV_TV"]["bias"]) < abs(few["BV_TV"]["bias"])
    assert (tmp_path / "out" / "curves.png").stat().st_size > 5000
    assert "views needed for a bias of at most 5 %" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
