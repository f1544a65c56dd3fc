"""The study of random poses: an animal, its labels, motions and junctions; and the landmark that it holds the tools to."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from fewview.benchmarks.studies.bone_poses import STUDY, Plan, rows, true_junction
from fewview.benchmarks.sweeps.study import run_study


def test_a_pose(tmp_path: Path) -> None:
    plan = Plan(poses=1, views=0, voxel_mm=0.25, weeks=1)
    records = run_study(STUDY, plan, tmp_path / "out")
    assert not any("failed" in record for record in records), records
    for record in records:
        assert min(row["dice"] for row in record["labels"]) > 0.95
        assert max(row["off"] for row in record["registration"]) < 0.5
        assert max(row["off_deg"] for row in record["registration"]) < 1.5, "at a quarter of a millimetre"
    assert "| labels | 1 | 1 of 1 | 0 |" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    again = run_study(STUDY, plan, tmp_path / "out")
    assert [r["date"] for r in again] == [r["date"] for r in records], "what was done is not done again"


def test_the_junction_of_labels() -> None:
    tibia, fibula = np.zeros((30, 8, 12), bool), np.zeros((30, 8, 12), bool)
    tibia[:, 2:6, 1:5] = True
    for z in range(2, 28):
        fibula[z, 3:5, 5 + (2 if 7 <= z < 25 else 0)] = True
    assert true_junction(tibia, fibula, knee_up=False) == 7
    assert true_junction(tibia[::-1], fibula[::-1], knee_up=True) == 22


def test_what_is_wrong_in_silence_is_counted() -> None:
    sure, unsure = ({"off": 9.0, "off_deg": 4.0, "confidence": c} for c in (0.9, 0.3))
    record = {"task": {"seed": 0}, "labels": [{"dice": 0.99, "confidence": 1.0}], "registration": [sure, unsure], "junction": [unsure]}
    found = {row["tool"]: row for row in rows([record])}
    assert (found["labels"]["right"], found["registration"]["right"], found["junction"]["right"]) == (True, False, False)
    assert (found["registration"]["silent"], found["junction"]["silent"]) == (1, 0)


def test_what_lies_within_the_bound_that_was_stated_is_not_silent() -> None:
    good = {"dice": 0.99, "off": 0.1, "confidence": 1.0}
    within, beyond, none = (
        {"off": 0.2, "off_deg": 0.6, "confidence": 0.9, "turn_error_deg": bound, "shift_error": 0.1} for bound in (0.7, 0.55, math.nan)
    )
    record = {"task": {"seed": 0}, "labels": [good], "registration": [within, beyond, none], "junction": [good]}
    found = next(row for row in rows([record]) if row["tool"] == "registration")
    assert not found["right"]
    assert (found["silent"], found["inside"], found["bounds"]) == (2, [True, False], [0.7, 0.55])
