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
from numpy.typing import NDArray
from torch import Generator, Tensor

from ...base.settings import checked
from ...base.shapes import Float, Image, Int
from ...data import Projections
from ...geometry import Grid
from ..device import require_memory_on
from ..field.fine_samples import coarse_cells
from ..field.rendering import Pose, box_of, grid_points
from ..training.bank import key_of, original, places_along
from ..training.learner import Example, Given, Group
from ..training.part import as_they_are
from ..training.trained_method import TrainedSettings, trained_method
from .network import PAPER, PUBLISHED, SMALL, PixelNerf, PixelNerfArchitecture, Scene, build

# The networks of all presets but "published" are told where a point is in the scanner. They may learn how animals lie in the bed, so scans
# are not turned or mirrored here.
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
    first = original(example)
    voxels, chance, upto = network.bank.get(("voxels", key_of(first)), lambda: _chances(first))
    drawn = _drawn(upto, network.architecture.points, generator)
    z, y, x = np.unravel_index(voxels[drawn], first.grid.shape)
    like, grid = scene.center, example.grid
    y_here, x_here = places_along((y, x), example)
    points = torch.from_numpy(np.stack([grid.x_mm[x_here], grid.y_mm[y_here], grid.z_mm[z]], 1)).to(like)
    wanted = torch.from_numpy(first.reference[z, y, x]).to(like)
    weight = torch.from_numpy(1 / (len(voxels) * chance[drawn])).to(like)
    errors = []
    for fine in (True, False) if network.architecture.own_fine else (True,):
        found = network.attenuation(scene, points, fine=fine)
        errors.append((weight * (scene.radius * (found - wanted)) ** 2).mean())
    return torch.stack(errors).sum()


def _drawn(upto: Float[NDArray[np.float64], "n"], count: int, generator: Generator) -> Int[NDArray[np.intp], "count"]:
    """Indices, by their chance; ``upto`` is the sum of the chances up to each."""
    draw = torch.rand(count, dtype=torch.float64, generator=generator).numpy()
    return np.searchsorted(upto, draw * upto[-1], side="right").clip(max=len(upto) - 1)


def _chances(
    example: Example,
) -> tuple[Int[NDArray[np.intp], "n"], Float[NDArray[np.float64], "n"], Float[NDArray[np.float64], "n"]]:
    """The voxels that all views see, the chance of each to be drawn, and the sum of the chances up to it."""
    voxels = np.flatnonzero(example.grid.seen_by_all(example.projections.scan))
    there = example.reference.reshape(-1)[voxels].clip(min=0).astype(np.float64)
    chance = 0.5 / len(voxels) + 0.5 * there / max(there.sum(), 1e-12)
    return voxels, chance, chance.cumsum()


PRESETS = {
    "small": SMALL,
    "small-fdk": replace(SMALL, fdk=3),
    "small-rays": replace(SMALL, points=0, rays=96),  # X-rays alone, as published
    "paper": PAPER,
    "paper-volume": replace(PAPER, points=4096),
    "paper-fdk": replace(PAPER, fdk=3, points=4096),
    "published": PUBLISHED,  # what differs all the same: docs/as_published.md
    "xray": replace(PAPER, points=4096),
}
TRAINING = {
    **dict.fromkeys(("small", "small-fdk", "small-rays"), SMALL_TRAINING),
    **dict.fromkeys(("paper", "paper-volume", "paper-fdk", "published", "xray"), PAPER_TRAINING),
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

    @torch.no_grad()
    def rendering(self, module: PixelNerf, projections: Projections, grid: Grid, generator: Generator) -> Image:
        """The first view along its own rays, by coarse and fine points; rays beside the box of ``grid`` see nothing."""
        network, a, data = module, module.architecture, projections[:1]
        scene, (rows, cols) = network.scene(data), data.scan.shape
        like = scene.center
        pose, box, seen = Pose.of(data.scan, like.device), box_of(grid, like.dtype, like.device), np.zeros(rows * cols, np.float32)
        for pixel in torch.arange(rows * cols, device=like.device).split(512):
            cells, index = coarse_cells(pose.rays(torch.zeros_like(pixel), pixel // cols, pixel % cols), box, a.coarse, None)
            if len(index):
                seen[pixel[index].cpu().numpy()] = network.lines(scene, cells, a.fine, None)[1].float().cpu().numpy()
        return seen.reshape(rows, cols)


LEARNER = PixelnerfLearner()


@checked(of="pixelnerf")
class PixelnerfSettings(TrainedSettings):
    """Settings of `pixelnerf`: those of every trained method."""


pixelnerf = trained_method(LEARNER, PixelnerfSettings, part=as_they_are)
