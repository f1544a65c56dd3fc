"""The CPU's kernels with depth bins, on grids large enough to take them: against exact Joseph, their own transposes, and each other."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.geometry import Grid, Scan, skyscan_1276
from fewview.recon import Operator, dottest
from fewview.recon.projector.compiled import backprojection, backprojection_any, pair
from fewview.recon.projector.joseph_rays import Rays
from fewview.recon.projector.projection_matrices import matrices_of
from hypothesis import given, settings
from hypothesis import strategies as st

GRID = Grid((45, 56, 54), 1.0, (1.0, -2.0, 1.5))


def cone(**changes: object) -> Scan:
    recipe: dict = {"dso_mm": 90.0, "dsd_mm": 160.0, "rows": 56, "cols": 90, "pixel_mm": 1.5, "angles_deg": [7.0, 48.0, 171.0, 225.0]}
    return Scan.circular(**(recipe | changes))


def leaning(scan: Scan, degrees: float) -> Scan:
    """Every panel turned about its own row direction, so that it leans towards the source or away from it."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    length = np.linalg.norm(scan.v, axis=1)[:, None]
    normal = np.cross(scan.u, scan.v)
    normal *= length / np.linalg.norm(normal, axis=1)[:, None]
    return Scan(scan.shape, scan.source, scan.detector, scan.u, c * scan.v + s * normal, scan.angles_deg)


def climbing(scan: Scan) -> Scan:
    """Panels that drift and roll, each differently, and two that stand upright."""
    roll = np.radians([0.0, 1.5, -2.5, 0.0])[:, None]
    u, v = np.cos(roll) * scan.u + np.sin(roll) * scan.v, np.cos(roll) * scan.v - np.sin(roll) * scan.u
    return Scan(scan.shape, scan.source, scan.detector + np.array([[0.3, 0, 1], [0, 0, 0], [1, 2, -2], [0, 0.4, 0]]), u, v, scan.angles_deg)


SCANS = {
    "upright": cone,
    "rows down": lambda: Scan(cone().shape, cone().source, cone().detector, cone().u, -cone().v, cone().angles_deg),
    "shifted": lambda: cone(axis_shift_mm=3.0, row_shift_mm=-7.0),
    "parallel": lambda: cone(dso_mm=1e6, dsd_mm=1e6 + 60, pixel_mm=0.9),
    "rolled": lambda: cone(roll_deg=3.0, axis_shift_mm=2.0),
    "on its side": lambda: cone(roll_deg=90.0, rows=90, cols=56),
    "leaning": lambda: leaning(cone(), 8.0),
    "climbing": lambda: climbing(cone()),
}


def blobs(shape: tuple[int, int, int]) -> np.ndarray:
    """Smooth bodies that end inside the grid, of 1/6 of its size and more."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    places = ((0.2, -0.1, 0.3, 0.25), (-0.3, 0.4, -0.5, 0.2), (0.4, 0.3, 0.1, 0.3), (-0.2, -0.4, 0.55, 0.18))
    return sum((np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * r**2 / 4)) for a, b, c, r in places), np.zeros(shape)).astype(
        np.float32
    )


def gap(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def ways(scan: Scan) -> tuple[int, int]:
    """How many views take the kernels with bins, and how many are computed ray by ray."""
    fast, slow = pair._ways(Rays.of(scan, GRID))
    return sum(way.views.size for way in fast), slow.size


@pytest.mark.parametrize("make", SCANS.values(), ids=SCANS.keys())
def test_every_panel_takes_the_fast_kernels_and_agrees_with_exact_joseph(make) -> None:
    scan = make()
    assert ways(scan) == (4, 0)
    fast, exact = Operator(scan, GRID, "numba"), Operator(scan, GRID, "torch")
    assert dottest(fast) <= 1e-6
    volume = blobs(GRID.shape)
    assert gap(fast(volume), exact(volume)) <= 4e-3  # the smallest body has a standard deviation of 2 voxels


def smooth_views(scan: Scan, finer: int) -> tuple[Scan, np.ndarray]:
    """The same smooth function on the panels of ``scan``, and on panels with ``finer`` times as many rows and columns."""
    rows, cols = (n * finer for n in scan.shape)
    row, col = np.meshgrid(*((2 * np.arange(n) + 1) / n - 1 for n in (rows, cols)), indexing="ij")
    window = np.cos(row * np.pi / 2) ** 2 * np.cos(col * np.pi / 2) ** 2
    views = [window * (1 + 0.5 * np.sin(5 * row + i) * np.cos(4 * col - i)) / finer**2 for i in range(len(scan))]
    panels = Scan((rows, cols), scan.source, scan.detector, scan.u / finer, scan.v / finer, scan.angles_deg)
    return panels, np.stack(views).astype(np.float32)


@pytest.mark.parametrize("make", [SCANS[name] for name in ("shifted", "climbing")])
def test_the_transpose_is_as_close_to_the_truth_as_josephs(make) -> None:
    """Joseph's transpose has ripples where rays and voxels beat, of another shape than ours: many rays a voxel show the smooth truth."""
    scan, (fine, many) = make(), smooth_views(make(), 3)
    views, truth = smooth_views(scan, 1)[1], Operator(fine, GRID, "torch").T(many)
    ours, josephs = (gap(Operator(scan, GRID, name).T(views), truth) for name in ("numba", "torch"))
    assert ours <= josephs + 1e-5


def test_white_noise_differs_by_the_blur_of_a_shared_line() -> None:
    """The worst case. A line half-way between two bins is blurred most: 1 - cos(w / 2) of frequency w with bins one voxel apart."""
    noise = np.random.default_rng(0).standard_normal(GRID.shape).astype(np.float32)
    fast, exact = (Operator(cone(), GRID, name)(noise) for name in ("numba", "torch"))
    assert 0.02 <= gap(fast, exact) <= 0.12


def test_small_grids_and_steep_rays_are_computed_exactly() -> None:
    rays = Rays.of(cone(), Grid((20, 30, 30), 1.0))
    assert pair._ways(rays)[0] == []
    tilted = cone()
    turn = np.array([[1, 0, 0], [0, 0.5, -(0.75**0.5)], [0, 0.75**0.5, 0.5]])  # 60 deg about x: rays mostly along z in some views
    scan = Scan(tilted.shape, *(a @ turn.T for a in (tilted.source, tilted.detector, tilted.u, tilted.v)), tilted.angles_deg)
    _, slow = ways(scan)
    assert slow > 0
    A, B = Operator(scan, GRID, "numba"), Operator(scan, GRID, "torch")
    assert dottest(A) <= 1e-6
    volume = blobs(GRID.shape)
    assert gap(A(volume), B(volume)) <= 3e-3


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    import numba

    A, random = Operator(SCANS["climbing"](), GRID, "numba"), np.random.default_rng(0)
    x, y = random.random(A.domain_shape, np.float32), random.random(A.range_shape, np.float32)
    many, before = (A(x), A.T(y)), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = A(x), A.T(y)
    finally:
        numba.set_num_threads(before)
    assert all((a == b).all() for a, b in zip(one, many, strict=True))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(45, 56, 54), (3, 220, 210), (300, 22, 21), (33, 60, 67), (64, 47, 45)]),
    magnification=st.floats(1.05, 3),
    pixel=st.floats(0.3, 4),
    roll_deg=st.sampled_from([0.0, 0.0, 2.0, -20.0]),
)
def test_any_scan_is_matched_and_does_not_leave_its_arrays(seed, shape, magnification, pixel, roll_deg) -> None:
    """Shapes that are no multiple of a vector, panels that see all or little, sources near and far."""
    random = np.random.default_rng(seed)
    reach = float(np.linalg.norm(shape))
    rows, cols = (int(n) for n in random.integers(1, 70, 2))
    scan = Scan.circular(
        dso_mm=reach * random.uniform(0.7, 3), dsd_mm=reach * 3 * magnification, rows=rows, cols=cols, pixel_mm=pixel * magnification,
        angles_deg=random.uniform(0, 360, 2), roll_deg=roll_deg, axis_shift_mm=random.uniform(-5, 5), row_shift_mm=random.uniform(-20, 20),
    )  # fmt: skip
    assert dottest(Operator(scan, Grid(shape, 1.0), "numba")) <= 1e-6


@pytest.mark.parametrize("make", SCANS.values(), ids=SCANS.keys())
def test_back_projection_with_bins_agrees_with_voxel_by_voxel(make) -> None:
    scan = make()
    grid = Grid((45, 112, 108), 0.5, GRID.center_mm)
    views = smooth_views(scan, 1)[1]
    weights = np.array([1.0, 0.5, 2.0, 0.7])
    ours, theirs, rays = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32), Rays.of(scan, grid)
    backprojection.backproject(ours, scan, grid, views, weights)
    matrices = matrices_of(rays.source, rays.first, rays.u, rays.v)
    backprojection_any.backproject_any(views, (0, scan.shape[0], scan.shape[0]), matrices, weights, 0, theirs)
    assert (ours != theirs).any()  # by another road
    assert gap(ours, theirs) <= 3e-3


def test_real_sizes_take_the_fast_kernels() -> None:
    """Rules alone, nothing computed: 260 views of 2688 x 4032 pixels onto 2000^3 voxels, as scanned and a little rolled."""
    scan, grid = skyscan_1276(2688, 4032, 0.01)[::26], Grid((1800, 2600, 2600), 0.011)
    for rays in (
        Rays.of(scan, grid),
        Rays.of(Scan(scan.shape, scan.source, scan.detector, scan.u + 1e-3 * scan.v, scan.v, scan.angles_deg), grid),
    ):
        fast, slow = pair._ways(rays)
        assert slow.size == 0
        assert all(way.bins.count.max() < 800 for way in fast)


def test_a_high_grid_is_taken_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line integrals add up over slabs, and so does what voxels just above and below an edge share; all slabs have the same bins."""
    monkeypatch.setattr(pair, "SLAB", 16)
    monkeypatch.setattr(backprojection, "SLAB", 16)
    scan, volume = climbing(cone()), blobs(GRID.shape)
    edges = Rays.of(scan, GRID).slabs(16)
    assert [(s.start, s.stop) for s in edges] == [(0, 15), (15, 30), (30, 45)]
    fast = Operator(scan, GRID, "numba")
    assert dottest(fast) <= 1e-6
    assert gap(fast(volume), Operator(scan, GRID, "torch")(volume)) <= 4e-3
    constant = fast(np.ones(GRID.shape, np.float32))  # no seam where two slabs meet
    monkeypatch.setattr(pair, "SLAB", 192)
    assert np.abs(constant - fast(np.ones(GRID.shape, np.float32))).max() <= 1e-4 * constant.max()
    views, weights, in_slabs, whole = smooth_views(scan, 1)[1], np.ones(4), *(np.zeros((45, 112, 108), np.float32) for _ in range(2))
    grid = Grid((45, 112, 108), 0.5, GRID.center_mm)
    backprojection.backproject(in_slabs, scan, grid, views, weights)
    monkeypatch.setattr(backprojection, "SLAB", 192)
    backprojection.backproject(whole, scan, grid, views, weights)
    np.testing.assert_allclose(in_slabs, whole, atol=1e-5 * np.abs(whole).max())
