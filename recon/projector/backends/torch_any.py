"""The backend ``torch``: plain torch on any device, in double precision where it is asked for; the reference for all others."""

from __future__ import annotations

from torch import Tensor

from ....geometry import Grid, Scan
from .. import joseph_torch
from ..backend import Backend
from ..joseph_rays import Rays


def _project(volume: Tensor, scan: Scan, grid: Grid) -> Tensor:
    return joseph_torch.project(volume, Rays.of(scan, grid))


def _backproject(projections: Tensor, scan: Scan, grid: Grid) -> Tensor:
    return joseph_torch.backproject(projections, Rays.of(scan, grid))


BACKEND = Backend(
    name="torch",
    where="CPU and CUDA, float32 and float64, the plain reference",
    transpose="exact",
    project=_project,
    backproject=_backproject,
    lacks=lambda: "",
    needs="nothing more than the base installation",
    automatic=lambda device: True,
    rank=1,
    home=lambda device: device,
    float64=True,
)
