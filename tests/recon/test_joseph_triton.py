"""The GPU kernels without a GPU: run by Triton's interpreter they are the plain torch backend, and they compile for real cards."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fewview.geometry import Grid, MissingBackendError, skyscan_1276
from fewview.recon import Operator
from fewview.recon.projector.backend import automatic_backend
from fewview.recon.projector.backends import triton_cuda

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the package triton is not installed (extra gpu)")

INTERPRETED = """
import numpy as np
import torch
from fewview.geometry import Grid, Scan
from fewview.recon.projector import joseph_torch, joseph_triton
from fewview.recon.projector.joseph_rays import Rays

torch.manual_seed(0)
circle = dict(rows=13, cols=15, pixel_mm=1.7, angles_deg=[0.0, 45.0, 200.0])  # at 45 deg rays have two main axes
scans = {
    "plain": Scan.circular(dso_mm=100, dsd_mm=200, **circle),
    "steep": Scan.circular(dso_mm=12, dsd_mm=24, **circle),
    "from inside": Scan.circular(dso_mm=3, dsd_mm=40, **circle),
    "nearly parallel": Scan.circular(dso_mm=1e7, dsd_mm=1.0000005e7, **circle),
    "along z": Scan(source=[[0.3, 0.2, 90]], detector=[[0, 0, -50]], u=[[1.1, 0, 0]], v=[[0, 1.1, 0]], angles_deg=[0], shape=(13, 15)),
}
grids = {"even": Grid((10, 10, 10), 0.9), "odd": Grid((12, 5, 7), 0.9, center_mm=(1.0, -0.4, 0.3)), "thin": Grid((1, 9, 1), 1.1)}
for name, scan in scans.items():
    for shape, grid in grids.items():
        rays = Rays.of(scan, grid)
        far = 1e-8 if name == "nearly parallel" else 1e-13  # positions are known to the rounding of the source's distance
        for kind, bound in ((torch.float32, 2e-6), (torch.float64, far)):
            x, y = torch.rand(grid.shape, dtype=kind), torch.rand((len(scan), *scan.shape), dtype=kind)
            for plain, fast, given in (
                (joseph_torch.project, joseph_triton.project, x),
                (joseph_torch.backproject, joseph_triton.backproject, y),
            ):
                expected, found = plain(given, rays), fast(given, rays)
                assert expected.max() > 0 and found.dtype == kind, (name, shape)
                gap = float((expected - found).abs().max() / expected.max())
                assert gap <= bound, (name, shape, kind, plain, gap)
print("the same")
"""

COMPILED = """
import triton
from fewview.recon.projector.joseph_triton import RAYS_A_BLOCK, _joseph
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

for capability in (75, 80, 90):
    for kind in ("fp32", "fp64"):
        for transposed in (False, True):
            signature = dict(volume=f"*{kind}", lines=f"*{kind}", packed="*fp64", rows="i32", cols="i32", nx="i32", ny="i32", nz="i32")
            signature |= dict(TRANSPOSED="constexpr", BLOCK="constexpr")
            source = ASTSource(_joseph, signature, constexprs={"TRANSPOSED": transposed, "BLOCK": RAYS_A_BLOCK})
            code = triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm
            assert len(code["cubin"]) > 1000
            assert ("atom" in code["ptx"] or "red." in code["ptx"]) == transposed
print("compiled")
"""


@needs_triton
@pytest.mark.parametrize(("code", "said", "more"), [(INTERPRETED, "the same", {"TRITON_INTERPRET": "1"}), (COMPILED, "compiled", {})])
def test_kernels_are_the_plain_backend_and_compile(code: str, said: str, more: dict[str, str], tmp_path: Path) -> None:
    env = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), **more}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{said}\n"


def _with_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))


@needs_triton
def test_which_backend_is_automatic(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_card(monkeypatch)
    cuda = torch.device("cuda")
    assert [automatic_backend(d).name for d in (torch.device("cpu"), torch.device("meta"), cuda)] == ["numba", "torch", "triton"]
    torch.use_deterministic_algorithms(True)
    try:
        assert automatic_backend(cuda).name == "torch"
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("lack", ["triton is not installed", "no C compiler"])
def test_without_cuda_or_what_triton_needs_it_says_so(monkeypatch: pytest.MonkeyPatch, lack: str) -> None:
    scan, grid = skyscan_1276(4, 6, 1.0), Grid((2, 3, 3), 1.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingBackendError, match=r"no CUDA device.*numba"):
        Operator(scan, grid, "triton")
    _with_card(monkeypatch)
    monkeypatch.setattr(triton_cuda.importlib.util, "find_spec", lambda name: None if "installed" in lack else object())
    monkeypatch.setattr(triton_cuda.shutil, "which", lambda name: None)
    with pytest.raises(MissingBackendError, match=lack):
        Operator(scan, grid, "triton")
    assert automatic_backend(torch.device("cuda")).name == "torch"
