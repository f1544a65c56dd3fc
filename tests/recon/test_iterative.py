"""Iterative solvers against dense algebra, their restarts, their bad input, and what they do for a picture."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from fewview.base import memory
from fewview.data import Projections
from fewview.data.multiresolution import bin_projections
from fewview.data.volumes.resample import coarsen
from fewview.geometry import Grid, InputError, Scan, skyscan_1276, views
from fewview.recon import METHODS, Operator, Progress, StopRun, reconstruct, sirt
from fewview.recon.iterative.asd_pocs import AsdPocsSettings, AsdPocsSolver
from fewview.recon.iterative.cgls import CglsSolver
from fewview.recon.iterative.fista_tv import FistaTvSolver
from fewview.recon.iterative.os_sart import OsSartSolver
from fewview.recon.iterative.pdhg_tv import PdhgTvSolver
from fewview.recon.iterative.plug_and_play import PlugAndPlaySolver, plug_and_play
from fewview.recon.iterative.regularisers import tv_numba
from fewview.recon.iterative.regularisers.priors import Denoiser, TotalVariation, Wavelet
from fewview.recon.iterative.sirt import SirtSolver
from fewview.recon.iterative.solving.data_term import DataTerm
from fewview.recon.iterative.solving.setup import IterativeSettings, data_term, start_volume
from fewview.recon.iterative.solving.solve import DivergenceWarning, solve
from fewview.recon.iterative.solving.step_sizes import largest_eigenvalue
from fewview.recon.iterative.solving.view_subsets import pace_of, subsets
from fewview.recon.projector import view_blocks as blocks

SHAPE = (4, 5, 6)
NAMES = ["sirt", "os_sart", "cgls", "fista_tv", "pdhg_tv", "asd_pocs"]
F32 = np.float32


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """The arrays are tiny: starting threads would cost more than the work."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


class Dense:
    """A matrix as an operator: what the solvers need, and nothing of the library's own projector."""

    def __init__(self, matrix: np.ndarray, rays: tuple[int, ...]) -> None:
        self.matrix, self.rays = matrix, rays

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (self.matrix @ x.ravel().astype(np.float64)).reshape(self.rays).astype(F32)

    @property
    def T(self) -> Callable[[Any], Any]:
        return lambda y: (self.matrix.T @ y.ravel().astype(np.float64)).reshape(SHAPE).astype(F32)

    def part(self, index: np.ndarray) -> Dense:
        rows = np.arange(math.prod(self.rays)).reshape(self.rays)[index].ravel()
        return Dense(self.matrix[rows], (len(index), *self.rays[1:]))


def dense_problem(
    seed: int = 0, noise: float = 0.0, weights: bool = False, rays: tuple[int, int, int] = (8, 3, 10), **kwargs: Any
) -> tuple[DataTerm, np.ndarray]:
    """240 rays through 120 voxels: full rank, well conditioned enough for single precision."""
    rng = np.random.default_rng(seed)
    matrix = rng.random((240, 120)) * (rng.random((240, 120)) < 0.2) + 0.02
    x = np.zeros(SHAPE)
    x[1:3, 1:4, 2:5] = 1.0
    x += 0.3 * rng.random(SHAPE)
    b = (matrix @ x.ravel()).reshape(rays) + noise * rng.standard_normal(rays)
    w = (0.5 + rng.random(rays)).astype(F32) if weights else None
    A = Dense(matrix, rays)
    return DataTerm(A, b.astype(F32), SHAPE, weights=w, part=A.part, **kwargs), x


def difference_matrix(shape: tuple[int, int, int]) -> np.ndarray:
    """Forward differences as a dense matrix (3 n, n), written voxel by voxel, independently of the kernels."""
    index = np.arange(math.prod(shape)).reshape(shape)
    D = np.zeros((3, index.size, index.size))
    for axis in range(3):
        for place in np.ndindex(*shape):
            ahead = list(place)
            ahead[axis] += 1
            if ahead[axis] < shape[axis]:
                D[axis, index[place], index[tuple(ahead)]] += 1
                D[axis, index[place], index[place]] -= 1
    return D.reshape(-1, index.size)


def admm(
    M: np.ndarray, b: np.ndarray, w: np.ndarray, lam: float, K: np.ndarray, shrink: Callable, lower: float, steps: int = 20000
) -> np.ndarray:
    """``1/2 |M x - b|_w^2 + lam phi(K x)``, x >= lower, by ADMM in double precision with a dense factorisation."""
    n, rho = M.shape[1], 1.0
    inverse = np.linalg.inv(M.T @ (w[:, None] * M) + rho * (K.T @ K + np.eye(n)))
    z, u, zp, up = np.zeros(len(K)), np.zeros(len(K)), np.zeros(n), np.zeros(n)
    x = zp
    for _ in range(steps):
        x_new = inverse @ (M.T @ (w * b) + rho * (K.T @ (z - u) + zp - up))
        Kx = K @ x_new
        z = shrink(Kx + u, lam / rho)
        zp = np.maximum(x_new + up, lower)
        u += Kx - z
        up += x_new - zp
        done = np.abs(x_new - x).max() < 1e-12
        x = x_new
        if done:
            break
    return zp


def shrink_lengths(v: np.ndarray, t: float) -> np.ndarray:
    g = v.reshape(3, -1)
    length = np.sqrt((g**2).sum(0))
    return (g * np.maximum(0, 1 - t / np.maximum(length, 1e-300))).ravel()


def shrink_huber(delta: float) -> Callable:
    def shrink(v: np.ndarray, t: float) -> np.ndarray:
        g = v.reshape(3, -1)
        length = np.sqrt((g**2).sum(0))
        return (g * np.where(length <= delta + t, delta / (delta + t), 1 - t / np.maximum(length, 1e-300))).ravel()

    return shrink


def run_steps(solver: Any, x: np.ndarray, count: int) -> tuple[Any, list[dict[str, float]]]:
    state = solver.start(x)
    return state, [dict(solver.step(state)) for _ in range(count)]


# --- total variation


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 5, 6), (3, 1, 4), (2, 3, 1), (1, 1, 1)])
def test_the_difference_operator_and_its_adjoint_are_the_dense_ones(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(1)
    x, p = rng.random(shape, dtype=F32), rng.random((3, *shape), dtype=F32)
    D = difference_matrix(shape)
    g, back = np.empty_like(p), np.empty_like(x)
    tv_numba.gradient(x, g)
    tv_numba.adjoint(p, back)
    valid = (np.abs(D).sum(1) > 0).reshape(p.shape)  # the adjoint may count on p = 0 beyond the walls, which `ascend` keeps
    tv_numba.adjoint(np.ascontiguousarray(p * valid), back)
    np.testing.assert_allclose(g.ravel(), D @ x.ravel(), atol=1e-6)
    np.testing.assert_allclose(back.ravel(), D.T @ (p * valid).ravel(), atol=1e-6)
    assert tv_numba.tv(x) == pytest.approx(np.sqrt(((D @ x.ravel()).reshape(3, -1) ** 2).sum(0)).sum(), rel=1e-5)


def test_the_tv_denoiser_reaches_the_dense_minimiser() -> None:
    v = np.random.default_rng(2).random(SHAPE, dtype=F32)
    out = np.empty_like(v)
    Denoiser(TotalVariation(), 0.2, math.inf)(v, 0.05, 3000, out)
    K = difference_matrix(SHAPE)
    expected = admm(np.eye(v.size), v.ravel().astype(float), np.ones(v.size), 0.05, K, shrink_lengths, lower=0.2)
    np.testing.assert_allclose(out.ravel(), expected, atol=1e-4)
    assert expected.min() == pytest.approx(0.2)  # the bound is at work


def test_wavelets_are_orthonormal_and_blind_to_constants() -> None:
    prior, x = Wavelet(levels=2), np.random.default_rng(3).random((8, 4, 12), dtype=F32)
    c = prior.transform(x)
    assert float((c.astype(float) ** 2).sum()) == pytest.approx(float((x.astype(float) ** 2).sum()), rel=1e-6)
    np.testing.assert_allclose(prior.adjoint(c, x.shape), x, atol=1e-6)
    assert prior.value(np.full((8, 8, 8), 3.0, F32)) == pytest.approx(0, abs=1e-4)
    y = np.random.default_rng(4).random((5, 6, 7), dtype=F32)  # padded: adjoint, no longer inverse both ways
    p = np.random.default_rng(5).random(prior.dual(y).shape, dtype=F32)
    assert float((prior.transform(y) * p).sum()) == pytest.approx(float((y * prior.adjoint(p, y.shape)).sum()), rel=1e-5)


# --- the known minimiser


@pytest.mark.parametrize("kind", ["fista", "pdhg"])
@pytest.mark.parametrize(("prior", "weights"), [("tv", False), ("tv", True), ("huber", False), ("wavelet", False)])
def test_variational_solvers_reach_the_dense_minimiser(kind: str, prior: str, weights: bool) -> None:
    problem, _ = dense_problem(noise=0.3, weights=weights, lower=0.0)
    M, b = problem.A.matrix, problem.data.ravel().astype(float)  # type: ignore[attr-defined]
    w = np.ones(len(b)) if problem.weights is None else problem.weights.ravel().astype(float)
    lam, chosen, K, shrink = 2.0, TotalVariation(), difference_matrix(SHAPE), shrink_lengths
    if prior == "huber":
        chosen, shrink = TotalVariation(delta=0.1), shrink_huber(0.1)
    if prior == "wavelet":
        chosen = Wavelet(levels=1)
        basis = np.stack([chosen.transform(e.reshape(SHAPE).astype(F32)) for e in np.eye(120)], axis=-1)
        detail = np.ones(basis.shape[:3], bool)
        detail[tuple(slice(n // 2) for n in detail.shape)] = False
        K = basis[detail].astype(float)

        def shrink(v: np.ndarray, t: float) -> np.ndarray:
            return np.sign(v) * np.maximum(np.abs(v) - t, 0)

    expected = admm(M, b, w, lam, K, shrink, lower=0.0)
    pdhg = PdhgTvSolver(problem, chosen, lam, balance=2 * pace_of(8))  # the steps of many views, as these eight determine all voxels
    solver = FistaTvSolver(problem, chosen, lam, inner=20) if kind == "fista" else pdhg
    state, values = run_steps(solver, np.zeros(SHAPE, F32), 500 if kind == "fista" else 5000)
    assert np.abs(state.x.ravel() - expected).max() < 1e-4 * max(1.0, expected.max())
    if kind == "fista":
        objective = [v["objective"] for v in values]
        assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(objective))


def test_five_views_are_as_near_to_the_minimum_as_many() -> None:
    def above_the_minimum(count: int) -> float:
        scan = skyscan_1276(rows=8, cols=40, voxel_mm=0.48)
        few, grid = scan[views.evenly(scan, count)], Grid((4, 32, 32), 0.56)
        _, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
        body = 0.02 * (np.hypot(x / 7, y / 6) < 1) + 0.03 * (np.hypot(x - 2, y + 1) < 2) - 0.02 * (np.hypot(x + 3, y - 2) < 1.5)
        p = Projections(Operator(few, grid)(body.astype(F32)), few)
        rec = reconstruct(p, "pdhg_tv", grid, check=False, outside="ignore", lambda_=0.008)
        term, weight = data_term(p, grid, IterativeSettings()), 0.008 * rec.settings["lambda_unit"]
        least, _ = run_steps(PdhgTvSolver(term, TotalVariation(), weight), rec.volume, 600)
        objective = [term.gradient(v)[0] + weight * TotalVariation().value(v) for v in (rec.volume, least.x)]
        return objective[0] / objective[1] - 1

    assert above_the_minimum(5) < above_the_minimum(26) < 0.05


@pytest.mark.parametrize("weights", [False, True])
def test_many_views_in_subsets_reach_the_same_minimiser_in_fewer_passes(weights: bool) -> None:
    problem, _ = dense_problem(noise=0.3, weights=weights, lower=0.0, rays=(120, 1, 2))
    M, b = problem.A.matrix, problem.data.ravel().astype(float)  # type: ignore[attr-defined]
    w = np.ones(len(b)) if problem.weights is None else problem.weights.ravel().astype(float)
    expected = admm(M, b, w, 2.0, difference_matrix(SHAPE), shrink_lengths, lower=0.0)
    solver = PdhgTvSolver(problem, TotalVariation(), 2.0)
    assert len(solver.subsets) == 4
    state, _ = run_steps(solver, np.zeros(SHAPE, F32), 1000)
    np.testing.assert_allclose(state.x.ravel(), expected, atol=1e-4 * max(1.0, expected.max()))
    whole = PdhgTvSolver(dataclasses.replace(problem, part=None), TotalVariation(), 2.0)  # without operators of single views
    assert len(whole.subsets) == 1
    far = [np.abs(run_steps(s, np.zeros(SHAPE, F32), 80)[0].x.ravel() - expected).max() for s in (solver, whole)]
    assert far[0] < 0.5 * far[1]


@pytest.mark.parametrize("weights", [False, True])
def test_cgls_reaches_the_least_squares_solution(weights: bool) -> None:
    problem, _ = dense_problem(noise=0.3, weights=weights)
    w = np.ones(240) if problem.weights is None else problem.weights.ravel().astype(float)
    root = np.sqrt(w)
    expected = np.linalg.lstsq(root[:, None] * problem.A.matrix, root * problem.data.ravel(), rcond=None)[0]  # type: ignore[attr-defined]
    state, values = run_steps(CglsSolver(problem), np.zeros(SHAPE, F32), 150)
    np.testing.assert_allclose(state.x.ravel(), expected, atol=1e-4)
    residuals = [v["residual"] for v in values]
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(residuals))


def test_sirt_reaches_the_weighted_least_squares_solution() -> None:
    problem, _ = dense_problem(noise=0.05)
    M = problem.A.matrix  # type: ignore[attr-defined]
    rows = 1 / M.sum(1)
    expected = np.linalg.solve(M.T @ (rows[:, None] * M), M.T @ (rows * problem.data.ravel()))
    state, values = run_steps(SirtSolver(problem, relaxation=1.9), np.zeros(SHAPE, F32), 6000)
    np.testing.assert_allclose(state.x.ravel(), expected, atol=1e-4)
    objective = [v["objective"] for v in values]
    assert all(after <= before * (1 + 1e-5) + 1e-9 for before, after in itertools.pairwise(objective))


def test_os_sart_reaches_the_solution_of_consistent_data() -> None:
    problem, x = dense_problem(lower=0.0)
    state, _ = run_steps(OsSartSolver(problem, subset_views=2, relaxation=1.0, decay=1.0), np.zeros(SHAPE, F32), 1500)  # type: ignore[attr-defined]
    np.testing.assert_allclose(state.x, x, atol=1e-4)


def least_tv(M: np.ndarray, b: np.ndarray, K: np.ndarray, steps: int = 5000) -> np.ndarray:
    """The volume of least total variation with M x = b, by ADMM in double precision with a dense factorisation."""
    n, m = M.shape[1], len(M)
    inverse = np.linalg.inv(np.block([[K.T @ K, M.T], [M, np.zeros((m, m))]]))
    z, u, x = np.zeros(len(K)), np.zeros(len(K)), np.zeros(n)
    for _ in range(steps):
        x = (inverse @ np.concatenate([K.T @ (z - u), b]))[:n]
        z = shrink_lengths(K @ x + u, 0.1)
        u += K @ x - z
    return x


def test_asd_pocs_reaches_the_least_total_variation_among_the_volumes_that_fit() -> None:
    rng = np.random.default_rng(5)
    x = np.zeros(SHAPE)
    x[1:3, 1:4, 2:5] = 1.0
    M, rays = rng.random((90, 120)) * (rng.random((90, 120)) < 0.3), (9, 2, 5)  # fewer rays than voxels: the data alone do not decide
    expected = least_tv(M, M @ x.ravel(), difference_matrix(SHAPE))
    A = Dense(M, rays)
    problem = DataTerm(A, (M @ x.ravel()).reshape(rays).astype(F32), SHAPE, lower=0.0, part=A.part)
    data_step = OsSartSolver(problem, subset_views=1)  # type: ignore[attr-defined]
    state, _ = run_steps(AsdPocsSolver(problem, data_step, 1e-6, AsdPocsSettings(beta_red=0.999)), np.zeros(SHAPE, F32), 1500)
    np.testing.assert_allclose(state.x.ravel(), expected, atol=1e-4)
    plain, _ = run_steps(OsSartSolver(problem, subset_views=1), np.zeros(SHAPE, F32), 300)  # type: ignore[attr-defined]
    assert np.abs(plain.x.ravel() - expected).max() > 0.1  # it is the prior that decides


def test_plug_and_play_with_an_exact_proximal_map_is_the_variational_solution() -> None:
    problem, _ = dense_problem(noise=0.3, lower=0.0)
    L = largest_eigenvalue(problem)
    denoiser, out = Denoiser(TotalVariation(), 0.0, math.inf), np.empty(SHAPE, F32)

    def denoise(v: np.ndarray) -> np.ndarray:
        denoiser(v, 2.0 / L, 30, out)
        return out.copy()

    state, _ = run_steps(PlugAndPlaySolver(problem, denoise), np.zeros(SHAPE, F32), 500)
    M, b = problem.A.matrix, problem.data.ravel().astype(float)  # type: ignore[attr-defined]
    expected = admm(M, b, np.ones(len(b)), 2.0, difference_matrix(SHAPE), shrink_lengths, lower=0.0)
    np.testing.assert_allclose(state.x.ravel(), expected, atol=1e-4 * max(1.0, expected.max()))


def test_the_step_bound_is_above_the_largest_eigenvalue_and_near_it() -> None:
    problem, _ = dense_problem(weights=True)
    M, w = problem.A.matrix, problem.weights.ravel()  # type: ignore[attr-defined, union-attr]
    exact = np.linalg.eigvalsh(M.T @ (w[:, None] * M)).max()
    assert exact <= largest_eigenvalue(problem) * (1 + 1e-5)
    assert largest_eigenvalue(problem) < 1.3 * exact


# --- a small real scan


def small_scan(count: int = 8, size: int = 16) -> tuple[Projections, Grid, np.ndarray]:
    """Blocks of known attenuation, simulated on a grid twice as fine as the one to reconstruct on."""
    scan = skyscan_1276(rows=16, cols=24, voxel_mm=0.5)
    scan = scan[views.evenly(scan, count)]
    fine, grid = Grid((2 * size,) * 3, 0.5 * 16 / size / 2), Grid((size,) * 3, 0.5 * 16 / size)
    truth = np.zeros(fine.shape, F32)
    z, y, x = np.meshgrid(fine.z_mm, fine.y_mm, fine.x_mm, indexing="ij")
    truth[(x**2 + y**2 + (1.2 * z) ** 2) < 3.0**2] = 0.04
    truth[(x - 0.8) ** 2 + y**2 + z**2 < 1.0] = 0.18
    truth[(x + 1.4) ** 2 + (y - 0.5) ** 2 < 0.5] *= 0.2
    values = Operator(scan, fine)(truth)
    noise = np.random.default_rng(7).normal(0, 0.004, values.shape)
    return Projections((values + noise).astype(F32), scan), grid, coarsen(truth, 2)


@pytest.fixture(scope="module")
def scan_and_grid() -> tuple[Projections, Grid, np.ndarray]:
    return small_scan()


def solvers_of(projections: Projections, grid: Grid) -> dict[str, Any]:
    problem = data_term(projections, grid, IterativeSettings())
    return {
        "sirt": SirtSolver(problem),
        "os_sart": OsSartSolver(problem),
        "cgls": CglsSolver(problem),
        "fista_tv": FistaTvSolver(problem, TotalVariation(), 0.01),
        "pdhg_tv": PdhgTvSolver(problem, TotalVariation(), 0.01),
        "asd_pocs": AsdPocsSolver(problem, OsSartSolver(problem), 0.004, AsdPocsSettings()),
        "pnp": PlugAndPlaySolver(problem, lambda v: (v + np.roll(v, 1, 0)) / 2),
    }


@pytest.mark.parametrize("name", [*NAMES, "pnp"])
def test_a_restarted_run_equals_an_uninterrupted_one_bit_for_bit(name: str, scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    x = np.random.default_rng(0).random(grid.shape, dtype=F32) * 0.1
    once, _ = run_steps(solvers_of(projections, grid)[name], x, 7)
    first = solvers_of(projections, grid)[name]
    state, _ = run_steps(first, x, 3)
    kept = copy.deepcopy(state)
    first.step(state)  # going on must not disturb the copy
    again = solvers_of(projections, grid)[name]
    for _ in range(4):
        again.step(kept)
    assert kept.count == once.count == 7
    np.testing.assert_array_equal(kept.x, once.x)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_runs_through_the_front_door_with_a_history(name: str, scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    given: dict[str, Any] = {"lambda_": 5e-3} if name.endswith("tv") else {}
    rec = reconstruct(projections, name, grid, iterations=4, **given)
    assert [h["step"] for h in rec.history] == [1, 2, 3, 4]
    assert all(h["residual"] > 0 and h["memory_mb"] > 0 and h["seconds"] > 0 for h in rec.history)
    assert rec.settings["iterations"] == 4
    assert rec.volume.min() >= 0 or name == "cgls"


def test_tv_beats_fdk_by_a_margin_on_a_seeded_phantom() -> None:
    projections, grid, truth = small_scan(count=13, size=32)
    projections = Projections(projections.values, projections.scan, {"photons": 6e4})

    def error(volume: np.ndarray) -> float:
        return float(10 * np.log10(0.2**2 / np.mean((volume - truth) ** 2)))

    fdk_error = error(reconstruct(projections, "fdk", grid).volume)
    for name in ("fista_tv", "pdhg_tv"):
        assert error(reconstruct(projections, name, grid).volume) > fdk_error + 4


def test_both_solvers_of_the_same_problem_agree(scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    a, b = (reconstruct(projections, m, grid, lambda_=5e-3, iterations=400).volume for m in ("fista_tv", "pdhg_tv"))
    assert np.abs(a - b).max() < 2e-3 * a.max()


def test_mask_bounds_and_start_are_kept(scan_and_grid: Any) -> None:
    projections, grid, truth = scan_and_grid
    mask = truth > 0
    start = np.full(grid.shape, 0.05, F32)
    for name in NAMES:
        given: dict[str, Any] = {"lambda_": 5e-3} if name.endswith("tv") else {}
        rec = reconstruct(projections, name, grid, iterations=2, mask=mask, lower=0.01, upper=0.15, start=start, **given)
        assert not rec.volume[~mask].any(), name
        assert rec.volume[mask].min() >= F32(0.01), name
        assert rec.volume.max() <= F32(0.15), name
    assert (start == F32(0.05)).all()


def test_the_mask_fov_is_the_cylinder_of_the_field_of_view(scan_and_grid: Any) -> None:
    projections, _, _ = scan_and_grid
    grid = Grid((20, 28, 28), 0.5)
    volume = reconstruct(projections, "os_sart", grid, mask="fov", iterations=2, lower=1e-3).volume
    radius, half_height, _ = projections.scan.field_of_view_mm
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    np.testing.assert_array_equal(volume > 0, (x**2 + y**2 <= radius**2) & (abs(z) <= half_height))
    with pytest.raises(InputError, match="did you mean fov"):
        reconstruct(projections, "os_sart", grid, mask="fow", iterations=2)


@pytest.mark.parametrize("name", ["fista_tv", "pdhg_tv"])
def test_photon_weights_trust_the_rays_that_were_counted(name: str, scan_and_grid: Any) -> None:
    projections, grid, truth = scan_and_grid
    spoiled = projections.values.copy()
    spoiled[:, 8, 10:14] = 8.0  # a metal rod: hardly a photon came through
    bad = Projections(spoiled, projections.scan)
    errors = {}
    for weights in (None, "counts"):
        volume = reconstruct(bad, name, grid, lambda_=5e-3, iterations=60, weights=weights, start="zero").volume
        errors[weights] = float(np.abs(volume - truth).mean())
    assert errors["counts"] < 0.5 * errors[None]


# --- memory: blocks of views


METHODS_IN_BLOCKS = ["sirt", "os_sart", "cgls", "fista_tv", "pdhg_tv", "asd_pocs"]


def few_or_many_views(count: int) -> tuple[Projections, Grid]:
    scan = skyscan_1276(rows=48, cols=72, voxel_mm=0.27)
    values = np.random.default_rng(1).random((count, 48, 72), dtype=F32)
    return Projections(values, scan[views.evenly(scan, count)], {"photons": 1e4}), Grid((36, 36, 36), 0.27)


@pytest.mark.parametrize("name", METHODS_IN_BLOCKS)
def test_memory_does_not_grow_with_the_number_of_views(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LEAST_RAYS", 1 << 15)  # nine views a block
    given: dict[str, Any] = {"outside": "ignore"} | ({"lambda_": 5e-3} if name.endswith("tv") else {})  # these views are noise all over
    if name == "pdhg_tv":
        given["dual"] = "disk"
    method = METHODS[name]  # found beforehand: a search for packages grows the table of interned strings

    def peak(projections: Projections, grid: Grid) -> int:
        tracemalloc.start()
        reconstruct(projections, method, grid, iterations=2, start="zero", check=False, **given)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = min(peak(*few_or_many_views(26)) for _ in range(2))  # compiled by the first
    most = min(1.3 * few, few + 0.2 * 260 * 48 * 72 * 4)  # far from another array of the data's size
    many = few_or_many_views(260)
    assert peak(*many) < most or peak(*many) < most  # in one of them the interpreter's table of strings may grow by 4 MB


def test_blocks_of_views_give_what_all_views_at_once_give(monkeypatch: pytest.MonkeyPatch) -> None:
    projections, grid = few_or_many_views(26)
    for name in METHODS_IN_BLOCKS:
        given: dict[str, Any] = {"lambda_": 5e-3} if name.endswith("tv") else {}
        monkeypatch.setattr(blocks, "LEAST_RAYS", 1 << 30)
        whole = reconstruct(projections, name, grid, iterations=3, weights="counts", **given).volume
        monkeypatch.setattr(blocks, "LEAST_RAYS", 1 << 12)
        parts = reconstruct(projections, name, grid, iterations=3, weights="counts", **given).volume
        assert len(data_term(projections, grid, IterativeSettings()).blocks) >= 5
        np.testing.assert_allclose(parts, whole, atol=1e-3 * np.abs(whole).max(), err_msg=name)


def test_blocks_hold_every_view_once() -> None:
    for count in (1, 2, 7, 26, 260):
        for rays in (10, 1 << 18, 1 << 22):
            parts = blocks.split_views(count, rays, 1000)
            assert np.concatenate([np.arange(count)[p] for p in parts]).tolist() == list(range(count))
            assert max(p.stop - p.start for p in parts) <= max(1, (1 << 20) // rays)


def test_path_lengths_are_those_of_rays_through_a_box() -> None:
    scan = Scan.circular(dso_mm=50, dsd_mm=100, rows=5, cols=41, pixel_mm=1.0, angles_deg=[0, 90, 31])
    grid = Grid((20, 20, 20), 1.0)
    lengths = blocks.path_lengths(Operator(scan, grid), np.ones(grid.shape, F32))
    u = np.abs(np.arange(41) - 20) * 1.0  # columns at 100 mm from the source; the box is 20 mm wide, its front at 40 mm
    at_front, at_back = u * 40 / 100, u * 60 / 100
    steps = np.where(at_back <= 10, 20.0, np.where(at_front <= 10, (10 / np.maximum(u, 1e-9) * 100) - 40, 0.0))
    np.testing.assert_allclose(lengths[0, 2], steps * np.hypot(u, 100) / 100, atol=1e-4)
    np.testing.assert_allclose(lengths[1, 2], lengths[0, 2], atol=1e-4)
    joseph = Operator(scan, grid)(np.ones(grid.shape, F32))
    inside = lengths > 15
    assert np.abs(joseph - lengths)[inside].max() < 1.0  # a voxel: Joseph's grid ends softly
    away = Scan.circular(dso_mm=50, dsd_mm=100, rows=5, cols=41, pixel_mm=1.0, angles_deg=[0])
    behind = Grid((20, 20, 20), 1.0, tuple(3 * away.source[0]))  # type: ignore[arg-type]
    assert not blocks.path_lengths(Operator(away, behind), np.ones(grid.shape, F32)).any()


def test_a_dual_variable_on_disk_changes_nothing(scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    first, second = (reconstruct(projections, "pdhg_tv", grid, lambda_=5e-3, iterations=5, dual=d).volume for d in ("memory", "disk"))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(InputError, match="did you mean disk"):
        reconstruct(projections, "pdhg_tv", grid, lambda_=5e-3, dual="disc")


@pytest.mark.parametrize("name", METHODS_IN_BLOCKS)
def test_a_run_that_memory_will_not_hold_is_refused_with_the_number(name: str, scan_and_grid: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    projections, grid, _ = scan_and_grid
    monkeypatch.setattr(memory, "available_bytes", lambda: 10 << 20)
    with pytest.raises(InputError, match=rf"{name} on 16 x 16 x 16 voxels from 8 views need .* GiB of memory"):
        reconstruct(projections, name, grid, start="zero", iterations=1)


# --- interrupts, divergence, bad input


def test_ctrl_c_returns_the_current_volume(scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid

    def interrupt(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    rec = reconstruct(projections, "sirt", grid, callbacks=[interrupt], iterations=50)
    assert rec.settings["interrupted"] == 3
    np.testing.assert_array_equal(rec.volume, reconstruct(projections, "sirt", grid, iterations=3).volume)

    def at_once(projections: Projections, grid: Grid) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(projections, at_once, grid)


def test_ctrl_c_inside_a_step_leaves_the_volume_whole(scan_and_grid: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    projections, grid, _ = scan_and_grid
    expected = reconstruct(projections, "pdhg_tv", grid, lambda_=5e-3, iterations=3).volume
    calls = {"descend": 0}
    plain = tv_numba.descend

    def interrupted(*args: Any) -> None:
        plain(*args)
        calls["descend"] += 1
        if calls["descend"] == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(tv_numba, "descend", interrupted)
    rec = reconstruct(projections, "pdhg_tv", grid, lambda_=5e-3, iterations=50)
    assert rec.settings["interrupted"] == 3
    np.testing.assert_array_equal(rec.volume, expected)


def test_diverging_steps_are_stopped_and_the_last_good_volume_kept(scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    with pytest.warns(DivergenceWarning, match="diverged"):
        rec = reconstruct(projections, "sirt", grid, iterations=500, relaxation=3.5, lower=-np.inf, start="zero")
    assert len(rec.history) < 200
    assert rec.history[-1]["diverged"]
    assert rec.settings["diverged_at"] == rec.history[-1]["step"]
    A = Operator(projections.scan, grid)
    assert np.linalg.norm(A(rec.volume) - projections.values) <= 1.01 * np.linalg.norm(projections.values)


def test_nan_in_a_step_keeps_the_volume_before_it() -> None:
    class State:
        x, count = np.zeros((1, 1, 2), F32), 0

    class Solver:
        def start(self, x: np.ndarray) -> State:
            return State()

        def step(self, s: State) -> dict[str, float]:
            s.count += 1
            s.x = np.full((1, 1, 2), s.count if s.count < 3 else np.nan, F32)
            return {"residual": 1.0 / s.count if s.count < 4 else math.nan}  # known one step late

    with pytest.warns(DivergenceWarning):
        assert solve(Solver(), State(), 10).max() == 2.0


def test_a_callback_stops_a_run_and_the_record_says_so(scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid

    def enough(progress: Progress) -> None:
        if progress.values["residual"] < 0.1 * np.linalg.norm(projections.values):
            raise StopRun("a tenth")

    rec = reconstruct(projections, "sirt", grid, callbacks=[enough], iterations=50, start="zero")
    count = rec.history[-1]["step"]
    assert 1 < count < 50
    assert rec.settings["stopped"] == f"by a callback (a tenth), at step {count}"
    assert rec.settings["iterations"] == count
    np.testing.assert_array_equal(rec.volume, reconstruct(projections, "sirt", grid, iterations=count, start="zero").volume)
    np.testing.assert_array_equal(rec.volume, sirt(projections, grid, [enough], iterations=50, start="zero"))
    cut = reconstruct(projections, "cgls", grid, callbacks=[enough], iterations=50, lower=0.0)
    assert cut.volume.min() == 0  # what a method does after its last step is done all the same
    assert "stopped" in cut.settings


@pytest.mark.wrong_shapes
@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("fista_tv", {"lambda_": -1.0}, "lambda_ of fista_tv is -1.0; expected a number of 0 or more, or none"),
        ("pdhg_tv", {"lambda_": math.nan}, "lambda_ of pdhg_tv is nan"),
        ("fista_tv", {"lambda_": "much"}, "lambda_ of fista_tv is 'much'"),
        ("pdhg_tv", {"lambda_": 0.1, "prior": "tvv"}, "did you mean tv"),
        ("fista_tv", {"lambda_": 0.1, "prior": "huber", "huber_delta": 0.0}, "huber_delta of fista_tv is 0.0; expected a number above 0"),
        ("sirt", {"iterations": 0}, "iterations of sirt is 0; expected a whole number of 1 or more"),
        ("sirt", {"relaxation": math.inf}, "relaxation of sirt is inf"),
        ("sirt", {"start": np.zeros((2, 2, 2))}, "start volume has shape"),
        ("sirt", {"start": np.full((16, 16, 16), np.nan)}, "NaN or Inf"),
        ("sirt", {"start": "fdx"}, "did you mean fdk"),
        ("sirt", {"mask": np.zeros((16, 16, 16), bool)}, "keeps no voxel"),
        ("sirt", {"mask": np.ones((3, 3, 3), bool)}, "the mask has shape"),
        ("sirt", {"lower": 1.0, "upper": 0.0}, "lower <= upper"),
        ("os_sart", {"weights": np.zeros((8, 16, 24))}, "every ray is masked"),
        ("os_sart", {"weights": -np.ones((8, 16, 24))}, "negative"),
        ("os_sart", {"weights": np.ones((8, 1, 24))}, "the weights have shape"),
        ("os_sart", {"subset_views": 0}, "subset_views of os_sart is 0"),
        ("cgls", {"noise": -1.0}, "noise of cgls is -1.0"),
        ("asd_pocs", {"epsilon": math.nan}, "epsilon of asd_pocs is nan"),
        ("sirt", {"relaxatoin": 1.0}, "did you mean relaxation"),
    ],
)
def test_bad_settings_say_what_is_wrong(name: str, settings: dict[str, Any], words: str, scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    settings = {"iterations": 1, **settings}
    with pytest.raises(InputError, match=words):
        reconstruct(projections, name, grid, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_one_view_is_refused(name: str, scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    with pytest.raises(InputError, match="1 view"):
        reconstruct(projections[[0]], name, grid)


def test_no_views_at_all_are_refused(scan_and_grid: Any) -> None:
    projections, _, _ = scan_and_grid
    for nothing in (np.zeros(len(projections), bool), np.zeros(0, int), slice(0, 0)):
        with pytest.raises(InputError, match="view"):
            projections[nothing]


def test_a_grid_that_no_ray_meets_is_refused(scan_and_grid: Any) -> None:
    projections, _, _ = scan_and_grid
    with pytest.raises(InputError, match="no ray"):
        reconstruct(projections, "fista_tv", Grid((4, 4, 4), 0.5, (0, 0, 500.0)), lambda_=0.1, start="zero")


def test_a_denoiser_that_returns_another_shape_is_refused(scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    with pytest.raises(InputError, match="denoiser returned"):
        reconstruct(projections, plug_and_play(lambda v: v[1:]), grid, iterations=2)
    with pytest.raises(InputError, match="a function"):
        plug_and_play(3)  # type: ignore[arg-type]


# --- smaller copies


def test_binning_keeps_every_pixel_where_it_was() -> None:
    scan = Scan.circular(dso_mm=50, dsd_mm=80, rows=7, cols=9, pixel_mm=0.4, angles_deg=[0, 40, 100], roll_deg=5, axis_shift_mm=0.3)
    small = bin_projections(Projections(np.zeros((3, 7, 9), F32), scan, {"photons": 100.0}), 2)

    def centre(s: Scan, row: float, col: float) -> np.ndarray:
        return s.detector + (col - (s.shape[1] - 1) / 2) * s.u + (row - (s.shape[0] - 1) / 2) * s.v

    np.testing.assert_allclose(centre(small.scan, 1, 2), centre(scan, 2.5, 4.5), atol=1e-12)
    assert small.scan.shape == (3, 4)
    assert small.meta["photons"] == 400.0


def test_subsets_hold_every_view_once() -> None:
    for count in (1, 2, 5, 13, 26, 52):
        parts = subsets(count, 4)
        assert sorted(np.concatenate(parts).tolist()) == list(range(count))


def test_the_registry_knows_the_methods() -> None:
    for name in NAMES:
        assert METHODS[name].name == name
        assert METHODS[name].reference


def test_the_start_is_the_filtered_back_projection_within_the_bounds(scan_and_grid: Any) -> None:
    projections, grid, _ = scan_and_grid
    x = start_volume(projections, grid, IterativeSettings(), data_term(projections, grid, IterativeSettings()))
    np.testing.assert_array_equal(x, np.maximum(reconstruct(projections, "fdk", grid).volume, 0))
