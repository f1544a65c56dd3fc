"""The backend ``numba``: compiled loops on all cores of the CPU, the default without a GPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....geometry import Grid, Scan
from ..backend import Backend
from ..joseph_rays import Rays

Array = NDArray[np.float32]


def _project(volume: Tensor, scan: Scan, grid: Grid) -> Tensor:
    from ..compiled.pair import project

    return torch.from_numpy(project(volume.numpy(), Rays.of(scan, grid)))


def _backproject(projections: Tensor, scan: Scan, grid: Grid) -> Tensor:
    from ..compiled.pair import backproject

    return torch.from_numpy(backproject(projections.numpy(), Rays.of(scan, grid)))


def _fdk_sum(volume: Array, scan: Scan, grid: Grid, views: Array, weights: NDArray[np.float64]) -> None:
    from ..compiled.backprojection import backproject
    from ..compiled.fan.slices import backproject_slices, rows_met
    from ..projection_matrices import projection_matrices

    matrices = projection_matrices(scan)
    rows = rows_met(grid, matrices)
    if rows is not None:
        backproject_slices(volume, grid, views, matrices, weights, rows)
    else:
        backproject(volume, scan, grid, views, weights)


BACKEND = Backend(
    name="numba",
    where="CPU, float32 (the default without a GPU)",
    transpose="exact",
    project=_project,
    backproject=_backproject,
    fdk_sum=_fdk_sum,
    lacks=lambda: "",
    needs="nothing more than the base installation",
    automatic=lambda device: device.type == "cpu",
    rank=2,
    home=lambda device: torch.device("cpu"),
)
