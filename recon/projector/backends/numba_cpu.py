"""The backend ``numba``: compiled loops on all cores of the CPU, the default without a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ....geometry import Grid, Scan
from ..backend import Backend
from ..joseph_rays import Rays


def _project(volume: Tensor, scan: Scan, grid: Grid) -> Tensor:
    from ..joseph_numba import project

    return torch.from_numpy(project(volume.numpy(), Rays.of(scan, grid)))


def _backproject(projections: Tensor, scan: Scan, grid: Grid) -> Tensor:
    from ..joseph_numba import backproject

    return torch.from_numpy(backproject(projections.numpy(), Rays.of(scan, grid)))


def _fdk_sum(volume: Any, grid: Grid, columns: Any, matrices: Any, step: Any, fast: bool) -> None:
    from ..fan_voxel_driven_numba import backproject_slices, rows_met
    from ..voxel_driven_numba import backproject

    rows = rows_met(grid, matrices)
    if rows is not None:
        backproject_slices(volume, grid, columns, matrices, step, rows)
    else:
        backproject(volume, grid, columns, matrices, step, fast)


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
