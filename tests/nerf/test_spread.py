"""Conformal intervals: likeliest deviations are found, intervals hold as often as they say, and what they are not made for is refused."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fewview.base import UnknownNameError
from fewview.cli.main import main
from fewview.data import Projections, read_volume
from fewview.data.phantom.procedural.unseen import tooth
from fewview.data.scans.projections_file import write_projections
from fewview.geometry import Grid, InputError, skyscan_1276, views
from fewview.nerf.spread import signs
from fewview.nerf.spread.fitted import Errors, fitted, likeliest
from fewview.nerf.spread.learned import FILE, LearnedSpread, read_spreads, spread_of, written
from fewview.nerf.spread.std import conformal_std
from fewview.recon import Operator
from fewview.recon.uncertainty import coverage


@cache
def scan() -> tuple[Projections, Grid, np.ndarray]:
    """A tooth, which nothing was learned from, with 18 views; scanned on voxels half as large as the grid's, with noise."""
    fine = Grid((40, 64, 64), 0.5)
    volume = tooth(fine.shape, fine.voxel_mm, seed=1)
    whole = skyscan_1276(40, 60, 1.08 * 32 / 60)
    some = whole[views.evenly(whole, 18)]
    exact = Operator(some, fine)(volume)
    noise = 0.01 * np.random.default_rng(0).standard_normal(exact.shape, dtype=np.float32)
    truth = volume.reshape(20, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    return Projections(exact + noise, some), Grid((20, 32, 32), 1.0), truth


def drawn(rng: np.random.Generator, weights: np.ndarray, times: float, count: int = 20_000, number: int = 26) -> Errors:
    """Errors of a Laplace distribution whose scale is the exponential of the weighted signs, times a factor."""
    found = np.concatenate([np.ones((count, 1)), rng.standard_normal((count, len(weights) - 1))], axis=1)
    error = times * np.exp(found @ weights) * rng.exponential(size=count)
    return Errors(found.astype(np.float32), error.astype(np.float32), np.arange(count) % 2 == 0, number)


def test_the_likeliest_weights_are_those_that_the_errors_were_drawn_with() -> None:
    weights = np.array([-2.0, 0.5, -0.3])
    errors = drawn(np.random.default_rng(0), weights, 1.0)
    assert likeliest(errors.signs.astype(float), errors.error.astype(float)) == pytest.approx(weights, abs=0.03)


def test_the_factor_is_the_quantile_of_errors_that_took_no_part() -> None:
    """90 % of the errors of a Laplace distribution are below ln 10 times its scale, whatever the scale is in a voxel. Where one scan in
    eight errs twice as much as the others, three scans in four do not need more; where half of them do, the factor is twice as large.
    """
    weights = np.array([-2.0, 0.5, -0.3])

    def made(*times: float) -> LearnedSpread:
        rng = np.random.default_rng(1)
        halves = [[drawn(rng, weights, k, number=n) for k, n in zip(times, (13, 26, 13, 26), strict=True)] for _ in range(2)]
        return fitted(*halves)

    assert made(1, 1, 1, 1).factors == pytest.approx({13: np.log(10), 26: np.log(10)}, rel=0.06)
    few, many = made(1, 1, 1, 2), made(1, 1, 2, 2)
    assert many.weights[0] > few.weights[0] > -2.0 + 0.1
    assert many.factors[13] * np.exp(many.weights[0]) == pytest.approx(2 * np.log(10) * np.exp(-2), rel=0.06)


def test_signs_are_the_logarithms_of_what_is_around_a_voxel() -> None:
    z, y, x = np.indices((20, 20, 20))
    chequered = (0.7 + 0.4 * (-1.0) ** (z + y + x)).astype(np.float32)
    told = np.arange(2, dtype=np.float32)
    found = signs.signs_of(chequered, np.full_like(chequered, 0.2), told, slice(8, 12))
    assert found.shape == (signs.SIGNS, 4, 20, 20)
    contrast, left = found[[3, 4], 2, 10, 10] - 2  # in boxes of nine voxels
    assert contrast == pytest.approx(np.log(0.4), abs=0.01)
    assert left == pytest.approx(np.log(0.2), abs=0.01)
    assert found[0].min() == found[0].max() == 1
    assert found[7:9, 0, 0, 0].tolist() == told.tolist()


def test_slabs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    projections, grid, truth = scan()
    spread = spread_of("pdhg_tv")
    whole = spread.std(projections, grid, truth)
    monkeypatch.setattr(signs, "SLAB_VOXELS", 3 * 32 * 32)
    assert np.allclose(spread.std(projections, grid, truth), whole, rtol=1e-3)
    assert not spread.std(projections, grid, np.zeros_like(truth)).any()
    half = Projections(projections.values * np.float32(0.5), projections.scan)
    assert np.allclose(spread.std(half, grid, truth / 2), whole / 2, rtol=0.02, atol=1e-6)  # the unit of attenuation does not matter


@pytest.mark.parametrize("method", ["pdhg_tv", "tvnet"])
@pytest.mark.filterwarnings("ignore:tvnet")
def test_intervals_hold_of_an_object_unlike_those_that_they_were_made_with(method: str) -> None:
    projections, grid, truth = scan()
    rec = conformal_std(projections, method, grid)
    assert rec.std is not None
    share, factor = coverage(rec.volume, rec.std, truth, 0.9, grid.seen_by_all(projections.scan) & (truth > 0.01))
    assert share > 0.88
    assert factor > 0.15  # they could be narrower, but not by much
    inside = truth > 0.01
    large = np.abs(rec.volume - truth)[inside] > np.median(np.abs(rec.volume - truth)[inside])
    assert np.median(rec.std[inside][large]) > 1.1 * np.median(rec.std[inside][~large])  # they are wide where the errors are
    assert rec.settings["std_kind"] == "conformal"
    assert rec.settings["std_level"] == 0.9


def test_the_factor_of_other_numbers_of_views_lies_between() -> None:
    spread = LearnedSpread((0.0,) * signs.SIGNS, (-1.0, 1.0), {13: 4.0, 52: 1.0})
    assert [spread.factor(n) for n in (5, 13, 26, 52, 90)] == pytest.approx([4, 4, 2, 1, 1])


def test_what_intervals_were_not_made_for_is_refused_or_said() -> None:
    projections, grid, _ = scan()
    with pytest.raises(UnknownNameError, match="pdhg_tv, tvnet"):
        conformal_std(projections, "fdk", grid)
    with pytest.raises(InputError, match=r"checkpoint own\.pt"):
        conformal_std(projections, "tvnet", grid, checkpoint="own.pt")
    with pytest.raises(InputError, match=r"conformal intervals on a part of the object: the views show \d+%"):
        conformal_std(projections, "pdhg_tv", Grid((20, 8, 8), 1.0))
    with pytest.warns(UserWarning, match="scaled for 13 to 52 views, not for 6"):
        conformal_std(projections[::3], "pdhg_tv", grid, lambda_=0.01, iterations=2)


def test_a_damaged_file_of_spreads_is_refused(tmp_path: Path) -> None:
    known = read_spreads()
    assert written(known) == FILE.read_text()
    other = tmp_path / "spreads.json"
    content = json.loads(FILE.read_text())
    for wrong in ("{", "[]", json.dumps({**content, "format": "x"}), json.dumps({**content, "tvnet": {"weights": [1.0]}})):
        other.write_text(wrong)
        with pytest.raises(InputError, match="no file of spreads"):
            read_spreads(other)
    other.write_text(written({"pdhg_tv": dataclasses.replace(known["pdhg_tv"], bounds=(0.0, float("inf")))}))
    with pytest.raises(InputError, match="finite"):
        read_spreads(other)
    with pytest.raises(FileNotFoundError, match="install fewview again"):
        read_spreads(tmp_path / "nowhere.json")


def test_recon_writes_conformal_deviations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projections, _, _ = scan()
    write_projections(projections, tmp_path / "scan.h5")
    start = ["recon", str(tmp_path / "scan.h5"), "--method", "pdhg_tv", "--set", "iterations=2", "lambda_=0.01", "--grid", "20,32,32"]
    start += ["--voxel-mm", "1", "--std-kind", "conformal", "--std"]
    assert main([*start, "1", "--out", str(tmp_path / "v.nii.gz")]) == 0
    std, _, _ = read_volume(tmp_path / "v_std.nii.gz")
    assert np.allclose(std, conformal_std(projections, "pdhg_tv", Grid((20, 32, 32), 1.0), iterations=2, lambda_=0.01).std, rtol=1e-3)
    assert main([*start, "8", "--out", str(tmp_path / "w.nii.gz")]) != 0
    assert "--std 1" in capsys.readouterr().err
