"""The solvers on torch tensors: what they find on numpy arrays. (On another device: tests/nerf/test_device.py.)"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from fewview.base import InputError, MissingBackendError
from fewview.data import Projections
from fewview.geometry import Grid, Scan, skyscan_1276, views
from fewview.recon import Operator, reconstruct
from fewview.recon.iterative.asd_pocs import AsdPocsSettings, AsdPocsSolver
from fewview.recon.iterative.cgls import CglsSolver
from fewview.recon.iterative.fista_tv import FistaTvSolver
from fewview.recon.iterative.os_sart import OsSartSolver
from fewview.recon.iterative.pdhg_tv import PdhgTvSolver
from fewview.recon.iterative.plug_and_play import PlugAndPlaySolver
from fewview.recon.iterative.regularisers import tv_numba, tv_torch
from fewview.recon.iterative.regularisers.priors import TotalVariation, Wavelet
from fewview.recon.iterative.sirt import SirtSolver
from fewview.recon.iterative.solving import setup
from fewview.recon.iterative.solving.cosine_transform import cosines, from_cosines
from fewview.recon.iterative.solving.data_term import DataTerm
from fewview.recon.iterative.solving.setup import IterativeSettings, data_term
from fewview.recon.projector import view_blocks as blocks
from fewview.recon.projector.compiled.pair import LEAST_VOXELS
from scipy import fft

F32 = np.float32
SOLVERS = {
    "sirt": SirtSolver,
    "os_sart": OsSartSolver,
    "cgls": CglsSolver,
    "fista_tv": lambda term: FistaTvSolver(term, TotalVariation(0.003), 0.02),
    "pdhg_tv": lambda term: PdhgTvSolver(term, TotalVariation(), 0.02),
    "wavelets": lambda term: PdhgTvSolver(term, Wavelet(levels=2), 0.02),
    "asd_pocs": lambda term: AsdPocsSolver(term, OsSartSolver(term), 0.004, AsdPocsSettings()),
    "plug_and_play": lambda term: PlugAndPlaySolver(term, lambda v: (v + 0.1) / 2),
}


@pytest.fixture(scope="module")
def problem() -> tuple[DataTerm, DataTerm]:
    """64 noisy views (two subsets) of a ball, with weights, a mask and bounds: as numpy arrays and as tensors."""
    scan = skyscan_1276(rows=10, cols=15, voxel_mm=0.5)
    scan, grid = scan[views.evenly(scan, 64)], Grid((10, 10, 11), 0.5)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    values = Operator(scan, grid)(0.1 * (x**2 + y**2 + z**2 < 4).astype(F32))
    noisy = (values + np.random.default_rng(0).normal(0, 0.01, values.shape)).astype(F32)
    term = data_term(Projections(noisy, scan), grid, IterativeSettings(weights="counts", mask="fov", upper=0.12))
    tensors = {name: torch.from_numpy(np.array(getattr(term, name))) for name in ("data", "weights", "mask")}
    return term, dataclasses.replace(term, **tensors)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_does_with_tensors_what_it_does_with_arrays(name: str, problem: tuple[DataTerm, DataTerm]) -> None:
    found: list[Any] = []
    for term in problem:
        solver: Any = SOLVERS[name](term)
        state = solver.start(term.zeros())
        told = [solver.step(state) for _ in range(5)]
        assert type(state.x) is type(term.data)
        found.append((np.asarray(state.x), [t["residual"] for t in told]))
    (one, first), (other, second) = found
    assert np.abs(one).max() > 0.02
    rounding = 2e-3 if name == "asd_pocs" else 1e-5  # where the volume is nearly flat, the direction of least variation is nearly chance
    np.testing.assert_allclose(other, one, atol=rounding * np.abs(one).max())
    np.testing.assert_allclose(second, first, rtol=rounding)


@pytest.mark.parametrize("name", ["sirt", "os_sart", "cgls", "fista_tv", "pdhg_tv"])
def test_no_step_takes_a_tensor_off_its_device(name: str, problem: tuple[DataTerm, DataTerm], monkeypatch: pytest.MonkeyPatch) -> None:
    projections = Projections(problem[1].data.numpy(), skyscan_1276(rows=10, cols=15, voxel_mm=0.5)[:64])
    term = data_term(projections, Grid((10, 10, 11), 0.5), IterativeSettings(backend="torch"))
    solver: Any = SOLVERS[name](dataclasses.replace(term, data=problem[1].data))
    state = solver.start(torch.zeros(term.shape))

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("values leave the device")

    for way in ("cpu", "numpy", "tolist", "__array__"):
        monkeypatch.setattr(torch.Tensor, way, refused)
    solver.step(state)
    assert state.count == 1


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["sirt", "cgls", "pdhg_tv"])
def test_on_a_gpu_the_volume_is_that_of_the_cpu(name: str) -> None:
    """Prints the seconds of both (pytest -m gpu -s): ten iterations at 48^3 from 64 views.

    A grid so small is projected ray by ray on the CPU, exactly as on the GPU; the bins of larger ones differ by up to one percent.
    """
    scan = skyscan_1276(rows=48, cols=72, voxel_mm=0.5)
    scan, grid = scan[views.evenly(scan, 64)], Grid((48,) * 3, 0.5)
    assert np.prod(grid.shape) < LEAST_VOXELS
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    projections = Projections(Operator(scan, grid)(0.1 * (x**2 + y**2 + z**2 < 80).astype(F32)), scan)
    given: dict[str, Any] = {"iterations": 10, **({"lambda_": 0.005} if name == "pdhg_tv" else {})}
    reconstruct(projections, name, grid, check=False, device="cuda", **{**given, "iterations": 1})  # compiled
    cpu, gpu = (reconstruct(projections, name, grid, check=False, device=device, **given) for device in ("cpu", "cuda"))
    print(f"\n{name}: {cpu.seconds:.2f} s on the CPU, {gpu.seconds:.2f} s on {torch.cuda.get_device_name()}")
    np.testing.assert_allclose(gpu.volume, cpu.volume, atol=1e-3 * cpu.volume.max())


@pytest.mark.parametrize("cols", [1, 2, 7, 16])
def test_the_cosine_transform_of_tensors_is_that_of_scipy(cols: int) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, cols)).astype(F32)
    c = cosines(torch.from_numpy(x))
    np.testing.assert_allclose(c, fft.dct(x, axis=-1, norm="ortho"), atol=2e-6)
    np.testing.assert_allclose(from_cosines(c), x, atol=2e-6)


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 5, 6), (3, 1, 4), (2, 3, 1), (1, 1, 1)])
def test_total_variation_of_tensors_is_that_of_arrays(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(2)
    x, base, out, made = (rng.random(shape, dtype=F32) for _ in range(4))
    p, g = np.zeros((3, *shape), F32), np.empty((3, *shape), F32)
    q, h = torch.from_numpy(p.copy()), torch.from_numpy(g.copy())
    tv_numba.gradient(x, g)
    tv_torch.gradient(torch.from_numpy(x), h)
    np.testing.assert_array_equal(h, g)
    for _ in range(2):
        tv_numba.ascend(p, x, F32(0.7), F32(0.2), F32(0.9))
        tv_torch.ascend(q, torch.from_numpy(x), 0.7, 0.2, 0.9)
    np.testing.assert_allclose(q, p, atol=1e-6)
    tv_numba.descend(base, p, F32(0.3), F32(0.1), F32(math.inf), out)
    tv_torch.descend(torch.from_numpy(base), q, 0.3, 0.1, math.inf, torch.from_numpy(made))
    np.testing.assert_allclose(made, out, atol=1e-6)
    for delta in (0.0, 0.3):
        assert tv_torch.tv(torch.from_numpy(x), delta) == pytest.approx(tv_numba.tv(x, delta), rel=1e-5, abs=1e-6)


def test_path_lengths_of_tensors_are_those_of_arrays() -> None:
    scan = Scan.circular(dso_mm=50, dsd_mm=100, rows=5, cols=41, pixel_mm=1.0, angles_deg=[0, 90, 31], roll_deg=3)
    grid = Grid((20, 24, 20), 1.0, (1.0, 0.0, 0.0))
    A, ones = Operator(scan, grid), np.ones(grid.shape, F32)
    np.testing.assert_allclose(blocks.path_lengths(A, torch.from_numpy(ones)), blocks.path_lengths(A, ones), atol=1e-5)


def test_a_device_that_is_not_there_and_a_backend_that_is_not_on_it_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = skyscan_1276(rows=4, cols=6, voxel_mm=0.5)[:3]
    projections, grid = Projections(np.ones((3, 4, 6), F32), scan), Grid((4, 4, 4), 0.5)
    with pytest.raises(MissingBackendError, match="'nonsense' cannot be used"):
        reconstruct(projections, "sirt", grid, device="nonsense", iterations=1)
    monkeypatch.setattr(setup, "usable_device", torch.device)
    with pytest.raises(InputError, match="'numba' does not compute on device 'cuda'"):
        reconstruct(projections, "sirt", grid, device="cuda", backend="numba", iterations=1)
