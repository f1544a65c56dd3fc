"""Settings chosen from the data alone, uncertainty by resampling, and the noise level: against truths known by construction."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import nibabel
import numba
import numpy as np
import pytest
from fewview.cli.main import main
from fewview.data import Projections, write_projections
from fewview.data.multiresolution import bin_projections, coarsening
from fewview.geometry import Grid, InputError, UnknownNameError, skyscan_1276, views
from fewview.recon import Operator, reconstruct
from fewview.recon.iterative.pdhg_tv import PdhgTvSettings
from fewview.recon.iterative.solving.setup import IterativeSettings, data_term
from fewview.recon.iterative.tuning.held_out import held_out, ramp_energy, split
from fewview.recon.iterative.tuning.prior_weight import LADDER, lowest, trust_in_minimum, weight_unit
from fewview.recon.physics.noise import noise_level, ripple
from fewview.recon.projector import operator
from fewview.recon.uncertainty import coverage, resampled_std

F32 = np.float32


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def make_scan(count: int, photons: float, size: int = 32, seed: int = 3, finer: int = 1) -> tuple[Projections, Grid, np.ndarray]:
    """A body with a hollow bone in it, measured with Poisson noise on rays through a grid twice as fine as the one to reconstruct on.

    There are ``finer`` pixels across a voxel, which share its ``photons``; each has the mean of four rays, as light falls on all of it.
    """
    scan = skyscan_1276(rows=2 * finer * size, cols=finer * size * 3, voxel_mm=4 / size / finer)
    photons /= finer**2
    fine, grid = Grid((2 * size,) * 3, 4 / size), Grid((size,) * 3, 8 / size)
    z, y, x = np.meshgrid(fine.z_mm, fine.y_mm, fine.x_mm, indexing="ij")
    mu = np.zeros(fine.shape, F32)
    mu[(x**2 + y**2 + (1.1 * z) ** 2) < 3.0**2] = 0.04
    mu[((x - 0.8) ** 2 + y**2 < 1.0) & (abs(z) < 2)] = 0.18
    mu[((x - 0.8) ** 2 + y**2 < 0.4) & (abs(z) < 2)] = 0.05
    mu[(x + 1.5) ** 2 + (y - 0.7) ** 2 + z**2 < 0.6] = 0.15
    scan = scan[views.evenly(scan, count)]
    light = bin_projections(Projections(np.exp(-Operator(scan, fine)(mu)), scan), 2)
    counts = np.random.default_rng(seed).poisson(light.values.astype(float) * photons)
    values = -np.log(np.maximum(counts, 1) / photons)
    truth = mu.reshape(size, 2, size, 2, size, 2).mean(axis=(1, 3, 5))
    return Projections(values.astype(F32), light.scan, {"photons": photons}), grid, truth


def quality(volume: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(0.2**2 / np.mean((volume.astype(float) - truth) ** 2)))


# --- lambda


AROUND_THE_BEST = LADDER[4:8]  # where the best of the whole ladder lies for these scans


@pytest.mark.parametrize(("count", "photons", "size"), [(26, 5e3, 24), (26, 5e4, 24), (52, 2e4, 32)])
def test_the_chosen_lambda_is_nearly_as_good_as_the_best_one(count: int, photons: float, size: int) -> None:
    """Within 0.6 dB on this tiny phantom; docs/classical_table.md has the real volumes, within 0.5 dB."""
    projections, grid, truth = make_scan(count, photons, size)
    rec = reconstruct(projections, "pdhg_tv", grid)
    best = max(quality(reconstruct(projections, "pdhg_tv", grid, lambda_=v).volume, truth) for v in AROUND_THE_BEST)
    assert quality(rec.volume, truth) > best - 0.6
    curve = np.array(rec.settings["lambda_curve"])
    assert curve[:, 0].tolist() == list(LADDER[: len(curve)])
    assert curve[:, 0].min() <= rec.settings["lambda_minimum"] <= curve[:, 0].max()
    assert rec.settings["lambda_seconds"] > 0
    assert "held out" in rec.settings["lambda_rule"]


@pytest.mark.parametrize("count", [13, 26])
def test_a_weight_keeps_its_meaning_when_pixels_are_binned(count: int) -> None:
    """The best of the ladder is nearly the same with pixels of 1/4, 1/2 and 1 voxel, and the rule finds it, from the same photons."""
    best = []
    for binned in (1, 2, 4):
        projections, grid, truth = make_scan(count, 2e4, size=16, finer=4)
        few = bin_projections(projections, binned) if binned > 1 else projections
        found = [quality(reconstruct(few, "pdhg_tv", grid, lambda_=v).volume, truth) for v in LADDER[1:9]]
        best.append(int(np.argmax(found)))
        assert quality(reconstruct(few, "pdhg_tv", grid).volume, truth) > max(found) - 0.6, (binned, found)
    assert max(best) - min(best) <= 2, best  # where a unit of pixel_mm / voxel_mm would make it 6


def test_more_noise_asks_for_more_smoothing() -> None:
    chosen = [reconstruct(*make_scan(26, n)[:1], "pdhg_tv", make_scan(26, n)[1], iterations=1).settings["lambda_"] for n in (1e3, 1e5)]
    assert chosen[0] > 1.2 * chosen[1]


def test_lambda_does_not_depend_on_the_units_of_length_or_attenuation() -> None:
    projections, grid, _ = make_scan(13, 5e4, size=16)
    scan = projections.scan
    metres = type(scan)(scan.shape, scan.source * 10, scan.detector * 10, scan.u * 10, scan.v * 10, scan.angles_deg)
    first = reconstruct(projections, "fista_tv", grid, lambda_=0.01, iterations=20, start="zero").volume
    longer = Grid(grid.shape, grid.voxel_mm * 10)
    scaled = reconstruct(Projections(projections.values, metres), "fista_tv", longer, lambda_=0.01, iterations=20, start="zero").volume
    np.testing.assert_allclose(scaled * 10, first, atol=1e-4 * first.max())
    doubled = Projections(2 * projections.values, scan)
    twice = reconstruct(doubled, "fista_tv", grid, lambda_=0.01, iterations=20, start="zero").volume
    np.testing.assert_allclose(twice / 2, first, atol=1e-4 * first.max())


def work_of(projections: Projections, grid: Grid, name: str, **settings: Any) -> tuple[float, dict[str, Any]]:
    """Forward and adjoint projections of a run, each counted as rays times voxels along an edge."""
    total = 0.0
    plain = operator._apply

    def counted(A: Any, values: Any, *, transposed: bool) -> Any:
        nonlocal total
        total += math.prod(A.range_shape) * A.domain_shape[2]
        return plain(A, values, transposed=transposed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operator, "_apply", counted)
        rec = reconstruct(projections, name, grid, **settings)
    return total, dict(rec.settings)


@pytest.mark.parametrize(
    ("name", "count"), [("pdhg_tv", 13), ("pdhg_tv", 104), *((n, 13) for n in ("fista_tv", "sirt", "os_sart", "cgls", "asd_pocs"))]
)
def test_the_choice_costs_at_most_two_runs_more(name: str, count: int) -> None:
    projections, grid, _ = make_scan(count, 2e4, size=16)  # small: the search is on the scan itself, where it costs most
    auto, chosen = work_of(projections, grid, name)
    once, _ = work_of(projections, grid, name, **{k: chosen[k] for k in ("lambda_", "iterations") if k in chosen})
    assert auto <= 3 * once


def test_a_minimum_from_few_held_out_views_is_trusted_less() -> None:
    assert trust_in_minimum(1, 2) < trust_in_minimum(1, 4) == trust_in_minimum(1, 10) < trust_in_minimum(2, 4)
    projections, grid, truth = make_scan(10, 2e4, size=24)  # one view is held out
    rec = reconstruct(projections, "pdhg_tv", grid)
    best = max(quality(reconstruct(projections, "pdhg_tv", grid, lambda_=v).volume, truth) for v in AROUND_THE_BEST)
    assert quality(rec.volume, truth) > best - 0.6


def test_the_copy_for_the_choice_has_a_bounded_number_of_rays() -> None:
    scan = skyscan_1276(rows=64, cols=128, voxel_mm=0.2)
    few, many = (Projections(np.zeros((n, 64, 128), F32), scan[views.evenly(scan, n)]) for n in (13, 130))
    grid = Grid((32, 32, 32), 0.2)
    assert coarsening(few, grid) == 1
    assert coarsening(few, Grid((128, 128, 128), 0.2)) == 2
    assert coarsening(many, grid, most_rays=300_000) == 2
    assert bin_projections(many, 2).values.size <= 300_000


def test_an_explicit_lambda_overrides_the_choice_and_zero_is_allowed() -> None:
    projections, grid, _ = make_scan(8, 5e4, size=16)
    rec = reconstruct(projections, "pdhg_tv", grid, lambda_=0.0, iterations=2)
    assert rec.settings["lambda_"] == 0.0
    assert "lambda_curve" not in rec.settings


def test_too_few_views_for_a_choice_say_so_and_how_to_go_on() -> None:
    projections, grid, _ = make_scan(4, 5e4, size=16)
    for name in ("pdhg_tv", "sirt"):
        with pytest.raises(InputError, match=r"at least 5 views.*give lambda_ / iterations"):
            reconstruct(projections, name, grid)


def test_data_of_zeros_give_a_volume_of_zeros() -> None:
    projections, grid, _ = make_scan(8, 5e4, size=16)
    blank = Projections(np.zeros_like(projections.values), projections.scan)
    for name in ("fista_tv", "pdhg_tv", "sirt", "cgls", "asd_pocs", "os_sart"):
        assert not reconstruct(blank, name, grid).volume.any(), name


def test_the_weight_unit_counts_views_and_ignores_air() -> None:
    projections, grid, _ = make_scan(26, 5e4, size=16)
    larger = Grid((16, 24, 24), grid.voxel_mm)
    units = [
        weight_unit(data_term(p, g, IterativeSettings()), 0.5, 0.5)
        for p, g in ((projections, grid), (projections[::2], grid), (projections, larger))
    ]
    assert units[1] == pytest.approx(units[0] / 2, rel=0.05)
    assert units[2] == pytest.approx(units[0], rel=0.35)


def test_held_out_views_are_inside_and_are_not_fitted() -> None:
    for count in (5, 13, 26, 52, 260):
        out = held_out(count)
        assert 0 < out.min() <= out.max() < count - 1
        assert len(set(out.tolist())) == len(out) <= max(1, count // 4)
    projections, grid, _ = make_scan(26, 5e4, size=16)
    part = split(projections, grid, PdhgTvSettings(), factor=1)
    angles = set(part.kept.scan.angles_deg) | set(part.held.scan.angles_deg)
    assert angles == set(projections.scan.angles_deg)
    assert not set(part.kept.scan.angles_deg) & set(part.held.scan.angles_deg)


def test_the_score_weighs_a_ripple_by_its_frequency() -> None:
    col = np.arange(64)
    slow, fast = (np.broadcast_to(np.cos(np.pi * k * (col + 0.5) / 64), (1, 4, 64)).astype(F32) for k in (4, 32))
    assert ramp_energy(fast) / ramp_energy(slow) == pytest.approx(8.0, rel=1e-4)
    assert ramp_energy(np.ones((1, 2, 64), F32)) < 1e-12  # a constant offset says nothing about structure


def test_the_minimum_of_a_curve_lies_between_its_points() -> None:
    curve = [(v, (math.log(v) - math.log(0.008)) ** 2) for v in LADDER]
    assert lowest(curve) == pytest.approx(0.008, rel=1e-6)
    assert lowest(curve[:3]) == LADDER[2]  # still falling at the end


# --- iterations


@pytest.mark.parametrize("name", ["sirt", "os_sart"])
def test_noisy_data_stop_early_and_the_choice_is_recorded(name: str) -> None:
    noisy, grid, _ = make_scan(26, 300.0, size=24)
    clean, _, _ = make_scan(26, 1e6, size=24)
    few, many = (reconstruct(p, name, grid, start="zero").settings for p in (noisy, clean))
    assert few["iterations"] < many["iterations"]
    assert few["iterations"] == int(np.argmin(few["iterations_curve"])) + 1
    assert few["iterations_seconds"] > 0


def test_cgls_stops_where_the_noise_explains_the_residual() -> None:
    projections, grid, truth = make_scan(26, 3e3)
    rec = reconstruct(projections, "cgls", grid)
    residual = np.linalg.norm(Operator(projections.scan, grid)(rec.volume) - projections.values)
    assert residual <= rec.settings["residual_wanted"] * 1.001
    assert "discrepancy" in rec.settings["stopped"]
    late = reconstruct(projections, "cgls", grid, iterations=30)
    assert quality(rec.volume, truth) > quality(late.volume, truth) + 1  # the iterations it saved would have fitted noise
    assert len(late.history) == 30


# --- noise


def test_the_noise_level_is_found_with_and_without_the_photon_count() -> None:
    projections, _, _ = make_scan(13, 2e4)
    expected = math.sqrt(float(np.mean(np.exp(projections.values) / 2e4)))  # Poisson: var(-ln N) = 1 / N
    assert noise_level(projections) == pytest.approx(expected, rel=0.02)
    assert noise_level(Projections(projections.values, projections.scan)) == pytest.approx(expected, rel=0.15)
    assert ripple(np.random.default_rng(0).normal(0, 0.3, (2, 1, 4000)).astype(F32)) == pytest.approx(0.3, rel=0.05)  # one row


# --- uncertainty


def test_the_spread_of_noise_replicas_is_that_of_scans_really_repeated() -> None:
    scans = [make_scan(13, 2e3, size=16, seed=s) for s in range(24)]
    projections, grid, _ = scans[0]
    repeated = np.stack([reconstruct(p, "fdk", grid).volume for p, _, _ in scans]).std(axis=0, ddof=1)
    rec = resampled_std(projections, "fdk", grid, kind="rays", replicas=24)
    assert rec.std is not None
    assert np.median(rec.std) == pytest.approx(np.median(repeated), rel=0.1)
    np.testing.assert_array_equal(rec.volume, reconstruct(projections, "fdk", grid).volume)


def test_intervals_from_left_out_views_hold_the_truth_about_as_often_as_they_say() -> None:
    projections, grid, truth = make_scan(26, 5e3)
    rec = resampled_std(projections, "fdk", grid, replicas=13)
    assert rec.std is not None
    share, factor = coverage(rec.volume, rec.std, truth, level=0.9, mask=truth > 0.02)
    assert 0.6 < share < 0.97
    assert 0.7 < factor < 2.5


def test_replicas_keep_what_the_method_chose_and_the_volume_is_saved_with_its_spread(tmp_path: Path) -> None:
    projections, grid, _ = make_scan(8, 5e3, size=16)
    rec = resampled_std(projections, "pdhg_tv", grid, replicas=3, iterations=5)
    assert rec.settings["std_kind"] == "views"
    assert rec.settings["std_replicas"] == 3
    assert rec.std is not None
    assert rec.std.shape == grid.shape
    assert rec.std.max() > 0
    import h5py

    with h5py.File(rec.save(tmp_path / "v.h5")) as file:
        found: list[str] = []
        file.visit(found.append)
    assert any("std" in name for name in found)


def test_the_scale_of_a_standard_deviation_is_applied_and_recorded() -> None:
    projections, grid, _ = make_scan(8, 5e3, size=16)
    plain, scaled = (resampled_std(projections, "fdk", grid, replicas=3, scale=s) for s in (1.0, 1.5))
    np.testing.assert_allclose(scaled.std, 1.5 * plain.std, rtol=1e-6)  # type: ignore[operator]
    assert scaled.settings["std_scale"] == 1.5
    with pytest.raises(InputError, match="scale is 0"):
        resampled_std(projections, "fdk", grid, scale=0)


def test_recon_writes_the_convergence_and_the_scaled_deviation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projections, _, _ = make_scan(8, 5e3, size=16)
    write_projections(projections, tmp_path / "scan.h5")
    start = ["recon", str(tmp_path / "scan.h5"), "--method", "cgls", "--set", "iterations=3", "--std", "3", "--force"]
    means = []
    for scale in ("1.0", "2.0"):
        assert main([*start, "--out", str(tmp_path / "v.nii.gz"), "--std-scale", scale]) == 0
        means.append(float(np.asarray(nibabel.load(tmp_path / "v_std.nii.gz").dataobj).mean()))  # pyright: ignore
    assert means[1] == pytest.approx(2 * means[0], rel=1e-5)
    record = json.loads((tmp_path / "v.nii.gz.record.json").read_text())
    assert record["settings"]["std_scale"] == 2.0
    assert [step["step"] for step in record["history"]] == [1, 2, 3]
    assert {"residual", "objective", "seconds", "memory_mb"} <= record["history"][0].keys()
    assert main([*start[:-3], "--out", str(tmp_path / "w.nii.gz"), "--std-scale", "2"]) != 0
    assert "expected --std with" in capsys.readouterr().err


def test_bad_resampling_is_refused() -> None:
    projections, grid, truth = make_scan(4, 5e3, size=16)
    with pytest.raises(UnknownNameError, match="did you mean views"):
        resampled_std(projections, "fdk", grid, kind="veiws")
    with pytest.raises(InputError, match="replicas is 1"):
        resampled_std(projections, "fdk", grid, replicas=1)
    with pytest.raises(InputError, match="9 groups of 4 views"):
        resampled_std(projections, "fdk", grid, replicas=9)
    with pytest.raises(InputError, match="level is 90"):
        coverage(truth, truth, truth, level=90)
