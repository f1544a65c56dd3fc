"""Self-calibration. The fast tests project ellipsoids analytically: no projector or grid of the library makes the data."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, InputError, Scan, UnknownNameError, skyscan_1276, transform, views
from fewview.recon import Operator, calibrate, simulate
from fewview.recon.calibration.drift import view_drift, without
from fewview.recon.calibration.epipolar import Epipolar, view_pairs
from fewview.recon.calibration.hardening import consistent_percent
from fewview.recon.calibration.picture import draw
from fewview.recon.calibration.search import Estimate, Search, row_found
from fewview.recon.calibration.trust import held_out_gain, only_what_helps
from fewview.recon.corrections.beam_hardening import linearise

PIXEL = 0.4452  # 96 x 64 pixels: the 1276 binned 42 times


def ellipsoids(count: int = 30, seed: int = 5) -> np.ndarray:
    """(count, 10): centre, semi-axes, a rotation about a random axis (3 Euler-like numbers), attenuation; all within the field of view."""
    rng = np.random.default_rng(seed)
    radius, angle = 11 * np.sqrt(rng.uniform(size=count)), rng.uniform(0, 2 * np.pi, count)
    center = np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-8, 8, count)], axis=1)
    return np.column_stack(
        [center, rng.uniform(0.6, 3.0, (count, 3)), rng.uniform(-np.pi, np.pi, (count, 3)), rng.uniform(0.02, 0.15, count)]
    )


def rotation(a: np.ndarray) -> np.ndarray:
    turn = transform.rotation_matrix
    return turn((1, 0, 0), np.degrees(a[0])) @ turn((0, 1, 0), np.degrees(a[1])) @ turn((0, 0, 1), np.degrees(a[2]))


def line_integrals(scan: Scan, bodies: np.ndarray) -> np.ndarray:
    """Exact chord lengths times attenuation, [view, row, col]."""
    out = np.zeros((len(scan), *scan.shape), dtype=np.float32)
    for view in range(len(scan)):
        ray = transform.pixel_centers(scan, view) - scan.source[view]
        length = np.linalg.norm(ray, axis=-1)
        for body in bodies:
            scale = rotation(body[6:9]) / body[3:6][:, None]
            d, o = ray @ scale.T, scale @ (scan.source[view] - body[:3])
            a, b, c = (d**2).sum(-1), d @ o, o @ o - 1
            out[view] += body[9] * 2 * np.sqrt(np.maximum(b**2 - a * c, 0)) / a * length
    return out


def noisy(values: np.ndarray, photons: float = 40_000, seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).poisson(np.exp(-values.astype(np.float64)) * photons)
    return -np.log(np.maximum(counts, 1) / photons).astype(np.float32)


def scans(views_kept: int = 40, sense: int = 1, **truth: float) -> tuple[Scan, Scan]:
    """(nominal, true) scans; the true one may turn the other way."""
    model = skyscan_1276(rows=64, cols=96, voxel_mm=PIXEL)
    index = views.evenly(model, views_kept)
    args = {"dso_mm": model.dso_mm, "dsd_mm": model.dso_mm, "rows": 64, "cols": 96, "pixel_mm": PIXEL}
    return model[index], Scan.circular(**args, angles_deg=sense * model.angles_deg[index], **truth)


@pytest.fixture(scope="module")
def bodies() -> np.ndarray:
    return ellipsoids()


@pytest.mark.parametrize("sense", [-1, pytest.param(1, marks=pytest.mark.slow)])
def test_every_parameter_and_the_sense_are_found_from_40_noisy_views(bodies: np.ndarray, sense: int) -> None:
    truth = {"axis_shift_mm": 2.3 * PIXEL, "row_shift_mm": -1.7 * PIXEL, "roll_deg": 0.6}
    nominal, true = scans(sense=sense, **truth)
    values = noisy(line_integrals(true, bodies))
    found = calibrate(Projections(values, nominal))
    assert found.reversed == (sense < 0)
    assert found.axis_shift_mm == pytest.approx(truth["axis_shift_mm"], abs=0.1 * PIXEL)
    assert found.row_shift_mm == pytest.approx(truth["row_shift_mm"], abs=0.3 * PIXEL)
    assert found.roll_deg == pytest.approx(truth["roll_deg"], abs=0.06)  # half as many columns as the requirement's scans: twice its angle
    np.testing.assert_allclose(found.scan.source, true.source, atol=1e-6)
    assert np.abs(found.scan.detector - true.detector).max() < 0.35 * PIXEL
    assert found.score < 0.5 * found.score_before
    assert set(found.changes) == {
        "axis_shift_mm",
        "row_shift_mm",
        "roll_deg",
        "rotation_reversed",
        "score_before",
        "score",
        "hardening_percent",
    }
    json.dumps(found.changes)
    for word in ("axis shift", "row shift", "roll", "REVERSED" if sense < 0 else "as given"):
        assert word in str(found)
    for name, (at, scores) in found.curves.items():
        assert at.min() < getattr(found, name) < at.max()
        assert scores.min() < 0.9 * max(scores[0], scores[-1])
    assert len(draw(found).axes) == 4


def test_corrections_add_to_those_of_a_moved_scan_with_rows_running_down(bodies: np.ndarray) -> None:
    """Half of the misalignment is known already, the scan lies elsewhere in space, and the images are stored upside down."""
    truth = {"axis_shift_mm": 1.2 * PIXEL, "row_shift_mm": 1.0 * PIXEL, "roll_deg": -0.4}
    nominal, true = scans(**truth)
    values = noisy(line_integrals(true, bodies))[:, ::-1]
    matrix = transform.rotation_matrix((1, -2, 0.5), 75)
    known = transform.correct(nominal, *(x / 2 for x in truth.values()))
    given = transform.move(transform.flip_rows(known), matrix, (30, -10, 20))
    found = calibrate(Projections(values, given), sense=False)
    assert found.axis_shift_mm == pytest.approx(truth["axis_shift_mm"] / 2, abs=0.1 * PIXEL)
    assert found.row_shift_mm == pytest.approx(-truth["row_shift_mm"] / 2, abs=0.3 * PIXEL)  # along v, which points down
    assert found.roll_deg == pytest.approx(-truth["roll_deg"] / 2, abs=0.06)
    assert "rotation_reversed" not in found.changes


def test_only_what_is_asked_for_changes(bodies: np.ndarray) -> None:
    nominal, true = scans(views_kept=24, axis_shift_mm=0.8 * PIXEL)
    found = calibrate(Projections(line_integrals(true, bodies), nominal), fit=["axis_shift"], sense=False)
    assert found.axis_shift_mm == pytest.approx(0.8 * PIXEL, abs=0.05 * PIXEL)
    assert (found.row_shift_mm, found.roll_deg, found.reversed) == (0, 0, False)
    assert set(found.changes) == {"axis_shift_mm", "score_before", "score", "hardening_percent"}


def test_two_views_agree_on_the_planes_through_both_sources(bodies: np.ndarray) -> None:
    """Grangeat's relation itself, noise-free, in a tilted, rolled, shifted and moved geometry: 1 px of error breaks what held."""
    _, true = scans(views_kept=10, row_shift_mm=0.5, axis_shift_mm=-0.6, roll_deg=1.0)
    scan = transform.move(transform.tilt(true, 2, -3), transform.rotation_matrix((3, 1, 2), 20), (5, 5, 5))
    values = line_integrals(scan, bodies)
    test = Epipolar(values, scan, 1.0)

    def contradiction(geometry: Scan) -> float:
        said = test.sides(geometry)
        said = said[np.isfinite(said).all(axis=2)]
        assert len(said) > 500
        return float(((said[:, 0] - said[:, 1]) ** 2).sum() / (said**2).sum())

    right = contradiction(scan)
    assert right < 2e-3
    assert contradiction(transform.correct(scan, row_shift_mm=2 * PIXEL)) > 2 * right
    assert contradiction(transform.correct(scan, roll_deg=1.0)) > 5 * right
    assert contradiction(transform.reverse_rotation(scan)) > 50 * right


def test_the_views_say_how_hard_the_beam_became(bodies: np.ndarray) -> None:
    """p = (sqrt(1 + 4 b q) - 1) / 2 b of the true q is straightened by 100 b percent; true q by nothing."""
    _, true = scans(views_kept=20)
    q = 1.5 * line_integrals(true, bodies).astype(np.float64)
    for b in (0.0, 0.2, 0.5):
        p = noisy((np.sqrt(1 + 4 * b * q) - 1) / (2 * b) if b else q)
        assert consistent_percent(p, true) == pytest.approx(100 * b, abs=3 + 15 * b)  # what smoothing blurs looks less hard
    assert consistent_percent(np.ones((20, 64, 96), np.float32), true) == 0  # nothing to tell it by


def test_views_that_face_each_other_give_the_row_alone(bodies: np.ndarray) -> None:
    """From 2 px off, with a hardened beam straightened; a roll that is a little wrong neither changes nor disturbs."""
    nominal, true = scans(row_shift_mm=2 * PIXEL)
    values = linearise(noisy((np.sqrt(1 + 1.6 * 1.5 * line_integrals(true, bodies)) - 1) / 0.8), 40)
    for roll in (0.0, 0.1):
        start = Estimate.at(np.array([0.0, 0.0, roll]), 1.0, False).changed(errors=np.full(3, 0.5))
        found = row_found(values, nominal, start, 5000, roll_free=True)
        assert found.values[1] == pytest.approx(2, abs=0.25)  # 64 rows and few bodies: 0.1 to 0.2, whatever the noise
        assert 0 < found.errors[1] < 0.1
        assert list(found.values[[0, 2]]) == [0, roll]
        assert list(found.errors[[0, 2]]) == [0.5, 0.5]


def test_less_than_half_a_turn_is_said(bodies: np.ndarray) -> None:
    nominal, true = scans(views_kept=60, axis_shift_mm=0.5)
    found = calibrate(Projections(line_integrals(true[:24], bodies), nominal[:24]), sense=False, hardening=False)
    assert "less than half a turn" in str(found)
    assert found.axis_shift_mm == pytest.approx(0.5, abs=0.1 * PIXEL)


def test_pairs_of_views_are_neither_near_nor_opposite() -> None:
    scan = skyscan_1276(4, 6, 1.0)
    pairs = view_pairs(scan, 100)
    apart = np.abs(scan.angles_deg[pairs[:, 0]] - scan.angles_deg[pairs[:, 1]])
    assert len(np.unique(pairs, axis=0)) == 100
    assert ((apart > 19.9) & ((apart < 175.1) | (apart > 184.9))).all()


@pytest.mark.parametrize(("dso", "magnification", "span"), [(90.0, 1.0, 240.0), (1e6, 1.0, 180.0)])
def test_fan_and_parallel_beams_have_an_axis_shift(bodies: np.ndarray, dso: float, magnification: float, span: float) -> None:
    args = {"dso_mm": dso, "dsd_mm": dso * magnification, "rows": 1, "cols": 96, "pixel_mm": 0.4, "angles_deg": np.arange(60) * span / 60}
    flat = bodies.copy()
    flat[:, 2] *= 0.2
    values = noisy(line_integrals(Scan.circular(**args, axis_shift_mm=-1.0), flat))
    found = calibrate(Projections(values, Scan.circular(**args)))
    assert found.axis_shift_mm == pytest.approx(-1.0, abs=0.1 * 0.4)
    assert found.roll_deg == found.row_shift_mm == 0
    assert "narrow beam" in str(found)
    if dso < 1e6:
        assert not found.reversed
    else:  # parallel beams of the mirrored object are just as good
        assert "the sense of rotation cannot be told" in str(found)
    assert "axis_shift_mm" in found.curves


def test_jitter_and_slow_drift_of_the_views_are_found(bodies: np.ndarray) -> None:
    nominal, _ = scans(views_kept=60)
    rng = np.random.default_rng(3)
    t = np.linspace(-1, 1, 60)
    alike = np.column_stack([np.ones(60), np.cos(np.radians(nominal.angles_deg)), np.sin(np.radians(nominal.angles_deg))])
    for jitter in (0.0, 0.4):
        cols = 1.5 * np.sin(4 * t + 0.5) + rng.normal(0, jitter, 60)
        rows = 0.8 * np.sin(3 * t) + rng.normal(0, jitter, 60)
        true = transform.shift_views(nominal, cols, rows)
        found = view_drift(Projections(noisy(line_integrals(true, bodies)), nominal))
        # a mean and a first harmonic of the columns are as well an axis shift and another place of the object
        there, left = without(alike, cols), without(alike, found.cols_px - cols)
        assert np.std(left) < 0.35 * np.std(there)
        assert np.std(found.rows_px - rows) < 0.1 * np.std(rows)
    with pytest.raises(InputError, match="half a turn"):
        view_drift(Projections(line_integrals(true[:20], bodies), nominal[:20]))


def test_bad_input_is_named() -> None:
    scan = skyscan_1276(16, 24, 1.0)[::10]
    values = np.random.default_rng(0).random((26, 16, 24)).astype(np.float32)
    with pytest.raises(UnknownNameError, match="row_shift"):
        calibrate(Projections(values, scan), fit=["row_shfit"])
    with pytest.raises(InputError, match="no correction"):
        calibrate(Projections(values, scan), fit=[])
    with pytest.raises(InputError, match="5 views"):
        calibrate(Projections(values[:5], scan[:5]))
    with pytest.raises(InputError, match="span"):
        calibrate(Projections(values[:6], skyscan_1276(16, 24, 1.0)[:6]))
    with pytest.raises(InputError, match="same value"):
        calibrate(Projections(np.zeros_like(values), scan))
    with pytest.raises(InputError, match="search_px"):
        calibrate(Projections(values, scan), search_px=-1)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["C57BL6_J_", "A_J_", "DBA_2J_"])
def test_requirement_on_real_volumes(shared_data: Path, name: str) -> None:
    """Axis 0.1 px, row 0.3 px, roll 0.03 deg from 260 and 52 views; axis 0.2 px from 26; default physics (noise, rings, ...)."""
    grey = np.asarray(nibabel.load(shared_data / "mouse_head" / f"{name}.nii.gz").dataobj, dtype=np.float32)  # type: ignore[attr-defined]
    volume = np.ascontiguousarray(grey.transpose(2, 1, 0)) / 255 * 0.20
    grid = Grid(volume.shape, 0.141, (0.37, -0.52, 0.23))  # type: ignore[arg-type]
    pixel = 0.2226
    scan = skyscan_1276(rows=128, cols=192, voxel_mm=pixel)
    rng = np.random.default_rng(len(name))
    axis, row, roll = rng.uniform(-4, 4) * pixel, rng.uniform(-4, 4) * pixel, rng.uniform(-0.8, 0.8)
    p = simulate(volume, grid, scan, axis_shift_mm=axis, row_shift_mm=row, roll_deg=roll)
    for count in (260, 52, 26):
        found = calibrate(p[views.evenly(scan, count)])
        assert not found.reversed
        assert abs(found.axis_shift_mm - axis) < (0.1 if count > 26 else 0.2) * pixel
        if count > 26:
            assert abs(found.row_shift_mm - row) < 0.3 * pixel
            assert abs(found.roll_deg - roll) < 0.03


def test_an_object_without_structure_keeps_the_given_geometry() -> None:
    """A centred ball looks the same from everywhere: nothing can be found, and nothing absurd may be returned."""
    scan = skyscan_1276(rows=32, cols=48, voxel_mm=0.9)[::5]
    grid = Grid((36, 36, 36), 0.8)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    ball = (0.05 * (x**2 + y**2 + z**2 < 64)).astype(np.float32)
    found = calibrate(Projections(Operator(scan, grid)(ball), scan), sense=False)
    assert abs(found.axis_shift_mm) < 0.9
    assert abs(found.row_shift_mm) < 1.8
    assert abs(found.roll_deg) < 0.6


def test_an_aligned_scan_stays_as_it_is(bodies: np.ndarray) -> None:
    """What is found there is noise: within its error, not applied, and said."""
    nominal, _ = scans(views_kept=24)
    found = calibrate(Projections(noisy(line_integrals(nominal, bodies)), nominal), sense=False)
    assert (found.axis_shift_mm, found.row_shift_mm, found.roll_deg) == (0, 0, 0)
    np.testing.assert_allclose(found.scan.detector, nominal.detector)
    assert sum("is not applied" in line for line in found.lines) == 3
    assert found.errors["row_shift_mm"] >= 0.05 * 192 / 96 * PIXEL  # never less than what biases all views alike
    assert found.errors["roll_deg"] >= 0.012


def test_views_that_were_left_out_judge_a_correction(bodies: np.ndarray) -> None:
    nominal, true = scans(views_kept=24, axis_shift_mm=0.8 * PIXEL)
    search = Search(Epipolar(line_integrals(true, bodies), nominal, 1.0), [0])
    right, wrong = (Estimate.at(np.array([shift, 0.0, 0.0]), 1.0, False) for shift in (0.8, -0.8))
    assert held_out_gain(search, right, 0) > 0.3
    assert held_out_gain(search, wrong, 0) < -0.3
    kept, said = only_what_helps(search, wrong.changed(errors=np.full(3, 0.1)))
    assert kept.values[0] == 0
    assert "agree no better" in said[0]


def test_a_sense_that_cannot_be_told_is_kept_and_said(bodies: np.ndarray) -> None:
    """In a parallel beam the mirrored object that turns the other way gives the same views."""
    scan = Scan.circular(dso_mm=1e6, dsd_mm=1e6, rows=2, cols=96, pixel_mm=PIXEL, angles_deg=np.arange(40) * 9.0)
    found = calibrate(Projections(line_integrals(scan, bodies), scan))
    assert not found.reversed
    assert any(line.startswith("the sense of rotation cannot be told") for line in found.lines)
