"""Fan and parallel beams on the CPU: the compiled loops for rays in planes of constant z, against the plain reference and theory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numba
import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import Grid, Scan
from fewview.recon import Operator, dottest, fdk
from fewview.recon.projector.compiled import backprojection
from fewview.recon.projector.compiled.fan import planes
from fewview.recon.projector.compiled.fan.slices import backproject_slices, rows_met
from fewview.recon.projector.joseph_rays import Rays
from fewview.recon.projector.projection_matrices import projection_matrices
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Arrays here are tiny: threads only wait for each other, for seconds on a busy machine."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])


def fan(cols: int = 31, **changes: object) -> Scan:
    recipe: dict = {"dso_mm": 60.0, "dsd_mm": 100.0, "rows": 1, "cols": cols, "pixel_mm": 1.7, "angles_deg": np.arange(9) * 41.0}
    return Scan.circular(**(recipe | changes))


def swung(scan: Scan, degrees: float, height_mm: float = 0.0) -> Scan:
    """The panel turned within the plane of the fan about its own centre, and all of it moved along z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    up = np.array([0.0, 0.0, height_mm])
    return Scan(scan.shape, scan.source + up, scan.detector + up, scan.u @ turn.T, scan.v, scan.angles_deg)


def close(scan: Scan, grid: Grid, seed: int = 0) -> None:
    """The pair is matched, and each half is the plain reference's in double precision."""
    assert planes.supports(Rays.of(scan, grid))
    fast, plain = Operator(scan, grid, "numba"), Operator(scan, grid, "torch")
    assert dottest(fast, seed) <= 1e-6
    random = np.random.default_rng(seed)
    x, y = random.random(fast.domain_shape, np.float32), random.random(fast.range_shape, np.float32)
    for ours, theirs in ((fast(x), plain(x.astype(np.float64))), (fast.T(y), plain.T(y.astype(np.float64)))):
        # where rays only graze a corner of the grid, what counts is the rounding of their place in it, not of the little that they meet
        assert np.abs(ours - theirs).max() <= 1e-5 * max(np.abs(theirs).max(), grid.voxel_mm / 10)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 50), st.integers(1, 50)),
    voxel=st.floats(0.1, 3),
    nearness=st.floats(-0.2, 5),  # of the source, log10 of its distance in half widths: from inside the grid to a parallel beam
    magnification=st.floats(1.01, 4),
    pixels_a_voxel=st.floats(0.1, 5),
    swing=st.floats(-50, 50),
    level=st.floats(-1.5, 1.5),
)
def test_any_fan(
    seed: int,
    shape: tuple[int, int, int],
    voxel: float,
    nearness: float,
    magnification: float,
    pixels_a_voxel: float,
    swing: float,
    level: float,
) -> None:
    random = np.random.default_rng(seed)
    dso = 10.0**nearness * max(shape) * voxel / 2
    panel = dso + max(shape) * voxel if nearness > 1 else dso * magnification
    pixel = voxel / pixels_a_voxel * panel / dso
    scan = Scan.circular(
        dso_mm=dso,
        dsd_mm=panel,
        rows=1,
        cols=int(random.integers(1, 70)),
        pixel_mm=pixel,
        angles_deg=random.uniform(0, 360, 4),
        axis_shift_mm=float(random.uniform(-3, 3)) * pixel,
    )
    close(swung(scan, swing, level * voxel), Grid(shape, voxel, tuple(random.uniform(-2, 2, 3) * (voxel, voxel, 0))), seed)


@pytest.mark.parametrize(
    "scan",
    [
        fan(angles_deg=np.arange(8) * 45.0),  # rays along the axes, and at 45 deg, where both axes are as good
        fan(cols=1, angles_deg=np.arange(8) * 45.0),
        fan(dso_mm=16.0 * math.sqrt(2), dsd_mm=50.0, angles_deg=np.arange(8) * 45.0),  # the source on a corner of the grid
        fan(dso_mm=16.0, dsd_mm=50.0, angles_deg=np.arange(4) * 90.0),  # the source on a side of it
        fan(dso_mm=1e9, dsd_mm=1e9 + 50, pixel_mm=1.0, cols=33, angles_deg=[0.0, 90.0, 180.0, 45.0, 30.0]),  # rays through voxel centres
        fan(cols=400, pixel_mm=0.2),  # many rays a voxel, and more than one pass over the columns
        fan(cols=3, pixel_mm=30.0),  # many voxels a ray
    ],
    ids=["eighths", "one pixel", "corner", "side", "parallel", "fine", "coarse"],
)
@pytest.mark.parametrize("grid", [Grid((1, 32, 32), 1.0), Grid((2, 33, 7), 1.0, (3.0, -2.0, 0.2))], ids=["square", "oblong"])
def test_corner_cases(scan: Scan, grid: Grid) -> None:
    close(scan, grid)


def test_positions_do_not_lose_digits_in_a_large_image() -> None:
    """Neighbours along y are 1 and -1, so that a sample is off by twice its position. A position carried through 3000 slices in float32
    is off by up to 1e-4 of a voxel, and the integral of 3000 of them by some 1e-2."""
    scan = fan(cols=40, pixel_mm=40.0, dso_mm=9000.0, dsd_mm=18000.0, angles_deg=[17.0, 100.0])
    grid = Grid((1, 3000, 3000), 1.0)
    x = np.broadcast_to((1 - 2 * (np.arange(3000) % 2)).astype(np.float32)[None, :, None], grid.shape).copy()
    ours, theirs = Operator(scan, grid, "numba")(x), Operator(scan, grid, "torch")(x.astype(np.float64))
    assert np.abs(ours - theirs).max() <= 5e-4


def test_a_disc_in_a_parallel_beam() -> None:
    """The integrals of a disc of ones are its chords 2 sqrt(r^2 - s^2), at every angle and off centre; the sum of a view is its area."""
    grid, radius, center = Grid((1, 300, 320), 0.1), 9.0, np.array([2.0, -3.0])
    fine = (np.arange(8) - 3.5) / 80
    x = (grid.x_mm[:, None] + fine).ravel() - center[0]
    y = (grid.y_mm[:, None] + fine).ravel() - center[1]
    disc = (x[None, :] ** 2 + y[:, None] ** 2 <= radius**2).reshape(300, 8, 320, 8).mean(axis=(1, 3), dtype=np.float32)[None]
    angles = np.arange(12) * 15.0 + 4.0
    scan = Scan.circular(dso_mm=1e7, dsd_mm=1e7, rows=1, cols=401, pixel_mm=0.1, angles_deg=angles)
    found = Operator(scan, grid)(disc)[:, 0]
    b, s = np.radians(angles)[:, None], (np.arange(401) - 200) * 0.1
    chord = 2 * np.sqrt(np.maximum(0, radius**2 - (s - center[0] * np.cos(b) - center[1] * np.sin(b)) ** 2))
    assert np.abs(found - chord).mean() <= 5e-3 * chord.max()
    np.testing.assert_allclose(found.sum(axis=1) * 0.1, math.pi * radius**2, rtol=2e-3)


def test_a_plane_between_two_slices_takes_from_both() -> None:
    grid, scan = Grid((2, 20, 20), 1.0, (0.0, 0.0, 0.25)), fan()  # slices at z = -0.25 and 0.75
    x = np.zeros(grid.shape, np.float32)
    x[0], x[1] = 3.0, 7.0
    ones = Operator(scan, Grid((1, 20, 20), 1.0))(np.ones((1, 20, 20), np.float32))
    np.testing.assert_allclose(Operator(scan, grid)(x), (0.75 * 3 + 0.25 * 7) * ones, rtol=1e-5)
    back = Operator(scan, grid).T(np.ones((9, 1, 31), np.float32))
    np.testing.assert_allclose(back[0], 3 * back[1], rtol=1e-5, atol=1e-5)
    assert back.any()


def test_views_at_several_heights() -> None:
    """A stack of fans: each view has a plane of its own, one of them outside the grid."""
    parts = [swung(fan(), 0.0, height) for height in (-1.0, 0.3, 1.0, 8.0)]
    vectors = (np.concatenate([getattr(p, name) for p in parts]) for name in ("source", "detector", "u", "v"))
    scan = Scan((1, 31), *vectors, np.arange(36.0))
    grid = Grid((3, 18, 21), 1.0)
    close(scan, grid)
    assert not Operator(scan, grid)(np.ones(grid.shape, np.float32))[27:].any()


def test_gradients_are_the_transposes() -> None:
    """The map is linear, so that finite differences with a step of 1 are exact but for the rounding of float32."""
    A = Operator(swung(fan(cols=3, pixel_mm=9.0, angles_deg=[10.0, 130.0]), 15.0), Grid((1, 3, 4), 6.0), "numba")
    x = torch.rand(A.domain_shape, dtype=torch.float64, requires_grad=True)
    y = torch.rand(A.range_shape, dtype=torch.float64, requires_grad=True)
    for map_, at in ((A, x), (A.T, y)):
        assert torch.autograd.gradcheck(map_, (at,), eps=1.0, atol=2e-5, rtol=1e-5)
        assert torch.autograd.gradgradcheck(map_, (at,), eps=1.0, atol=2e-5, rtol=1e-5)


def test_which_scans_are_flat() -> None:
    grid = Grid((3, 20, 20), 1.0)

    def flat(scan: Scan) -> bool:
        return planes.supports(Rays.of(scan, grid))

    assert flat(fan())
    assert flat(fan(axis_shift_mm=4.0))
    assert flat(swung(fan(), 20.0, 0.4))
    assert not flat(fan(rows=2))
    assert not flat(fan(row_shift_mm=0.1))
    assert not flat(fan(roll_deg=0.1))


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    A = Operator(fan(), Grid((1, 70, 50), 0.5), "numba")
    random = np.random.default_rng(0)
    x, y = random.random(A.domain_shape, np.float32), random.random(A.range_shape, np.float32)
    one = A(x), A.T(y)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)  # as many as there are
    try:
        many = A(x), A.T(y)
    finally:
        numba.set_num_threads(1)
    assert all((a == b).all() for a, b in zip(one, many, strict=True))


def interpolated(values: np.ndarray, scan: Scan, grid: Grid, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum over views (view, row, col) of weight / w^2 times what each voxel sees, from the definition of a pixel in `Scan` and in
    double precision; and where a voxel lies so near to a panel's edge that rounding decides whether it is seen."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    total, doubtful = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    rows, cols = scan.shape
    for v in range(len(scan)):
        frame = np.stack([scan.u[v], scan.v[v], scan.first_pixel[v] - scan.source[v]], axis=1)
        a, b, w = np.linalg.solve(frame, (np.stack([x, y, z], axis=-1) - scan.source[v]).reshape(-1, 3).T).reshape(3, *grid.shape)
        col, row = a / w, b / w
        fade = np.clip(np.minimum(row + 2, rows + 1 - row), 0, 1)  # a row more at either end, and to zero within the next
        c, r = np.clip(col, 0, cols - 1), np.clip(row, 0, rows - 1)
        c0, r0 = np.minimum(c.astype(int), max(cols - 2, 0)), np.minimum(r.astype(int), max(rows - 2, 0))
        c1, r1 = np.minimum(c0 + 1, cols - 1), np.minimum(r0 + 1, rows - 1)
        line = [values[v, k, c0] + (c - c0) * (values[v, k, c1] - values[v, k, c0]) for k in (r0, r1)]
        seen = (col >= -0.5) & (col <= cols - 0.5)
        total += weight[v] / w**2 * seen * fade * (line[0] + (r - r0) * (line[1] - line[0]))
        doubtful |= np.minimum(np.abs(col + 0.5), np.abs(col - cols + 0.5)) < 1e-3
    return total, doubtful


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    cols=st.integers(1, 300),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    parallel=st.booleans(),
    pixel=st.floats(0.3, 3),
    swing=st.floats(-40, 40),
)
def test_the_sum_of_filtered_views_in_a_slice(
    seed: int, cols: int, shape: tuple[int, int], parallel: bool, pixel: float, swing: float
) -> None:
    random = np.random.default_rng(seed)
    dso, rows, slices = (1e8, 4, 5) if parallel else (120.0, int(random.integers(1, 4)), 1)
    scan = Scan.circular(
        dso_mm=dso, dsd_mm=dso + 100.0, rows=rows, cols=cols, pixel_mm=pixel, angles_deg=random.uniform(0, 360, 5), axis_shift_mm=1.3
    )
    scan, grid = swung(scan, swing), Grid((slices, *shape), 1.0, (2.0, -3.0, 0.4 if parallel else 0.0))
    values, weight = random.standard_normal((5, rows, cols)).astype(np.float32), random.uniform(0.5, 1.5, 5)
    matrices = projection_matrices(scan)
    met = rows_met(grid, matrices)
    assert met is not None
    found = np.ones(grid.shape, np.float32)  # what is there already stays
    backproject_slices(found, grid, values, matrices, weight, met)
    expected, doubtful = interpolated(values, scan, grid, weight)
    gap = np.abs(found - 1 - expected) * ~doubtful
    assert gap.max() <= (1e-3 if parallel else 3e-5) * max(1.0, np.abs(expected).max())


def test_fdk_of_a_fan_beam_takes_these_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """And scans whose slices see several heights do not: their loops are named in the error that this test puts there."""

    def others(*arguments: object) -> None:
        raise AssertionError("loops along z")

    monkeypatch.setattr(backprojection, "backproject", others)
    angles = np.arange(40) * 9.0
    for rows, shape, fits in ((1, (1, 20, 20), True), (5, (1, 20, 20), True), (5, (2, 20, 20), False), (5, (9, 20, 20), False)):
        scan = fan(rows=rows, angles_deg=angles)
        measured = Projections(np.ones((40, rows, 31), np.float32), scan)
        if fits:
            assert fdk(measured, Grid(shape, 1.0)).any()
        else:
            with pytest.raises(AssertionError, match="loops along z"):
                fdk(measured, Grid(shape, 1.0))
