"""What `tvnet` sees of a scan: total variation, the back-projection of what it leaves of the views, and numbers about the scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import Float, LineIntegrals, NewVolume, Volume
from ...data import Projections
from ...geometry import Grid
from ...recon import Operator
from ...recon.analytic.feldkamp import filtered_backprojection
from ...recon.iterative.pdhg_tv import pdhg_tv
from ...recon.method import Callback, Progress
from ...recon.physics.noise import ripple


@dataclass(frozen=True, eq=False)
class FirstVolume:
    """Total variation at its own weight ``lambda_``, and what it told."""

    volume: NewVolume
    lambda_: float
    told: dict[str, Any]


def total_variation(
    projections: Projections, grid: Grid, callbacks: Sequence[Callback] = (), lambda_: float | None = None, backend: str = "auto"
) -> FirstVolume:
    """`pdhg_tv` as it is by default, with its weight chosen from the data unless it is given."""
    told: dict[str, Any] = {}

    def listen(p: Progress) -> None:
        told.update(p.resolved)

    volume = pdhg_tv(projections, grid, (listen, *callbacks), lambda_=lambda_, backend=backend)
    return FirstVolume(volume, float(told["lambda_"]), told)


def left_over(projections: Projections, grid: Grid, volume: Volume) -> NewVolume:
    """The ramp-filtered back-projection, in 1/mm, of what a volume leaves of the views."""
    rest: LineIntegrals = np.subtract(projections.values, Operator(projections.scan, grid)(volume), dtype=np.float32)
    return filtered_backprojection(Projections(rest, projections.scan), grid)


def grey_scale(volume: Volume) -> float:
    """What the network calls 1: the mean of the volume weighted by itself, so that the air around an object does not count; in 1/mm.

    It is zero for an empty volume.
    """
    positive = np.maximum(volume, 0)
    total = float(positive.sum(dtype=np.float64))
    return float(np.einsum("zyx,zyx->", positive, positive, dtype=np.float64)) / total if total > 0 else 0.0


def facts(projections: Projections, grid: Grid, scale: float, lambda_: float) -> Float[NDArray[np.float32], "facts"]:
    """Six numbers about the scan, each about zero in training: logarithms of the number of views, the voxels across the field of view, the
    step between views, the noise that the views bring into a voxel (in units of ``scale``), the weight of TV, and the pixel in voxels.
    """
    scan, count = projections.scan, len(projections)
    view = scan.field_of_view_mm
    step = float(np.median(np.diff(np.sort(scan.angles_deg)))) if count > 1 else 180.0
    noise = max(ripple(projections.values), 1e-5) / (scale * grid.voxel_mm * math.sqrt(count))
    return np.array(
        [
            math.log(count / 26), math.log(2 * view.radius_mm / grid.voxel_mm / 64), math.log(max(step, 1e-3) / 8), math.log(noise) / 2 + 1,
            math.log(max(lambda_, 1e-6) / 0.006), math.log(view.pixel_mm / grid.voxel_mm),
        ],
        np.float32,
    )  # fmt: skip
