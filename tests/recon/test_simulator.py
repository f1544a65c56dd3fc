"""The scanner in software against theory: Beer-Lambert, Poisson, geometry, and a round trip through FDK."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from fewview.benchmarks.datasets.subjects import scene_of_volume
from fewview.data import prepare
from fewview.data.images.grey import from_grey, to_grey
from fewview.data.volumes.attenuation import GreyScale
from fewview.data.volumes.resample import refine, resample
from fewview.geometry import Grid, InputError, MissingBackendError, Scan, UnknownNameError, skyscan_1276
from fewview.recon import fdk, simulate
from fewview.recon.physics.effects import Physics, split_materials
from fewview.recon.physics.simulator import cropped, simulate_raw
from fewview.recon.physics.tables import attenuation, tube_beam
from scipy.ndimage import binary_erosion, gaussian_filter


def scan_of(rows: int = 16, cols: int = 24, pixel_mm: float = 0.5, angles=(0.0, 40.0, 90.0)) -> Scan:
    return Scan.circular(dso_mm=60, dsd_mm=90, rows=rows, cols=cols, pixel_mm=pixel_mm, angles_deg=angles)


def box(mu: float = 0.1, size: int = 12, voxel_mm: float = 0.5) -> tuple[np.ndarray, Grid]:
    """A cube in the middle of a grid with air around it."""
    volume = np.zeros((size + 8,) * 3, np.float32)
    volume[4:-4, 4:-4, 4:-4] = mu
    return volume, Grid(volume.shape, voxel_mm)


def chord_mm(scan: Scan, half_mm: float) -> np.ndarray:
    """Length of each pixel's central ray inside the cube |x|, |y|, |z| <= half_mm: the slab method."""
    rows, cols = scan.shape
    i, j = np.arange(rows) - (rows - 1) / 2, np.arange(cols) - (cols - 1) / 2
    pixel = scan.detector[:, None, None] + i[None, :, None, None] * scan.v[:, None, None] + j[None, None, :, None] * scan.u[:, None, None]
    ray = pixel - scan.source[:, None, None]
    length = np.linalg.norm(ray, axis=-1)
    with np.errstate(divide="ignore"):
        ends = [(s * half_mm - scan.source[:, None, None]) / ray for s in (-1, 1)]
    enter, leave = np.minimum(*ends).max(axis=-1), np.maximum(*ends).min(axis=-1)
    return np.clip(leave - enter, 0, None) * length


def test_ideal_projections_are_line_integrals() -> None:
    volume, grid = box()
    scan = scan_of(rows=24, cols=36)
    p = simulate(volume, grid, scan, Physics.ideal())
    expected = 0.1 * chord_mm(scan, 3.0)
    inner = chord_mm(scan, 2.0) > 3.0  # rays well inside the cube
    assert inner.sum() > 100
    error = np.abs(p.values[inner] / expected[inner] - 1)
    assert np.median(error) < 5e-4
    assert error.max() < 0.01  # a few rays leave within a voxel of an edge of the cube
    assert np.abs(p.values[chord_mm(scan, 3.8) == 0]).max() < 1e-6
    assert p.scan == scan
    assert "photons" not in p.meta


def test_an_ideal_scan_reconstructs_the_body_within_one_per_cent() -> None:
    scan = skyscan_1276(rows=64, cols=96, voxel_mm=0.4452)
    fine = Grid((96, 120, 120), 0.27, (0.11, -0.07, 0.05))  # neither the reconstruction's voxels nor its origin
    z, y, x = np.meshgrid(fine.z_mm, fine.y_mm, fine.x_mm, indexing="ij")
    body = np.clip((1 - np.sqrt((x / 13) ** 2 + (y / 10) ** 2 + (z / 10.5) ** 2)) * 10 / 0.54 + 0.5, 0, 1)
    core = np.clip((1 - np.sqrt(((x - 3) / 5) ** 2 + ((y + 1) / 4) ** 2 + (z / 5) ** 2)) * 4 / 0.54 + 0.5, 0, 1)
    volume = (0.04 * body + 0.06 * core).astype(np.float32)
    grid = Grid.fit(scan)
    found = fdk(simulate(volume, fine, scan, Physics.ideal()), grid)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    near_middle = np.abs(z) < 2.5  # FDK itself is exact only in the middle plane
    r_core = np.sqrt(((x - 3) / 5) ** 2 + ((y + 1) / 4) ** 2 + (z / 5) ** 2)
    r_body = np.sqrt((x / 13) ** 2 + (y / 10) ** 2 + (z / 10.5) ** 2)
    for inside, value in ((near_middle & (r_core < 0.75), 0.10), (near_middle & (r_body < 0.85) & (r_core > 1.3), 0.04)):
        assert inside.sum() > 500
        assert found[inside].mean() == pytest.approx(value, rel=0.005)
        assert np.sqrt(np.mean((found[inside] / value - 1) ** 2)) < 0.01


def test_an_ideal_scan_of_a_real_head_reconstructs_it_within_one_per_cent(shared_data: Path) -> None:
    """At the scale of two voxels and near the middle plane: a skull is thinner than a voxel, and FDK is exact only there."""
    scan = skyscan_1276(rows=96, cols=144, voxel_mm=0.2968)
    head = scene_of_volume(shared_data / "mouse_head" / "C57BL6_J_.nii.gz", scan, GreyScale(mu_max=0.20))
    grid = Grid.fit(scan)
    truth, found = resample(head.volume, head.grid, grid), fdk(simulate(head.volume, head.grid, scan, Physics.ideal(rays=1)), grid)
    body = binary_erosion(gaussian_filter(truth, 1.5) > 0.02) & (np.abs(grid.z_mm) < 2.5)[:, None, None]
    assert body.sum() > 2000
    coarse, right = gaussian_filter(found, 2)[body], gaussian_filter(truth, 2)[body]
    assert coarse.mean() == pytest.approx(right.mean(), rel=0.01)
    assert np.sqrt(np.mean((coarse / right - 1) ** 2)) < 0.01
    view = (np.abs(grid.z_mm) < 2.5)[:, None, None] & (np.hypot(grid.y_mm[:, None], grid.x_mm) < 0.9 * scan.field_of_view_mm[0])
    assert found[view].sum() == pytest.approx(truth[view].sum(), rel=0.01)
    low, high = 0.0, 0.20
    back = from_grey(to_grey(found, low, high), low, high)
    assert np.abs(back - np.clip(found, low, high)).max() <= 0.5 * (high - low) / 255 * (1 + 1e-5)


def test_poisson_and_readout_variance_are_those_of_the_counts() -> None:
    """Air and a 10 mm slab: variance of the counts = mean + readout^2."""
    scan = scan_of(rows=40, cols=60, pixel_mm=0.05, angles=np.zeros(8))
    grid = Grid((20, 20, 20), 0.5)
    for mu in (0.0, 0.1):
        volume = np.full(grid.shape, mu, np.float32)
        clean = simulate_raw(volume, grid, scan, Physics.ideal())
        noisy = simulate_raw(volume, grid, scan, Physics.ideal(photons=900.0, electronic_noise=20.0), seed=2)
        assert noisy.meta["photons"] == 900.0
        counts = noisy.intensity * (900.0 / 57_000)
        mean = clean.intensity.astype(np.float64) * (900.0 / 57_000)
        assert mean.mean() == pytest.approx(900 * np.exp(-mu * 10), rel=0.01)
        error = (counts - mean) / np.sqrt(mean + 400)
        assert error.size > 15_000
        assert abs(error.mean()) < 4 / np.sqrt(error.size)
        assert error.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / error.size))


def test_counts_follow_current_and_exposure() -> None:
    assert Physics(photons=1000, current_ua=100, exposure_ms=1800).counts == pytest.approx(1000)
    assert Physics(photons=1000, current_ua=50).counts == pytest.approx(250)


@pytest.mark.parametrize(("mu", "material"), [("soft", 8.0), ("bone", 8.0)])
def test_polychromatic_attenuation_is_beer_lambert_over_the_spectrum(mu: str, material: float) -> None:
    """The middle ray through 8 mm of one material, against a direct integral over spekpy's spectrum with xraydb's coefficients."""
    import spekpy
    import xraydb

    tube = spekpy.Spek(kvp=50, th=12, dk=0.25)
    tube.filter("Al", 0.5)
    energy, fluence = tube.get_spectrum()
    csi = xraydb.material_mu("CsI", energy * 1000, density=4.51) / 10  # 1/mm
    signal = fluence * energy * (1 - np.exp(-csi * 0.15))
    composition = {
        "soft": (1.05, {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.710, "Na": 0.001, "P": 0.002, "S": 0.003, "Cl": 0.001, "K": 0.004}),
        "bone": (1.92, {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003, "Ca": 0.225}),
    }
    density, parts = composition[mu]
    per_mm = sum(w * xraydb.mu_elam(e, energy * 1000) for e, w in parts.items()) * density / 10
    expected = -np.log((signal * np.exp(-per_mm * material)).sum() / signal.sum())

    grid = Grid((16, 16, 16), 0.5)
    volume = np.full(grid.shape, attenuation(mu, 30.0)[0], np.float32)
    scan = scan_of(rows=1, cols=1, pixel_mm=0.01, angles=[0.0])
    p = simulate(volume, grid, scan, Physics.ideal(polychromatic=True))
    assert float(p.values[0, 0, 0]) == pytest.approx(expected, rel=2e-3)


def test_attenuation_tables_are_nist_within_two_per_cent() -> None:
    """NIST XCOM/ICRU-44 at 30 keV: muscle 0.3783 cm2/g * 1.05, cortical bone 1.331 * 1.92; water 0.3756 (1/cm)."""
    for name, per_cm in (("soft", 0.3783 * 1.05), ("bone", 1.331 * 1.92), ("water", 0.3756)):
        assert attenuation(name, 30.0)[0] * 10 == pytest.approx(per_cm, rel=0.02)


def test_binned_spectrum_keeps_signal_and_mean_energy() -> None:
    beam = tube_beam(50.0, 0.5)
    few = beam.binned(15)
    assert len(few.energy_kev) <= 15
    assert few.weight.sum() == pytest.approx(1.0)
    assert few.mean_kev == pytest.approx(beam.mean_kev)
    assert 20 < beam.mean_kev < 40
    assert beam.energy_kev.max() < 50.0
    assert tube_beam(50.0, 1.0).mean_kev > beam.mean_kev > tube_beam(40.0, 0.5).mean_kev


def test_materials_split_and_add_up() -> None:
    mu = np.linspace(0, 0.4, 81, dtype=np.float32)
    soft, bone = split_materials(mu, 0.04, 0.25)
    np.testing.assert_allclose(0.04 * soft + 0.25 * bone, mu, atol=1e-7)
    assert (soft >= 0).all()
    assert (bone >= 0).all()
    assert (bone[mu <= 0.04] < 1e-6).all()
    assert (soft[mu >= 0.2501] == 0).all()


def test_a_bone_cylinder_in_tissue_is_cupped_by_the_default_spectrum() -> None:
    """Middle slice of a bone core (0.2 per mm, 8 mm wide) in soft tissue (16 mm): its centre looks at least 8 % thinner than its rim."""
    scan = skyscan_1276(rows=2, cols=128, voxel_mm=0.2)
    fine = Grid((4, 170, 170), 0.1)
    r = np.hypot(*np.meshgrid(fine.x_mm, fine.y_mm))
    disc = 0.04 * np.clip((8.0 - r) / 0.1 + 0.5, 0, 1) + 0.16 * np.clip((4.0 - r) / 0.1 + 0.5, 0, 1)
    volume = np.repeat(disc[None].astype(np.float32), 4, axis=0)
    grid = Grid((1, 128, 128), 0.2, (0.0, 0.0, 0.1))
    radius = np.hypot(*np.meshgrid(grid.x_mm, grid.y_mm))

    def cupping(**changes: object) -> float:
        plane = fdk(simulate(volume, fine, scan, Physics.ideal(**changes)), grid)[0]
        rim, middle = plane[(radius > 3.0) & (radius < 3.5)].mean(), plane[radius < 1.0].mean()
        return float((rim - middle) / rim)

    assert cupping(polychromatic=True) > 0.08
    assert abs(cupping()) < 0.01


def test_misalignment_moves_the_image_and_stays_out_of_the_nominal_scan() -> None:
    volume, grid = box(size=6, voxel_mm=0.4)
    scan = scan_of(rows=40, cols=60, pixel_mm=0.4, angles=[0.0, 90.0, 180.0])
    changes = {"axis_shift_mm": 1.3, "row_shift_mm": -0.7, "roll_deg": 2.0}
    straight, moved = (simulate(volume, grid, scan, Physics.ideal(), **c) for c in ({}, changes))
    assert moved.scan == scan
    real = Scan.circular(dso_mm=60, dsd_mm=90, rows=40, cols=60, pixel_mm=0.4, angles_deg=[0.0, 90.0, 180.0], **changes)
    for name in ("source", "detector", "u", "v"):
        np.testing.assert_allclose(getattr(moved.meta["truth"]["scan"], name), getattr(real, name), atol=1e-12)
    row, col = np.arange(40)[:, None], np.arange(60)
    for axis, shift in ((col, 1.3 / 0.4), (row, -0.7 / 0.4)):
        centers = [(p.values * axis).sum(axis=(1, 2)) / p.values.sum(axis=(1, 2)) for p in (straight, moved)]
        np.testing.assert_allclose(centers[1] - centers[0], shift, atol=0.03)


def test_jitter_shifts_each_view_by_what_the_truth_says() -> None:
    volume, grid = box(size=6, voxel_mm=0.4)
    scan = scan_of(rows=40, cols=60, pixel_mm=0.4, angles=np.linspace(0, 180, 6))
    p, still = (simulate(volume, grid, scan, Physics.ideal(jitter_px=j), seed=5) for j in (1.5, 0.0))
    shift = p.meta["per_view"]["jitter_col_px"]
    assert 0.3 < np.std(shift) < 4
    col = np.arange(60)
    centers = [(q.values * col).sum(axis=(1, 2)) / q.values.sum(axis=(1, 2)) for q in (still, p)]
    np.testing.assert_allclose(centers[1] - centers[0], shift, atol=0.05)
    assert len(p[::2].meta["per_view"]["jitter_col_px"]) == 3


def test_the_same_seed_gives_the_same_bits() -> None:
    volume, grid = box()
    first, again, other = (simulate_raw(volume, grid, scan_of(), seed=s, polychromatic=False).intensity for s in (1, 1, 2))
    assert first.dtype == np.uint16
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.9


def test_effects_draw_from_streams_of_their_own() -> None:
    volume, grid = box()
    settings = {"photons": 1000.0, "electronic_noise": 0.0}
    plain = simulate_raw(volume, grid, scan_of(), Physics.ideal(**settings), seed=3)
    gain = simulate_raw(volume, grid, scan_of(), Physics.ideal(gain_sd=0.1, **settings), seed=3)
    np.testing.assert_allclose(gain.intensity, plain.intensity * gain.meta["truth"]["gain"], rtol=1e-5)
    assert 0.08 < np.std(gain.meta["truth"]["gain"]) < 0.12


def test_simulate_is_prepare_of_simulate_raw() -> None:
    volume, grid = box()
    settings = {"polychromatic": False, "dead_fraction": 0.01}
    raw = simulate_raw(volume, grid, scan_of(rows=32, cols=48), seed=4, **settings)
    p = simulate(volume, grid, scan_of(rows=32, cols=48), seed=4, **settings)
    np.testing.assert_array_equal(p.values, prepare(raw).values)
    dead = raw.meta["truth"]["dead"]
    assert 3 <= dead.sum() <= 40
    assert (raw.intensity[:, dead] == 0).all()
    air = raw.intensity[:, :, :4][:, ~dead[:, :4]]
    assert air.mean() == pytest.approx(57_000, rel=0.005)
    assert p.meta["photons"] == 20_000
    assert p.meta["physics"]["dead_fraction"] == 0.01
    clean = simulate(volume, grid, scan_of(rows=32, cols=48), Physics.ideal(blur_px=0.4, scatter=0.01))
    assert np.abs(p.values - clean.values).max() < 0.12  # dead pixels are mended, not left at infinity


def test_half_a_pixel_in_the_shadow_is_averaged_in_intensity() -> None:
    """One wide pixel, its left half behind a dense block: -ln of the mean intensity, not the mean of the line integrals."""
    volume = np.zeros((50, 50, 100), np.float32)
    volume[:, :, :50] = 1.0  # x < 0: 10 mm of 1 per mm, nearly opaque
    grid = Grid(volume.shape, 0.2)
    scan = Scan.circular(dso_mm=1e5, dsd_mm=1e5, rows=1, cols=1, pixel_mm=8.0, angles_deg=[0.0])
    p = simulate(volume, grid, scan, Physics.ideal(rays=40))
    assert float(p.values[0, 0, 0]) == pytest.approx(np.log(2), abs=0.03)


def test_blur_keeps_the_mean_and_scatter_fills_the_shadow() -> None:
    volume, grid = box(mu=0.4)
    scan = scan_of(rows=48, cols=64, pixel_mm=0.5)
    share = {
        name: simulate_raw(volume, grid, scan, Physics.ideal(**c)).intensity.astype(np.float64) / 57_000
        for name, c in (("sharp", {}), ("blurred", {"blur_px": 1.5}), ("veiled", {"scatter": 0.05}))
    }
    assert share["blurred"].mean() == pytest.approx(share["sharp"].mean(), rel=1e-3)
    steps = [np.abs(np.diff(share[name], axis=2)).max() for name in ("sharp", "blurred")]
    assert steps[1] < 0.7 * steps[0]
    extra = share["veiled"] - share["sharp"]
    dark = share["sharp"].min()
    assert extra[share["sharp"] == dark].mean() > 0.05 * dark
    assert extra.max() < 0.05
    assert extra.min() >= -1e-6
    assert extra.mean() == pytest.approx(0.05 * (1 - share["sharp"]).mean(), rel=0.2)
    assert np.abs(np.diff(extra, axis=2)).max() < 0.2 * extra.max()  # low frequency


def test_refining_and_cropping_keep_the_object() -> None:
    grid = Grid((6, 7, 8), 0.5, (1.0, -2.0, 0.3))
    x = np.broadcast_to(grid.x_mm, grid.shape).astype(np.float32)
    fine, fine_grid = refine(x, grid, 3)
    assert fine_grid.size_mm == pytest.approx(grid.size_mm)
    np.testing.assert_allclose(fine[:, :, 6:-6], np.broadcast_to(fine_grid.x_mm, fine.shape)[:, :, 6:-6], atol=1e-5)
    volume = np.zeros(grid.shape, np.float32)
    volume[2:4, 3:5, 5:7] = 1.0
    part, part_grid = cropped(volume, grid)
    assert part.shape == (4, 4, 4)
    assert np.sum(part) == np.sum(volume)
    np.testing.assert_allclose(part_grid.x_mm, grid.x_mm[4:8])
    np.testing.assert_allclose(part_grid.z_mm, grid.z_mm[1:5])
    empty = simulate(np.zeros(grid.shape, np.float32), grid, scan_of(), Physics.ideal(photons=1e4))
    assert abs(empty.values.mean()) < 1e-3


def test_bad_settings_and_volumes_are_named() -> None:
    volume, grid = box()
    for changes, message in (
        ({"phtons": 5}, "did you mean photons"),
        ({"photons": -1}, "photons is -1"),
        ({"bits": 8}, "bits is 8"),
        ({"rays": 0}, "rays is 0"),
        ({"air_level": 70_000}, "at most 65535"),
        ({"scatter": 1.5}, "fraction below 1"),
        ({"roll_deg": float("nan")}, "roll_deg is nan"),
    ):
        with pytest.raises(InputError, match=message):
            simulate(volume, grid, scan_of(), **changes)
    with pytest.raises(UnknownNameError):
        Physics.ideal(noise=3)
    with pytest.raises(InputError, match=r"shape \(3, 3, 3\)"):
        simulate(np.zeros((3, 3, 3)), grid, scan_of())
    with pytest.raises(InputError, match="scale grey values"):
        simulate(volume.astype(np.uint8), grid, scan_of())
    volume[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="1 voxels are NaN"):
        simulate(volume, grid, scan_of())
    for bad in ({"voltage_kv": 3.0}, {"filter_mm_al": -1.0}):
        with pytest.raises(InputError, match=next(iter(bad))):
            tube_beam(**{"voltage_kv": 50.0, "filter_mm_al": 0.5, **bad})
    with pytest.raises(UnknownNameError, match="did you mean water"):
        attenuation("watter", 30.0)


@pytest.mark.parametrize("package", ["spekpy", "xraydb"])
def test_without_the_tables_the_error_says_what_to_do(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    volume, grid = box()
    with pytest.raises(MissingBackendError, match=rf"{package} is not installed.*fewview\[physics\].*polychromatic=False"):
        simulate(volume, grid, scan_of())
    assert simulate(volume, grid, scan_of(), polychromatic=False).values.max() > 0.3
