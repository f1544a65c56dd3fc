"""FDK against analytic ellipsoids: the value, and above all the shading, which is where wrong short-scan weights show."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, InputError, MissingBackendError, Scan, UnknownNameError, skyscan_1276, views
from fewview.recon import METHODS, fdk
from fewview.recon import reconstruct as run_method
from numpy.typing import NDArray

KW = {"rows": 96, "cols": 144, "pixel_mm": 0.5, "dso_mm": 160.0, "dsd_mm": 160.0}  # fan 25.4 deg, so 208 deg is a short scan


@dataclass(frozen=True)
class Ellipsoid:
    center: tuple[float, float, float]
    semi: tuple[float, float, float]
    value: float

    def level(self, x, y, z):
        return sum(((w - c) / s) ** 2 for w, c, s in zip((x, y, z), self.center, self.semi, strict=True))

    def lines(self, source: NDArray, pixel: NDArray) -> NDArray:
        """Length of the chord from source to pixel inside the body, times the value: the root of a quadratic."""
        center, semi = np.array(self.center), np.array(self.semi)
        s, d = (source - center) / semi, (pixel - source) / semi
        a, b, c = (d * d).sum(-1), d @ s, s @ s - 1
        return self.value * 2 * np.sqrt(np.maximum(b * b - a * c, 0)) / a * np.linalg.norm(pixel - source, axis=-1)


BODY = Ellipsoid((5.0, -6.0, 0.5), (14.0, 10.0, 9.0), 1.0)
INSERT = Ellipsoid((9.0, -7.0, 0.5), (2.0, 4.0, 3.0), 0.4)


def projections(scan: Scan, bodies=(BODY, INSERT)) -> Projections:
    rows, cols = scan.shape
    col, row = np.arange(cols) - (cols - 1) / 2, np.arange(rows)[:, None] - (rows - 1) / 2
    values = np.empty((len(scan), rows, cols), np.float32)
    for i in range(len(scan)):
        pixel = scan.detector[i] + col[..., None] * scan.u[i] + row[..., None] * scan.v[i]
        values[i] = sum(body.lines(scan.source[i], pixel) for body in bodies)
    return Projections(values, scan)


def shading(volume: NDArray, grid: Grid, body: Ellipsoid = BODY, insert: Ellipsoid = INSERT) -> tuple[float, float, float]:
    """Relative errors inside the body, away from its edge and the insert: mean, right/left, top/bottom (as seen in the slice)."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    inside = (body.level(x, y, z) < 0.8**2) & (insert.level(x, y, z) > 1.4**2)
    right, back = x > body.center[0], y > body.center[1]
    mean = volume[inside].mean()
    pair = [volume[inside & half].mean() / volume[inside & ~half].mean() for half in (right, back)]
    return float(mean / body.value - 1), float(pair[0] - 1), float(pair[1] - 1)


def near(center: tuple[float, float, float] = BODY.center) -> Grid:
    """A few slices about the middle of the body."""
    return Grid((5, 60, 80), 0.45, center)


def circular(angles_deg, **change) -> Scan:
    return Scan.circular(**{**KW, **change}, angles_deg=angles_deg)


def moved(scan: Scan, tilt_deg: tuple[float, float], by_mm: tuple[float, float, float]) -> Scan:
    a, b = np.radians(tilt_deg)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn = (about_y @ about_x).T
    return Scan(scan.shape, scan.source @ turn + by_mm, scan.detector @ turn + by_mm, scan.u @ turn, scan.v @ turn, scan.angles_deg)


def turned_panel(scan: Scan, pitch_deg: float, yaw_deg: float) -> Scan:
    """Every panel turned about its own rows (pitch) and columns (yaw), off the right angle to the central ray."""
    p, y = np.radians([pitch_deg, yaw_deg])
    pixel = np.linalg.norm(scan.u, axis=1)[:, None]
    across, up = scan.u / pixel, scan.v / pixel
    out = np.cross(across, up)
    u, v = across * np.cos(y) + out * np.sin(y), up * np.cos(p) + out * np.sin(p)
    return Scan(scan.shape, scan.source, scan.detector, u * pixel, v * pixel, scan.angles_deg)


SHORT = circular(np.arange(260) * 0.8)
FULL = circular(np.arange(240) * 1.5)
WIDE = circular(np.arange(240) * 1.5, axis_shift_mm=15.0)
SCANS = {
    "208 deg": SHORT,
    "360 deg": FULL,
    "0 and 360 deg": circular(np.arange(241) * 1.5),
    "400 deg": circular(np.arange(260) * 400 / 260),
    "270 deg": circular(np.arange(180) * 1.5),
    "random half": SHORT[views.random(SHORT, 130, seed=3)],
    "another random half": SHORT[views.random(SHORT, 130, seed=4)],
    "a random half of a turn": FULL[views.random(FULL, 120, seed=5)],
    "every 10th": SHORT[::10],
    "every 20th": SHORT[::20],
    "13 with both ends": SHORT[views.evenly(SHORT, 13)],
    "a hole of 16 deg": SHORT[np.r_[0:110, 130:260]],
    "shifted axis": circular(np.arange(260) * 0.8, axis_shift_mm=1.5),
    "shifted panel, half a scan": WIDE,
    "shifted panel, a random half of its views": WIDE[views.random(WIDE, 120, seed=6)],
    "shifted the other way": circular(np.arange(240) * 1.5, axis_shift_mm=-15.0),
    "shifted rows": circular(np.arange(260) * 0.8, row_shift_mm=-2.0),
    "reversed": circular(40 - np.arange(260) * 0.8),
    "across 360": circular(300 + np.arange(260) * 0.8),
    "any order": SHORT[np.random.default_rng(0).permutation(260)],
    "flipped rows": Scan(SHORT.shape, SHORT.source, SHORT.detector, SHORT.u, -SHORT.v, SHORT.angles_deg),
    "mirrored columns": Scan(SHORT.shape, SHORT.source, SHORT.detector, -SHORT.u, SHORT.v, SHORT.angles_deg),
    "rolled": circular(np.arange(260) * 0.8, roll_deg=0.5),
    "pitched by 3 deg": turned_panel(SHORT, 3.0, 0.0),
    "turned by 4 deg": turned_panel(SHORT, 0.0, 4.0),
    "magnified": circular(np.arange(260) * 0.8, dsd_mm=320.0, pixel_mm=1.0),
    "half the pixels": circular(np.arange(260) * 0.8, rows=48, cols=72, pixel_mm=1.0),
}


@pytest.mark.parametrize("name", SCANS)
def test_value_and_shading(name):
    grid = near()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # all of them cover enough
        volume = fdk(projections(SCANS[name]), grid)
    mean, right, back = shading(volume, grid)
    assert abs(mean) < 0.003
    assert abs(right) < 0.005
    assert abs(back) < 0.005


@pytest.mark.parametrize("keep", [slice(None), slice(None, None, 10)])
def test_rigidly_moved_scan(keep):
    """The whole scanner tilted and shifted, the body with it: angles and fan are those about the scan's own axis."""
    scan = moved(SHORT[keep], (9.0, -6.0), (30.0, -12.0, 21.0))
    body, insert = (Ellipsoid((35.0, -18.0, 21.5), b.semi, b.value) for b in (BODY, INSERT))
    insert = Ellipsoid((39.0, -19.0, 21.5), insert.semi, insert.value)
    grid = near(body.center)
    mean, right, back = shading(fdk(projections(scan, (body, insert)), grid), grid, body, insert)
    assert abs(mean) < 0.003
    assert abs(right) < 0.005
    assert abs(back) < 0.005


def test_skyscan_1276_off_the_mid_plane():
    """A tall body: FDK's cone-beam error stays below 1 % at half the cone angle."""
    scan = skyscan_1276(rows=96, cols=144, voxel_mm=0.5)
    tall = Ellipsoid((5.0, -6.0, 0.0), (14.0, 10.0, 60.0), 1.0)
    grid = Grid((1, 60, 80), 0.45, (5.0, -6.0, 9.0))
    mean, right, back = shading(fdk(projections(scan, (tall,)), grid), grid, tall)
    assert max(abs(mean), abs(right), abs(back)) < 0.01


@pytest.mark.parametrize("dso_mm", [1e5, 1e7])
def test_a_distant_source_is_parallel_beam(dso_mm):
    scan = Scan.circular(dso_mm=dso_mm, dsd_mm=dso_mm + 100, rows=24, cols=144, pixel_mm=0.5, angles_deg=np.arange(180))
    grid = near()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, right, back = shading(fdk(projections(scan), grid), grid)
    assert max(abs(mean), abs(right), abs(back)) < 0.001


@pytest.mark.parametrize("row_shift_mm", [0.0, 0.2])
def test_one_row_is_fan_beam(row_shift_mm):
    scan = circular(np.arange(260) * 0.8, rows=1, row_shift_mm=row_shift_mm)
    grid = Grid.fit(scan, 0.5)
    assert grid.shape[0] == 1
    mean, right, back = shading(fdk(projections(scan), grid), grid)
    assert max(abs(mean), abs(right), abs(back)) < 0.002


def test_noise_free_slice_matches_the_truth_voxel_by_voxel():
    """Not only means: at 260 views the interior is flat, and outside are only the faint streaks along tangents of a sharp edge."""
    grid = near()
    volume = fdk(projections(SHORT, (BODY,)), grid)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    level = BODY.level(x, y, z)
    assert volume[level < 0.85**2].std() < 0.004
    assert np.sqrt((volume[level > 1.25**2] ** 2).mean()) < 0.025


def test_lengths_scale():
    """Everything 1000 times larger, a 1000th of the attenuation: the same line integrals, a volume of a 1000th."""
    grid = Grid((3, 20, 24), 1.2, (5, -6, 0.5))
    p = projections(SHORT[::13])
    s = SHORT[::13]
    large = Scan(s.shape, s.source * 1000, s.detector * 1000, s.u * 1000, s.v * 1000, s.angles_deg)
    first = fdk(p, grid)
    second = fdk(Projections(p.values, large), Grid(grid.shape, 1200.0, (5000, -6000, 500)))
    np.testing.assert_allclose(second * 1000, first, rtol=0, atol=2e-5 * np.abs(first).max())


def test_turning_scan_and_body_together_changes_nothing():
    """Start angle does not matter: the sum over views is the same in the turned frame (90 deg maps the grid onto itself)."""
    here = Ellipsoid((6.0, -3.0, 0.0), (9.0, 5.0, 6.0), 1.0)
    there = Ellipsoid((3.0, 6.0, 0.0), (5.0, 9.0, 6.0), 1.0)
    grid = Grid((3, 40, 40), 1.0)
    first = fdk(projections(SHORT[::10], (here,)), grid)
    second = fdk(projections(circular(90 + SHORT[::10].angles_deg), (there,)), grid)
    np.testing.assert_allclose(np.rot90(first, -1, axes=(1, 2)), second, atol=2e-4)


@pytest.mark.parametrize("name", ["ramp", "shepp-logan", "cosine", "hamming", "hann", "parzen"])
def test_every_filter_keeps_the_value(name):
    grid = near()
    mean, right, back = shading(fdk(projections(SHORT[::5]), grid, filter=name, cutoff=0.8), grid)
    assert max(abs(mean), abs(right), abs(back)) < 0.005


def test_softer_filters_pass_less_noise():
    values = np.random.default_rng(1).standard_normal((130, 8, 96)).astype(np.float32)
    noise = Projections(values, circular(np.arange(130) * 1.6, rows=8, cols=96))
    grid = Grid((2, 30, 30), 0.5)
    spread = [fdk(noise, grid, filter=f).std() for f in ("ramp", "shepp-logan", "cosine", "hamming", "hann", "parzen")]
    assert spread == sorted(spread, reverse=True)
    assert fdk(noise, grid, cutoff=0.5).std() < 0.6 * spread[0]


def test_the_front_door_and_odd_spellings():
    p, grid = projections(SHORT[::26]), Grid((2, 10, 10), 3.0)
    steps = []
    rec = run_method(p, "fdk", grid, callbacks=(lambda progress: steps.append(progress.step),), filter="Shepp_Logan")
    assert rec.settings == {"filter": "shepp-logan", "cutoff": 1.0, "backend": "auto", "storage": "float32"}
    assert steps[-1] == len(p)
    np.testing.assert_array_equal(rec.volume, fdk(p, grid, filter="shepp logan"))
    np.testing.assert_array_equal(fdk(p, grid), fdk(p, grid, filter="Ram-Lak"))
    assert METHODS["fdk"].name == "fdk"
    assert fdk(p).shape == Grid.fit(p.scan).shape


def test_unknown_filter_names_the_nearest():
    p = projections(SHORT[:2])
    with pytest.raises(UnknownNameError, match=r"'hamm'.*did you mean hamming"):
        fdk(p, filter="hamm")
    for cutoff in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match="Nyquist"):
            fdk(p, cutoff=cutoff)


def test_repeated_angles_are_refused_by_name():
    scan = SHORT[[0, 5, 9, 5, 20]]
    with pytest.raises(InputError, match=r"views 1 and 3 are both at 4 deg.*drop"):
        fdk(Projections(np.zeros((5, *scan.shape), np.float32), scan), Grid((1, 4, 4), 1.0))


def test_a_short_range_warns_with_both_numbers_and_still_runs():
    grid = Grid((1, 60, 80), 0.45, BODY.center)
    wedge = projections(SHORT[:200])  # 160 deg
    with pytest.warns(UserWarning, match=r"cover 160\.00 deg.*needs 19\d\.\d\d deg.*limited-angle"):
        assert np.isfinite(fdk(wedge, grid)).all()
    with pytest.warns(UserWarning, match=r"200 views cover 190\.00 deg, .*only what lies within 13\.9\d mm"):
        fdk(projections(circular(np.arange(200) * 0.95)), Grid((1, 80, 80), 0.8))
    with pytest.warns(UserWarning, match="1 views cover 0"):
        one = fdk(projections(SHORT[[7]]), grid)
    assert np.isfinite(one).all()
    assert one.max() > 0


def test_a_small_grid_needs_less_range():
    """190 deg is below 180 + fan, but enough for a body within 13.9 mm of the axis: no warning, no shading."""
    scan = circular(np.arange(238) * 0.8)
    body = Ellipsoid((1.0, -2.0, 0.0), (10.0, 8.0, 9.0), 1.0)
    grid = Grid((3, 50, 50), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, right, back = shading(fdk(projections(scan, (body,)), grid), grid, body)
    assert max(abs(mean), abs(right), abs(back)) < 0.003


def test_a_spiral_is_pointed_out():
    s = SHORT[::10]
    rise = np.linspace(0, 20, len(s))[:, None] * [0, 0, 1]
    spiral = Scan(s.shape, s.source + rise, s.detector + rise, s.u, s.v, s.angles_deg)
    with pytest.warns(UserWarning, match="along the rotation axis"):
        fdk(projections(spiral), Grid((1, 4, 4), 1.0))


def test_fdk_says_which_backends_have_it() -> None:
    scan = skyscan_1276(8, 12, 0.5)[::20]
    p = Projections(np.ones((len(scan), *scan.shape), np.float32), scan)
    assert np.array_equal(fdk(p, backend="numba"), fdk(p))
    with pytest.raises(MissingBackendError, match=r"backend torch has no filtered back-projection; expected one of auto, numba"):
        fdk(p, backend="torch")
    with pytest.raises(UnknownNameError, match="numba"):
        fdk(p, backend="nunba")
