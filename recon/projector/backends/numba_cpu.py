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


def _fdk_sum(
    volume: Array,
    scan: Scan,
    grid: Grid,
    views: Array,
    weights: NDArray[np.float64],
    z: slice | None = None,
    rows: slice | None = None,
) -> None:
    from ..compiled.backprojection import backproject
    from ..compiled.fan.slices import backproject_slices, rows_met
    from ..projection_matrices import projection_matrices

    matrices = projection_matrices(scan)
    met = rows_met(grid, matrices)
    if met is not None:
        held = None if rows is None else (rows.start, rows.stop, scan.shape[0])
        backproject_slices(volume, grid, views, matrices, weights, met, z, held)
    else:
        backproject(volume, scan, grid, views, weights, z, rows)


def _fdk_rows(scan: Scan, grid: Grid, z: slice) -> slice:
    from ..compiled.backprojection import rows_read
    from ..compiled.fan.slices import rows_met, rows_read_at
    from ..projection_matrices import projection_matrices

    met = rows_met(grid, projection_matrices(scan))
    return rows_read(scan, grid, z) if met is None else rows_read_at(met[:, z], scan.shape[0])


BACKEND = Backend(
    name="numba",
    where="CPU, float32 (the default without a GPU)",
    transpose="exact",
    project=_project,
    backproject=_backproject,
    fdk_sum=_fdk_sum,
    fdk_rows=_fdk_rows,
    lacks=lambda: "",
    needs="nothing more than the base installation",
    automatic=lambda device: device.type == "cpu",
    rank=2,
    home=lambda device: torch.device("cpu"),
)
