"""The network of the preset `scales`: from a volume, and the back-projection of what it leaves of the views, to a correction of it.

Convolutions on three scales, each twice as coarse as the one before (Ronneberger et al. 2015, in three dimensions, with residual blocks).
What it sees is divided by the contrast around the voxel and what it answers is multiplied by it, so that faint structures are treated as
strong ones are. It has three times the weights of `small` and sees further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...base.settings import Count, checked
from ...base.shapes import Float, Volume
from .network import FACTS, VOLUMES

AROUND = 9  # voxels across the box in which the contrast around a voxel is measured
BESIDE = 2  # channels of the normalised input beside the volumes: the contrast and the mean around a voxel
REACH = 28  # voxels: no voxel further away has a say; a multiple of COARSE
COARSE = 4  # fine voxels across one of the coarsest
GAIN = 0.1  # of the last layers, so that the first steps of training, which are all of full length, change little
LANES = 16  # channels that a processor computes side by side
FAINT = 0.02  # of the object's grey scale: contrast below this is as good as none


@checked(of="tvnet")
class Scales:
    """The channels on the three scales of a `ScaleNetwork`; a checkpoint fits one set of them."""

    fine: Count = 16
    middle: Count = 32
    coarse: Count = 48


class Convolutions(nn.Module):
    """What works on whole boxes of voxels at a time, and sees no further than `REACH`."""

    tile, patch, margin = 128, 40, 3  # voxels: of a tile, of a patch to learn from, and at its faces that are not learned from
    # quarters of a turn about the axis, and then the axes that are mirrored: the images of which a correction is the mean. They face all
    # four ways in a slice and both ways along the axis; four of them are within 0.04 dB of these eight (docs/model_cards.md)
    images: tuple[tuple[int, tuple[int, ...]], ...] = tuple((turn, axes) for turn in (0, 1) for axes in ((), (0,), (2,), (0, 2)))

    @property
    def before(self) -> tuple[Convolutions, ...]:
        """Networks that correct the volume first, one after the other, so that this one sees what they leave of the views."""
        return ()

    def on(
        self, volumes: Sequence[Volume], core: tuple[slice, ...], scale: float, facts: Float[Tensor, "facts"]
    ) -> Float[Tensor, "core_z core_y core_x"]:
        """The correction of the first of the volumes in a core, in units of ``scale``."""
        shape = volumes[0].shape
        z, y, x = (slice(max(s.start - REACH, 0), min(s.stop + REACH, n)) for s, n in zip(core, shape, strict=True))
        own = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(core, (z, y, x), strict=True))
        return self.learns_on(volumes, (z, y, x), scale, facts)[own]

    def learns_on(
        self, volumes: Sequence[Volume], core: tuple[slice, ...], scale: float, facts: Float[Tensor, "facts"], turned: bool = False
    ) -> Float[Tensor, "core_z core_y core_x"]:
        """The same from what lies in the core alone; ``turned``: both upside down."""
        device = next(self.parameters()).device
        region = torch.from_numpy(np.stack([v[core] for v in volumes]).astype(np.float32) / np.float32(scale)).to(device)
        return self(region.flip(1) if turned else region, facts)

    @staticmethod
    def bytes_for(shape: Sequence[int]) -> int:
        """The memory that a core of this shape takes, with all that it sees."""
        return 4 * 80 * math.prod(n + 2 * REACH for n in shape)


class ScaleNetwork(Convolutions):
    """Residual convolutions on three scales, and a linear filter beside them."""

    def __init__(self, a: Scales, volumes: int = VOLUMES) -> None:
        super().__init__()
        f, m, c = a.fine, a.middle, a.coarse

        def conv(n: int, k: int, edge: int = 3, bias: bool = True) -> nn.Conv3d:
            return nn.Conv3d(n, k, edge, padding=edge // 2, bias=bias)

        self.told = nn.Linear(FACTS, f + m + c)
        self.enter, self.first = conv(volumes + BESIDE, f), conv(f, f)
        self.down1, self.middle = nn.Conv3d(f, m, 2, stride=2), nn.ModuleList(conv(m, m) for _ in range(2))
        self.down2, self.coarse = nn.Conv3d(m, c, 2, stride=2), conv(c, c)
        self.up2, self.back = nn.ConvTranspose3d(c, m, 2, stride=2), nn.ModuleList(conv(m, m) for _ in range(2))
        self.up1, self.last = nn.ConvTranspose3d(m, f, 2, stride=2), conv(f, f)
        self.leave, self.linear = conv(f, 1), conv(volumes, 1, 5, bias=False)
        self.widths = (f, m, c)
        # the channels of a voxel side by side: 1.2 to 1.6 times as fast on a processor
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, region: Float[Tensor, "*scans volume z y x"], facts: Float[Tensor, "*scans facts"]) -> Float[Tensor, "*scans z y x"]:
        """The correction of each voxel; it and the region are in units of the object's grey scale (dimensionless)."""
        if region.ndim == 4:
            return self(region[None], facts[None])[0]
        shape = region.shape[2:]
        right = [pad for n in reversed(shape) for pad in (0, -n % COARSE)]
        x, contrast = normalised(region)
        x = functional.pad(x, right).contiguous(memory_format=torch.channels_last_3d)
        told = [t[:, :, None, None, None] for t in self.told(facts).split(self.widths, dim=1)]
        fine = _bent(self.enter(x).add_(told[0]))
        fine = _sum(_bent(self.first(fine)), fine)
        middle = _bent(self.down1(fine).add_(told[1]))
        for layer in self.middle:
            middle = _sum(_bent(layer(middle)), middle)
        coarse = _bent(self.down2(middle).add_(told[2]))
        coarse = _sum(_bent(self.coarse(coarse)), coarse)
        middle = _sum(_bent(self.up2(coarse)), middle)
        for layer in self.back:
            middle = _sum(_bent(layer(middle)), middle)
        fine = _sum(_bent(self.up1(middle)), fine)
        fine = _sum(_bent(self.last(fine)), fine)
        out = GAIN * (_alone(self.leave, fine) + _alone(self.linear, x[:, :-BESIDE]))[:, 0]
        return contrast * out[:, : shape[0], : shape[1], : shape[2]]


def _bent(x: Tensor) -> Tensor:
    """Leaky rectification, in the memory of what a layer has just made: a fresh volume of many channels costs more time than the work."""
    return functional.leaky_relu_(x, 0.1)


def _alone(layer: nn.Conv3d, x: Tensor) -> Tensor:
    """The one output of a layer, made among `LANES` others that are nothing: in bf16 a processor is two to four times as fast with them."""
    learns, in_bf16 = layer.weight.requires_grad and torch.is_grad_enabled(), x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if learns or not in_bf16:
        return layer(x)
    weight = torch.cat([layer.weight, layer.weight.new_zeros(LANES - 1, *layer.weight.shape[1:])])
    found = functional.conv3d(x, weight.to(memory_format=torch.channels_last_3d), None, padding=layer.padding)[:, :1]  # type: ignore[arg-type]
    return found if layer.bias is None else found + layer.bias.to(found.dtype)


def _sum(new: Tensor, old: Tensor) -> Tensor:
    """The sum, in the memory of the first where nothing is learned."""
    return new + old if new.requires_grad else new.add_(old)


def normalised(region: Float[Tensor, "scan volume z y x"]) -> tuple[Float[Tensor, "scan channel z y x"], Float[Tensor, "scan z y x"]]:
    """What the convolutions see, and the contrast by which it was divided: a standard deviation in the box around each voxel.

    All are in units of the object's grey scale (dimensionless).
    """
    mean = _boxed(region[:, :1])
    apart = torch.cat([region[:, :1] - mean, region[:, 1:]], 1)
    contrast = torch.sqrt(_boxed((apart**2).mean(1, keepdim=True)) + FAINT**2)
    return torch.cat([apart / contrast, torch.log(contrast / FAINT), mean], 1), contrast[:, 0]


def _boxed(x: Float[Tensor, "scan channel z y x"]) -> Float[Tensor, "scan channel z y x"]:
    """The mean over a box of `AROUND` voxels, of those that lie inside: along each axis the sum of three sums of three."""
    for axis in (2, 3, 4):
        n = x.shape[axis]
        padded = functional.pad(x, [0, 0] * (4 - axis) + [AROUND // 2] * 2)
        threes = padded.narrow(axis, 0, n + 6) + padded.narrow(axis, 1, n + 6) + padded.narrow(axis, 2, n + 6)
        inside = torch.arange(n, device=x.device)
        inside = (inside + AROUND // 2).clamp(max=n - 1) - (inside - AROUND // 2).clamp(min=0) + 1
        x = (threes.narrow(axis, 0, n) + threes.narrow(axis, 3, n) + threes.narrow(axis, 6, n)) / inside.view([-1] + [1] * (4 - axis))
    return x
