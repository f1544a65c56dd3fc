"""Progress in a log: a line every few seconds, with step, share and time left."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fewview.cli import progress
from fewview.data import Projections, RawScan, read, write_skyscan
from fewview.geometry import Scan
from fewview.recon import Progress, calibrate
from scipy.ndimage import gaussian_filter


def test_lines_come_while_nothing_is_reported_and_while_steps_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    with progress.progress_bar("tv") as report:
        time.sleep(0.2)
        report(Progress(5, 20, None, {"objective": 1.5, "note": "text"}))
        time.sleep(0.2)
        report(Progress(6, 20, None, {"objective": 1.5, "note": "text"}))
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"tv: 0 s so far, before the first step", lines[0])
    assert any(re.fullmatch(r"tv: step 5 of 20 \(25%\), 0 s so far, objective 1.5", line) for line in lines)
    assert re.fullmatch(r"tv: step 6 of 20 \(30%\), about \d+ s left, objective 1.5", lines[-1])
    assert not [t for t in threading.enumerate() if t is not threading.main_thread() and "speak" in t.name]


def test_the_time_left_follows_the_pace() -> None:
    """2 s before the first step (tuning, say), then 1 s a step: 16 more steps take 16 s."""
    now = iter([0.0, 2.0, 5.0])
    stage = progress._Stage("tv", clock=lambda: next(now))
    stage.report(Progress(1, 20))
    stage.latest = Progress(4, 20)
    assert "about 16 s left" in stage.line()


def test_nothing_is_said_of_the_time_left_before_a_step_was_seen_to_take_time() -> None:
    """An hour of preparation before the first step says nothing of the next; nor does a part that is over say anything of the one after."""
    now = iter([0.0, 3600.0, 3601.0, 3603.0, 3604.0, 3606.0, 3608.0])
    stage = progress._Stage("reading", clock=lambda: next(now))
    stage.report(Progress(1, 4600))
    assert stage.line() == "reading: step 1 of 4600 (0%), 60.0 min so far"
    stage.latest = Progress(33, 33)
    assert "all 33 steps done" in stage.line()
    stage.report(Progress(0, 4))
    assert stage.line() == "reading: step 0 of 4 (0%), 60.1 min so far"
    stage.report(Progress(1, 4))
    assert stage.line() == "reading: step 1 of 4 (25%), about 12 s left"


def test_a_short_stage_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("fdk") as report:
        report(Progress(1, 2, np.zeros((1, 1, 1))))
    assert capsys.readouterr().err == ""


def test_a_stage_in_a_log_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("report"):
        print("between")
    assert re.fullmatch(r"between\nreport \.\.\. 0\.\d s\n", capsys.readouterr().out)


def test_a_calibration_tells_its_steps_for_a_cone_and_for_a_narrow_beam() -> None:
    """Every step is told once, in order, and the last is that of the end: nothing is left open, nothing counted twice."""
    rng = np.random.default_rng(0)
    for rows in (2, 20):
        angles = np.arange(0, 360, 30.0)
        scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=rows, cols=24, pixel_mm=2.0, angles_deg=angles)
        values = gaussian_filter(rng.random((12, rows, 24)), (0, 2, 2)).astype(np.float32)
        told: list[tuple[int, int]] = []
        calibrate(
            Projections(values, scan),
            sense=False,
            hardening=False,
            fit=["axis_shift"],
            callbacks=[lambda p, told=told: told.append((p.step, p.total))],
        )
        total = told[0][1]
        assert told == [(k, total) for k in range(1, total + 1)]


def test_reading_tells_each_view(tmp_path: Path) -> None:
    scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=4, cols=20, pixel_mm=2.0, angles_deg=range(0, 360, 30))
    counts = np.full((12, 4, 20), 50_000, np.uint16)
    counts[:, :, 8:12] = 20_000
    write_skyscan(RawScan(counts, scan), tmp_path / "s")
    told: list[tuple[int, int]] = []
    read(tmp_path / "s", progress=lambda done, total: told.append((done, total)))
    assert told == [(k, 12) for k in range(1, 13)]
