"""`pixelnerf`: the attenuation at any point from the image features of all given views that see it, trained across animals.

The network is in `pixelnerf.network`. It learns from line integrals along rays of all views, with coarse points and then fine ones. Where
there is a reference volume it also learns from the voxels, which teach it the same at a far lower cost. Nothing is scaled by an image's own
maximum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ...base.settings import checked
from ...base.shapes import Float, Int
from ...data import Projections
from ...geometry import Grid
from ..device import require_memory_on
from ..field.fine_samples import coarse_cells
from ..field.rendering import Pose, box_of, grid_points
from ..training.learner import Example, Given, Group
from ..training.trained_method import TrainedSettings, trained_method
from .network import PAPER, SMALL, PixelNerf, PixelNerfArchitecture, Scene, build

# The networks are told where a point is. They may learn how animals lie in the bed, so scans are not turned or mirrored here.
SMALL_TRAINING = {
    "steps": 3200, "views": (1, 2, 3, 5, 8, 16, 26), "selections": ("evenly", "random"), "clip": 1.0, "augment": "none",
    "check_every": 800, "check_scans": 3, "check_views": (5,),
}  # fmt: skip
PAPER_TRAINING = {**SMALL_TRAINING, "steps": 400_000, "batch": 4, "check_every": 5000, "check_scans": 6}


def _ray_error(network: PixelNerf, scene: Scene, example: Example, generator: Generator) -> Float[Tensor, ""]:
    a, p, like = network.architecture, example.projections, scene.center
    (rows, cols), count = p.scan.shape, p.values.size
    pixel = torch.randint(count, (a.rays,), generator=generator)
    target = torch.from_numpy(np.array(p.values.reshape(-1)[pixel.numpy()])).to(like)
    pose = Pose.of(p.scan, like.device)
    pixel = pixel.to(like.device)
    rays = pose.rays(pixel // (rows * cols), pixel % (rows * cols) // cols, pixel % cols)
    cells, index = coarse_cells(rays, box_of(example.grid, like.dtype, like.device), a.coarse, generator)
    if len(index) == 0:
        return scene.maps.sum() * 0  # no ray meets the box
    coarse, fine = network.lines(scene, cells, a.fine, generator)
    error = ((fine - target[index]) ** 2).mean()
    return error if coarse is None else error + ((coarse - target[index]) ** 2).mean()


def _voxel_error(network: PixelNerf, scene: Scene, example: Example, generator: Generator) -> Float[Tensor, ""]:
    """The squared error of voxels that all views see, half of them anywhere and half where there is attenuation, weighted to the mean over
    all.
    """
    like, reference = scene.center, torch.from_numpy(example.reference).reshape(-1)
    inside = torch.from_numpy(example.grid.seen_by_all(example.projections.scan)).reshape(-1).nonzero()[:, 0]
    there = reference[inside].clamp(min=0)
    chance = 0.5 / len(inside) + 0.5 * there / there.sum().clamp(min=1e-12)
    drawn = _drawn(chance, network.architecture.points, generator)
    weight = 1 / (len(inside) * chance[drawn]).to(like)
    voxel = inside[drawn]
    errors = []
    for fine in (True, False) if network.architecture.own_fine else (True,):
        found = network.attenuation(scene, grid_points(example.grid)[voxel].to(like), fine=fine)
        errors.append((weight * (scene.radius * (found - reference[voxel].to(like))) ** 2).mean())
    return torch.stack(errors).sum()


def _drawn(chance: Float[Tensor, "n"], count: int, generator: Generator) -> Int[Tensor, "count"]:
    if len(chance) < 1 << 24:
        return torch.multinomial(chance, count, replacement=True, generator=generator)
    upto = chance.double().cumsum(0)  # torch's own function takes no more categories
    return torch.searchsorted(upto, torch.rand(count, dtype=torch.float64, generator=generator) * upto[-1]).clamp(max=len(upto) - 1)


PRESETS = {
    "small": SMALL,
    "small-fdk": replace(SMALL, fdk=3),
    "small-rays": replace(SMALL, points=0, rays=96),  # X-rays alone, as published
    "paper": PAPER,
    "paper-volume": replace(PAPER, points=4096),
    "paper-fdk": replace(PAPER, fdk=3, points=4096),
}
TRAINING = {
    **dict.fromkeys(("small", "small-fdk", "small-rays"), SMALL_TRAINING),
    **dict.fromkeys(("paper", "paper-volume", "paper-fdk"), PAPER_TRAINING),
}


@dataclass(frozen=True)
class PixelnerfLearner:
    """How `pixelnerf` learns."""

    name: str = "pixelnerf"
    presets: Mapping[str, PixelNerfArchitecture] = field(default_factory=lambda: PRESETS)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TRAINING)

    def build(self, architecture: PixelNerfArchitecture, generator: Generator) -> PixelNerf:
        """The networks, with weights drawn from ``generator`` alone."""
        return build(architecture, generator)

    def groups(self, module: PixelNerf) -> Mapping[str, Group]:
        """All weights in one group."""
        return {"pixelnerf": (list(module.parameters()), module.architecture.learning_rate)}

    def loss(self, module: PixelNerf, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The mean squared error of line integrals along random rays of all views, plus that of random voxels in
        1/R; see the architecture.
        """
        network, a = module, module.architecture
        if not network.radius_mm:
            network.radius_mm.fill_(example.projections.scan.field_of_view_mm.radius_mm)
        scene = network.scene(example.projections[given])
        if a.jitter:
            shift = (torch.rand(3, generator=generator) * 2 - 1) * a.jitter * scene.radius
            scene = replace(scene, center=scene.center + shift.to(scene.center))
        total = scene.center.new_zeros(())
        if a.rays:
            total = total + _ray_error(network, scene, example, generator)
        if a.points:
            total = total + a.points_weight * _voxel_error(network, scene, example, generator)
        return total

    @torch.no_grad()
    def reconstruct(self, module: PixelNerf, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """The fine network at every voxel centre, in 1/mm, from the given views alone. Nothing in it is random."""
        network, a = module, module.architecture
        rows, cols = (-(-n // a.stride) for n in projections.scan.shape)
        needed = 8 * 4 * len(projections) * rows * cols * (sum(a.channels[:4]) + network.encoder.width)
        what = f"the features of {len(projections)} views"
        require_memory_on(network.radius_mm.device, needed + 8 * math.prod(grid.shape), what, "give fewer views, or bin the detector")
        scene = network.scene(projections)
        chunk = max(256, (1 << 22) // (a.width * len(projections)))
        points = grid_points(grid).to(scene.center)
        return torch.cat([network.attenuation(scene, part) for part in points.split(chunk)]).reshape(grid.shape)


LEARNER = PixelnerfLearner()


@checked(of="pixelnerf")
class PixelnerfSettings(TrainedSettings):
    """Settings of `pixelnerf`: those of every trained method."""


pixelnerf = trained_method(LEARNER, PixelnerfSettings)
