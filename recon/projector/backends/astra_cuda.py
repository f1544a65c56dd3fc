"""The backend ``astra``: ASTRA's 3-D projectors on a CUDA device, for comparison; only `astra_backend` imports the package."""

from __future__ import annotations

import torch
from torch import Tensor

from ....base import MissingBackendError
from ....geometry import Grid, Scan
from .. import astra_backend
from ..backend import Backend


def _project(volume: Tensor, scan: Scan, grid: Grid) -> Tensor:
    return torch.from_numpy(astra_backend.project(volume.numpy(), scan, grid))


def _backproject(projections: Tensor, scan: Scan, grid: Grid) -> Tensor:
    return torch.from_numpy(astra_backend.backproject(projections.numpy(), scan, grid))


def _lacks() -> str:
    try:
        astra_backend.require_cuda()
    except MissingBackendError as error:
        return error.given
    return ""


BACKEND = Backend(
    name="astra",
    where="CUDA, float32",
    transpose="close (ASTRA's 3-D pair is not matched)",
    project=_project,
    backproject=_backproject,
    lacks=_lacks,
    needs="the package astra-toolbox (2.4 or later) and a CUDA device for its 3-D operations",
    automatic=lambda device: False,
    rank=0,
    home=lambda device: torch.device("cpu"),
)
