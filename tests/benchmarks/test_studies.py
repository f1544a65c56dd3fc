"""The studies: tables of records, every study through the one engine on two small volumes, and their arithmetic."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import nibabel
import numba
import numpy as np
import pytest
from fewview.benchmarks.pages.convergence import convergence
from fewview.benchmarks.studies import calibration, classical, intervals, rtk, study_table
from fewview.benchmarks.studies.cases import Case, make_case
from fewview.benchmarks.studies.classical import run_cell, run_oracle
from fewview.benchmarks.studies.study_table import STUDIES, find_study, write_page
from fewview.benchmarks.studies.time_to_quality import Watched, summary
from fewview.benchmarks.sweeps.columns import Cell, TablePlan, make_table, mark_best, metric
from fewview.benchmarks.sweeps.peak_memory import peak_memory_mib, reset_peak_memory
from fewview.benchmarks.sweeps.results import load_records
from fewview.benchmarks.sweeps.study import run_study
from fewview.cli.main import available, main
from fewview.data import Projections
from fewview.geometry import Grid, InputError, UnknownNameError, skyscan_1276, views
from fewview.recon import Operator, reconstruct
from fewview.recon.run_method import thinned_history

F32 = np.float32


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two volumes as files: balls of bone in a larger ball, off centre."""
    folder = tmp_path_factory.mktemp("heads")
    for number, name in enumerate(("one", "two")):
        z, y, x = np.meshgrid(*[np.arange(n) - n / 2 for n in (100, 120, 110)], indexing="ij")
        grey = np.where(x**2 + y**2 + z**2 < 45**2, 60, 0)
        grey[(x - 12) ** 2 + (y + 5 * number) ** 2 + z**2 < 14**2] = 230
        image = nibabel.Nifti1Image(grey.T.astype(np.uint8), np.diag([0.141, 0.141, 0.141, 1.0]))  # pyright: ignore
        nibabel.save(image, folder / f"{name}.nii.gz")  # pyright: ignore
    return folder


def small_case(count: int, photons: float, size: int = 32) -> Case:
    """A body with a hollow bone in it, measured with Poisson noise on rays through a grid twice as fine as the one to reconstruct on."""
    scan = skyscan_1276(rows=size, cols=size * 3 // 2, voxel_mm=8 / size)
    fine, grid = Grid((2 * size,) * 3, 4 / size), Grid((size,) * 3, 8 / size)
    z, y, x = np.meshgrid(fine.z_mm, fine.y_mm, fine.x_mm, indexing="ij")
    mu = np.zeros(fine.shape, F32)
    mu[(x**2 + y**2 + (1.1 * z) ** 2) < 3.0**2] = 0.04
    mu[((x - 0.8) ** 2 + y**2 < 1.0) & (abs(z) < 2)] = 0.18
    mu[((x - 0.8) ** 2 + y**2 < 0.4) & (abs(z) < 2)] = 0.05
    mu[(x + 1.5) ** 2 + (y - 0.7) ** 2 + z**2 < 0.6] = 0.15
    scan = scan[views.evenly(scan, count)]
    counts = np.random.default_rng(3).poisson(np.exp(-Operator(scan, fine)(mu).astype(float)) * photons)
    values = -np.log(np.maximum(counts, 1) / photons)
    truth = mu.reshape(size, 2, size, 2, size, 2).mean(axis=(1, 3, 5)).astype(F32)
    return Case("made", Projections(values.astype(F32), scan, {"photons": photons}), grid, truth, grid.seen_by_all(scan))


# --- tables


def _record(volume: str, method: str, psnr: float, ssim: float, dice: float, seconds: float, memory: float, chosen: str = "") -> Any:
    measured = {"psnr": psnr, "ssim": ssim, "dice_bone": dice, "seconds": seconds, "cpu_seconds": 0.0, "memory_mib": memory}
    task = {"volume": volume, "views": 26, "method": method}
    return {"task": task, "peak_memory_mib": 900.0, "memory_before_mib": 100.0, "chosen": chosen, **measured}


def test_the_table_gives_means_and_the_gain_over_fdk_volume_by_volume() -> None:
    records = [
        _record("a", "fdk", 30.0, 0.8, 0.7, 1.0, 100.0),
        _record("b", "fdk", 34.0, 0.8, 0.7, 1.0, 100.0),
        _record("a", "pdhg_tv", 37.0, 0.9, 0.9, 9.0, 200.0, "lambda_ 0.01"),
        _record("b", "pdhg_tv", 40.0, 0.9, 0.9, 9.0, 200.0, "lambda_ 0.02"),
        {**_record("a", "sirt", 0, 0, 0, 0, 0), "failed": "no"},
    ]
    text = make_table(classical.STUDY.tables[0], records).markdown()
    line = "| 26 | pdhg_tv | 2 | **38.50 ± 1.50** | +6.50 (+6.00) | **0.9000** | **0.900** | 9.0 | 0.0 | 200 | lambda_ 0.01 |"
    assert line in text
    assert "PSNR in all views, dB\N{NO-BREAK SPACE}↑" in text
    assert "sirt" not in text


def test_the_best_of_a_column_is_marked_among_rivals_only() -> None:
    cells = [Cell("1", 1.0), Cell("3", 3.0), Cell("2", 2.0), Cell("-"), Cell("5", 5.0), Cell("2", 2.04)]
    views_of = [26, 26, 26, 26, 52, 26]
    assert [c.best for c in mark_best(cells, views_of, "high")] == [False, True, False, False, False, False]  # no rival at 52 views
    assert [c.best for c in mark_best(cells, views_of, "low")] == [True, False, False, False, False, False]
    assert [c.best for c in mark_best(cells[2:], views_of[2:], "high")] == [True, False, False, True]  # both print 2
    assert not any(c.best for c in mark_best(cells, views_of, ""))


def test_columns_without_a_value_are_left_out_and_unknown_metrics_refused() -> None:
    plan = TablePlan("", by=("method",), columns=(metric("psnr", ".1f"), metric("ssim", ".2f")))
    table = make_table(plan, [{**_record("a", "fdk", 30.0, 0, 0, 0, 0), "ssim": None}])
    assert table.heads == ("method", "PSNR in all views, dB\N{NO-BREAK SPACE}↑")
    with pytest.raises(UnknownNameError, match="psnr"):
        metric("psnrr", ".1f")


# --- the engine


def test_every_study_of_the_table_is_complete() -> None:
    for name in STUDIES:
        study = find_study(name)
        assert study.name == name
        assert study.metrics
        assert study.Plan.__doc__
    with pytest.raises(UnknownNameError, match="did you mean classical"):
        find_study("clasical")


def test_no_study_is_forgotten() -> None:
    """Every file of the room that makes a `Study` has a row in the table, and so a command; every row has a command and a line of docs."""
    folder = Path(study_table.__file__).parent
    makers = {path.stem for path in folder.glob("*.py") if re.search(r"^\w+ = Study\(", path.read_text(encoding="utf-8"), re.MULTILINE)}
    assert makers == {place.place.partition(":")[0] for place in STUDIES.values()}
    page = (folder.parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name in STUDIES:
        assert f"bench {name}" in available()
        assert f"| `{name}` |" in page


def test_the_table_goes_on_where_it_was(heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = classical.Plan(heads, volumes=("one", "two"), views=(13,), methods=("fdk", "pdhg_tv"), size=16)
    told: list[Any] = []

    def stop(done: int, total: int, task: Any, record: Any) -> None:
        told.append(task)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(classical.STUDY, plan, tmp_path, tell=stop)
    assert len(told) == 3
    more: list[Any] = []
    run_study(classical.STUDY, plan, tmp_path, tell=lambda *given: more.append(given[2]), command="the command")
    assert [None if task is None else task.label for task in more] == [None, "two, 13 views, pdhg_tv"]
    text = (tmp_path / "table.md").read_text()
    assert "| 13 | pdhg_tv | 2 |" in text
    assert "load average" in text
    assert "`the command`" in text
    assert "seen_by_all" in text
    again: list[Any] = []
    run_study(classical.STUDY, plan, tmp_path, tell=lambda *given: again.append(given[2]))
    assert again == [None]
    start = ["bench", "classical", "--data", str(heads), "--out", str(tmp_path / "cli"), "--views", "13", "--methods", "fdk"]
    assert main([*start, "--volumes", "one", "--size", "16"]) == 0
    assert "| 13 | fdk | 1 |" in capsys.readouterr().out
    assert main([*start, "--volumes", "three"]) == 2
    assert "three.nii.gz is not there" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "cli")]) == 0
    assert "<td>fdk</td>" in (tmp_path / "cli" / "report.html").read_text()


def test_ctrl_c_in_a_cell_of_the_table_leaves_no_cell(heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = reconstruct

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        def interrupt(progress: Any) -> None:
            raise KeyboardInterrupt

        return plain(*args, callbacks=[interrupt], **kwargs)

    monkeypatch.setattr(classical, "reconstruct", interrupted)
    plan = classical.Plan(heads, volumes=("one",), views=(13,), methods=("sirt",), size=32)
    with pytest.raises(KeyboardInterrupt):
        run_study(classical.STUDY, plan, tmp_path)
    assert not list((tmp_path / "records").iterdir())


def test_intervals_are_scaled_on_some_volumes_and_tried_on_others(heads: Path, tmp_path: Path) -> None:
    plan = intervals.Plan(heads, volumes=("one", "two"), methods=("fdk",), kinds=("views",), views=26, size=32)
    records = run_study(intervals.STUDY, plan, tmp_path)
    found = intervals.rows(records)
    assert [(w["volume"], w["region"]) for w in found] == [(v, r) for v in ("one", "two") for r in intervals.REGIONS]
    for worth in found:
        assert intervals.share_with(worth, 1.0) == pytest.approx(worth["share"])
        assert intervals.share_with(worth, worth["factor"]) == pytest.approx(0.9, abs=0.01)
    lines = (tmp_path / "table.md").read_text().rstrip().splitlines()
    taught, tried = found[1]["factor"], intervals.share_with(found[3], found[1]["factor"])
    assert lines[-1].startswith("| fdk | views | object | 2 |")
    assert lines[-1].endswith(f"| {taught:.2f} | {tried:.3f} ({tried:.3f} to {tried:.3f}) |")


def test_calibration_draws_its_trials_once_for_all_views(heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def found(p: Projections) -> Any:
        trial = made[-1]
        errors = {"axis_shift_mm": 0.2226, "row_shift_mm": 0.2226, "roll_deg": 0.5}
        off = 0.05 if len(p) == 260 else 0.15  # px: within 0.1 from 260 views, not from 52
        shift = (trial.axis_px + off) * calibration.PIXEL_MM
        facts = {"axis_shift_mm": shift, "row_shift_mm": trial.row_px * calibration.PIXEL_MM, "roll_deg": trial.roll_deg}
        return type("Found", (), {**facts, "errors": errors, "reversed": trial.reversed})

    def scan(path: Path, trial: Any) -> Projections:
        made.append(trial)
        nominal = calibration.nominal_scan()
        return Projections(np.zeros((len(nominal), *nominal.shape), F32), nominal)

    monkeypatch.setattr(calibration, "misaligned", scan)
    monkeypatch.setattr(calibration, "calibrate", found)
    calibration._misaligned.cache_clear()
    records = run_study(calibration.STUDY, calibration.Plan(heads, views=(260, 52)), tmp_path)
    calibration._misaligned.cache_clear()
    assert [trial.volume for trial in made] == ["one", "two"]
    assert [r["errors"]["axis_px"] for r in records] == pytest.approx([0.05, 0.15] * 2)
    assert records[0]["stated"] == {"axis_px": 1.0, "row_px": 1.0, "roll_deg": 0.5}
    text = (tmp_path / "table.md").read_text()
    assert "| 260 | 2 | 0.050 (0.050) | 0.000 (0.000) | 0.000 (0.000) | 2 of 2 | 2 of 2 |" in text
    assert "| 52 | 2 | 0.150 (0.150) | 0.000 (0.000) | 0.000 (0.000) | 2 of 2 | 0 of 2 |" in text
    with pytest.raises(InputError, match=r"holds no \*\.nii\.gz"):
        calibration.tasks(calibration.Plan(tmp_path))


@pytest.mark.slow
def test_time_to_quality_is_a_study(heads: Path, tmp_path: Path) -> None:
    words = ["--volume", "one", "--size", "32", "--views", "13", "--converged", "30"]
    assert main(["bench", "time", "--data", str(heads), "--out", str(tmp_path / "r"), *words]) == 0
    (record,) = load_records(tmp_path / "r")
    assert len(record["end"]) == 30
    assert "| pdhg_tv | 13 | one |" in (tmp_path / "r" / "table.md").read_text()
    assert "PSNR by iteration 1: " in write_page(tmp_path / "r").read_text()


def test_results_of_the_old_layout_are_refused(heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["bench", "classical", "--data", str(heads), "--volumes", "one", "--views", "13", "--methods", "fdk", "--size", "32", "--out"]
    old = tmp_path / "old"
    (old / "cells").mkdir(parents=True)
    (old / "cells" / "32-mono-one-13-fdk.json").write_text(json.dumps({"psnr": 99.0}))
    assert main([*start, str(old)]) == 2
    assert "older layout" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "sweep.json").write_text(json.dumps({"format": 2, "info": {}, "tasks": []}))
    for words in ([*start, str(other)], ["report", str(other)]):
        assert main(words) == 2
        assert "format 2" in capsys.readouterr().err


# --- their arithmetic


def test_histories_are_thinned_and_drawn(heads: Path) -> None:
    history = [{"step": k, "seconds": 0.1 * k, "residual": 1 / k, "objective": 2 / k, "memory_mb": 50.0} for k in range(1, 1001)]
    kept = thinned_history(history)
    assert len(kept) == 100
    assert (kept[0], kept[-1]) == (history[0], history[-1])
    assert thinned_history([]) == []

    def record(method: str, views: int, history: list[dict[str, Any]]) -> dict[str, Any]:
        return {"task": {"method": method, "views": views, "animal": "1"}, "history": history}

    assert convergence([record("fdk", 26, [{"step": 26, "seconds": 1.0}]), {"task": {}}]) == []
    drawn = convergence([record("fdk", 26, []), record("sirt", 26, kept), record("cgls", 52, kept[:7])])
    assert [title for title, _ in drawn] == ["26 views", "52 views"]
    for _, uri in drawn:
        picture = iio.imread(base64.b64decode(uri.partition(",")[2]), extension=".png")
        assert min(picture.shape[:2]) > 300
        assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 20  # colours of lines, and text


def test_a_cell_of_the_table_on_a_small_case() -> None:
    case = small_case(26, 2e4)
    fdk, tv = run_cell(case, 13, "fdk"), run_cell(case, 13, "pdhg_tv")
    assert tv["psnr"] > fdk["psnr"] + 3
    assert tv["ssim"] > fdk["ssim"] + 0.1
    assert "lambda_" in tv["chosen"]
    assert run_oracle(case, 13)["psnr"] > tv["psnr"] - 0.3  # its ladder is coarse


def test_a_volume_that_does_not_fit_the_box_is_refused(heads: Path) -> None:
    with pytest.raises(InputError, match="the box to reconstruct"):
        make_case(heads / "one.nii.gz", 32, slices=4)


def test_equal_time_is_the_best_of_ours_that_took_no_longer() -> None:
    Point = rtk.Point
    ours = [Point("fewview a", 1.0, 2.0, 30.0), Point("fewview b", 5.0, 3.0, 40.0)]
    rows = rtk.verdicts([*ours, Point("rtk", 4.0, 3.5, 35.0), Point("rtk fast", 0.5, 2.5, 20.0)])
    assert (rows[-2]["by_clock"], rows[-2]["by_processor"]) == ("30.00", "40.00")
    assert (rows[-1]["by_clock"], rows[-1]["by_processor"]) == ("none yet", "30.00")
    assert rows[0]["by_clock"] == ""


def test_time_to_quality_counts_from_where_it_stays_close() -> None:
    run = [Watched(k, 1.0 + k, 0.5 * k, db) for k, db in enumerate((30.0, 39.95, 39.5, 39.92, 39.99), 1)]
    found = summary(run, 40.0, (0.8, 0.4))
    assert found.close == run[3]  # step 2 was close, step 3 was not
    assert (found.last.step, found.last.psnr, found.last.wall) == (5, 39.99, 6.0)
    assert found.over == pytest.approx((0.25, 0.25))
    assert summary(run, 50.0, (0.8, 0.4)).close is None


@pytest.mark.slow  # importing itk alone takes its time
def test_itk_rtk_sees_the_same_scan_and_box() -> None:
    pytest.importorskip("itk", reason="itk-rtk is not installed (extra peers)")
    case = small_case(26, 1e6, size=16)
    ours = reconstruct(case.scan, "cgls", case.grid, iterations=8).volume
    theirs = rtk.rtk_volume(case.scan, case, rtk.CG, {"SetNumberOfIterations": 8, "SetDisableDisplacedDetectorFilter": True})
    assert np.corrcoef(ours[case.inside], theirs[case.inside])[0, 1] > 0.95


def test_the_memory_of_a_cell_does_not_hide_in_what_was_freed_before() -> None:
    held = [np.ones((1 << 19,), F32) for _ in range(50)]  # 100 MB in pieces that the C library keeps after they are freed
    del held
    reset_peak_memory()
    before = peak_memory_mib()
    held = [np.ones((1 << 19,), F32) for _ in range(25)]
    if math.isfinite(before):
        assert peak_memory_mib() - before > 45
    del held
