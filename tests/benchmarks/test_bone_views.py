"""The curve of quantities against views: what is made of records whose errors are known, and one reconstruction end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewview.benchmarks.scores.bone.bias import bias_of, coverage_of, interval_of, views_needed
from fewview.benchmarks.studies.bone_views import QUANTITIES, STUDY, Plan, chosen_views, notes, rows, specimen
from fewview.benchmarks.sweeps.study import run_study
from fewview.recon import reconstruct

TRUTH = dict.fromkeys(QUANTITIES, 2.0)


def record(bone: int, views: int, bias: float, for_intervals: bool = False) -> dict[str, Any]:
    """All quantities off by ``bias`` per cent."""
    task = {"bone": bone, "views": views, "method": "fdk", "for_intervals": for_intervals}
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


def test_intervals_of_some_bones_are_tried_on_others() -> None:
    """Of 19 bones the least and the greatest error bound 90 % of the others; what is beyond them is outside."""
    spare = [record(100 + n, 13, bias, True) for n, bias in enumerate(np.linspace(-9, 9, 19))]
    tried = [record(n, 13, bias) for n, bias in enumerate((-9.5, -8.9, 0.0, 8.9))]
    found = [row for row in rows([*spare, *tried]) if row["quantity"] == "Ct_Ar"]
    assert interval_of(found) == pytest.approx((-0.18, 0.18))  # of a truth of 2
    assert coverage_of(found) == (3, 4)
    assert coverage_of(found[1:]) is None, "18 bones say nothing of 90 %"
    assert any("held for 15 of 20 truths (75.0%)" in note for note in notes([*spare, *tried]))
    assert views_needed([row for row in found if not row["for_intervals"]], "fdk", "Ct_Ar", 3.0) == 13  # their mean is -2.4


def test_the_views_are_corrected_for_the_spectrum() -> None:
    """Cortex has 0.2/mm in the phantom; the beam as it is measured would make it much denser."""
    known = specimen(3, 0.04, 12, 2.4, 20_000)
    volume = reconstruct(chosen_views(known.scan, 130), "fdk", known.grid, check=False).volume
    raw = reconstruct(known.scan[::2], "fdk", known.grid, check=False).volume
    assert np.percentile(volume, 99) == pytest.approx(0.2, rel=0.1)
    assert np.percentile(raw, 99) > 0.25


def test_one_bone_end_to_end(tmp_path: Path) -> None:
    """Many views of a coarse scan measure what is there; the picture is written."""
    plan = Plan(bones=1, others=0, views=(13, 260), methods=("fdk",), voxel_mm=0.04, slices=12)
    records = run_study(STUDY, plan, tmp_path / "out")
    assert not any("failed" in r for r in records), records
    few, many = ({row["quantity"]: row for row in rows([r])} for r in records)
    assert abs(many["Ct_Ar"]["bias"]) < 8
    assert abs(many["BV_TV"]["bias"]) < abs(few["BV_TV"]["bias"])
    assert (tmp_path / "out" / "curves.png").stat().st_size > 5000
    assert "views needed for a bias of at most 5 %" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
