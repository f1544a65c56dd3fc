"""Where every view sees a point of space, and the view's features there, for any geometry: it uses the vectors of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...base.shapes import Bool, Float
from ...geometry import Scan


@dataclass(frozen=True)
class Cameras:
    """What is needed to project points.

    ``inverse`` [view, 3, 3], in 1/mm, is the inverse of the matrix with the columns u, v and panel's centre - source. ``offset`` [view, 3]
    is ``inverse`` times minus the source, computed in double precision because a source may be far away. The rows of ``frame`` [view, 3, 3]
    are unit vectors: the direction in which columns count, that in which rows count, and the normal of the panel, away from the source.
    """

    inverse: Float[Tensor, "view 3 3"]
    offset: Float[Tensor, "view 3"]
    frame: Float[Tensor, "view 3 3"]
    shape: tuple[int, int]

    @classmethod
    def of(cls, scan: Scan, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Cameras:
        """The cameras of all views of ``scan``."""
        inverse = np.linalg.inv(np.stack([scan.u, scan.v, scan.detector - scan.source], axis=2))
        offset = -np.einsum("vij,vj->vi", inverse, scan.source)
        along = scan.u / np.linalg.norm(scan.u, axis=1, keepdims=True)
        normal = scan.normal
        across = np.cross(normal, along)
        across *= np.sign(np.einsum("ij,ij->i", across, scan.v))[:, None]  # the direction in which rows count
        frame = np.stack([along, across, normal], axis=1)
        return cls(*(torch.tensor(a, dtype=dtype, device=device) for a in (inverse, offset, frame)), shape=scan.shape)

    def project(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Float[Tensor, "view point"], Float[Tensor, "view point"], Bool[Tensor, "view point"]]:
        """(row, col, seen): where the ray through a point meets the panel, in pixels, and whether that is on the panel.

        The point p lies at p - source = t (a u + b v + centre - source): (t a, t b, t) is linear in p, col is a and row is b, from the
        middle of the panel. A point beside the source or behind it (t <= 0) is not seen.
        """
        ta, tb, t = (torch.einsum("vij,pj->vpi", self.inverse, points) + self.offset[:, None]).unbind(-1)
        before = t > 1e-6
        t = torch.where(before, t, torch.ones_like(t))
        rows, cols = self.shape
        row, col = tb / t + (rows - 1) / 2, ta / t + (cols - 1) / 2
        seen = before & (row >= -0.5) & (row <= rows - 0.5) & (col >= -0.5) & (col <= cols - 0.5)
        return row, col, seen

    def turned(self, offsets: Float[Tensor, "point 3"]) -> Float[Tensor, "view point 3"]:
        """Offsets (x, y, z) in mm as offsets along the rows, the columns and the normal of every panel."""
        return torch.einsum("vij,pj->vpi", self.frame, offsets)


def sampled(
    maps: Float[Tensor, "view channel r c"], row: Float[Tensor, "view point"], col: Float[Tensor, "view point"], stride: int
) -> Float[Tensor, "view point channel"]:
    """Bilinear features at (fractions of) pixels, where map [i, j] lies at pixel [stride * i, stride * j]; the border's value outside."""
    last = torch.tensor([max(n - 1, 1) for n in maps.shape[2:]], dtype=row.dtype, device=row.device) * stride
    at = torch.stack([2 * col / last[1] - 1, 2 * row / last[0] - 1], dim=-1)[:, None]
    found = torch.nn.functional.grid_sample(maps, at.to(maps.dtype), mode="bilinear", padding_mode="border", align_corners=True)
    return found[:, :, 0].transpose(1, 2)
