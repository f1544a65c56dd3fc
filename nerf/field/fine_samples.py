"""Coarse and fine samples: the second set of points along a ray is drawn where the first set found attenuation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...base.shapes import Float
from .rendering import Rays, chords, uniform


@dataclass(frozen=True)
class Cells:
    """Sorted points along rays that meet the box: ``distance`` is measured from where a ray enters it, and ``width`` is that of the cells,
    both in mm.

    The borders of the cells are half-way between the points. Together they cover the ray from where it enters the box to where it leaves,
    ``length`` mm further on.
    """

    rays: Rays
    distance: Float[Tensor, "ray sample"]
    length: Float[Tensor, "ray"]

    @property
    def points(self) -> Float[Tensor, "point 3"]:
        """All points (x, y, z) in mm, ray by ray."""
        return (self.rays.origin[:, None] + self.distance[..., None] * self.rays.direction[:, None]).reshape(-1, 3)

    @property
    def directions(self) -> Float[Tensor, "point 3"]:
        """The unit vector of its ray at each of the ``points``."""
        return self.rays.direction[:, None].expand(*self.distance.shape, 3).reshape(-1, 3)

    @property
    def width(self) -> Float[Tensor, "ray sample"]:
        """The widths of the cells in mm, which add up to the length."""
        between = (self.distance[:, 1:] + self.distance[:, :-1]) / 2
        return torch.cat([torch.zeros_like(self.length[:, None]), between, self.length[:, None]], 1).diff(dim=1)

    def integral(self, attenuation: Float[Tensor, "point"]) -> Float[Tensor, "ray"]:
        """The line integrals (dimensionless) of the values at ``points``."""
        return (attenuation.reshape(self.distance.shape) * self.width).sum(1)


def coarse_cells(rays: Rays, box: Float[Tensor, "2 3"], count: int, generator: Generator | None) -> tuple[Cells, Tensor]:
    """The cells of the rays that meet the box (in mm), and the indices (n,) of these rays.

    There is one point in each of ``count`` equal steps through the box: at a random place with a ``generator``, in the middle without one.
    """
    inside = chords(rays, box)
    index = inside.hit.nonzero()[:, 0]
    length = inside.length[index]
    step = torch.arange(count, device=length.device) + uniform((len(length), count), generator, length)
    return Cells(Rays(inside.entry[index], inside.direction[index]), step * length[:, None] / count, length), index


def fine_cells(cells: Cells, attenuation: Float[Tensor, "point"], count: int, generator: Generator | None) -> Cells:
    """The points of ``cells`` and ``count`` more, drawn in proportion to the attenuation along each ray (NeRF, section 5.2).

    A tenth of them is spread evenly, so that nothing is overlooked for good. The positions have no gradient.
    """
    with torch.no_grad():
        width = cells.width
        weight = (attenuation.reshape(width.shape) * width).clamp(min=0)
        share = 0.9 * weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
        share = share + (1 - share.sum(1, keepdim=True)) * width / width.sum(1, keepdim=True).clamp(min=1e-12)
        upto = torch.cumsum(share, 1)
        steps = torch.arange(count, dtype=width.dtype, device=width.device)
        quantile = (steps + uniform((len(width), count), generator, width)) / count * upto[:, -1:]
        cell = torch.searchsorted(upto, quantile).clamp(max=width.shape[1] - 1)
        begin = torch.cumsum(width, 1) - width
        inside = 1 - (upto.gather(1, cell) - quantile) / share.gather(1, cell).clamp(min=1e-12)
        more = begin.gather(1, cell) + inside.clamp(0, 1) * width.gather(1, cell)
        return Cells(cells.rays, torch.cat([cells.distance, more], 1).sort(1).values, cells.length)
