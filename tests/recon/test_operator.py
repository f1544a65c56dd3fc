"""The projector: physics against analytic line integrals, transposes, gradients, backends against each other and against ASTRA."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from fewview.geometry import Grid, InputError, MissingBackendError, Scan, UnknownNameError, skyscan_1276
from fewview.recon import Operator, dottest
from fewview.recon.projector.compiled import pair
from fewview.recon.projector.joseph_rays import Rays
from hypothesis import given, settings
from hypothesis import strategies as st

CPU = ("numba", "torch")


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread() -> Iterator[None]:
    """Tensors here are tiny: threads only wait for each other, for seconds on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def circular(**changes: object) -> Scan:
    recipe: dict = {"dso_mm": 90.0, "dsd_mm": 160.0, "rows": 14, "cols": 18, "pixel_mm": 2.2, "angles_deg": np.arange(6) * 33.0}
    return Scan.circular(**(recipe | changes))


def turned(scan: Scan, axis: tuple[float, float, float], degrees: float, shift: tuple[float, float, float] = (0, 0, 0)) -> Scan:
    """The scan as a rigid body, turned about an axis through the origin (Rodrigues) and shifted: written apart from the library's own."""
    n = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -n[2], n[1]], [n[2], 0, -n[0]], [-n[1], n[0], 0]])
    a = math.radians(degrees)
    rotation = np.eye(3) + math.sin(a) * cross + (1 - math.cos(a)) * cross @ cross
    moved = (scan.source @ rotation.T + shift, scan.detector @ rotation.T + shift)
    return Scan(scan.shape, *moved, scan.u @ rotation.T, scan.v @ rotation.T, scan.angles_deg)


def flipped(scan: Scan) -> Scan:
    return Scan(scan.shape, scan.source, scan.detector, scan.u, -scan.v, scan.angles_deg)


SCANS: dict[str, Callable[[], Scan]] = {
    "cone": circular,
    "reversed": lambda: circular(angles_deg=-np.arange(6) * 33.0),
    "diagonal": lambda: circular(angles_deg=[45.0, 135.0, -45.0, 225.0]),  # both main axes are as good
    "rows down": lambda: flipped(circular(row_shift_mm=3.0)),
    "one view": lambda: circular(angles_deg=[17.0]),
    "one row": lambda: circular(rows=1),
    "one column": lambda: circular(cols=1),
    "rolled": lambda: circular(roll_deg=7.0, axis_shift_mm=4.0),
    "tilted": lambda: turned(circular(), (1, 2, 0.3), 24.0),
    "lying": lambda: turned(circular(), (1, 0, 0), 90.0),  # rays along z
    "moved": lambda: turned(circular(), (0, 0, 1), 10.0, (6.0, -5.0, 4.0)),
    "steep": lambda: circular(dso_mm=20.0, dsd_mm=30.0, rows=40, pixel_mm=2.5),  # past 45 deg along z
    "parallel": lambda: circular(dso_mm=1e6, dsd_mm=1e6 + 60, pixel_mm=1.3),
    "panel inside": lambda: circular(dsd_mm=90.0, pixel_mm=1.3),
    "fine rows": lambda: circular(rows=150, pixel_mm=0.25),  # many rows a voxel
    "coarse rows": lambda: circular(rows=6, pixel_mm=9.0),  # many voxels a row
}
GRIDS = {
    "round": Grid((9, 16, 16), 1.1),
    "odd": Grid((13, 11, 18), 0.7, (2.0, -1.5, 0.8)),
    "fine": Grid((20, 24, 17), 0.35, (-0.3, 0.2, 0.1)),
    "slab": Grid((1, 15, 14), 1.3, (0.0, 0.0, 0.4)),
    "one voxel": Grid((1, 1, 1), 3.0, (0.5, 0.5, 0.2)),
    "coarse": Grid((4, 5, 6), 4.0),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("make", SCANS.values(), ids=SCANS.keys())
def test_pairs_are_exact_transposes_and_backends_agree(make: Callable[[], Scan], grid: Grid) -> None:
    scan = make()
    fast, plain = Operator(scan, grid, "numba"), Operator(scan, grid, "torch")
    assert dottest(fast) <= 1e-6
    assert dottest(plain, dtype=np.float32) <= 1e-6
    assert dottest(plain) <= 1e-13
    random = np.random.default_rng(5)
    x, y = random.random(fast.domain_shape, np.float32), random.random(fast.range_shape, np.float32)
    for ours, theirs in ((fast(x), plain(x.astype(np.float64))), (fast.T(y), plain.T(y.astype(np.float64)))):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("step", [0.2, 0.27, 0.3, 0.39, 0.41, 0.5, 0.51, 0.54, 0.56, 0.63, 0.66, 0.68, 0.9, 1.0, 1.1, 1.5, 1.92, 1.94, 3.7])
def test_every_ratio_of_row_to_voxel(step: float) -> None:
    """The compiled loops have a variant for each range of rows a voxel; a parallel beam holds one ratio through the whole volume."""
    scan = circular(dso_mm=1e6, dsd_mm=1e6 + 50, rows=70, cols=4, pixel_mm=step, angles_deg=[3.0, 95.0], row_shift_mm=0.37 * step)
    grid = Grid((45, 4, 5), 1.0, (0.0, 0.0, 2.2))
    fast, plain = Operator(scan, grid, "numba"), Operator(scan, grid, "torch")
    random = np.random.default_rng(2)
    x, y = random.random(fast.domain_shape), random.random(fast.range_shape)
    for ours, theirs in ((fast(x), plain(x)), (fast.T(y), plain.T(y))):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    tilt=st.floats(0, 90),
    magnification=st.floats(1.01, 4),
    pixel=st.floats(0.05, 20),
    voxel=st.floats(0.05, 20),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 12)),
)
def test_any_geometry_is_matched(
    seed: int, tilt: float, magnification: float, pixel: float, voxel: float, shape: tuple[int, int, int]
) -> None:
    random = np.random.default_rng(seed)
    reach = max(shape) * voxel
    scan = Scan.circular(
        dso_mm=2 * reach, dsd_mm=2 * reach * magnification, rows=7, cols=5, pixel_mm=pixel, angles_deg=random.uniform(0, 360, 3)
    )
    scan = turned(scan, tuple(random.standard_normal(3)), tilt, tuple(random.uniform(-0.2, 0.2, 3) * reach))
    grid = Grid(shape, voxel)
    fast, plain = Operator(scan, grid, "numba"), Operator(scan, grid, "torch")
    assert dottest(fast, seed) <= 1e-5
    assert dottest(plain, seed) <= 1e-12
    x = random.random(shape)
    assert np.abs(fast(x) - plain(x)).max() <= 1e-4 * np.abs(plain(x)).max()


def rays_of(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Sources and unit directions (view, row, col, 3), from the definition of a pixel in `Scan`."""
    rows, cols = scan.shape
    row, col = np.arange(rows)[None, :, None, None] - (rows - 1) / 2, np.arange(cols)[None, None, :, None] - (cols - 1) / 2
    pixel = scan.detector[:, None, None] + col * scan.u[:, None, None] + row * scan.v[:, None, None]
    source = np.broadcast_to(scan.source[:, None, None], pixel.shape)
    direction = pixel - source
    return source, direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def blob(points: np.ndarray, center: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-((points - center) ** 2).sum(-1) / (2 * sigma**2))


def blob_integral(scan: Scan, center: np.ndarray, sigma: float) -> np.ndarray:
    """The line integrals of `blob` over whole lines: sigma sqrt(2 pi) exp(-distance^2 / (2 sigma^2))."""
    source, direction = rays_of(scan)
    offset = center - source
    along = (offset * direction).sum(-1)
    return sigma * math.sqrt(2 * math.pi) * np.exp(-((offset**2).sum(-1) - along**2) / (2 * sigma**2))


def sampled_blob(grid: Grid, center: np.ndarray, sigma: float) -> np.ndarray:
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    return blob(np.stack([x, y, z], axis=-1), center, sigma).astype(np.float32)


@pytest.mark.parametrize("backend", CPU)
@pytest.mark.parametrize("make", SCANS.values(), ids=SCANS.keys())
def test_a_smooth_body_gives_its_line_integrals(make: Callable[[], Scan], backend: str) -> None:
    scan, center, sigma = make(), np.array([1.5, -1.0, 0.7]), 2.0
    grid = Grid((38, 40, 42), 0.5, (1.2, -0.8, 0.5))  # reaches 4.6 sigma
    truth = blob_integral(scan, center, sigma)
    error = np.abs(Operator(scan, grid, backend)(sampled_blob(grid, center, sigma)) - truth)
    # A linear interpolation of the blob is low by voxel^2 / (8 sigma^2) = 0.8 % of its peak at most, along each of two axes.
    assert error.max() <= 0.016 * sigma * math.sqrt(2 * math.pi)


@pytest.mark.parametrize("backend", CPU)
def test_the_error_falls_with_the_square_of_the_voxel(backend: str) -> None:
    scan, center, sigma = circular(roll_deg=3.0), np.array([1.5, -1.0, 0.7]), 2.5
    truth, errors = blob_integral(scan, center, sigma), []
    for voxel in (1.6, 0.8):
        n = round(26 / voxel)
        grid = Grid((n, n, n), voxel, (1.0, -1.0, 0.5))
        errors.append(float(np.linalg.norm(Operator(scan, grid, backend)(sampled_blob(grid, center, sigma)) - truth)))
    assert 3.0 < errors[0] / errors[1] < 6.0


@pytest.mark.parametrize("backend", CPU)
def test_a_box_is_as_long_as_its_chords(backend: str) -> None:
    """Rays through opposite faces of a box of ones: the chord, exactly, since a whole slice counts as one voxel of the main axis."""
    scan = circular(rows=5, cols=7, pixel_mm=0.4, angles_deg=[0.0, 90.0, 180.0, 270.0, 12.0])
    grid = Grid((12, 10, 16), 0.8)
    _, direction = rays_of(scan)
    main = np.abs(direction).argmax(axis=-1)
    chord = np.array(grid.size_mm)[main] / np.abs(direction).max(axis=-1)
    np.testing.assert_allclose(Operator(scan, grid, backend)(np.ones(grid.shape, np.float32)), chord, rtol=2e-6)


@pytest.mark.parametrize("backend", CPU)
@pytest.mark.parametrize("side", [1, -1])
def test_a_diagonal_that_leaves_the_grid_exactly_at_a_tap(backend: str, side: int) -> None:
    """A ray through voxel centres along (1, 1): six of the twelve columns of voxels are met, and nothing past the sixth."""
    grid = Grid((2, 6, 12), 1.0, (5.5, side * 2.5, 0.5))  # voxel centres at whole mm
    scan = Scan((1, 1), [[-3.0, -3.0 * side, 0.5]], [[20.0, 20.0 * side, 0.5]], [[-1.0 * side, 1.0, 0.0]], [[0.0, 0.0, 1.0]], [0.0])  # pyright: ignore
    A = Operator(scan, grid, backend)
    assert float(A(np.ones(grid.shape, np.float32))[0, 0, 0]) == pytest.approx(6 * math.sqrt(2), rel=1e-6)
    back = A.T(np.ones((1, 1, 1), np.float32))
    expected = np.zeros(grid.shape)
    expected[:, np.arange(6)[::side], np.arange(6)] = math.sqrt(2) / 2  # half to each of the two slices
    np.testing.assert_allclose(back, expected, atol=1e-6)


@pytest.mark.parametrize("backend", CPU)
def test_what_lies_behind_the_source_does_not_count(backend: str) -> None:
    scan = circular(dso_mm=6.0, dsd_mm=12.0, rows=3, cols=3, pixel_mm=0.2, angles_deg=[0.0, 90.0])
    grid = Grid((9, 41, 41), 1.0)  # reaches 20 mm from the middle: the source, 6 mm from it, is inside
    found = Operator(scan, grid, backend)(np.ones(grid.shape, np.float32))[:, 1, 1]
    np.testing.assert_allclose(found, 6 + 20.5, atol=0.51)


def test_the_middle_plane_agrees_with_astra() -> None:
    astra = pytest.importorskip("astra", reason="ASTRA is not installed")
    from fewview.recon.projector.astra_backend import project_2d

    assert astra.__version__
    scan = Scan.circular(dso_mm=300, dsd_mm=500, rows=1, cols=121, pixel_mm=1.4, angles_deg=np.arange(50) * 7.2 + 1, axis_shift_mm=5)
    grid = Grid((1, 120, 130), 0.7, (3.0, -2.0, 0.0))
    body = sampled_blob(grid, np.array([12.0, -7.0, 0.0]), 9.0)
    theirs = project_2d(body[0], scan, grid)
    ours = Operator(scan, grid)(body)[:, 0]
    assert np.abs(ours - theirs).mean() <= 5e-4 * ours.max()
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("tilt_deg", [0.0, 24.0])
def test_gradients_are_transposes_to_any_order(tilt_deg: float) -> None:
    scan = turned(circular(rows=4, cols=5, pixel_mm=4.0)[:2], (1, 2, 0.3), tilt_deg)
    A = Operator(scan, Grid((3, 4, 5), 3.0), "torch")
    x = torch.rand(A.domain_shape, dtype=torch.float64, requires_grad=True)
    y = torch.rand(A.range_shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(A, (x,))
    assert torch.autograd.gradcheck(A.T, (y,))
    assert torch.autograd.gradgradcheck(lambda t: A(t).pow(2).sum(), (x,))


@pytest.mark.parametrize("backend", [*CPU, "auto"])
def test_the_gradient_of_the_misfit(backend: str) -> None:
    A = Operator(circular(), GRIDS["round"], backend)
    random = np.random.default_rng(1)
    x, y = torch.from_numpy(random.random(A.domain_shape, np.float32)), torch.from_numpy(random.random(A.range_shape, np.float32))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(0.5 * (A(x) - y).pow(2).sum(), x)
    expected = A.T(A(x.detach()) - y)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    y.requires_grad_()
    (gradient,) = torch.autograd.grad((A.T(y) * x.detach()).sum(), y)
    torch.testing.assert_close(gradient, A(x.detach()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", CPU)
def test_like_goes_in_like_comes_out(backend: str) -> None:
    A = Operator(circular(), GRIDS["odd"], backend)
    x = np.random.default_rng(0).random(A.domain_shape)
    truth = A(x)
    assert isinstance(truth, np.ndarray)
    assert truth.dtype == np.float64
    assert truth.shape == A.range_shape == (6, 14, 18)
    assert A(x.astype(np.float32)).dtype == np.float32
    assert A((100 * x).astype(np.int16)).dtype == np.float32
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        out = A(torch.from_numpy(x).to(dtype))
        assert isinstance(out, torch.Tensor)
        assert out.dtype == dtype
        np.testing.assert_allclose(out.double().numpy(), truth, rtol=0.02, atol=0.02 * truth.max())
    still = x.astype(np.float32)
    still.setflags(write=False)
    swapped = np.ascontiguousarray(still.transpose(2, 1, 0)).transpose(2, 1, 0)
    for other in (still, swapped, torch.from_numpy(swapped)):
        np.testing.assert_allclose(np.asarray(A(other)), truth, rtol=1e-5)
    assert (x.astype(np.float32) == still).all()


def test_transposing_twice_and_the_attributes() -> None:
    scan, grid = circular(), GRIDS["odd"]
    A = Operator(scan, grid)
    assert A.T.T is A
    assert A.T.domain_shape == A.range_shape == (6, 14, 18)
    assert A.T.range_shape == A.domain_shape == grid.shape
    assert (A.scan, A.grid, A.backend) == (scan, grid, "auto")
    assert dottest(A.T) <= 1e-6


@pytest.mark.parametrize("backend", CPU)
def test_a_subset_of_views_is_a_subset_of_the_operator(backend: str) -> None:
    scan, grid, keep = circular(), GRIDS["odd"], [4, 1]
    A, B = Operator(scan, grid, backend), Operator(scan[keep], grid, backend)
    x = np.random.default_rng(0).random(A.domain_shape, np.float32)
    np.testing.assert_allclose(B(x), A(x)[keep], rtol=1e-5)


def test_upright_and_tilted_views_in_one_scan() -> None:
    parts = [circular(), turned(circular(), (1, 0.4, 0), 11.0), circular(angles_deg=np.arange(6) * 21.0)]
    vectors = (np.concatenate([getattr(p, name) for p in parts]) for name in ("source", "detector", "u", "v"))
    scan = Scan(parts[0].shape, *vectors, np.arange(18.0))
    grid = GRIDS["odd"]
    assert Rays.of(scan, grid).upright().tolist() == [True] * 6 + [False] * 6 + [True] * 6
    A = Operator(scan, grid)
    assert dottest(A) <= 1e-6
    x = np.random.default_rng(0).random(A.domain_shape, np.float32)
    np.testing.assert_allclose(A(x), np.concatenate([Operator(p, grid, "torch")(x) for p in parts]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("roll_deg", [0.0, 2.0])
def test_the_number_of_threads_does_not_change_a_bit(roll_deg: float) -> None:
    import numba

    A = Operator(circular(roll_deg=roll_deg), GRIDS["fine"], "numba")
    random = np.random.default_rng(0)
    x, y = random.random(A.domain_shape, np.float32), random.random(A.range_shape, np.float32)
    many, before = (A(x), A.T(y)), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = A(x), A.T(y)
    finally:
        numba.set_num_threads(before)
    assert all((a == b).all() for a, b in zip(one, many, strict=True))


def test_a_source_far_away_is_a_parallel_beam() -> None:
    """Two rows of a parallel beam through a slab that is uniform along z are alike, and equal the fan's row sums at right angles."""
    scan = circular(dso_mm=1e6, dsd_mm=1e6 + 60, rows=2, cols=16, pixel_mm=1.0, angles_deg=[0.0, 90.0])
    grid = Grid((6, 16, 16), 1.0)
    x = np.random.default_rng(0).random((16, 16), np.float32)
    found = Operator(scan, grid)(np.broadcast_to(x, grid.shape).copy())
    for row in range(2):
        np.testing.assert_allclose(found[0, row], x.sum(axis=0), rtol=1e-3)  # along y
        np.testing.assert_allclose(found[1, row], x.sum(axis=1), rtol=1e-3)  # along x


def test_rays_that_miss_give_zeros() -> None:
    A = Operator(circular(), Grid((3, 3, 3), 1.0, (400.0, 300.0, -500.0)))
    assert not A(np.ones(A.domain_shape, np.float32)).any()
    assert not A.T(np.ones(A.range_shape, np.float32)).any()
    assert dottest(A) == 0.0


def test_a_wrong_shape_is_told_with_both_shapes() -> None:
    A = Operator(circular(), GRIDS["odd"])
    with pytest.raises(InputError, match=r"\(13, 11\).*\(13, 11, 18\)"):
        A(np.zeros((13, 11), np.float32))
    with pytest.raises(InputError, match=r"\(6, 18, 14\).*\(6, 14, 18\)"):
        A.T(torch.zeros((6, 18, 14)))
    with pytest.raises(InputError, match="list"):
        A([[[1.0]]])  # pyright: ignore
    with pytest.raises(InputError, match="complex"):
        A(np.zeros(A.domain_shape, np.complex64))
    with pytest.raises(InputError, match="int64"):
        A(torch.zeros(A.domain_shape, dtype=torch.int64))


def test_unknown_backend() -> None:
    with pytest.raises(UnknownNameError, match="did you mean numba"):
        Operator(circular(), GRIDS["odd"], "nunba")


def test_too_large_a_job_is_refused_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewview.base.memory.available_bytes", lambda: 10_000)
    A = Operator(circular(), GRIDS["odd"], "numba")
    with pytest.raises(InputError, match="GiB"):
        A(np.zeros(A.domain_shape, np.float32))
    with pytest.raises(InputError, match="GiB"):
        A.T(np.zeros(A.range_shape, np.float32))


def test_astra_without_cuda_is_an_error_and_not_a_dead_process() -> None:
    code = """
from fewview.geometry import Grid, skyscan_1276
from fewview.recon import Operator
try:
    Operator(skyscan_1276(4, 6, 1.0), Grid((2, 3, 3), 1.0), backend="astra")
except RuntimeError as error:
    print(type(error).__name__, error)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("alive\n")
    if not torch.cuda.is_available():
        assert done.stdout.startswith("MissingBackendError")
        assert "numba" in done.stdout


def test_astra_missing_altogether(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "astra", None)
    with pytest.raises(MissingBackendError, match="astra-toolbox"):
        Operator(circular(), GRIDS["odd"], "astra")


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["auto", "torch", "triton", "astra"])
def test_on_a_gpu(backend: str) -> None:
    scan, grid = skyscan_1276(48, 72, 0.5)[::10], Grid((32, 48, 48), 0.6)
    x = sampled_blob(grid, np.array([1.0, -2.0, 1.0]), 3.0)
    expected = Operator(scan, grid, "numba")(x)
    A = Operator(scan, grid, backend)
    found = A(torch.from_numpy(x).cuda())
    assert found.is_cuda
    tolerance = 0.02 if backend == "astra" else 1e-5
    np.testing.assert_allclose(found.cpu().numpy(), expected, atol=tolerance * expected.max())
    assert dottest(A) <= (0.1 if backend == "astra" else 1e-6)


@pytest.mark.slow
def test_a_cpu_without_wide_registers(tmp_path) -> None:
    """The same loops compiled for a plain CPU: no lanes, the same numbers."""
    code = """
import numpy as np
from fewview.geometry import Grid, skyscan_1276
from fewview.recon import Operator, dottest
scan, grid = skyscan_1276(30, 45, 0.5)[::20], Grid((20, 30, 30), 0.6)
A, B = Operator(scan, grid, "numba"), Operator(scan, grid, "torch")
x, y = np.random.default_rng(0).random(A.domain_shape), np.random.default_rng(1).random(A.range_shape)
assert np.abs(A(x) - B(x)).max() <= 1e-5 * B(x).max()
assert np.abs(A.T(y) - B.T(y)).max() <= 1e-5 * B.T(y).max()
print(dottest(A))
"""
    import os

    env = os.environ | {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, env=env)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 1e-6


def test_the_compiled_loops_know_the_same_upright_views() -> None:
    """A slip in `Rays.upright` would silently send scans down the slow road."""
    scan, grid = skyscan_1276(64, 96, 0.2), Grid((32, 48, 48), 0.3)
    assert Rays.of(scan, grid).upright().all()
    assert not Rays.of(circular(roll_deg=0.01), grid).upright().any()
    assert pair.project(np.zeros(grid.shape, np.float32), Rays.of(scan[:2], grid)).shape == (2, 64, 96)
