"""Training the ridge prior: denoising of patches of procedural volumes, whose noise is drawn anew at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ...base.settings import Count, Positive, Seed, checked
from ...base.shapes import Float, Volume
from ...data.phantom.procedural.kinds_of_volumes import random_volume
from ...recon.ridge.filters import grey_scale
from .network import RidgeNetwork, RidgeSize, denoised

Patches = Float[Tensor, "n pz py px"]  # attenuation in units of the grey scale of the body


@checked(of="training the ridge prior")
class RidgeTraining:
    """``volumes`` of ``edge``^3 voxels, seeds from ``first_seed`` on; ``batch`` patches of ``patch``^3 voxels at each of ``steps``."""

    volumes: Count = 58
    edge: Count = 64
    first_seed: Seed = 1000
    steps: Count = 900
    batch: Count = 4
    patch: Count = 20
    rate: Positive = 0.02
    seed: Seed = 0


@dataclass(frozen=True)
class Report:
    """The loss after ``step`` steps, averaged over about the last hundred, and the network so far, ``net``."""

    step: int
    loss: float
    net: RidgeNetwork


def training_volumes(given: RidgeTraining) -> list[Volume]:
    """Procedural volumes [z, y, x] in units of their own grey scale."""
    made = (random_volume((given.edge, given.edge, given.edge), 0.2, given.first_seed + k) for k in range(given.volumes))
    return [v / np.float32(grey_scale(v)) for v in made]


def patches(volumes: Sequence[Volume], given: RidgeTraining, generator: Generator) -> Patches:
    """Patches that hold more than air, turned and mirrored at random, on a grey scale that is off by up to a third."""
    found: list[Tensor] = []
    while len(found) < given.batch:
        u = torch.rand(12, generator=generator, dtype=torch.float64).tolist()
        volume = volumes[int(u[0] * len(volumes))]
        corner = [int(part * (n - given.patch + 1)) for part, n in zip(u[1:4], volume.shape, strict=True)]
        cut = volume[tuple(slice(c, c + given.patch) for c in corner)]
        if (cut > 0.1).mean() < 0.1 and u[4] > 0.1:
            continue
        order = np.argsort(u[5:8])
        turned = np.flip(cut.transpose(*order), tuple(axis for axis in range(3) if u[8 + axis] > 0.5))
        found.append(torch.from_numpy(turned * np.float32(1.35 ** (2 * u[11] - 1))))
    return torch.stack(found)


def noisy(clean: Patches, size: RidgeSize, generator: Generator) -> tuple[Patches, Float[Tensor, "n"]]:
    """The patches with white noise, and its level for each (a share of the grey scale), drawn evenly on a logarithmic scale."""
    low, high = math.log(size.noise[0]), math.log(size.noise[-1])
    sigma = (low + (high - low) * torch.rand(len(clean), generator=generator)).exp()
    return clean + sigma[:, None, None, None] * torch.randn(clean.shape, generator=generator), sigma


def train_ridge(
    given: RidgeTraining, size: RidgeSize, volumes: Sequence[Volume] | None = None, tell: Callable[[Report], object] = lambda _: None
) -> RidgeNetwork:
    """The trained prior, from the seed alone."""
    generator = Generator().manual_seed(given.seed)
    network = RidgeNetwork(size, generator)
    filters = [network.first, network.second]
    others = [p for p in network.parameters() if not any(p is f for f in filters)]
    optimiser = torch.optim.Adam([{"params": filters, "lr": given.rate}, {"params": others, "lr": 1.5 * given.rate}])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * k / given.steps)))
    scenes, mean = training_volumes(given) if volumes is None else volumes, 0.0
    for step in range(given.steps):
        clean = patches(scenes, given, generator)
        y, sigma = noisy(clean, size, generator)
        error = (denoised(y, sigma, network) - clean).square().mean(dim=(1, 2, 3)) / sigma**1.5
        loss = error.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        mean += (loss.item() - mean) * max(0.01, 1 / (step + 1))
        if (step + 1) % 50 == 0:
            tell(Report(step + 1, mean, network))
    return network
