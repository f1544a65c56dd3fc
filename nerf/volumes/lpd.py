"""`lpd`: learned primal-dual (Adler and Oktem 2018): a few steps between volume and views, each corrected by a small network.

The dual variable is ramp-filtered before it is back-projected, so that one step goes most of the way (the plain adjoint, as published,
needs many). The networks start at zero, so that before any training `lpd` is a preconditioned gradient method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from ...base.settings import Count, Positive, Whole, checked
from ...base.shapes import Float
from ...data import Projections
from ...geometry import Grid
from ...recon import Operator
from ...recon.analytic.feldkamp import filtered_backprojection
from ...recon.corrections.prepared import straightened
from ..device import require_memory_on
from ..training.bank import Bank, seen_by_all
from ..training.learner import Example, Given, Group
from ..training.part import without_the_rest
from ..training.trained_method import TrainedSettings, trained_method


@checked(of="lpd")
class Architecture:
    """The numbers of an `lpd` network; a checkpoint fits one set of them.

    ``steps`` are those between views and volume; ``memory`` is the number of channels that primal and dual networks hand on, and ``width``
    that inside them. Projections are linearised by ``hardening`` percent. ``unit`` (1/mm) is what the networks call 1 in a volume, and
    ``line`` in a view.
    """

    steps: Count = 4
    memory: Whole = 6
    width: Count = 16
    hardening: Annotated[float, Field(ge=0, le=100)] = 30.0
    unit: Positive = 0.03
    line: Positive = 0.3


PRESETS = {"small": Architecture(), "paper": Architecture(steps=10, memory=6, width=32)}


class Correction(nn.Module):
    """Three convolutions in ``dims`` dimensions, the last of which is zero at the start."""

    def __init__(self, dims: int, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        convolution = nn.Conv3d if dims == 3 else nn.Conv2d
        sizes = [(inputs, width), (width, width), (width, outputs)]
        self.layers = nn.ModuleList(convolution(n, m, 3, padding=1) for n, m in sizes)

    def forward(self, x: Float[Tensor, "n inputs *space"]) -> Float[Tensor, "n outputs *space"]:
        """``outputs`` feature maps from ``inputs`` feature maps of the same size."""
        for layer in list(self.layers)[:-1]:
            x = functional.leaky_relu(layer(x), 0.1)
        return self.layers[-1](x)


class PrimalDual(nn.Module):
    """From linearised views and a first volume to a volume, both in the networks' units."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.architecture = a
        self.dual = nn.ModuleList(Correction(2, a.memory + 2, a.width, a.memory + 1) for _ in range(a.steps))
        self.primal = nn.ModuleList(Correction(3, a.memory + 2, a.width, a.memory + 1) for _ in range(a.steps))
        self.bank = Bank()
        self.pace = nn.Parameter(torch.full((a.steps,), 0.3))

    def forward(self, views: Float[Tensor, "view row col"], first: Float[Tensor, "z y x"], back: Back) -> Float[Tensor, "z y x"]:
        """The volume in the networks' unit, from the views, a first volume, and ``back``, which knows the geometry."""
        a = self.architecture
        volume = first
        seen = torch.zeros(len(views), a.memory, *views.shape[1:], device=views.device)
        kept = torch.zeros(1, a.memory, *first.shape, device=first.device)
        for step, (dual, primal) in enumerate(zip(self.dual, self.primal, strict=True)):
            predicted = back.A(volume) * (a.unit / a.line)
            change = dual(torch.cat([torch.stack([predicted, views - predicted], 1), seen], 1))
            seen = seen + change[:, 1:]
            direction = back(views - predicted + change[:, 0]) * (a.line / a.unit)
            update = primal(torch.cat([torch.stack([volume, direction])[None], kept], 1))[0]
            kept = kept + update[None, 1:]
            volume = volume + self.pace[step] * direction + update[0]
        return volume


class Back:
    """The operator of a scan, and a back-projection behind a ramp filter, scaled so that a smooth volume comes back about as it was."""

    def __init__(self, projections: Projections, grid: Grid, device: torch.device) -> None:
        self.A = Operator(projections.scan, grid)
        z, y, x = np.meshgrid(grid.z_mm - grid.center_mm[2], grid.y_mm - grid.center_mm[1], grid.x_mm - grid.center_mm[0], indexing="ij")
        ball = np.exp(-(x**2 + y**2 + z**2) / (2 * (min(grid.size_mm) / 6) ** 2)).astype(np.float32)
        probe = torch.from_numpy(ball).to(device)
        self.scale = 1.0
        came = self(self.A(probe))
        self.scale = float((probe * came).sum() / (came * came).sum())

    def __call__(self, views: Float[Tensor, "view row col"]) -> Float[Tensor, "z y x"]:
        """The ramp along the rows (padded to twice their length), then the adjoint; the result is in the networks' unit."""
        count = views.shape[-1]
        ramp = torch.fft.rfftfreq(2 * count, device=views.device) * 2
        filtered = torch.fft.irfft(torch.fft.rfft(views.float(), 2 * count) * (ramp + 0.5 / count), 2 * count)[..., :count]
        return self.A.T(filtered.contiguous()) * self.scale


def run(module: PrimalDual, projections: Projections, grid: Grid) -> Float[Tensor, "z y x"]:
    """The volume in the networks' unit."""
    a = module.architecture
    device = next(module.parameters()).device
    straight = straightened(projections, a.hardening)
    first = filtered_backprojection(straight, grid, filter="hann")
    views = torch.from_numpy(np.array(straight.values)).to(device) / a.line
    return module(views, torch.from_numpy(first).to(device) / a.unit, Back(straight, grid, device))


def _require_memory(module: PrimalDual, projections: Projections, grid: Grid, steps: int) -> None:
    """Check the memory for the layers of so many ``steps``: all of them while learning, because gradients need them."""
    a = module.architecture
    values = 4 * (2 * a.width + 3 * a.memory + 6) * steps
    needed = values * (int(np.prod(grid.shape)) + projections.values.size)
    require_memory_on(next(module.parameters()).device, needed, "the layers of lpd")


TRAINING = {
    "small": {"steps": 400, "views": (13, 26, 26, 52), "check_every": 50, "check_scans": 4, "clip": 1.0},
    "paper": {"steps": 100_000, "check_every": 1000, "clip": 1.0},
}


@dataclass(frozen=True)
class LpdLearner:
    """How `lpd` learns."""

    name: str = "lpd"
    presets: Mapping[str, Architecture] = field(default_factory=lambda: PRESETS)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TRAINING)

    def build(self, architecture: Architecture, generator: Generator) -> PrimalDual:
        """The networks with weights from ``generator`` alone (He et al. 2015) and zero last layers."""
        module = PrimalDual(architecture)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name.endswith("bias") or name.endswith("layers.2.weight"):
                    parameter.zero_()
                elif name != "pace":
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / parameter[0].numel()) ** 0.5)
        return module

    def groups(self, module: PrimalDual) -> Mapping[str, Group]:
        """All weights in one group."""
        return {"lpd": (list(module.parameters()), 2e-3)}

    def loss(self, module: PrimalDual, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The mean squared error of the volume where every view sees, in the networks' unit."""
        a = module.architecture
        seen = example.projections[given]
        _require_memory(module, seen, example.grid, a.steps)
        found = run(module, seen, example.grid)
        wanted = torch.from_numpy(example.reference).to(found.device) / a.unit
        inside = torch.from_numpy(seen_by_all(module.bank, example)).to(found.device)
        return ((found - wanted) ** 2)[inside].mean()

    def reconstruct(self, module: PrimalDual, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """The volume in 1/mm, never below zero."""
        a = module.architecture
        _require_memory(module, projections, grid, 1)
        return run(module, projections, grid).clamp(min=0) * a.unit


LEARNER = LpdLearner()


@checked(of="lpd")
class LpdSettings(TrainedSettings):
    """Settings of `lpd`: those of every trained method."""


lpd = trained_method(LEARNER, LpdSettings, part=without_the_rest)
