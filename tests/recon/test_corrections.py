"""Corrections: cupping and rings against analytic cylinders, dead pixels, smoothing, the grey window, and the account of it all."""

from __future__ import annotations

import sys

import fewview.recon.corrections.rings as rings_module
import numpy as np
import pytest
from fewview.data import Projections, RawScan
from fewview.data.images.grey import from_grey, to_grey
from fewview.geometry import Grid, InputError, MissingBackendError, Scan, UnknownNameError, skyscan_1276
from fewview.recon import fdk, simulate
from fewview.recon.corrections import Corrections, beam_hardening, correct, correct_volume
from fewview.recon.corrections.beam_hardening import correct_two_materials, hardening_percent, linearise, search_grid
from fewview.recon.corrections.dead_pixels import find_dead_pixels, mend_pixels
from fewview.recon.corrections.rings import reduce_rings, static_pattern
from fewview.recon.corrections.scatter import subtract_scatter
from fewview.recon.corrections.smoothing import smooth
from fewview.recon.physics.tables import Beam, attenuation, tube_beam
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SCAN = skyscan_1276(rows=24, cols=144, voxel_mm=0.3)
GRID = Grid((3, 144, 144), 0.3)
Y, X = np.meshgrid(GRID.y_mm, GRID.x_mm, indexing="ij")


def chord(scan: Scan, x: float, y: float, radius: float, half_height: float = np.inf) -> NDArray[np.float64]:
    """Path (mm) of every ray [view, row, col] through an upright cylinder, by intersecting line and cylinder."""
    rows, cols = scan.shape
    row, col = np.arange(rows) - (rows - 1) / 2, np.arange(cols) - (cols - 1) / 2
    pixel = scan.detector[:, None, None] + row[:, None, None] * scan.v[:, None, None] + col[:, None] * scan.u[:, None, None]
    along = pixel - scan.source[:, None, None]
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    start = scan.source[:, None, None, :2] - (x, y)
    a, b, c = (along[..., :2] ** 2).sum(-1), (start * along[..., :2]).sum(-1), (start**2).sum(-1) - radius**2
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    near, far = (-b - root) / a, (-b + root) / a
    if np.isfinite(half_height):
        with np.errstate(divide="ignore"):
            ends = np.sort([(sign * half_height - scan.source[:, None, None, 2]) / along[..., 2] for sign in (-1, 1)], axis=0)
        near, far = np.maximum(near, ends[0]), np.minimum(far, ends[1])
    return np.where(root > 0, np.maximum(far - near, 0), 0)


def polychromatic(beam: Beam, **path_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """-ln sum_E w(E) exp(-sum mu(E) L): Beer-Lambert's law, one energy at a time."""
    tables = {name: attenuation(name, beam.energy_kev) for name in path_mm}
    total = sum(w * np.exp(-sum(tables[n][i] * path_mm[n] for n in path_mm)) for i, w in enumerate(beam.weight))
    return -np.log(np.asarray(total)).astype(np.float32)


def cupping(volume: NDArray[np.float32], x: float, y: float, radius: float) -> float:
    """(rim - centre) / rim of a uniform cylinder."""
    r = np.hypot(X - x, Y - y)
    rim, centre = (float(volume[:, m].mean()) for m in ((r > 0.75 * radius) & (r < 0.9 * radius), r < 0.2 * radius))
    return (rim - centre) / rim


@pytest.fixture(scope="module")
def beam() -> Beam:
    return tube_beam(50, 0.5)


def test_cupping_of_a_two_material_cylinder(beam: Beam) -> None:
    length = chord(SCAN, 1.0, -2.0, 8.0)
    p = Projections(polychromatic(beam, soft=0.85 * length, bone=0.15 * length), SCAN)
    assert cupping(fdk(p, GRID), 1.0, -2.0, 8.0) > 0.08
    straight = fdk(Projections(linearise(p.values, 40), SCAN), GRID)
    assert abs(cupping(straight, 1.0, -2.0, 8.0)) < 0.015
    volume = fdk(correct_two_materials(p, beam.binned(24)), GRID)
    assert abs(cupping(volume, 1.0, -2.0, 8.0)) < 0.015
    inside = np.hypot(X - 1, Y + 2) < 6
    truth = 0.85 * attenuation("soft", 30)[0] + 0.15 * attenuation("bone", 30)[0]
    assert float(volume[1, inside].mean()) == pytest.approx(truth, rel=0.01)  # not only flat: the right attenuation at 30 keV


def test_the_dark_band_between_two_bones(beam: Beam) -> None:
    bones = chord(SCAN, -4, 0, 1.5) + chord(SCAN, 4, 0, 1.5)
    p = Projections(polychromatic(beam, soft=chord(SCAN, 0, 0, 8) - bones, bone=bones), SCAN)
    between = (np.abs(X) < 1.2) & (np.abs(Y) < 0.5)
    beside = (np.abs(Y) > 4) & (np.hypot(X, Y) < 6.5)

    def band(q: Projections) -> float:
        slice_ = fdk(q, GRID)[1]
        return float(slice_[between].mean() / slice_[beside].mean())

    assert band(p) < 0.75
    assert band(correct_two_materials(p, beam.binned(24), passes=0)) < 0.8  # soft tissue alone cannot explain it
    assert band(correct_two_materials(p, beam.binned(24), passes=3)) == pytest.approx(1, abs=0.02)


def test_percentage_of_a_known_spectrum(beam: Beam) -> None:
    percent = hardening_percent(beam, "soft", 16.0)
    length = np.linspace(0.1, 16, 50)
    p = linearise(polychromatic(beam, soft=length)[None, None], percent)[0, 0]
    slope = p / length
    assert slope.max() / slope.min() < 1.08  # 1.38 before
    assert hardening_percent(beam, "bone", 4.0) > percent


def test_simulated_scan_corrected_to_its_reference_energy() -> None:
    grid = Grid((8, 40, 40), 0.5)
    y, x = np.meshgrid(grid.y_mm, grid.x_mm, indexing="ij")
    mu = float(attenuation("soft", 30)[0])
    volume = np.broadcast_to(np.where(np.hypot(x, y) < 8, mu, 0), grid.shape).astype(np.float32)
    scan = skyscan_1276(rows=8, cols=72, voxel_mm=0.6)
    p = simulate(volume, grid, scan, seed=1, scatter=0.0)  # everything else of the scanner is on
    out, account = correct(p, Corrections(bone_hardening=1))
    target = Grid((1, 60, 60), 0.6)
    inside = np.hypot(*np.meshgrid(target.y_mm, target.x_mm, indexing="ij")) < 6.5
    before, after = (float(fdk(q, target)[0, inside].mean()) for q in (p, out))
    assert abs(after / mu - 1) < 0.01 < abs(before / mu - 1)
    assert account[-1]["step"] == "bone_hardening"
    assert (account[-1]["voltage_kv"], account[-1]["filter_mm_al"]) == (50.0, 0.5)


def test_bone_is_looked_for_in_the_whole_field_of_view(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Grid.fit(SCAN)
    assert search_grid(SCAN) == whole
    assert search_grid(SCAN, whole) == whole
    finer = Grid(tuple(2 * n for n in whole.shape), whole.voxel_mm / 2)  # type: ignore[arg-type]
    assert search_grid(SCAN, finer) == finer
    assert search_grid(SCAN, Grid((24, 40, 40), 0.3)) == whole  # a box: bone beside it would be missed
    assert search_grid(SCAN, Grid(whole.shape, whole.voxel_mm, (5.0, 0.0, 0.0))) == whole
    monkeypatch.setattr(beam_hardening, "_MOST_VOXELS", 100_000)
    coarse = search_grid(SCAN)
    assert np.prod(coarse.shape) <= 100_000
    assert coarse.voxel_mm == pytest.approx(2 * whole.voxel_mm)


# ---- scatter


def test_cupping_with_scatter_and_the_simulators_whole_physics() -> None:
    """A uniform mixture of soft tissue and bone, scanned with every effect of the default physics."""
    soft, bone = (float(attenuation(name, 30)[0]) for name in ("soft", "bone"))
    mu, grid = 0.75 * soft + 0.25 * bone, Grid((28, 120, 120), 0.19)
    y, x = np.meshgrid(grid.y_mm, grid.x_mm, indexing="ij")
    volume = np.broadcast_to(np.where(np.hypot(x - 1, y + 2) < 9, mu, 0), grid.shape).astype(np.float32)
    p = simulate(volume, grid, skyscan_1276(rows=12, cols=144, voxel_mm=0.3)[::2], seed=1)
    out, account = correct(p, Corrections(scatter=0.005, bone_hardening=2))
    raw, unveiled = fdk(p, GRID)[1:2], fdk(out, GRID)[1:2]
    assert cupping(raw, 1, -2, 9) > 0.08
    assert abs(cupping(unveiled, 1, -2, 9)) < 0.015
    assert float(unveiled[0, np.hypot(X - 1, Y + 2) < 6].mean()) == pytest.approx(mu, rel=0.01)
    assert [entry["step"] for entry in account] == ["dead_pixels", "scatter", "bone_hardening"]
    assert (account[1]["fraction"], account[1]["width"]) == (0.005, 0.15)
    assert account[1]["mean_change"] > 0
    veiled, _ = correct(p, Corrections(bone_hardening=2))
    assert abs(cupping(fdk(veiled, GRID)[1:2], 1, -2, 9)) > 0.015  # without it the veil is left


def test_the_veil_is_taken_off_and_thin_objects_stay() -> None:
    p = (3 * body_with_rods(SCAN)[:3]).astype(np.float64)
    open_beam = np.exp(-p)
    veil = np.stack([gaussian_filter(1 - image, 0.2 * 144, mode="nearest") for image in open_beam])
    measured = -np.log(open_beam + 0.04 * veil).astype(np.float32)
    assert np.abs(measured - p).max() > 0.05
    assert np.abs(subtract_scatter(measured, 0.04, 0.2) - p).max() < 2e-3
    assert subtract_scatter(measured, 0) is measured
    black = np.full((1, 8, 9), 12.0, np.float32)
    assert np.isfinite(subtract_scatter(black, 0.5)).all()  # more veil than signal
    for bad in (-0.1, 0.6, np.nan):
        with pytest.raises(InputError, match=r"0 \(off\) to 0.5"):
            subtract_scatter(measured, bad)
    with pytest.raises(InputError, match="scatter_width"):
        subtract_scatter(measured, 0.1, 0)


# ---- rings


def body_with_rods(scan: Scan) -> NDArray[np.float32]:
    """Line integrals of a finite body with two denser rods, off the axis."""
    rods = 0.12 * chord(scan, 3, 2, 1.2, 2.6) + 0.1 * chord(scan, -5, 1, 0.8, 2.0)
    return (0.03 * chord(scan, 0.7, -1.1, 9, 3.0) + rods).astype(np.float32)


def ring_energy(difference: NDArray[np.float32]) -> float:
    """Energy of the mean over the angle, at each radius from the axis, of each slice."""
    radius = np.rint(np.hypot(X, Y) / GRID.voxel_mm).astype(int).ravel()
    count = np.bincount(radius)
    means = [np.bincount(radius, s.ravel())[:70] / np.maximum(count, 1)[:70] for s in difference]
    return float(sum((m**2 * count[:70]).sum() for m in means))


@pytest.mark.parametrize(("gain_sd", "along", "rings"), [(0.02, 100, 10), (0.01, 30, 6)])
def test_rings_go_down_tenfold_and_the_object_stays(gain_sd: float, along: float, rings: float) -> None:
    """Of the gain pattern's energy less than a tenth is left, and of all rings: what is left of it, and what was taken from the object."""
    rng = np.random.default_rng(3)
    p = body_with_rods(SCAN)
    noisy = -np.log(np.maximum(rng.poisson(30_000 * np.exp(-p)), 1) / 30_000).astype(np.float32)
    ringed = (noisy - np.log(rng.normal(1, gain_sd, SCAN.shape))).astype(np.float32)
    without, with_rings, cured = (fdk(Projections(v, SCAN), GRID) for v in (noisy, ringed, reduce_rings(ringed, 10)))
    pattern, left = (with_rings - without).astype(np.float64), (cured - without).astype(np.float64)
    assert (pattern**2).sum() > 10 * (left**2).sum()
    assert ((left * pattern).sum() / (pattern**2).sum()) ** 2 < 1 / along
    assert ring_energy(pattern) > rings * ring_energy(left)
    body = np.broadcast_to(np.hypot(X - 0.7, Y + 1.1) < 8.5, GRID.shape)
    assert abs(cured[body].mean() / without[body].mean() - 1) < 0.01


def test_a_perfect_detector_is_left_alone() -> None:
    p = body_with_rods(SCAN)
    assert np.abs(reduce_rings(p, 10) - p).max() < 0.005 * p.max()


def test_static_pattern_is_the_gain() -> None:
    gain = np.random.default_rng(0).normal(1, 0.02, SCAN.shape)
    found = static_pattern(body_with_rods(SCAN) - np.log(gain).astype(np.float32))
    truth = -np.log(gain) + np.log(gain).mean()
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.9


def test_static_pattern_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    p = np.random.default_rng(4).normal(0, 1, (5, 70, 20)).astype(np.float32)
    whole = static_pattern(p)
    monkeypatch.setattr(rings_module, "_BLOCK_BYTES", 4 * 5 * 20 * 7)  # seven rows at a time
    np.testing.assert_allclose(static_pattern(p), whole, atol=1e-6)


def test_fan_beam_stripes_and_algotom() -> None:
    fan = skyscan_1276(rows=24, cols=144, voxel_mm=0.3)
    p = body_with_rods(fan)[:, 11:13]
    pattern = np.random.default_rng(2).normal(0, 0.03, (1, 2, 144)).astype(np.float32)
    for method in ("static", "sorting"):
        pytest.importorskip("algotom")
        left = reduce_rings(p + pattern, 10, method) - p
        high_pass = np.diff(left, 2, axis=2)
        assert high_pass.std() < 0.4 * np.diff(pattern, 2, axis=2).std(), method


def test_ring_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    p = np.zeros((4, 5, 6), np.float32)
    assert reduce_rings(p, 0) is p
    assert not reduce_rings(p, 10).any()  # nothing measured: nothing divided by nothing
    with pytest.raises(InputError, match=r"0 \(off\) to 20"):
        reduce_rings(p, 21)
    with pytest.raises(UnknownNameError, match="sorting"):
        reduce_rings(p, 3, "sort")
    monkeypatch.setitem(sys.modules, "tomopy", None)
    monkeypatch.setitem(sys.modules, "tomopy.prep.stripe", None)
    with pytest.raises(MissingBackendError, match="conda install"):
        reduce_rings(p, 3, "tomopy")
    monkeypatch.setitem(sys.modules, "algotom.prep.removal", None)
    with pytest.raises(MissingBackendError, match=r"fewview\[corrections\]"):
        reduce_rings(p, 3, "sorting")


# ---- dead pixels, smoothing, grey window


def test_dead_pixels_are_found_and_mended() -> None:
    rng = np.random.default_rng(5)
    p = body_with_rods(SCAN)
    p = p + rng.normal(0, 0.01, p.shape).astype(np.float32) + rng.normal(0, 0.02, SCAN.shape).astype(np.float32)
    broken = p.copy()
    dead = np.zeros(SCAN.shape, bool)
    for (row, col), kind in {(3, 70): "black", (12, 60): "stuck", (20, 5): "black", (9, 80): "noisy", (9, 81): "stuck"}.items():
        dead[row, col] = True
        if kind == "black":
            broken[:, row, col] = 8.0
        elif kind == "stuck":
            broken[:, row, col] = np.median(p[:, row, col])  # a value like its neighbours': only the fluctuation tells
        else:
            broken[:, row, col] += rng.normal(0, 1.5, len(p)).astype(np.float32)
    found = find_dead_pixels(broken)
    np.testing.assert_array_equal(found, dead)
    mended = mend_pixels(broken, found)
    assert np.abs(mended - p)[:, dead].mean() < 0.06
    assert np.array_equal(mended[:, ~dead], p[:, ~dead])
    assert not find_dead_pixels(p).any()
    out, account = correct(Projections(broken, SCAN))  # on by default
    assert account == [{**account[0], "step": "dead_pixels", "mended_pixels": 5}]
    np.testing.assert_array_equal(out.values, mended)


@pytest.mark.wrong_shapes
def test_dead_pixel_errors() -> None:
    with pytest.raises(InputError, match="view, row, col"):
        find_dead_pixels(np.zeros((4, 4), np.float32))
    with pytest.raises(InputError, match="every pixel"):
        mend_pixels(np.zeros((2, 3, 3), np.float32), np.ones((3, 3), bool))
    with pytest.raises(InputError, match="mask of shape"):
        mend_pixels(np.zeros((2, 3, 3), np.float32), np.ones((2, 3), bool))


@pytest.mark.parametrize("kernel", ["gaussian", "box"])
def test_smoothing_keeps_means_and_stays_in_its_view(kernel: str) -> None:
    p = np.zeros((3, 31, 41), np.float32)
    p[1, 15, 20] = 1.0
    out = smooth(p, 3, kernel)
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert not out[[0, 2]].any()
    assert out[1, 15, 23] > 0 == out[1, 15, 24]  # the level is the radius
    if kernel == "box":
        assert out[1, 15, 20] == pytest.approx(1 / 49)
    np.testing.assert_allclose(smooth(np.full_like(p, 2.5), 10, kernel), 2.5, rtol=1e-5)


def test_median_of_the_volume_and_its_account() -> None:
    volume = np.full((5, 6, 7), 0.02, np.float32)
    volume[2, 3, 3] = 9.0
    out, account = correct_volume(volume, Corrections(median=1))
    np.testing.assert_array_equal(out, np.float32(0.02))
    assert account[0]["step"] == "median"
    assert account[0]["mean_change"] == pytest.approx(-8.98 / volume.size, rel=1e-4)
    assert correct_volume(volume, Corrections()) == (volume, [])


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_window_round_trip(bits: int) -> None:
    volume = np.random.default_rng(1).uniform(-0.01, 0.07, (4, 5, 6)).astype(np.float32)
    grey = to_grey(volume, -0.01, 0.07, bits)
    back = from_grey(grey, -0.01, 0.07)
    level = 0.08 / (2**bits - 1)
    assert np.abs(back - volume).max() <= 0.5 * level * (1 + 1e-3) + 4e-9
    np.testing.assert_array_equal(to_grey(back, -0.01, 0.07, bits), grey)
    assert (to_grey([-1.0], 0, 1, bits)[0], to_grey([2.0], 0, 1, bits)[0]) == (0, 2**bits - 1)


def test_grey_window_errors() -> None:
    for low, high in ((0.05, 0.05), (0.05, 0.0), (0.0, np.inf)):
        with pytest.raises(InputError, match="window"):
            to_grey([0.1], low, high)
    with pytest.raises(InputError, match="8 or 16"):
        to_grey([0.1], 0, 1, 12)
    with pytest.raises(InputError, match="NaN"):
        to_grey([np.nan], 0, 1)
    with pytest.raises(InputError, match="bits="):
        from_grey(np.zeros(3), 0, 1)


# ---- all together


def test_off_changes_nothing_and_the_account_names_every_step() -> None:
    p = Projections(body_with_rods(SCAN), SCAN, {"voltage_kv": 50.0})
    same, account = correct(p, Corrections.off())
    np.testing.assert_array_equal(same.values, p.values)
    assert account == []
    out, account = correct(p, Corrections(rings=5, smoothing=2, beam_hardening=30))
    assert [entry["step"] for entry in account] == ["dead_pixels", "rings", "smoothing", "beam_hardening"]
    assert account[3]["percent"] == 30
    assert account[3]["mean_change"] > 0
    assert list(out.meta["corrections"]) == account
    again, _ = correct(out, Corrections.off())
    assert list(again.meta["corrections"]) == account  # what was done before is not forgotten
    change = np.float64(out.values).mean() - np.float64(p.values).mean()
    assert sum(entry["mean_change"] for entry in account) == pytest.approx(change, rel=1e-3)


def test_raw_counts_are_prepared_first() -> None:
    counts = np.rint(57_000 * np.exp(-body_with_rods(SCAN))).astype(np.uint16)
    counts[:, 10, 30] = 0
    out, account = correct(RawScan(counts, SCAN), Corrections())
    assert [entry["step"] for entry in account] == ["prepare", "dead_pixels"]
    assert account[0]["stuck"] == 1
    assert np.abs(out.values - body_with_rods(SCAN)).max() < 0.1


def test_correction_errors() -> None:
    p = Projections(body_with_rods(SCAN)[:4], SCAN[:4], {"voltage_kv": 50.0})
    with pytest.raises(InputError, match="one of the two"):
        Corrections(beam_hardening=30, bone_hardening=1)
    with pytest.raises(InputError, match="filter_mm_al"):
        correct(p, Corrections(bone_hardening=1))
    with pytest.raises(InputError, match=r"0 \(off\) to 100"):
        correct(p, Corrections(beam_hardening=120))
    with pytest.raises(InputError, match=r"0 \(off\) to 10"):
        correct(p, Corrections(smoothing=11))
    with pytest.raises(UnknownNameError, match="gaussian"):
        smooth(p.values, 1, "gauss")


def test_the_measured_tooth(shared_data) -> None:
    from fewview.data import read

    tooth = read(shared_data / "tooth.h5")
    out, account = correct(tooth, Corrections(rings=10))
    assert account[1]["step"] == "rings"
    columns = np.diff(np.median(out.values, axis=0), 2, axis=1)  # what stays over the views, and changes from pixel to pixel
    before = np.diff(np.median(tooth.values, axis=0), 2, axis=1)
    assert columns.std() < 0.8 * before.std()
    assert abs(out.values.mean() / tooth.values.mean() - 1) < 0.01
