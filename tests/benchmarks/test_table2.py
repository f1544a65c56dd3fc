"""The benchmark on a small data set of phantoms: protocols, controls, own methods, failures, resume."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewview.benchmarks.comparison import loaded
from fewview.benchmarks.comparison.choosing.tuning import HEADLINE, TUNED, Choice, candidates
from fewview.benchmarks.comparison.evaluate import Evaluation
from fewview.benchmarks.comparison.given_views import choose_views, thinned
from fewview.benchmarks.comparison.loaded import views_of
from fewview.benchmarks.comparison.making_tasks import make_tasks
from fewview.benchmarks.comparison.pair_task import PairTask
from fewview.benchmarks.comparison.tables import PUBLISHED, rows_of
from fewview.benchmarks.datasets.build import build_bonemet
from fewview.benchmarks.pages.report import write_report
from fewview.benchmarks.studies.table2 import Plan, _left_out, compare, default_methods
from fewview.benchmarks.sweeps.results import load_records
from fewview.data import Projections
from fewview.data.pairs import AsRead, find_pairs, split_pairs
from fewview.geometry import Grid, InputError, UnknownNameError, skyscan_1276
from fewview.recon import METHODS, Operator
from fewview.recon.method.registry import names_of_kind
from fewview.recon.physics.effects import Physics

PLAN = Plan(methods=("fdk", "control-mean", "control-one-view"), views=(1, 26), size=24, budget=1, mapped_on=0, features="random")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paired") / "data"
    scan = skyscan_1276(rows=32, cols=48, voxel_mm=0.9)
    build_bonemet([1, 2, 3], folder, scan=scan, physics=replace(Physics.ideal(), bits=16))
    return folder


@pytest.fixture(scope="module")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    method = out / "mine.py"
    method.write_text("import numpy as np\ndef zero(projections, grid):\n    return np.zeros(grid.shape, np.float32)\n"
                      "def bad(projections, grid):\n    return np.full(grid.shape, np.nan)\n")  # fmt: skip
    plan = replace(PLAN, methods=(*PLAN.methods, f"{method}:zero", f"{method}:bad"))
    compare(data, out / "r", plan)
    return out / "r"


def test_what_is_too_slow_without_a_gpu_is_left_out_unless_it_is_named() -> None:
    assert not {"naf", "wcrr"} & set(default_methods({}, "cpu"))
    assert {"naf", "wcrr", "pdhg_tv", "control-mean"} <= set(default_methods({}, "cuda"))
    assert "naf was left out" in _left_out(Plan())[0]
    assert _left_out(Plan(methods=("naf",))) == _left_out(Plan(device="cuda")) == []


def test_pairs_and_split_are_by_animal(data: Path) -> None:
    pairs = find_pairs(data)
    assert [p.name for p in pairs] == ["851 week 0", "852 week 0", "853 week 0"]
    parts = split_pairs(data, pairs)
    assert sorted(p.animal for part in parts.values() for p in part) == ["851", "852", "853"]
    volume, grid = pairs[0].reference()
    assert volume.shape == grid.shape == Grid.fit(pairs[0].projections().scan).shape
    with pytest.raises(InputError, match="one animal"):
        split_pairs(data, pairs[:1])


def test_the_voxel_of_a_built_data_set_is_the_one_it_was_built_with(data: Path) -> None:
    """Images in this layout do not say it, and 0.0106 mm for 4032 columns would be 0.8904 mm: with the wrong one no truth fits."""
    pair = find_pairs(data)[0]
    assert pair.scan().field_of_view_mm.pixel_mm == pytest.approx(0.9, rel=1e-6)
    assert pair.projections().scan.field_of_view_mm.pixel_mm == pytest.approx(0.9, rel=1e-6)
    other = find_pairs(data, as_read=AsRead(voxel_mm=0.5))[0]
    assert other.scan().field_of_view_mm.pixel_mm == pytest.approx(0.5)
    assert other.fingerprint() != pair.fingerprint()  # so no record of one is reused for the other


def test_a_data_set_with_a_missing_slice_or_of_another_maker_is_refused(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    with pytest.raises(InputError, match="--window"):
        find_pairs(copy, window=(0.25, 0))
    pair = find_pairs(copy, window=(0, 0.25))[0]
    sorted(pair.recon.iterdir())[-1].unlink()
    with pytest.raises(InputError, match="Recon-CT"):
        pair.reference()
    (copy / "dataset.json").unlink()
    with pytest.raises(InputError, match="not registered"):
        find_pairs(copy)[0].reference_on(Grid((8, 8, 8), 1.0))
    with pytest.raises(FileNotFoundError, match="BoneMet layout"):
        find_pairs(tmp_path / "nothing")


def test_the_table_has_every_method_and_the_controls_tell_the_protocols_apart(results: Path) -> None:
    rows = {(r.method.rpartition(":")[2], r.views): r for r in rows_of(load_records(results), results)}
    fdk, blank, mean = rows["fdk", 26], rows["control-one-view", 1], rows["control-mean", 26]
    # A volume that knows one view fits that view better than FDK does, and knows nothing else: the published measure rewards it.
    assert blank.cells["table2-compat"]["psnr"].mean > rows["fdk", 1].cells["table2-compat"]["psnr"].mean
    assert not fdk.cells["table2-compat"]  # the published protocol has one given view
    assert blank.cells["heldout-views"]["psnr"].mean < fdk.cells["heldout-views"]["psnr"].mean
    assert fdk.cells["truth"]["psnr"].mean > rows["zero", 26].cells["truth"]["psnr"].mean
    assert np.isfinite(mean.cells["truth"]["psnr"].mean)
    assert fdk.cells["truth"]["fid"].mean >= 0
    assert rows["bad", 26].failed
    assert "NaN" in rows["bad", 26].failed[0]
    assert not rows["bad", 26].cells["truth"]
    text = (results / "table.md").read_text()
    assert str(PUBLISHED["MedNeRF"]["psnr"]) in text
    assert "FID (random)" in text
    assert {"fdk", "control-mean"} <= {line["method"] for line in csv.DictReader((results / "table.csv").open())}
    assert json.loads((results / "table.json").read_text())


def test_running_again_changes_nothing(data: Path, results: Path) -> None:
    before = {p.name: p.read_text() for p in (results / "records").iterdir()}
    table = (results / "table.md").read_text()
    method = results.parent / "mine.py"
    plan = replace(PLAN, methods=(*PLAN.methods, f"{method}:zero", f"{method}:bad"))
    compare(data, results, plan)
    assert {p.name: p.read_text() for p in (results / "records").iterdir()} == before
    assert (results / "table.md").read_text() == table


def test_settings_are_tuned_on_validation_animals_per_number_of_views_and_metric_and_maps_on_training_animals(
    data: Path, tmp_path: Path
) -> None:
    parts = split_pairs(data, find_pairs(data))
    compare(data, tmp_path, Plan(methods=("fdk", "cgls", "control-tv-fdk"), views=(7, 13), size=16, budget=2, features="none"))
    tuning, fitting, found = (load_records(tmp_path / part) for part in ("tuning", "fitting", "."))
    assert {r["task"]["animal"] for r in tuning} == {p.animal for p in parts["validation"]}
    assert {r["task"]["animal"] for r in fitting} == {p.animal for p in parts["train"]}
    assert {r["task"]["animal"] for r in found} == {p.animal for p in parts["test"]}
    assert all(r["scores"].keys() == {"truth"} and r["scores"]["truth"].keys() <= set(TUNED) for r in tuning)  # nothing else is looked at
    assert not list(tmp_path.glob(".fewview*"))  # views that were prepared for this run
    tried = [(r["task"]["method"], r["task"]["views"]) for r in tuning]
    assert all(tried.count((method, views)) == 2 for method in ("fdk", "cgls") for views in (7, 13))
    info = json.loads((tmp_path / "sweep.json").read_text())["info"]
    assert info["tuning"]["candidates"] == {"fdk": 2, "cgls": 2, "control-tv-fdk": 1}
    for method in ("fdk", "cgls"):
        for views in (7, 13):
            for metric in TUNED:  # exactly one of the settings stands for each column, and it is the best on the validation animals
                (chosen,) = (r for r in found if _of(r, method, views) and metric in r["task"]["stands_for"])
                scores = {json.dumps(r["task"]["settings"]): r["scores"]["truth"][metric] for r in tuning if _of(r, method, views)}
                assert scores[json.dumps(chosen["task"]["settings"])] == max(scores.values())
    rows = {(r.name, r.views): r for r in rows_of(found)}
    assert {name for name, _ in rows} == {"fdk", "fdk, tuned", "cgls", "cgls, tuned", "control-tv-fdk"}
    control = rows["control-tv-fdk", 7].cells["truth"]
    assert "psnr_object" not in control  # it is nothing without its map
    assert control[HEADLINE].mean > rows["fdk", 7].cells["truth"]["psnr_object"].mean
    text = (tmp_path / "table.md").read_text()
    assert "the best classical row after a linear map is" in text
    assert "No learned method was compared" in text


def _of(record: dict[str, Any], method: str, views: int) -> bool:
    return record["task"]["method"] == method and record["task"]["views"] == views


def test_every_method_has_as_many_candidates_and_its_defaults_are_the_first() -> None:
    names = names_of_kind("analytic", "iterative", "field", "learned")
    counts = {name: len(candidates(name, 4)) for name in names if not METHODS[name].needs}
    assert set(counts.values()) == {4}, counts
    assert all(candidates(name, 4)[0] == {} for name in counts)
    assert candidates("fista_tv", 4, {"lambda_": 0.01}) == [{"lambda_": 0.01}]  # what the user fixed is not tried in vain
    assert candidates("control-mean", 4) == [{}]


def test_views_that_one_worker_prepared_are_read_by_the_others(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = find_pairs(data)[0]
    first = views_of(pair, 16, True, shelf=tmp_path / "shelf")
    alone = views_of(pair, 16, True)
    loaded._prepared.cache_clear()  # as another process, which has read nothing yet
    monkeypatch.setattr(loaded, "prepared", None)
    again = views_of(pair, 16, True, shelf=tmp_path / "shelf")
    assert np.array_equal(again.values, first.values)
    assert np.array_equal(again.values, alone.values)
    assert again.scan == first.scan
    assert again.meta["corrections"] == first.meta["corrections"] == alone.meta["corrections"]
    with pytest.raises(TypeError):  # of another size nothing was prepared
        views_of(pair, 17, True, shelf=tmp_path / "shelf")


def test_unknown_methods_and_selections_are_refused_before_the_work(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="fdk"):
        compare(data, tmp_path, Plan(methods=("fdkk",), views=(5,)))
    assert not (tmp_path / "records").exists()
    pair = find_pairs(data)[0]
    task = make_tasks([pair], [Choice("fdk")], [5], 24, selections=["spiral"])[0]
    with pytest.raises(UnknownNameError, match="evenly"):
        Evaluation(data)(task)
    with pytest.raises(InputError, match="whole number from 1 to 260"):
        choose_views(pair.projections(), PairTask("851", 0, 261, "evenly", 0, "fdk", 24))
    with pytest.raises(InputError, match="size"):
        Grid.across(pair.projections().scan, 4)


def test_a_record_made_with_another_yardstick_is_made_again(data: Path, tmp_path: Path) -> None:
    plan = Plan(methods=("fdk", "control-mean"), views=(26,), size=24, budget=1, mapped_on=0, features="none")
    compare(data, tmp_path, plan)
    first = {r["key"]: r for r in load_records(tmp_path)}
    compare(data, tmp_path, replace(plan, grey_fit=True))
    second = {r["key"]: r for r in load_records(tmp_path)}
    assert not first.keys() & second.keys()
    assert all(r["alignment"]["grey_map"]["gain"] for r in second.values())
    assert all(r["alignment"] == {} for r in first.values())
    assert "affine grey fit" in (tmp_path / "report.html").read_text()


def test_thinning_counts_has_the_noise_of_the_lower_dose() -> None:
    scan = skyscan_1276(rows=32, cols=48, voxel_mm=0.9)[:20]
    clean = Operator(scan, Grid((8, 8, 8), 1.0))(np.full((8, 8, 8), 0.1, np.float32))
    had = 40000.0
    counts = np.random.default_rng(0).poisson(had * np.exp(-clean))
    p = Projections((-np.log(counts / had)).astype(np.float32), scan, {"photons": had})
    lower = thinned(p, 1000.0, seed=1)
    assert lower.meta["photons"] == 1000.0
    error = (lower.values - clean) * np.sqrt(1000.0 * np.exp(-clean))  # unit variance for Poisson counts
    assert error.std() == pytest.approx(1, abs=0.02)
    assert np.array_equal(lower.values, thinned(p, 1000.0, seed=1).values)
    with pytest.raises(InputError, match="at most 40000"):
        thinned(p, 50000.0, seed=1)
    with pytest.raises(InputError, match="how many photons"):
        thinned(Projections(p.values, scan), 100.0, seed=1)


def test_the_report_stands_alone_and_shows_every_table(results: Path, tmp_path: Path) -> None:
    page = write_report(results, tmp_path / "page.html")
    text = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)', text)  # nothing is fetched
    body = text[: text.index("<script>")]
    for word in ("table2-compat", "heldout-views", "control-one-view", "mine.py:zero", "NaN or Inf", "PixelNeRF", "FID (random)"):
        assert word in body  # so a reader without JavaScript has it
    with pytest.raises(FileExistsError, match="--force"):
        write_report(results, page)
    with pytest.raises(InputError, match=r"sweep\.json"):
        write_report(tmp_path)


def test_missing_checkpoints_are_trained_first_and_only_once(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(methods=("unet", "control-mean"), views=(5,), size=16, budget=1, mapped_on=0, features="none", train=True, train_steps=2)
    compare(data, tmp_path, plan)
    checkpoint = tmp_path / "checkpoints" / "unet.pt"
    assert "training unet" in capsys.readouterr().out
    before = checkpoint.read_bytes()
    rows = {r.method: r for r in rows_of(load_records(tmp_path))}
    assert not rows["unet"].failed
    assert np.isfinite(rows["unet"].cells["truth"]["psnr"].mean)
    compare(data, tmp_path, plan)
    assert "training" not in capsys.readouterr().out
    assert checkpoint.read_bytes() == before
    compare(data, tmp_path, replace(plan, methods=("unet",), train=False, checkpoints=tmp_path / "nothing"))
    assert "fewview train unet" in rows_of(load_records(tmp_path))[0].failed[0]  # asked for by name, without a checkpoint: it says so


def test_binning_is_of_the_scan_for_all_methods_and_part_of_the_key(data: Path, tmp_path: Path) -> None:
    plan = Plan(methods=("fdk", "control-one-view"), views=(26,), size=12, budget=1, mapped_on=0, features="none")
    compare(data, tmp_path, plan)
    coarse = {r["task"]["method"]: r for r in load_records(tmp_path)}
    compare(data, tmp_path, replace(plan, bin=False))
    fine = {r["task"]["method"]: r for r in load_records(tmp_path)}
    assert all(coarse[m]["key"] != fine[m]["key"] for m in coarse)
    assert coarse["fdk"]["scores"]["heldout-views"] != fine["fdk"]["scores"]["heldout-views"]
    assert coarse["fdk"]["grid"] == fine["fdk"]["grid"]


def test_an_animal_with_missing_views_or_slices_is_a_recorded_failure(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    parts = split_pairs(copy, find_pairs(copy))
    pair = parts["test"][0]
    plan = Plan(methods=("fdk",), views=(26,), size=24, budget=1, mapped_on=0, features="none")
    views = sorted(pair.xrays.iterdir())
    gone = views[100].read_bytes()
    views[100].unlink()
    compare(copy, tmp_path / "a", plan)
    (failed,) = rows_of(load_records(tmp_path / "a"))[0].failed
    assert "259" in failed
    assert "260" in failed
    assert "259" in (tmp_path / "a" / "report.html").read_text()
    views[100].write_bytes(gone)
    sorted(pair.recon.iterdir())[-1].unlink()
    compare(copy, tmp_path / "b", plan)
    (failed,) = rows_of(load_records(tmp_path / "b"))[0].failed
    assert "Recon-CT" in failed


def test_constant_slices_are_scored_and_a_constant_reference_is_refused(data: Path, tmp_path: Path) -> None:
    import imageio.v3 as iio

    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    pair = split_pairs(copy, find_pairs(copy))["test"][0]
    slices = sorted(pair.recon.iterdir())
    for path in slices[:8]:
        iio.imwrite(path, np.zeros_like(iio.imread(path)))
    plan = Plan(methods=("fdk",), views=(26,), size=24, budget=1, mapped_on=0, features="random")
    compare(copy, tmp_path / "a", plan)
    row = rows_of(load_records(tmp_path / "a"), tmp_path / "a")[0]
    assert np.isfinite([row.cells["truth"][m].mean for m in ("psnr", "ssim", "ssim_slices", "fid", "kid")]).all()
    for path in slices:
        iio.imwrite(path, np.full_like(iio.imread(path), 7))
    compare(copy, tmp_path / "b", plan)
    assert "constant" in rows_of(load_records(tmp_path / "b"))[0].failed[0]
