"""The backend ``triton``: GPU kernels that are compiled when they are first used."""

from __future__ import annotations

import importlib.util
import os
import shutil

import torch
from torch import Tensor

from ....geometry import Grid, Scan
from ..backend import Backend, Prepared


def _prepare(scan: Scan, grid: Grid, device: torch.device, dtype: torch.dtype) -> Prepared:
    from ..gpu.blocked_pair import BlockedPair

    return BlockedPair(scan, grid, device, dtype)


def _project(volume: Tensor, scan: Scan, grid: Grid) -> Tensor:
    return _prepare(scan, grid, volume.device, volume.dtype).project(volume)


def _backproject(projections: Tensor, scan: Scan, grid: Grid) -> Tensor:
    return _prepare(scan, grid, projections.device, projections.dtype).backproject(projections)


def _lacks() -> str:
    if not torch.cuda.is_available():
        return "no CUDA device is found"
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if not any(shutil.which(name) for name in (os.environ.get("CC", "gcc"), "gcc", "clang", "cc")):
        return "no C compiler (gcc, clang) is found, with which triton makes what launches a kernel"
    if torch.version.hip is None and torch.cuda.get_device_capability() < (7, 0):
        return "the CUDA device is older than compute capability 7.0"
    return ""


BACKEND = Backend(
    name="triton",
    where="CUDA, float32 and float64",
    transpose="exact; of rolled or tilted scans but for the order of sums",
    project=_project,
    backproject=_backproject,
    prepare=_prepare,
    fdk_on_card=True,
    lacks=_lacks,
    needs="a CUDA device, a C compiler, and triton, as torch for CUDA brings it",
    automatic=lambda device: device.type == "cuda" and not torch.are_deterministic_algorithms_enabled(),
    rank=3,
    home=lambda device: device if device.type == "cuda" else torch.device("cuda", torch.cuda.current_device()),
    float64=True,
)
