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
    # quarters of a turn about the axis, and then the axes that are mirrored: the images of which a correction is the mean. These four face
    # all four ways in a slice and both ways along the axis, and are within 0.04 dB of all eight (docs/model_cards.md)
    images: tuple[tuple[int, tuple[int, ...]], ...] = ((0, ()), (0, (0, 2)), (1, (0,)), (1, (2,)))

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
        x = functional.pad(x, right)
        told = [t[:, :, None, None, None] for t in self.told(facts).split(self.widths, dim=1)]
        fine = _bent(self.enter(x) + told[0])
        fine = fine + _bent(self.first(fine))
        middle = _bent(self.down1(fine) + told[1])
        for layer in self.middle:
            middle = middle + _bent(layer(middle))
        coarse = _bent(self.down2(middle) + told[2])
        coarse = coarse + _bent(self.coarse(coarse))
        middle = middle + _bent(self.up2(coarse))
        for layer in self.back:
            middle = middle + _bent(layer(middle))
        fine = fine + _bent(self.up1(middle))
        fine = fine + _bent(self.last(fine))
        out = GAIN * (self.leave(fine) + self.linear(x[:, :-BESIDE]))[:, 0]
        return contrast * out[:, : shape[0], : shape[1], : shape[2]]


def _bent(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.1)


def normalised(region: Float[Tensor, "scan volume z y x"]) -> tuple[Float[Tensor, "scan channel z y x"], Float[Tensor, "scan z y x"]]:
    """What the convolutions see, and the contrast by which it was divided: a standard deviation in the box around each voxel.

    All are in units of the object's grey scale (dimensionless).
    """
    mean = _boxed(region[:, :1])
    apart = torch.cat([region[:, :1] - mean, region[:, 1:]], 1)
    contrast = torch.sqrt(_boxed((apart**2).mean(1, keepdim=True)) + FAINT**2)
    return torch.cat([apart / contrast, torch.log(contrast / FAINT), mean], 1), contrast[:, 0]


def _boxed(x: Float[Tensor, "scan channel z y x"]) -> Float[Tensor, "scan channel z y x"]:
    """The mean over a box of `AROUND` voxels, of those that lie inside."""
    both = torch.cat([x, torch.ones_like(x[:, :1])], 1)  # the voxels, and how much of the box lies inside
    for axis in range(3):
        size, pad = [1, 1, 1], [0] * 6
        size[axis] = AROUND
        pad[4 - 2 * axis] = pad[5 - 2 * axis] = AROUND // 2
        both = functional.avg_pool3d(functional.pad(both, pad), size, stride=1)
    return both[:, :-1] / both[:, -1:]
