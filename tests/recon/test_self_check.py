"""The self-check: exact scans of ellipsoids, with faults put in that it has to name, and none where it must be silent."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from fewview.data import Projections
from fewview.data.self_check import DOUBTFUL, OK, WRONG, SelfCheck
from fewview.geometry import Grid, Scan, skyscan_1276, transform, views
from fewview.recon import fdk, reconstruct
from fewview.recon.selfcheck.borders import borders
from fewview.recon.selfcheck.check import self_check
from fewview.recon.selfcheck.opposite_rays import Change, OppositeRays, travelled_deg
from fewview.recon.selfcheck.repeated_views import repeated_views
from fewview.recon.selfcheck.small_views import SmallViews, middle_rows

PIXEL = 0.4452  # 96 x 64 pixels of the 1276
PHOTONS = 20_000


def bodies(count: int = 25, seed: int = 3) -> np.ndarray:
    """(count, 7): centre and semi-axes in mm, attenuation in 1/mm; all inside the field of view, many across the plane of the source."""
    rng = np.random.default_rng(seed)
    radius, angle = 13 * np.sqrt(rng.uniform(size=count)), rng.uniform(0, 2 * np.pi, count)
    center = np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.normal(0, 3, count)], axis=1)
    return np.column_stack([center, rng.uniform(0.6, 4.0, (count, 3)), rng.uniform(0.02, 0.12, count)])


def line_integrals(scan: Scan) -> np.ndarray:
    """Chord lengths times attenuation, [view, row, col]."""
    out = np.zeros((len(scan), *scan.shape))
    for view in range(len(scan)):
        ray = transform.pixel_centers(scan, view) - scan.source[view]
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        for body in bodies():
            d, o = ray / body[3:6], (scan.source[view] - body[:3]) / body[3:6]
            a, b, c = (d**2).sum(-1), d @ o, o @ o - 1
            out[view] += body[6] * 2 * np.sqrt(np.maximum(b**2 - a * c, 0)) / a
    return out


def noisy(values: np.ndarray, seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).poisson(np.exp(-values) * PHOTONS)
    return -np.log(np.maximum(counts, 1) / PHOTONS).astype(np.float32)


def exact(count: int, rows: int = 64) -> Projections:
    scan = skyscan_1276(rows, 96, PIXEL)
    part = scan[views.evenly(scan, count)]
    return Projections(line_integrals(part), part)


@pytest.fixture(scope="module", params=[26, 52])
def sound(request: pytest.FixtureRequest) -> Projections:
    p = exact(request.param)
    return Projections(noisy(p.values), p.scan)


def checked(p: Projections) -> SelfCheck:
    grid = Grid.fit(p.scan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return self_check(p, fdk(p, grid), grid)


def test_a_sound_scan_is_ok_and_says_so_in_one_line(sound: Projections) -> None:
    found = checked(sound)
    assert found.level == OK
    assert found.ok
    assert found.suspicions == ()
    assert "\n" not in found.message
    assert "mirror image along the axis" in found.message
    assert "overall scale" in found.message
    assert 0 < found.error < 0.3
    assert 0 < found.contradiction < 0.12
    assert abs(found.facts["axis_px"]) < 0.1


@pytest.mark.parametrize("shift_px", [2.0, -2.0])
def test_an_axis_two_pixels_off_is_found_and_measured(sound: Projections, shift_px: float) -> None:
    found = checked(Projections(sound.values, transform.correct(sound.scan, shift_px * PIXEL)))
    assert found.level == WRONG
    assert found.suspicions[0].name == "axis"
    assert found.suspicions[0].size == pytest.approx(-shift_px, abs=0.15)
    assert found.contradiction > 0.1


@pytest.mark.parametrize("percent", [2.0, -2.0])
def test_a_step_two_percent_off_is_found_and_measured(sound: Projections, percent: float) -> None:
    further = travelled_deg(sound.scan) * percent / 100
    found = checked(Projections(sound.values, transform.turn_views(sound.scan, further)))
    assert found.level == WRONG
    assert found.suspicions[0].name == "step"
    assert found.suspicions[0].size == pytest.approx(-percent, abs=0.5)


def test_flipped_columns_and_a_reversed_rotation_are_found(sound: Projections) -> None:
    for wrong in (Projections(sound.values[:, :, ::-1], sound.scan), Projections(sound.values, transform.reverse_rotation(sound.scan))):
        found = checked(wrong)
        assert found.level == WRONG
        assert [s.name for s in found.suspicions] == ["sense"]


def test_a_rolled_panel_is_found_from_many_views() -> None:
    p = exact(52)
    found = checked(Projections(noisy(p.values), transform.correct(p.scan, 0, 0, 1.2)))
    assert found.level == WRONG
    assert found.suspicions[0].name == "roll"
    assert found.suspicions[0].size == pytest.approx(-1.2, abs=0.3)


def test_inverted_counts_are_found(sound: Projections) -> None:
    counts = 65535 - 57000 * np.exp(-sound.values)
    for values in (-np.log(counts / counts.max()), -sound.values, sound.values.max() - sound.values):
        found = checked(Projections(values, sound.scan))
        assert found.level == WRONG
        assert found.suspicions[0].name == "inverted"


def test_views_that_repeat_are_found_with_and_without_new_noise() -> None:
    for count in (26, 260):
        p = exact(count, rows=8)
        values = noisy(p.values)
        still = p.values.copy()
        values[9:18] = values[8]
        still[9:18] = still[8]
        for wrong in (values, noisy(still, seed=1)):
            found = checked(Projections(wrong, p.scan))
            assert found.level == WRONG
            assert found.suspicions[0].name == "repeated"
            assert set(range(10, 17)) <= set(repeated_views(wrong, travelled_deg(p.scan)).views) <= set(range(8, 19 + 260 // 26))


def test_a_volume_that_is_not_that_of_the_views_is_found(sound: Projections) -> None:
    grid = Grid.fit(sound.scan)
    volume = fdk(sound, grid)
    assert self_check(sound, np.zeros(grid.shape, np.float32), grid).error == pytest.approx(1.0)
    for wrong, name in ((np.zeros(grid.shape, np.float32), "volume"), (volume[:, ::-1], "volume"), (2.5 * volume, "scale")):
        found = self_check(sound, np.ascontiguousarray(wrong), grid)
        assert (found.level, found.suspicions[0].name) == (WRONG, name)
    assert self_check(sound, volume / 2, grid).scale == pytest.approx(2 * self_check(sound, volume, grid).scale)


def test_a_grid_that_holds_a_part_has_no_error(sound: Projections) -> None:
    grid = Grid((8, 20, 20), PIXEL)
    found = self_check(sound, np.zeros(grid.shape, np.float32), grid)
    assert np.isnan(found.error)
    assert found.level == OK
    record = json.loads(json.dumps(found.as_record(), allow_nan=False))
    assert record["error"] is None
    assert record["contradiction"] == found.contradiction


def test_a_cut_object_is_doubtful(sound: Projections) -> None:
    part = slice(36, 60)
    found = checked(Projections(sound.values[:, :, part], transform.crop(sound.scan, cols=part)))
    assert found.level == DOUBTFUL
    assert found.suspicions[0].name == "truncation"
    left = np.zeros((4, 16, 32), np.float32)
    left[:, 4:12, :20] = 1.0
    assert borders(left).cut == pytest.approx(0.5)
    assert borders(left, full_turn=True).cut == 0


@pytest.mark.parametrize("count", [1, 2, 3, 5, 13])
def test_few_views_raise_no_alarm(count: int) -> None:
    p = exact(count, rows=24)
    assert checked(Projections(noisy(p.values), p.scan)).level != WRONG


def test_a_short_arc_is_judged_by_shared_planes() -> None:
    scan = skyscan_1276(64, 96, PIXEL)[:150:5]
    values = noisy(line_integrals(scan))
    assert checked(Projections(values, scan)).level == OK
    assert checked(Projections(values[:, :, ::-1], scan)).suspicions[0].name == "sense"
    assert checked(Projections(values, transform.correct(scan, 3 * PIXEL))).suspicions[0].name == "axis"


def test_a_parallel_beam_shows_the_axis_and_cannot_show_the_sense() -> None:
    scan = Scan.circular(dso_mm=1e5, dsd_mm=1e5, rows=2, cols=96, pixel_mm=PIXEL, angles_deg=np.arange(0, 180, 2.0))
    values = noisy(line_integrals(scan))
    ok = checked(Projections(values, scan))
    assert ok.level == OK
    assert any("sense of rotation" in line for line in ok.unseen)
    assert checked(Projections(values[:, :, ::-1], scan)).level == OK
    found = checked(Projections(values, transform.correct(scan, 4 * PIXEL)))
    assert found.suspicions[0].name == "axis"
    assert found.suspicions[0].size == pytest.approx(-4, abs=0.2)


def test_reconstruct_warns_and_keeps_the_check(sound: Projections) -> None:
    wrong = Projections(sound.values[:, :, ::-1], sound.scan)
    with pytest.warns(UserWarning, match="self-check: WRONG: the rotation runs the other way"):
        rec = reconstruct(wrong)
    assert rec.check is not None
    assert rec.check.message.startswith("WRONG")
    assert rec.kept().facts["check"]["level"] == WRONG
    assert reconstruct(sound, check=False).check is None


def test_opposite_rays_agree_where_theory_says_so() -> None:
    """The line through both sources has one integral, whatever the object: without noise only what pixels blur is left."""
    p = exact(52)
    rays = OppositeRays(SmallViews(p.values, p.scan, 1))
    moved = transform.move(p.scan, transform.rotation_matrix((1, 2, 0), 50), (4, -3, 7))
    down = OppositeRays(SmallViews(p.values[:, ::-1], transform.flip_rows(p.scan), 1))
    assert rays.count > 100
    assert OppositeRays(SmallViews(p.values, moved, 1)).energy(Change()) == pytest.approx(rays.energy(Change()), rel=1e-3)
    assert rays.energy(Change(axis_px=1.0)) > 5 * rays.energy(Change())
    for part in (rays, down):  # the very rays, none of their neighbours
        part.rows, part.reach = np.zeros(1), 0.0
    assert rays.energy(Change()) < 5e-3
    assert rays.energy(Change(axis_px=1.0)) > 20 * rays.energy(Change())
    assert down.energy(Change()) == pytest.approx(rays.energy(Change()), rel=1e-3)


def test_a_step_is_counted_in_the_sense_of_the_rotation() -> None:
    p = exact(52, rows=24)
    scan = transform.turn_views(p.scan, travelled_deg(p.scan) * 0.02)
    rays = OppositeRays(SmallViews(p.values, scan, 1))
    flipped = OppositeRays(SmallViews(np.ascontiguousarray(p.values[:, :, ::-1]), scan, 1))
    for test, reverse in ((rays, False), (flipped, True)):
        right, none, wrong = (test.energy(Change(step_percent=percent, reverse=reverse)) for percent in (-2.0, 0.0, 2.0))
        assert right < none < wrong


def test_repeats_are_told_from_a_closed_turn_and_a_body_of_revolution() -> None:
    rng = np.random.default_rng(0)
    turn = np.linspace(0, 360, 37)
    images = np.cumsum(rng.normal(size=(37, 4, 30)), axis=0).astype(np.float32)
    images[-1] = images[0]
    assert repeated_views(images, turn).views == ()
    images[20] = images[3]
    assert repeated_views(images, turn).views == (20,)
    round_body = np.broadcast_to(images[0], images.shape)
    assert repeated_views(round_body, turn).views == ()
    assert repeated_views(round_body, turn).all_alike
    assert repeated_views(round_body + rng.normal(0, 0.1, images.shape).astype(np.float32), turn).views == ()


def test_small_views_are_means_with_the_geometry_that_goes_with_them() -> None:
    p = exact(3, rows=32)
    small = middle_rows(p, cols=48, rows=5)
    assert small.factor == 2
    assert small.scan.shape == (5, 48)
    assert small.values[1, 2, 7] == pytest.approx(p.values[1, 15:17, 14:16].mean(), rel=1e-6)
    center = transform.pixel_centers(p.scan, 1)[15:17, 14:16].mean(axis=(0, 1))
    assert np.allclose(transform.pixel_centers(small.scan, 1)[2, 7], center)
    assert travelled_deg(p.scan) == pytest.approx(p.scan.angles_deg, abs=1e-6)
