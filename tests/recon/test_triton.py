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


@needs_triton
@pytest.mark.parametrize(
    ("file", "said", "more"), [("triton_interpreted.py", "the same", {"TRITON_INTERPRET": "1"}), ("triton_compiled.py", "compiled", {})]
)
def test_kernels_are_the_plain_backend_and_compile(file: str, said: str, more: dict[str, str], tmp_path: Path) -> None:
    env = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_DEFAULT_FP_FUSION": "1", **more}
    run = [sys.executable, str(Path(__file__).with_name(file))]
    done = subprocess.run(run, capture_output=True, text=True, timeout=500, env=env, check=False)
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
