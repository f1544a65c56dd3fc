"""The data term of every iterative method: ``1/2 |A x - b|_W^2``, ``lower <= x <= upper``, x = 0 off the mask; and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ....base import InputError
from ...projector.view_blocks import Block, Linear
from ..arrays import Sinogram, Volume, added, dot, module_of, zeros
from .protocols import Part


def check_bounds(lower: float, upper: float) -> None:
    """InputError where nothing lies between the bounds."""
    if not lower <= upper:
        raise InputError(f"bounds are lower={lower}, upper={upper}", expected="lower <= upper, in 1/mm")


@dataclass(frozen=True, eq=False)
class DataTerm:
    """1/2 |A x - b|_W^2 with the constraints of a reconstruction: the operator, the data [view, row, col], weights, a mask and bounds.

    ``weights`` are None (all one) or have the data's shape and the mean one; ``mask`` is None or a boolean volume [z, y, x]; ``lower`` and
    ``upper`` are in 1/mm. ``blocks`` are the views in parts, each with its operator (by default one part). Sums over rays are taken block
    by block, so that only the data and the weights grow with the number of views. ``part`` gives the operator of any views.
    """

    A: Linear
    data: Sinogram
    shape: tuple[int, int, int]
    weights: Sinogram | None = None
    mask: Any = None
    lower: float = -math.inf
    upper: float = math.inf
    blocks: tuple[Block, ...] = ()
    part: Part | None = None

    def __post_init__(self) -> None:
        if not self.blocks:
            object.__setattr__(self, "blocks", (Block(slice(None), self.A),))
        check_bounds(self.lower, self.upper)
        if self.mask is not None:
            if self.mask.shape != self.shape:
                raise InputError(f"the mask has shape {self.mask.shape}", expected=f"{self.shape} (z, y, x), as the grid says")
            if not self.mask.any():
                raise InputError("the mask keeps no voxel", expected="at least one voxel to reconstruct")
        if self.weights is not None:
            if self.weights.shape != self.data.shape:
                raise InputError(f"the weights have shape {self.weights.shape}", expected=f"{self.data.shape}, one for each ray")
            if not module_of(self.weights).isfinite(self.weights).all() or self.weights.min() < 0:
                raise InputError("the weights hold negative, NaN or Inf values", expected="finite weights of zero or more")
            if not self.weights.any():
                raise InputError("the weights are all zero: every ray is masked", expected="at least one ray with weight")

    @property
    def rays(self) -> int:
        """How many rays there are."""
        return math.prod(self.data.shape)

    def zeros(self) -> Volume:
        """A volume [z, y, x] of zeros."""
        return zeros(self.shape, self.data)

    def residual(self, x: Volume, block: Block) -> Sinogram:
        """A x - b [view, row, col] on the views of a block, for a volume x [z, y, x] in 1/mm."""
        out = block.A(x)
        out -= self.data[block.views]
        return out

    def weighted(self, rays: Sinogram, views: Any = slice(None)) -> Sinogram:
        """W r on these views, for one number for each ray, r [view, row, col]."""
        return rays if self.weights is None else self.weights[views] * rays

    def gradient(self, x: Volume) -> tuple[float, Volume]:
        """The data term 1/2 |A x - b|_W^2 of a volume x [z, y, x], summed in float64, and its gradient A' W (A x - b) [z, y, x]."""
        return self._pass(lambda block: self.residual(x, block))

    def normal(self, x: Volume) -> tuple[float, Volume]:
        """|A x|_W^2 and A' W A x [z, y, x] of a volume x [z, y, x]."""
        half, back = self._pass(lambda block: block.A(x))
        return 2 * half, back

    def back_projected_data(self) -> Volume:
        """A' W b [z, y, x], in mm."""
        return self._pass(lambda block: self.data[block.views])[1]

    def _pass(self, rays_of: Callable[[Block], Sinogram]) -> tuple[float, Volume]:
        """The sum over blocks of 1/2 r' W r and A' W r, with r the rays of a block."""
        total, back = 0.0, None
        for block in self.blocks:
            rays = rays_of(block)
            weighted = self.weighted(rays, block.views)
            total += 0.5 * dot(rays, weighted)
            back = added(back, block.A.T(weighted))
        return total, self.zeros() if back is None else back

    def masked(self, x: Volume) -> Volume:
        """The volume [z, y, x] with zeros off the mask, in place."""
        if self.mask is not None:
            x *= self.mask
        return x

    def project(self, x: Volume) -> Volume:
        """The nearest volume [z, y, x] within the bounds and the mask, in place."""
        module_of(x).clip(x, self.lower, self.upper, out=x)
        return self.masked(x)
