"""deepinv's ``(y, physics)`` both ways: round trips, solvers against dense ones, a model of its kind through the registry."""

from __future__ import annotations

from pathlib import Path

import fewview as fv
import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import Grid, InputError, skyscan_1276
from fewview.recon import Operator
from fewview.recon.deepinv_adaptors import ScanPhysics, from_deepinv, to_deepinv

SCAN = skyscan_1276(rows=8, cols=12, voxel_mm=1.0)[::40]
GRID = Grid((6, 8, 8), 1.0)


def _dense() -> np.ndarray:
    A = Operator(SCAN, GRID)
    columns = [A(e.reshape(GRID.shape).astype(np.float32)).ravel() for e in np.eye(int(np.prod(GRID.shape)))]
    return np.array(columns, dtype=np.float64).T


def _scan(seed: int = 0) -> Projections:
    volume = np.random.default_rng(seed).random(GRID.shape, dtype=np.float32)
    return Projections(Operator(SCAN, GRID)(volume), SCAN)


def test_there_and_back_is_the_method_itself() -> None:
    p = _scan()
    direct = fv.reconstruct(p, "sirt", GRID, iterations=7).volume
    for unit_norm in (False, True):
        back = from_deepinv(to_deepinv("sirt", iterations=7), unit_norm=unit_norm)(p, GRID)
        np.testing.assert_allclose(back, direct, rtol=1e-5, atol=1e-6)


def test_solvers_agree_with_dense_ones() -> None:
    physics, dense = ScanPhysics(SCAN, GRID, max_iter=400, tol=1e-6), _dense()
    y = torch.from_numpy(np.array(_scan(1).values))[None, None]
    flat = y.numpy().ravel().astype(np.float64)
    z = torch.rand(1, 1, *GRID.shape, generator=torch.Generator().manual_seed(0))
    expected = np.linalg.solve(np.eye(dense.shape[1]) + 0.3 * dense.T @ dense, z.numpy().ravel() + 0.3 * dense.T @ flat)
    np.testing.assert_allclose(physics.prox_l2(z, y, 0.3).numpy().ravel(), expected, atol=2e-4)
    assert np.linalg.norm(dense @ physics.A_dagger(y).numpy().ravel() - flat) < 1e-4 * np.linalg.norm(flat)
    assert float(physics.compute_norm(z)) == pytest.approx(np.linalg.norm(dense, 2) ** 2, rel=1e-3)
    unit = ScanPhysics(SCAN, GRID, unit_norm=True)
    assert float(unit.compute_norm(z)) == pytest.approx(1, rel=1e-3)


def test_a_batch_is_its_parts_and_gradients_flow() -> None:
    physics = ScanPhysics(SCAN, GRID)
    x = torch.rand(2, 1, *GRID.shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    y = physics(x)
    assert torch.equal(y[1:], physics.A(x[1:]))
    y.square().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * physics.A_adjoint_A(x.detach()))
    torch.testing.assert_close(physics.A_vjp(x, y), physics.A_adjoint(y))


def test_a_model_of_a_file_is_a_method(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "from fewview.recon.deepinv_adaptors import from_deepinv\n"
        "class GradientDescent(torch.nn.Module):\n"
        "    def forward(self, y, physics):\n"
        "        x = torch.zeros_like(physics.A_adjoint(y))\n"
        "        for _ in range(60):\n"
        "            x = (x - physics.A_vjp(x, physics.A(x) - y)).clamp(min=0)\n"
        "        return x\n"
        "descent = from_deepinv(GradientDescent(), unit_norm=True)\n"
    )
    p = _scan(2)
    rec = fv.reconstruct(p, f"{file}:descent", GRID)
    A = Operator(SCAN, GRID)
    assert np.linalg.norm(A(rec.volume) - p.values) < 0.05 * np.linalg.norm(p.values)


@pytest.mark.wrong_shapes
def test_wrong_shapes_and_a_foreign_physics_are_refused() -> None:
    physics, p = ScanPhysics(SCAN, GRID), _scan()
    with pytest.raises(InputError, match=r"\(batch, 1, 6, 8, 8\)"):
        physics.A(torch.zeros(6, 8, 8))
    with pytest.raises(InputError, match="returned a tensor of shape"):
        from_deepinv(lambda y, physics: y)(p, GRID)
    with pytest.raises(InputError, match="ScanPhysics"):
        to_deepinv("sirt")(torch.zeros(1, 1, *physics.operator.range_shape), object())
