"""`unet`: a first volume by total variation and one by FDK, then a 3-D residual U-Net that has learned what a full scan would show."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from ...base.settings import Count, NotNegative, Positive, Whole, checked
from ...base.shapes import Float, Int, Volume
from ...data import Projections
from ...geometry import Grid
from ...recon.analytic.feldkamp import filtered_backprojection
from ...recon.corrections.prepared import straightened
from ...recon.iterative.pdhg_tv import pdhg_tv
from ..device import require_memory_on
from ..training.bank import Bank, key_of, original, seen_by_all
from ..training.examples import moved_along
from ..training.learner import Example, Given, Group
from ..training.part import as_they_are
from ..training.trained_method import TrainedSettings, trained_method


@checked(of="unet")
class Architecture:
    """The numbers of a `unet` network; a checkpoint fits one set of them.

    There are ``channels`` channels at full resolution and twice as many on each of ``levels`` coarser ones, with ``blocks`` residual blocks
    on each. ``dropout`` is the share of channels that are left out in training, and in sampling an uncertainty; ``slope`` is that of the
    leaky ReLUs below zero. The input is ``iterations`` of `pdhg_tv` with weight ``strength``, and FDK, both of projections linearised by
    ``hardening`` percent. ``unit`` (1/mm) is what the network calls 1.
    """

    channels: Count = 16
    levels: Whole = 2
    blocks: Whole = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    iterations: Count = 25
    strength: NotNegative = 0.008
    hardening: Annotated[float, Field(ge=0, le=100)] = 30.0
    unit: Positive = 0.03
    slope: NotNegative = 0.1
    patch: Count = 32
    patches: Count = 3


PRESETS = {"small": Architecture(), "paper": Architecture(channels=32, levels=3, iterations=30, patch=96, patches=1)}
TILE = 96
QUICK = 3.0  # factor by which the linear part learns faster than the rest


class Block(nn.Module):
    """x + conv(f(conv(f(x)))) with f a leaky ReLU (plain ReLUs die here in the first steps), and the second
    convolution zero at the start.
    """

    def __init__(self, channels: int, dropout: float, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.first, self.second = nn.Conv3d(channels, channels, 3, padding=1), nn.Conv3d(channels, channels, 3, padding=1)
        self.drop = nn.Dropout3d(dropout)

    def forward(self, x: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n c z y x"]:
        """Feature maps of the same shape."""
        inner = self.drop(self.first(functional.leaky_relu(x, self.slope)))
        return x + self.second(functional.leaky_relu(inner, self.slope))


class ResidualUNet(nn.Module):
    """[n, inputs, z, y, x] -> [n, z, y, x] of any size: the first input channel plus what the network adds to it.

    A linear convolution of the inputs runs beside the network and quickly learns the smoothing of the reference. There are no normalisation
    layers, because they would make the value of a voxel depend on how the volume was cut into tiles.
    """

    def __init__(self, inputs: int, a: Architecture) -> None:
        super().__init__()
        self.architecture = a
        self.bank = Bank()
        widths = [a.channels * 2**k for k in range(a.levels + 1)]
        self.enter = nn.Conv3d(inputs, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv3d(n, m, 2, stride=2) for n, m in itertools.pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose3d(m, n, 2, stride=2) for n, m in itertools.pairwise(widths))
        self.before = nn.ModuleList(nn.Sequential(*(Block(n, a.dropout, a.slope) for _ in range(a.blocks))) for n in widths)
        self.after = nn.ModuleList(nn.Sequential(*(Block(n, a.dropout, a.slope) for _ in range(a.blocks))) for n in widths[:-1])
        self.leave = nn.Conv3d(widths[0], 1, 3, padding=1)
        self.blur = nn.Conv3d(inputs, 1, 3, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n z y x"]:
        """The corrected volume in the network's unit. Inside, the volumes are padded to a multiple of the coarsest voxel, and the result is
        cut back.
        """
        size, step = x.shape[2:], 2**self.architecture.levels
        pad = [(-n) % step for n in size]
        full = functional.pad(x, (0, pad[2], 0, pad[1], 0, pad[0]), mode="replicate") if any(pad) else x
        linear = full[:, 0] + QUICK * self.blur(full)[:, 0]
        return (linear + self._branch(full))[:, : size[0], : size[1], : size[2]]

    def _branch(self, x: Tensor) -> Tensor:
        kept, here = [], self.enter(x)
        for before, down in zip(self.before, self.down, strict=False):
            here = before(here)
            kept.append(here)
            here = down(here)
        here = self.before[-1](here)
        for skip, up, after in zip(reversed(kept), reversed(self.up), reversed(self.after), strict=True):
            here = after(skip + up(here))
        return self.leave(functional.leaky_relu(here, self.architecture.slope))[:, 0]


def first_volumes(projections: Projections, grid: Grid, a: Architecture) -> Float[NDArray[np.float32], "2 z y x"]:
    """The input of the network in its unit: total variation and FDK of the linearised projections."""
    straight = straightened(projections, a.hardening)
    sharp = filtered_backprojection(straight, grid)
    smooth = pdhg_tv(straight, grid, iterations=a.iterations, lambda_=a.strength, start=sharp)
    return np.stack([smooth, sharp]) / np.float32(a.unit)


def _kept(module: ResidualUNet, example: Example, given: Int[NDArray[np.intp], "view"]) -> Float[NDArray[np.float32], "2 z y x"]:
    """The same as `first_volumes`, made once for a scan that comes again with the same views."""
    key = ("first volumes", key_of(example), given.tobytes())
    (volumes,) = module.bank.get(key, lambda: (first_volumes(example.projections[given], example.grid, module.architecture),))
    return volumes


def patches(reference: Volume, a: Architecture, generator: Generator) -> Iterator[tuple[slice, slice, slice]]:
    """Cubes (or the part of one that fits into the volume) around random voxels of the upper half of the values that are not air."""
    bright = np.flatnonzero(reference > 0.25 * a.unit)
    for _ in range(a.patches):
        u = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
        middle = np.unravel_index(bright[int(u[0] * len(bright))] if len(bright) else int(u[0] * reference.size), reference.shape)
        cut = []
        for place, count, where in zip(middle, reference.shape, u[1:], strict=True):
            size = min(a.patch, count)
            begin = int(np.clip(int(place) - int(where * size), 0, count - size))
            cut.append(slice(begin, begin + size))
        yield cut[0], cut[1], cut[2]


def reach(a: Architecture) -> int:
    """The distance in voxels over which an input can change an output, from the convolutions on all levels and
    where coarse voxels begin.
    """
    return 2 + 4 * a.blocks * (2**a.levels - 1) + 2 * a.blocks * 2**a.levels + 2**a.levels


def tiled(module: ResidualUNet, volumes: Float[Tensor, "c z y x"], tile: int = TILE, margin: int | None = None) -> Float[Tensor, "z y x"]:
    """The output of the network in its unit, computed on tiles of at most ``tile``^3 voxels, each seen with ``margin`` (`reach`) voxels
    around it.
    """
    a = module.architecture
    margin = reach(a) if margin is None else margin
    voxels = int(np.prod([min(n, tile + 2 * margin) for n in volumes.shape[1:]]))
    device, shape = next(module.parameters()).device, tuple(volumes.shape[1:])
    require_memory_on(device, 4 * voxels * a.channels * (a.levels + 4), "the layers of unet", "take a larger voxel, or a smaller box")
    step = 2**a.levels
    out = torch.empty(shape)
    for corner in np.ndindex(*(-(-n // tile) for n in shape)):
        core = [slice(c * tile, min(n, (c + 1) * tile)) for c, n in zip(corner, shape, strict=True)]
        wide = [slice(max(0, (s.start - margin) // step * step), min(n, s.stop + margin)) for s, n in zip(core, shape, strict=True)]
        found = module(volumes[:, wide[0], wide[1], wide[2]][None].to(device))[0].float().cpu()
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(core, wide, strict=True))
        out[core[0], core[1], core[2]] = found[inner]
    return out


@checked(of="unet")
class UnetSettings(TrainedSettings):
    """Settings of `unet`: those of every trained method, and ``dropout``, which leaves out channels at random (``seed``) to sample an
    uncertainty.
    """

    dropout: bool = False


def configure(module: nn.Module, settings: Any) -> None:
    """Switch dropout on or off."""
    for part in module.modules():
        if isinstance(part, nn.Dropout3d):
            part.train(settings.dropout)


TRAINING = {
    "small": {"steps": 1000, "views": (13, 26, 26, 52), "pool": 4, "check_every": 100, "check_scans": 4, "clip": 1.0},
    "paper": {"steps": 100_000, "pool": 16, "check_every": 1000},
}


@dataclass(frozen=True)
class UnetLearner:
    """How `unet` learns."""

    name: str = "unet"
    presets: Mapping[str, Architecture] = field(default_factory=lambda: PRESETS)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TRAINING)

    def build(self, architecture: Architecture, generator: Generator) -> ResidualUNet:
        """The network with weights from ``generator`` alone (He et al. 2015); what it adds is zero at the start."""
        module = ResidualUNet(2, architecture)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name.endswith("bias") or name.startswith(("leave", "blur")) or name.endswith("second.weight"):
                    parameter.zero_()
                else:
                    fan = parameter[0].numel() if "up." not in name else parameter.shape[0]
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan) ** 0.5)
        return module

    def groups(self, module: ResidualUNet) -> Mapping[str, Group]:
        """All weights in one group."""
        return {"unet": (list(module.parameters()), 1.5e-3)}

    def loss(self, module: ResidualUNet, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The mean squared error of random patches around tissue, where every view sees, in the network's unit."""
        a = module.architecture
        device = next(module.parameters()).device
        volumes = torch.from_numpy(moved_along(_kept(module, original(example), given), example))
        inside = torch.from_numpy(seen_by_all(module.bank, example))
        target = torch.from_numpy(example.reference) / a.unit
        cuts = list(patches(example.reference, a, generator))
        x = torch.stack([volumes[:, z, y, x] for z, y, x in cuts]).to(device)
        wanted = torch.stack([target[cut] for cut in cuts]).to(device)
        weight = torch.stack([inside[cut] for cut in cuts]).to(device)
        return ((module(x) - wanted) ** 2)[weight].mean()

    def reconstruct(self, module: ResidualUNet, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """The volume in 1/mm, never below zero: in one piece, or from overlapping tiles where it is large."""
        a = module.architecture
        volumes = torch.from_numpy(first_volumes(projections, grid, a))
        return tiled(module, volumes).clamp(min=0) * a.unit


LEARNER = UnetLearner()
unet = trained_method(LEARNER, UnetSettings, configure, part=as_they_are)
