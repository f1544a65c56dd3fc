"""Makes the data term and the first volume from projections and settings."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ....base import InputError
from ....base.settings import Array, Count, Unbounded, checked
from ....data import Projections
from ....geometry import Grid
from ...analytic.feldkamp import fdk
from ...method.device import require_memory_on, usable_device
from ...projector.backend import find_backend
from ...projector.operator import Operator
from ...projector.view_blocks import Block, Linear, split_views
from ..arrays import Sinogram, Volume, beside
from .data_term import DataTerm, check_bounds

OPERATOR_BYTES = 16 << 20  # the columns of views that the back-projection transposes at once


@checked(of="an iterative method")
class IterativeSettings:
    """Settings that every iterative method has. What is None is chosen from the data (`--auto`, the default).

    ``iterations``: their number. ``start``: the first volume, "fdk", "zero" or an array [z, y, x] in 1/mm. ``mask``: the voxels that are
    reconstructed, all others being zero: None (all), "fov" (the cylinder of the scan's field of view) or a boolean volume. ``lower``,
    ``upper``: bounds in 1/mm; ``lower=-inf`` allows negative values. ``weights`` of the rays: None (all alike), "counts" (photons exp(-p),
    that is, penalised weighted least squares) or an array [view, row, col]. ``backend``: that of the `Operator`. ``device``: where all
    arrays are kept and all steps are computed: "cpu", "cuda", "cuda:1", or "auto", a CUDA device where there is one. ``outside``: what
    becomes of an object that is larger than the grid: "auto" reconstructs the whole coarsely first and subtracts from the views what lies
    outside, where the views show anything there (docs/regions.md); "ignore" fits the grid alone to the views, which gives it a bright rim.
    """

    iterations: Count | None = None
    start: Literal["fdk", "zero"] | Array = "fdk"
    mask: Literal["fov"] | Array | None = None
    lower: Unbounded = 0.0
    upper: Unbounded = math.inf
    weights: Literal["counts"] | Array | None = None
    backend: str = "auto"
    device: str = "cpu"
    outside: Literal["auto", "ignore"] = "auto"

    def __post_init__(self) -> None:
        check_bounds(self.lower, self.upper)


def require_room(term: DataTerm, volumes: float, rays: float, what: str) -> None:
    """InputError, which says how much is needed, where there is no memory for so many volumes and numbers for each ray beside the data.

    Three blocks of rays and the operator's own working memory are added.
    """
    block = max(math.prod(term.data[part.views].shape) for part in term.blocks)
    needed = 4 * int(volumes * math.prod(term.shape) + rays * term.rays + 3 * block) + OPERATOR_BYTES
    require_memory_on(
        term.data.device if isinstance(term.data, torch.Tensor) else torch.device("cpu"),
        needed,
        f"{what} on {' x '.join(map(str, term.shape))} voxels from {len(term.data)} views",
        "use larger voxels or a smaller box",
    )


def check_views(projections: Projections, least: int = 2, what: str = "an iterative reconstruction") -> None:
    """InputError when there are fewer than ``least`` views."""
    if len(projections) < least:
        raise InputError(f"the scan has {len(projections)} view(s)", expected=f"at least {least} views for {what}")


def data_term(projections: Projections, grid: Grid, settings: IterativeSettings) -> DataTerm:
    """The checked data term of these projections and settings, with the grid's `Operator` in blocks of views."""
    check_views(projections)
    device = usable_device(settings.device)
    _require_backend_there(settings.backend, device)

    def part(views: Any) -> Linear:
        made: Any = Operator(projections.scan[views], grid, backend=settings.backend)
        return made

    data = projections.values if device.type == "cpu" else torch.from_numpy(projections.values.copy()).to(device)
    weights, mask = ray_weights(projections, settings.weights), voxel_mask(projections, grid, settings.mask)
    slices = split_views(len(projections), math.prod(projections.scan.shape), math.prod(grid.shape))
    return DataTerm(
        A=part(slice(None)),
        data=data,
        shape=grid.shape,
        weights=None if weights is None else beside(weights, data),
        mask=None if mask is None else beside(mask, data) > 0,
        lower=settings.lower,
        upper=settings.upper,
        blocks=tuple(Block(views, part(views)) for views in slices),
        part=part,
    )


def _require_backend_there(name: str, device: torch.device) -> None:
    """InputError where the backend computes on another device than the one that was asked for."""
    backend = find_backend(name)
    if backend is not None and backend.home(device).type != device.type:
        raise InputError(
            f"backend {name!r} does not compute on device {device.type!r}", expected="a backend of that device", remedy="use 'auto'"
        )


def voxel_mask(projections: Projections, grid: Grid, given: str | ArrayLike | None) -> NDArray[np.bool_] | None:
    """The mask [z, y, x] that the setting asks for, true where voxels are reconstructed; None for all of them."""
    if given is None:
        return None
    if isinstance(given, str):
        return grid.in_cylinder(projections.scan)
    return np.ascontiguousarray(given, dtype=bool)


def ray_weights(projections: Projections, given: str | ArrayLike | None) -> Sinogram | None:
    """The statistical weights [view, row, col] that the setting asks for, scaled to mean one; None where all are alike.

    "counts": the variance of -ln(counts/photons) is 1/counts for Poisson counts (Sauer and Bouman 1993), so w = photons exp(-p).
    """
    if given is None:
        return None
    if isinstance(given, str):
        weights = np.exp(-np.maximum(projections.values, 0))
    else:
        weights = np.array(given, dtype=np.float32)
        if weights.shape != projections.values.shape or not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
            return weights  # DataTerm says what is wrong with them
    return np.ascontiguousarray(weights / weights.mean(dtype=np.float64), dtype=np.float32)


def start_volume(projections: Projections, grid: Grid, settings: IterativeSettings, term: DataTerm) -> Volume:
    """The volume [z, y, x] in 1/mm to begin with, within the bounds and the mask; never the caller's own array."""
    given = settings.start
    if isinstance(given, str):
        if given == "zero":
            return term.project(term.zeros())
        return term.project(beside(fdk(projections, grid), term.data))
    volume = np.array(given, dtype=np.float32, order="C")
    if volume.shape != grid.shape:
        raise InputError(f"the start volume has shape {volume.shape}", expected=f"{grid.shape} (z, y, x), as the grid says")
    if not np.isfinite(volume).all():
        raise InputError("the start volume holds NaN or Inf", expected="a finite volume in 1/mm")
    return term.project(beside(volume, term.data))
