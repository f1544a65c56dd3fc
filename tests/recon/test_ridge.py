"""The ridge prior: its gradient, its promises, a solver that never climbs, and weights that are refused when they are damaged."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fewview.base import InputError
from fewview.data import Projections
from fewview.data.phantom.procedural.bodies import averaged, ball
from fewview.geometry import Grid, skyscan_1276, views
from fewview.recon import Operator, pdhg_tv, wcrr
from fewview.recon.iterative.solving.data_term import DataTerm
from fewview.recon.ridge.filters import PAD, continued, folded, grey_scale, responses, transposed
from fewview.recon.ridge.prior import RidgePrior, _bend_on_device
from fewview.recon.ridge.solver import RidgeSolver, mean_curvature
from fewview.recon.ridge.weights import RidgeWeights, read_weights, write_weights

SHAPE = (6, 9, 10)


def volume(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def scan() -> tuple[Projections, Grid]:
    """A ball with a cavity, twelve views, simulated on finer voxels."""
    grid, views_of = Grid((12, 14, 14), 1.0), skyscan_1276(12, 18, 1.0)
    some = views_of[views.evenly(views_of, 12)]
    fine = averaged([ball((0, 0, 0), 5.0, 0.05), ball((1, 0, 0), 2.0, 0.2)], (24, 28, 28), 0.5)
    values = Operator(some, Grid(fine.shape, 0.5))(fine)
    noise = np.random.default_rng(0).standard_normal(values.shape, dtype=np.float32)
    return Projections(values + 0.01 * noise, some), grid


def term_of(scan: tuple[Projections, Grid]) -> DataTerm:
    p, grid = scan
    return DataTerm(Operator(p.scan, grid), p.values, grid.shape, lower=0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("shape", [SHAPE, (1, 8, 9)])
def test_the_gradient_is_the_derivative_of_the_value(sigma: float, shape: tuple[int, int, int]) -> None:
    """Central differences, along a random direction; also of a single slice."""
    prior, x = RidgePrior(read_weights(), sigma), volume(1, shape)
    d, e = volume(2, shape) - np.float32(0.5), np.float32(1e-3)
    found = (prior.value_and_gradient(x + e * d)[0] - prior.value_and_gradient(x - e * d)[0]) / (2 * e)
    assert found == pytest.approx(float((prior.value_and_gradient(x)[1] * d).sum(dtype=np.float64)), rel=5e-3)


def test_slabs_and_the_path_of_other_devices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, x = RidgePrior(read_weights(), 0.1), volume()
    value, slope = prior.value_and_gradient(x)
    monkeypatch.setattr("fewview.recon.ridge.prior._SLAB_VOXELS", 1)
    again, same = prior.value_and_gradient(x)
    assert again == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(same, slope, atol=1e-5)
    r = responses(continued(torch.from_numpy(x)[None]), prior.first, prior.second)
    assert _bend_on_device(r, prior.scale, prior.slope, prior.potential) == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(folded(transposed(r, prior.first, prior.second))[0].numpy(), slope, atol=1e-5)


def test_filters_have_an_exact_transpose_and_no_answer_to_a_constant() -> None:
    prior, x = RidgePrior(read_weights(), 0.1), torch.from_numpy(volume())[None]
    r = responses(continued(x), prior.first, prior.second)
    q = torch.randn(r.shape, generator=torch.Generator().manual_seed(0))
    assert float((r * q).sum()) == pytest.approx(float((x * folded(transposed(q, prior.first, prior.second))).sum()), rel=1e-4)
    assert float(responses(continued(torch.ones_like(x)), prior.first, prior.second).abs().max()) < 1e-5
    assert continued(x).shape[1:] == tuple(n + 2 * PAD for n in SHAPE)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.4])
def test_denoising_is_a_convex_problem(sigma: float) -> None:
    """The gradient of 1/2 |x - y|^2 + R(x) is monotone: (x1 - x2) . (g(x1) - g(x2)) >= 0 for any two volumes."""
    prior = RidgePrior(read_weights(), sigma)
    for seed in range(6):
        a, b = volume(seed), volume(seed) + np.float32(0.5**seed) * (volume(seed + 10) - np.float32(0.5))
        bend = prior.value_and_gradient(a)[1] - prior.value_and_gradient(b)[1]
        assert float(((a - b) * (a - b + bend)).sum()) >= 0
    assert prior.value_and_gradient(100 * volume())[0] > 0


def test_the_objective_never_rises_and_its_gradient_vanishes(scan: tuple[Projections, Grid]) -> None:
    term = term_of(scan)
    solver = RidgeSolver(term, RidgePrior(read_weights(), 0.1), mean_curvature(term), 0.05)
    state = solver.start(np.full(term.shape, 0.02, np.float32))
    values, moves = [state.objective], []
    for _ in range(60):
        before = state.x
        values.append(solver.step(state)["objective"])
        moves.append(float(np.abs(state.x - before).max()))
    assert (np.diff(values) <= 2e-6 * np.array(values[:-1])).all()
    assert values[-1] < 0.2 * values[0]
    assert moves[-1] < 0.02 * max(moves)


def test_a_step_that_would_climb_is_refused(scan: tuple[Projections, Grid]) -> None:
    """With a step ten times too long the solver shortens it until the objective falls."""
    term = term_of(scan)
    solver = RidgeSolver(term, RidgePrior(read_weights(), 0.1), mean_curvature(term), 0.05)
    solver.data_lipschitz /= 10
    state = solver.start(np.zeros(term.shape, np.float32))
    values = [solver.step(state)["objective"] for _ in range(25)]
    assert (np.diff(values) <= 2e-6 * np.array(values[:-1])).all()
    assert values[-1] < 0.5 * values[0]


def test_a_scan_in_other_units_gives_the_same_volume_in_these(scan: tuple[Projections, Grid]) -> None:
    p, grid = scan
    one = wcrr(p, grid, tv=0.01, iterations=8)
    seven = wcrr(Projections(p.values * np.float32(7), p.scan), grid, tv=0.01, iterations=8)
    np.testing.assert_allclose(seven / 7, one, atol=2e-3 * one.max())


def test_the_result_is_between_total_variation_and_the_prior(scan: tuple[Projections, Grid]) -> None:
    p, grid = scan
    none, half, whole = (wcrr(p, grid, tv=0.01, iterations=5, share=share) for share in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, (none + whole) / 2, atol=1e-6)
    np.testing.assert_allclose(none, pdhg_tv(p, grid, lambda_=0.01), atol=1e-5)
    assert np.abs(whole - none).max() > 1e-3


def test_held_out_views_say_how_much_of_the_prior_is_taken(scan: tuple[Projections, Grid]) -> None:
    """A prior far too strong is left out, and a warning says so; one that helps is taken, at most a half."""
    p, grid = scan
    told: dict[str, float] = {}
    tell = [lambda progress: told.update(progress.resolved)]
    good = wcrr(p, grid, tell, iterations=4)
    assert 0.05 < told["share"] <= 0.5
    best = told["share_best"]
    assert told["share"] == (best / 2 if best < 0.5 else min(0.5, best - 0.25))
    again = wcrr(p, grid, share=told["share"], tv=told["tv_lambda"], iterations=4)
    np.testing.assert_allclose(again, good, atol=1e-6)
    with pytest.warns(UserWarning, match="wcrr: the result is total variation alone: 2 of 12 views held out, grid coarser by 1, and these"):
        bad = wcrr(p, grid, tell, lambda_=1e4)
    assert told["share"] == 0
    assert told["share_gain"] < 0
    np.testing.assert_allclose(bad, pdhg_tv(p, grid), atol=1e-5)
    with pytest.warns(UserWarning, match="4 views are too few to hold any out"):
        assert np.array_equal(wcrr(p[::3], grid, tv=0.01), wcrr(p[::3], grid, tv=0.01, share=0.0))


def test_grey_scale_is_that_of_the_body() -> None:
    body = np.zeros((8, 8, 8), np.float32)
    body[2:6, 2:6, 2:6] = 0.3
    assert grey_scale(body) == pytest.approx(0.3)
    assert grey_scale(np.zeros((2, 2, 2), np.float32)) == 0.0


def damaged(name: str, change: float) -> RidgeWeights:
    good = read_weights()
    array = getattr(good, name).copy()
    array.flat[0] += change
    return dataclasses.replace(good, **{name: array})


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("first", 0.1, "mean is not zero"),
        ("second", 5.0, "norm above one"),
        ("second", math.nan, "NaN"),
        ("slope", 0.1, "weakly convex"),
        ("noise", 1.0, "noise that do not rise"),
        ("scale", -1e3, "not positive"),
    ],
)
def test_weights_that_break_a_promise_are_refused(name: str, change: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        damaged(name, change)


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.npz"
    digest = write_weights(read_weights(), path)
    assert write_weights(read_weights(), tmp_path / "again.npz") == digest
    np.testing.assert_array_equal(read_weights(path, digest).second, read_weights().second)
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="SHA-256"):
        read_weights(path, digest)
    np.savez(tmp_path / "evil.npz", first=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weights(tmp_path / "evil.npz")
    monkeypatch.setattr("fewview.recon.ridge.weights.SHA256", "0" * 64)
    with pytest.raises(InputError, match="install fewview again"):
        read_weights()
