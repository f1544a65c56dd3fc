"""How rough a field is: the total variation (Rudin, Osher, Fatemi 1992) of volumes and of random cubes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...base.shapes import Float
from ...geometry import Grid
from .rendering import box_of


def total_variation(field: nn.Module, grid: Grid, patches: int, size: int, generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean isotropic total variation (1/mm per voxel step) over random cubes of ``size``^3 points, one voxel apart."""
    box = box_of(grid)
    room = (box[1] - box[0] - size * grid.voxel_mm).clamp(min=0)
    corner = box[0] + torch.rand(patches, 3, generator=generator) * room + grid.voxel_mm / 2
    step = torch.stack(torch.meshgrid(*[torch.arange(size)] * 3, indexing="ij"), -1).reshape(-1, 3) * grid.voxel_mm
    points = (corner[:, None] + step).reshape(-1, 3).to(next(field.parameters()).device)
    values = field(points).reshape(patches, size, size, size)
    return variation(values)


def variation(values: Float[Tensor, "patch z y x"]) -> Float[Tensor, ""]:
    """The mean isotropic total variation for a step of one voxel, in the unit of the values; an axis of one voxel adds nothing."""
    axes = [axis for axis in (3, 2, 1) if values.shape[axis] > 1]
    squares = [_step(values, axis, axes) ** 2 for axis in axes]
    return torch.sqrt(sum(squares, torch.full_like(values[:1, :1, :1, :1], 1e-12))).mean()


def _step(values: Tensor, axis: int, axes: Sequence[int]) -> Tensor:
    steps = values.diff(dim=axis)
    for other in axes:
        steps = steps if other == axis else steps.narrow(other, 0, steps.shape[other] - 1)
    return steps
