"""An earlier volume of the same object helps where nothing changed, and hides no change."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, InputError, skyscan_1276, views
from fewview.recon import Operator, reconstruct
from fewview.recon.iterative.regularisers.priors import TotalVariation
from fewview.recon.iterative.regularisers.referenced import Referenced

SCAN = skyscan_1276(rows=24, cols=36, voxel_mm=0.5)
SCAN = SCAN[views.evenly(SCAN, 15)]
GRID = Grid((20, 30, 30), 0.5)
LESION = (2.6, 0.0, 0.5)  # mm


@pytest.fixture(autouse=True)
def one_thread() -> object:
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def body(grid: Grid, lesion: bool) -> np.ndarray:
    """Muscle and a bone with plates inside; the lesion is a hole in it of 1 mm radius."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    mu = np.where(np.hypot(x, y) < 6.5, 0.04, 0.0).astype(np.float32)
    bone = np.hypot(x - 1, y) < 3
    mu[bone] = np.where(np.sin(6 * x) * np.sin(6 * y + z) > 0, 0.18, 0.05)[bone]
    if lesion:
        mu[(x - LESION[0]) ** 2 + (y - LESION[1]) ** 2 + (z - LESION[2]) ** 2 < 1] = 0.04
    return mu


def measured(lesion: bool) -> Projections:
    fine = Grid((40, 60, 60), 0.25)
    noise = np.random.default_rng(1).normal(0, 0.01, (len(SCAN), *SCAN.shape))
    return Projections((Operator(SCAN, fine)(body(fine, lesion)) + noise).astype(np.float32), SCAN)


def coarse(lesion: bool) -> np.ndarray:
    return body(Grid((40, 60, 60), 0.25), lesion).reshape(20, 2, 30, 2, 30, 2).mean(axis=(1, 3, 5))


def error(volume: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((volume - truth) ** 2)))


def test_a_step_with_a_reference_is_the_transpose_of_its_dual() -> None:
    rng = np.random.default_rng(0)
    x, reference, base = (rng.standard_normal((5, 6, 7)).astype(np.float32) for _ in range(3))
    prior = Referenced(TotalVariation(), reference, 0.5)
    p, out = prior.dual(x), np.empty_like(x)
    prior.ascend(p, x, 1e-3, 1e3)  # far below the bound: p = step (K x, K (x - reference))
    prior.descend(np.zeros_like(x), p, 1.0, -np.inf, np.inf, out)
    inner = sum(float((np.diff(a, axis=k) * np.diff(base, axis=k)).sum(dtype=float)) for a in (x, x - reference) for k in range(3))
    assert float((-out * base).sum(dtype=float)) == pytest.approx(1e-3 * inner, rel=1e-3)
    assert prior.value(reference) == pytest.approx(0.5 * TotalVariation().value(reference), rel=1e-5)


@pytest.mark.parametrize("method", ["pdhg_tv", "fista_tv"])
def test_a_reference_helps_and_hides_no_change(method: str) -> None:
    truth, earlier = coarse(lesion=True), coarse(lesion=False)
    plain = reconstruct(measured(lesion=True), method, GRID, check=False, lambda_=0.005)
    helped = reconstruct(measured(lesion=True), method, GRID, check=False, lambda_=0.005, reference=earlier, start=earlier)
    assert helped.settings["alpha"] > 0
    assert error(helped.volume, truth) < 0.7 * error(plain.volume, truth)
    z, y, x = np.meshgrid(GRID.z_mm, GRID.y_mm, GRID.x_mm, indexing="ij")
    hole = (x - LESION[0]) ** 2 + (y - LESION[1]) ** 2 + (z - LESION[2]) ** 2 < 0.8**2
    change = float(earlier[hole].mean() - truth[hole].mean())
    assert float(earlier[hole].mean() - helped.volume[hole].mean()) == pytest.approx(change, rel=0.1)


def test_the_reference_of_another_object_is_not_used() -> None:
    other = np.random.default_rng(2).choice([0.04, 0.18], GRID.shape).astype(np.float32)
    rec = reconstruct(measured(lesion=True), "pdhg_tv", GRID, check=False, lambda_=0.005, reference=other)
    assert rec.settings["alpha"] == 0
    assert rec.settings["alpha_rule"] == "0: the reference predicts no view better"


def test_a_reference_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"the reference has shape \(2, 2, 2\)"):
        reconstruct(measured(lesion=True), "pdhg_tv", GRID, check=False, lambda_=0.005, reference=np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="alpha"):
        reconstruct(measured(lesion=True), "pdhg_tv", GRID, check=False, lambda_=0.005, reference=coarse(False), alpha=1.5)
