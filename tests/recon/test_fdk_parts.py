"""The parts of FDK on their own: cells and redundancy weights, the ramp, the back-projection kernels, memory, and ASTRA's baselines."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, InputError, MissingBackendError, Scan, skyscan_1276
from fewview.recon import METHODS, fdk
from fewview.recon import reconstruct as run_method
from fewview.recon.analytic.feldkamp import filtered_backprojection
from fewview.recon.analytic.ramp import convolve_pairs, padded_length, ramp_response
from fewview.recon.analytic.redundancy import coverage, full_circle_weight, short_scan_cell_weight, short_scan_weight
from fewview.recon.projector.compiled.backprojection import backproject
from fewview.recon.projector.compiled.pair import LEAST_VOXELS
from hypothesis import assume, given, settings
from hypothesis import strategies as st

DEG = np.pi / 180


@given(st.floats(150, 359), st.floats(-13, 13), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_a_line_measured_twice_counts_once(range_deg, g_deg, part):
    """w(b, g) + w(b + pi - 2g, -g) = 1 where the range holds both, and w = 1 where it holds only one."""
    span, g = range_deg * DEG, g_deg * DEG
    b = part * span
    # exactly half a turn has lines whose two rays are the very first and the very last: a matter of rounding, and of no weight
    assume(all(abs(c) > 1e-6 and abs(c - span) > 1e-6 for c in (b, b + np.pi - 2 * g, b - np.pi - 2 * g)))
    partners = [c for c in (b + np.pi - 2 * g, b - np.pi - 2 * g) if 0 <= c <= span]
    total = float(short_scan_weight(b, g, span)) + sum(float(short_scan_weight(c, -g, span)) for c in partners)
    assert abs(total - 1) < 1e-6


def test_the_identity_is_not_met_by_the_wrong_sign():
    b, g = np.meshgrid(np.linspace(0, 208, 500) * DEG, np.linspace(-12.9, 12.9, 200) * DEG)
    span = 208 * DEG
    partner = b + np.pi - 2 * g
    both = (partner >= 0) & (partner <= span)
    right = short_scan_weight(b, g, span) + short_scan_weight(partner, -g, span)
    wrong = short_scan_weight(b, -g, span) + short_scan_weight(partner, g, span)
    assert np.abs(right - 1)[both].max() < 1e-6
    assert np.abs(wrong - 1)[both].max() > 0.9


@pytest.mark.parametrize("range_deg", [160, 186, 208, 300])
def test_the_cell_weight_is_the_mean_of_the_weight(range_deg):
    span = range_deg * DEG
    g = np.linspace(-12.9, 12.9, 7)[:, None] * DEG
    edges = np.array([0, 3, 19, 40, 150, range_deg]) * DEG
    mean = short_scan_cell_weight(edges[:-1], edges[1:], g, span)
    fine = (np.arange(20000) + 0.5) / 20000
    for i in range(5):
        sampled = short_scan_weight(edges[i] + fine * (edges[i + 1] - edges[i]), g, span).mean(axis=1)
        np.testing.assert_allclose(mean[:, i], sampled, atol=2e-4)


def test_every_fan_angle_gets_half_a_turn():
    """The weights of a complete short scan integrate to pi for every fan angle, however few and uneven the views."""
    angle = np.sort(np.random.default_rng(0).choice(np.arange(260) * 0.8, 20, replace=False)) * DEG
    cells = coverage(angle)
    g = np.linspace(-8, 8, 9)[:, None] * DEG
    assert cells.range > np.pi + 16 * DEG
    np.testing.assert_allclose((short_scan_cell_weight(cells.start, cells.end, g, cells.range) * cells.width).sum(axis=1), np.pi, rtol=1e-9)


@pytest.mark.parametrize(
    ("angles_deg", "range_deg", "full"),
    [
        (np.arange(260) * 0.8, 208.0, False),
        (np.arange(26) * 8.0, 208.0, False),
        (np.arange(13) * 16.0, 208.0, False),
        (300 + np.arange(260) * 0.8, 208.0, False),
        (-np.arange(260) * 0.8, 208.0, False),
        (np.arange(180) * 1.0, 180.0, False),
        (np.arange(180) * 2.0, 360.0, True),
        (np.arange(181) * 2.0, 360.0, True),
        (np.arange(720) * 1.0, 360.0, True),
        (np.arange(250) * 1.6, 360.0, True),
        ([33.0], 360.0, True),
        ([0.0, 90.0], 180.0, False),
        ([0.0, 1.0, 5.0], 7.5 - 1.0 + 0.0, False),
    ],
)
def test_cells_cover_the_range(angles_deg, range_deg, full):
    angle = np.radians(angles_deg)
    cells = coverage(angle)
    assert cells.full is full
    np.testing.assert_allclose([cells.range / DEG, cells.width.sum() / DEG], range_deg if len(angle) != 3 else 7.5, rtol=1e-6)
    shuffled = np.random.default_rng(0).permutation(angle.size)
    np.testing.assert_allclose(coverage(angle[shuffled]).width, cells.width[shuffled], atol=1e-9)


def test_the_cells_of_uneven_views():
    """Half the gap to each neighbour; the end cells reach as far outwards as inwards."""
    cells = coverage(np.radians([0.0, 1.0, 5.0]))
    np.testing.assert_allclose(cells.width / DEG, [1, 2.5, 4])
    np.testing.assert_allclose(cells.start / DEG, [0, 1, 3.5], atol=1e-9)
    np.testing.assert_allclose(cells.position / DEG, [0.5, 1.5, 5.5])
    twice = coverage(np.radians([0.0, 120.0, 240.0, 360.0]))
    np.testing.assert_allclose(twice.width / DEG, [60, 120, 120, 60])


@pytest.mark.parametrize("fan", [(-0.2, 0.2), (-0.1, 0.2), (-0.22, 0.2), (-0.2, 0.02)])
def test_half_scan_weights_share_each_line(fan):
    g = np.linspace(*fan, 501)
    w, mirror = full_circle_weight(g, fan), full_circle_weight(-g, fan)
    both = np.abs(g) <= min(-fan[0], fan[1])
    np.testing.assert_allclose((w + mirror)[both], 1, atol=1e-12)
    np.testing.assert_allclose(w[~both], 1, atol=1e-12)
    assert np.abs(np.diff(w)).max() < 0.1  # no step that the ramp would turn into a streak


def test_the_ramp_is_the_convolution_with_its_kernel():
    rng = np.random.default_rng(0)
    cols = 37
    rows = rng.standard_normal((2, 3, cols))
    buffer = np.zeros((3, padded_length(cols)), np.complex64)
    buffer[:, :cols] = rows[0] + 1j * rows[1]
    convolve_pairs(buffer, ramp_response(cols))
    n = np.arange(-cols + 1, cols)
    kernel = np.where(n == 0, 0.25, np.where(n % 2 == 0, 0.0, -1 / (np.pi * np.where(n == 0, 1, n)) ** 2))
    for part, row in zip((buffer.real, buffer.imag), rows, strict=True):
        expected = [np.convolve(line, kernel)[cols - 1 : 2 * cols - 1] for line in row]
        np.testing.assert_allclose(part[:, :cols], expected, atol=1e-5)


def test_a_cut_off_ramp_passes_nothing_above_it():
    response = ramp_response(128, "hann", 0.5)
    half = response.size // 2
    assert np.abs(response[half + 1 :]).max() == 0
    assert response[half // 2] == pytest.approx(0.125 * 0.5, rel=1e-4)  # |f| = 1/8 cycle a sample, Hann at half its width


def interpolated(scan: Scan, views: np.ndarray, grid: Grid, step: np.ndarray) -> np.ndarray:
    """The back-projection by its definition: ray through the voxel, where it meets the panel, bilinear, (panel depth / depth)^2."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    voxel = np.stack([x, y, z], axis=-1)
    rows, cols = scan.shape
    total = np.zeros(grid.shape)
    for i in range(len(scan)):
        ray = voxel - scan.source[i]
        normal = np.cross(scan.u[i], scan.v[i])
        hit = scan.source[i] + ray * (((scan.detector[i] - scan.source[i]) @ normal) / (ray @ normal))[..., None]
        away = hit - scan.detector[i]
        col, row = np.moveaxis(np.linalg.lstsq(np.stack([scan.u[i], scan.v[i]], 1), away.reshape(-1, 3).T, rcond=None)[0], 0, 0)
        col, row = (col + (cols - 1) / 2).reshape(grid.shape), (row + (rows - 1) / 2).reshape(grid.shape)
        seen = (np.abs(col - (cols - 1) / 2) <= cols / 2) & (np.abs(row - (rows - 1) / 2) <= rows / 2)
        c, r = np.clip(col, 0, cols - 1), np.clip(row, 0, rows - 1)
        c0, r0 = np.minimum(c.astype(int), cols - 2), np.minimum(r.astype(int), rows - 2)
        fc, fr = c - c0, r - r0
        q = views[i]
        value = (1 - fr) * ((1 - fc) * q[r0, c0] + fc * q[r0, c0 + 1]) + fr * ((1 - fc) * q[r0 + 1, c0] + fc * q[r0 + 1, c0 + 1])
        depth = (ray @ normal) / ((scan.detector[i] - scan.source[i]) @ normal)
        total += np.where(seen, step[i] / depth**2 * value, 0)
    return total


@pytest.mark.parametrize(
    "grid",
    [
        Grid((30, 21, 37), 0.4),
        Grid((9, 9, 9), 1.4, (1.0, -2.0, 0.5)),  # more: lane by lane
        Grid((1, 20, 20), 0.7, (0.0, 0.0, 1.0)),
    ],
)
@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("roll_deg", [0.0, 3.0])
def test_back_projection_by_its_definition(grid, flip, roll_deg):
    scan = Scan.circular(
        dso_mm=60, dsd_mm=90, rows=30, cols=44, pixel_mm=1.0, angles_deg=[0, 47, 200], roll_deg=roll_deg, axis_shift_mm=0.7
    )
    scan = Scan(scan.shape, scan.source, scan.detector, scan.u, flip * scan.v, scan.angles_deg)
    views = np.random.default_rng(0).random((3, 30, 44), np.float32)
    step = np.array([1.0, 0.5, 2.0])
    volume = np.zeros(grid.shape, np.float32)
    backproject(volume, scan, grid, views, step)
    np.testing.assert_allclose(volume, interpolated(scan, views, grid, step), atol=1e-4)  # of about 5: float32 rows and columns


_SAVE = """
import sys, numpy as np
from fewview.data import Projections
from fewview.geometry import Grid, skyscan_1276
from fewview.recon import fdk
scan = skyscan_1276(rows=16, cols=24, voxel_mm=1.0)[::10]
values = np.random.default_rng(0).random((26, 16, 24), np.float32)
np.save(sys.argv[1], fdk(Projections(values, scan), Grid((16, 24, 24), 0.9)))
"""


def test_a_plain_processor_gives_the_same_volume(tmp_path, monkeypatch):
    """Numba told to make code for any x86-64 or ARM."""
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    subprocess.run([sys.executable, "-c", _SAVE, str(tmp_path / "plain.npy")], capture_output=True, text=True, check=True)
    values = np.random.default_rng(0).random((26, 16, 24), np.float32)
    here = fdk(Projections(values, skyscan_1276(rows=16, cols=24, voxel_mm=1.0)[::10]), Grid((16, 24, 24), 0.9))
    np.testing.assert_allclose(np.load(tmp_path / "plain.npy"), here, atol=1e-5 * np.abs(here).max())


_PEAK = """
import resource, numpy as np
from fewview.data import Projections
from fewview.geometry import Grid, Scan
from fewview.recon import fdk
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def job(rows, cols, views, grid):
    angles = np.arange(views) * 200 / views
    scan = Scan.circular(dso_mm=100, dsd_mm=100, rows=rows, cols=cols, pixel_mm=30 / cols, angles_deg=angles, roll_deg=1.0)
    return fdk(Projections(np.ones((views, rows, cols), np.float32), scan), grid)
job(8, 8, 2, Grid((2, 8, 8), 1.0))
before = peak()
volume = job(1200, 1800, 12, Grid((16, 256, 256), 0.1))
print(peak() - before - 4 * 12 * 1200 * 1800 - volume.nbytes)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_working_memory_stays_below_a_gib():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _PEAK], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2**30


def test_too_large_a_volume_is_refused_before_allocating():
    p = Projections(np.zeros((26, 16, 24), np.float32), skyscan_1276(rows=16, cols=24, voxel_mm=1.0)[::10])
    with pytest.raises(InputError, match=r"voxels.* need \d+\.\d GiB of memory and .* are free; use larger voxels"):
        fdk(p, Grid((40000, 40000, 40000), 0.001))


def ellipse_fan(scan: Scan, center=(4.0, -6.0), semi=(12.0, 9.0)) -> Projections:
    col = np.arange(scan.shape[1]) - (scan.shape[1] - 1) / 2
    pixel = (scan.detector[:, None] + col[:, None] * scan.u[:, None])[..., :2]
    s, d = (scan.source[:, None, :2] - center) / semi, (pixel - scan.source[:, None, :2]) / semi
    a, b, c = (d * d).sum(-1), (d * s).sum(-1), (s * s).sum(-1) - 1
    length = 2 * np.sqrt(np.maximum(b * b - a * c, 0)) / a * np.linalg.norm(pixel - scan.source[:, None, :2], axis=-1)
    return Projections(np.repeat(length[:, None], scan.shape[0], axis=1).astype(np.float32), scan)


@pytest.mark.parametrize(
    "change", [{}, {"axis_shift_mm": 2.0}, {"angles_deg": 70 - np.arange(260) * 0.8}, {"angles_deg": np.arange(360.0)}]
)
def test_the_mid_plane_agrees_with_astra(change):
    """An independent filter, back-projection and handling of the short scan (rebinning instead of weights)."""
    pytest.importorskip("astra")
    fan = {"dso_mm": 120.0, "dsd_mm": 150.0, "rows": 1, "cols": 160, "pixel_mm": 0.45, "angles_deg": np.arange(260) * 0.8}
    p = ellipse_fan(Scan.circular(**{**fan, **change}))
    grid = Grid((1, 100, 100), 0.5)
    ours, theirs = (run_method(p, name, grid).volume[0] for name in ("fdk", "fbp_astra"))
    y, x = np.meshgrid(grid.y_mm, grid.x_mm, indexing="ij")
    level = ((x - 4) / 12) ** 2 + ((y + 6) / 9) ** 2
    inside = level < 0.8**2
    assert abs(theirs[inside].mean() - 1) < 0.003
    assert abs(ours[inside].mean() / theirs[inside].mean() - 1) < 0.002
    assert np.sqrt(((ours - theirs)[inside] ** 2).mean()) < 0.01


def test_astra_takes_parallel_beams_with_many_rows_but_no_cone():
    pytest.importorskip("astra")
    parallel = Scan.circular(dso_mm=1e6, dsd_mm=1e6, rows=4, cols=120, pixel_mm=0.5, angles_deg=np.arange(180))
    volume = run_method(ellipse_fan(parallel), "fbp_astra", Grid((3, 60, 60), 0.6), filter="hann").volume
    assert abs(volume[:, 12:25, 30:40].mean() - 1) < 0.01
    cone = skyscan_1276(rows=16, cols=24, voxel_mm=1.0)
    with pytest.raises(InputError, match=r"cone beam.*method='fdk'"):
        run_method(Projections(np.zeros((260, 16, 24), np.float32), cone), "fbp_astra")


def test_fdk_astra_without_a_gpu_is_an_error_and_not_a_dead_process():
    astra = pytest.importorskip("astra")
    if astra.use_cuda():
        pytest.skip("there is a CUDA device")
    p = Projections(np.zeros((26, 16, 24), np.float32), skyscan_1276(rows=16, cols=24, voxel_mm=1.0)[::10])
    with pytest.raises(MissingBackendError, match=r"CUDA.*method='fdk'"):
        run_method(p, "fdk_astra")


@pytest.mark.gpu
def test_fdk_astra_agrees_on_a_gpu():
    assert METHODS["fdk_astra"].name == "fdk_astra"
    scan = skyscan_1276(rows=4, cols=160, voxel_mm=0.45)
    p, grid = ellipse_fan(scan), Grid((1, 80, 80), 0.5)
    ours, theirs = (run_method(p, name, grid).volume[0, 10:60, 30:60] for name in ("fdk", "fdk_astra"))
    assert np.sqrt(((ours - theirs) ** 2).mean()) < 0.02


@pytest.mark.gpu
@pytest.mark.parametrize("roll_deg", [0.0, 3.0])
@pytest.mark.parametrize(("storage", "limit"), [("float32", 1e-4), ("fp16", 1e-3), ("bf16", 5e-3)])
def test_fdk_on_a_gpu_is_that_of_the_cpu(roll_deg: float, storage: str, limit: float) -> None:
    """The limit is the root mean square over that of the volume, for noise, the hardest to keep in few bits.

    The grid is so small that the CPU takes one voxel after the other; with its bins, noise would differ by a tenth.
    """
    scan = Scan.circular(dso_mm=60, dsd_mm=90, rows=70, cols=90, pixel_mm=0.6, angles_deg=np.arange(26) * 8.0, roll_deg=roll_deg)
    p = Projections(np.random.default_rng(0).random((26, 70, 90), np.float32), scan)
    grid = Grid((44, 52, 56), 0.6)
    assert np.prod(grid.shape) < LEAST_VOXELS
    on_cpu, on_gpu = (filtered_backprojection(p, grid, backend=b, storage=s) for b, s in (("numba", "float32"), ("auto", storage)))
    assert np.sqrt(np.mean((on_gpu - on_cpu) ** 2)) < limit * np.sqrt(np.mean(on_cpu**2))
    if storage == "float32":
        import torch
        from fewview.recon.analytic.feldkamp_on_card import CardFdk

        there = torch.from_numpy(np.array(p.values)).cuda().requires_grad_()
        found = CardFdk(scan, grid, there.device)(there)
        assert found.is_cuda
        np.testing.assert_array_equal(found.detach().cpu().numpy(), on_gpu)
        weights = torch.rand_like(found)
        (back,) = torch.autograd.grad((found * weights).sum(), there)
        gap = abs(float((found.detach().double() * weights).sum() - (there.detach().double() * back).sum()))
        assert gap < 1e-5 * float(found.detach().norm() * weights.norm())


def test_half_precision_is_for_a_gpu() -> None:
    p = Projections(np.zeros((26, 16, 24), np.float32), skyscan_1276(rows=16, cols=24, voxel_mm=1.0)[::10])
    with pytest.raises(InputError, match=r"fp16.*numba"):
        filtered_backprojection(p, Grid((4, 4, 4), 1.0), backend="numba", storage="fp16")
