"""A few detector rows and slices on the CPU: the loops that hold the slices of a voxel side by side, against the plain reference."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
import pytest
import torch
from fewview.geometry import Grid, Scan
from fewview.recon import Operator, dottest
from fewview.recon.projector.compiled.fan import few_rows, planes
from fewview.recon.projector.joseph_rays import Rays
from hypothesis import assume, given, settings
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


def scan_of(**changes: object) -> Scan:
    recipe: dict = {"dso_mm": 60.0, "dsd_mm": 100.0, "rows": 4, "cols": 25, "pixel_mm": 1.7, "angles_deg": np.arange(9) * 41.0}
    return Scan.circular(**(recipe | changes))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 16),
    shape=st.tuples(st.integers(1, 8), st.integers(1, 45), st.integers(1, 45)),
    nearness=st.floats(0.2, 5),  # of the source, log10 of its distance in half widths: up to a parallel beam
    row_pitch=st.floats(0.05, 4),
    row_shift=st.floats(-5, 5),
    down=st.booleans(),
)
def test_any_scan_of_few_rows(
    seed: int, rows: int, shape: tuple[int, int, int], nearness: float, row_pitch: float, row_shift: float, down: bool
) -> None:
    random = np.random.default_rng(seed)
    dso = 10.0**nearness * max(shape) / 2
    scan = Scan.circular(
        dso_mm=dso,
        dsd_mm=dso + max(shape),
        rows=rows,
        cols=int(random.integers(1, 50)),
        pixel_mm=float(random.uniform(0.2, 3)),
        angles_deg=random.uniform(0, 360, 4),
        axis_shift_mm=float(random.uniform(-3, 3)),
        row_shift_mm=row_shift,
    )
    scan = Scan(scan.shape, scan.source, scan.detector, scan.u, scan.v * (-row_pitch if down else row_pitch), scan.angles_deg)
    grid = Grid(shape, 1.0, tuple(random.uniform(-2, 2, 3)))
    assume(few_rows.supports(Rays.of(scan, grid)) and not planes.supports(Rays.of(scan, grid)))
    fast, plain = Operator(scan, grid, "numba"), Operator(scan, grid, "torch")
    assert dottest(fast, seed) <= 1e-6
    x, y = random.random(fast.domain_shape, np.float32), random.random(fast.range_shape, np.float32)
    for ours, theirs in ((fast(x), plain(x.astype(np.float64))), (fast.T(y), plain.T(y.astype(np.float64)))):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_which_scans_have_few_rows() -> None:
    def few(scan: Scan, slices: int) -> bool:
        return few_rows.supports(Rays.of(scan, Grid((slices, 20, 20), 1.0)))

    assert few(scan_of(), 8)
    assert few(scan_of(rows=1, row_shift_mm=2.0), 1)
    assert not few(scan_of(), 9)
    assert not few(scan_of(rows=17), 3)
    assert not few(scan_of(roll_deg=0.1), 3)


def test_a_ray_that_climbs_is_longer() -> None:
    """A slab of ones that the ray enters and leaves through its sides: width / cos of the angle to the plane."""
    scan = scan_of(rows=2, cols=1, pixel_mm=0.1, dso_mm=100.0, dsd_mm=200.0, row_shift_mm=-8.0, angles_deg=[0.0, 90.0])
    grid = Grid((8, 10, 10), 1.0, (0.0, 0.0, 4.0))  # z from 0 to 8, and the rays pass the axis at z = 4
    height = 8.0 + np.array([-0.05, 0.05])
    expected = 10 * np.sqrt(1 + (height / 200) ** 2)
    found = Operator(scan, grid)(np.ones(grid.shape, np.float32))[:, :, 0]
    np.testing.assert_allclose(np.sort(found, axis=1), np.broadcast_to(expected, (2, 2)), rtol=2e-6)


def test_rows_of_a_parallel_beam_see_slices_of_their_own() -> None:
    grid = Grid((4, 12, 12), 1.0)
    scan = Scan.circular(dso_mm=1e8, dsd_mm=1e8, rows=4, cols=12, pixel_mm=1.0, angles_deg=[0.0, 90.0])
    x = np.random.default_rng(0).random(grid.shape, np.float32)
    found = Operator(scan, grid)(x)
    np.testing.assert_allclose(found[0], x.sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found[1], x.sum(axis=2), rtol=1e-4)


def test_gradients_are_the_transposes() -> None:
    A = Operator(scan_of(rows=2, cols=3, pixel_mm=9.0, angles_deg=[10.0, 130.0]), Grid((2, 3, 4), 6.0), "numba")
    x = torch.rand(A.domain_shape, dtype=torch.float64, requires_grad=True)
    y = torch.rand(A.range_shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(A, (x,), eps=1.0, atol=2e-5, rtol=1e-5)
    assert torch.autograd.gradcheck(A.T, (y,), eps=1.0, atol=2e-5, rtol=1e-5)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    A = Operator(scan_of(), Grid((5, 70, 50), 0.5), "numba")
    random = np.random.default_rng(0)
    x, y = random.random(A.domain_shape, np.float32), random.random(A.range_shape, np.float32)
    one = A(x), A.T(y)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)  # as many as there are
    try:
        many = A(x), A.T(y)
    finally:
        numba.set_num_threads(1)
    assert all((a == b).all() for a, b in zip(one, many, strict=True))
