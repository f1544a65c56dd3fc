"""Random patches of X-rays, as GRAF shows them to its discriminator: few pixels, spread over a large or a small part of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...base import InputError
from ...base.shapes import Float, Int, LineIntegrals
from ...geometry import Scan
from ..field.rendering import Pose, Rays
from .graf import Frame

SIDE = 32  # pixels along a side of a patch, as published


@dataclass(frozen=True)
class Patches:
    """Patches of views ``view`` [patch], each the product of ``row`` and ``col`` [patch, SIDE] in (fractions of) detector pixels."""

    view: Int[Tensor, "patch"]
    row: Float[Tensor, "patch side"]
    col: Float[Tensor, "patch side"]

    @classmethod
    def draw(cls, view: Int[Tensor, "patch"], shape: tuple[int, int], least: float, generator: torch.Generator) -> Patches:
        """One patch in each view. It spans a share of the rows and columns, drawn uniformly from ``least`` to 1, anywhere in the image."""
        if not 0 < least <= 1:
            raise InputError(f"the least share of an image in a patch is {least}", expected="more than 0, at most 1")
        share = least + (1 - least) * torch.rand(len(view), generator=generator)
        start = (1 - share)[:, None] * torch.rand(len(view), 2, generator=generator)
        step = share[:, None] * torch.linspace(0, 1, SIDE)
        row, col = ((start[:, axis, None] + step) * (size - 1) for axis, size in enumerate(shape))
        return cls(view, row, col)

    def rays(self, scan: Scan, device: torch.device | str = "cpu") -> Rays:
        """The rays of all pixels, patch by patch and row by row: [patch * SIDE * SIDE]."""
        side = self.row.shape[1]
        view = self.view.repeat_interleave(side * side)
        row = self.row.repeat_interleave(side, dim=1).flatten()
        col = self.col.repeat(1, side).flatten()
        return Pose.of(scan, device=device).rays(view.to(device), row.to(device), col.to(device))

    def read(self, values: LineIntegrals) -> Float[Tensor, "patch 1 side side"]:
        """The values of a scan at the pixels, by bilinear interpolation."""
        rows, cols = values.shape[1:]
        images = torch.from_numpy(np.ascontiguousarray(values[self.view.numpy()]))[:, None]
        y, x = 2 * self.row / max(1, rows - 1) - 1, 2 * self.col / max(1, cols - 1) - 1
        side = self.row.shape[1]
        at = torch.stack([x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], -1)
        return torch.nn.functional.grid_sample(images, at, align_corners=True, padding_mode="border")


def ray_channels(rays: Rays, frame: Frame, patches: int) -> Float[Tensor, "patch 6 side side"]:
    """Where each pixel looks: the direction of its ray, and the moment of the ray about the middle of the frame in radii (Pluecker
    coordinates).
    """
    moment = torch.linalg.cross(frame.unit(rays.origin), rays.direction)
    side = round((len(moment) / patches) ** 0.5)
    return torch.cat([rays.direction, moment], 1).float().reshape(patches, side, side, 6).permute(0, 3, 1, 2)
