"""How the objects of a generator are seen, and how measured X-rays are mapped to the same scale: one fixed window for all images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...base.shapes import Float
from ...geometry import Grid, Scan
from ..field.rendering import Pose, Rays, box_of
from .graf import ConditionedField, Frame, render_object
from .patches import Patches


@dataclass(frozen=True)
class Optics:
    """``samples`` points on a ray, ``rendering`` "line" or "composite", and ``window``, the line integral that is mapped to 1 (0 is mapped
    to -1).
    """

    samples: int
    rendering: str
    window: float

    def measured(self, values: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Line integrals (any shape) mapped to -1..1 of the window. The window never depends on the image, and nothing is clipped."""
        return 2 / self.window * values - 1

    def patches(
        self,
        network: ConditionedField,
        codes: Float[Tensor, "patch code"],
        patches: Patches,
        scan: Scan,
        grid: Grid,
        generator: torch.Generator | None = None,
        noise: float = 0.0,
    ) -> Float[Tensor, "patch 1 side side"]:
        """Patches in -1..1 of objects inside the box of ``grid``, one object in each. Points are jittered with a ``generator``; ``noise``
        is that of the density.
        """
        side, device = patches.row.shape[1], codes.device
        rays = patches.rays(scan, device)
        box, frame = box_of(grid, device=device), Frame.of(scan)
        parts = []
        for i, code in enumerate(codes):  # one by one, so that arrays fit into caches and memory is reused
            own = slice(i * side**2, (i + 1) * side**2)
            through = Rays(rays.origin[own], rays.direction[own])
            parts.append(render_object(network, code, through, box, frame, self.samples, self.rendering, generator, noise))
        return self._scaled(torch.stack(parts)).reshape(-1, 1, side, side)

    @torch.no_grad()
    def view(
        self, network: ConditionedField, code: Float[Tensor, "code"], scan: Scan, grid: Grid, view: int, chunk: int = 1024
    ) -> Float[Tensor, "row col"]:
        """One whole view of one object in -1..1, with twice the number of points on a ray."""
        return self.image(network, code, scan, grid, view, 2 * self.samples, chunk)

    def image(
        self,
        network: ConditionedField,
        code: Float[Tensor, "code"],
        scan: Scan,
        grid: Grid,
        view: int,
        samples: int | None = None,
        chunk: int = 1024,
    ) -> Float[Tensor, "row col"]:
        """The same with gradients, and with ``samples`` points on a ray (default: as many as patches have)."""
        rows, cols = scan.shape
        pose, frame, box = Pose.of(scan, device=code.device), Frame.of(scan), box_of(grid, device=code.device)
        parts = []
        for pixel in torch.arange(rows * cols, device=code.device).split(chunk):
            rays = pose.rays(torch.full_like(pixel, view), pixel // cols, pixel % cols)
            parts.append(render_object(network, code, rays, box, frame, samples or self.samples, self.rendering))
        return self._scaled(torch.cat(parts)).reshape(rows, cols)

    def _scaled(self, rendered: Tensor) -> Tensor:
        return (2 / self.window if self.rendering == "line" else 2.0) * rendered - 1
