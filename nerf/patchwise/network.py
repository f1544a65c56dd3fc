"""The network of the preset `small`: from what surrounds a voxel to a correction of that voxel, the same for every voxel of every volume.

It sees each voxel's 5 x 5 x 5 neighbours in two volumes, means over blocks around it as a coarse copy of what is further away, and numbers
about the scan. What it sees is divided by the contrast around the voxel and what it answers is multiplied by it, so that faint structures
are treated as strong ones are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import Tensor, nn
from torch.nn import functional

from ...base.settings import Count, checked
from ...base.shapes import Float, Volume

VOLUMES, FACTS = 2, 6  # input volumes, and numbers about the scan
NEAR = tuple(np.ndindex(5, 5, 5))  # offsets + 2
BLOCKS = ((3, 0), (3, 1), (9, 0))  # (edge of the blocks in voxels, number of the volume) of the coarse copies, 27 blocks each
REACH = 13  # voxels: the middle of the furthest block is 9 away, and its edge 4 more
INPUTS = VOLUMES * len(NEAR) + 27 * len(BLOCKS)
TILE = 32
FAINT = 0.02  # of the object's grey scale: contrast below this is as good as none


@checked(of="tvnet")
class Architecture:
    """The widths of the hidden layers of a `PatchNetwork`; a checkpoint fits one set of them."""

    first: Count = 160
    second: Count = 96
    third: Count = 48


class PatchNetwork(nn.Module):
    """Layers that work on each voxel by itself, and a linear filter beside them."""

    tile, patch, margin = TILE, 10, 0  # voxels: of a tile, of a patch to learn from, and at its faces that are not learned from
    # quarters of a turn, and axes that are mirrored, of the images of which a correction is the mean: the volume itself alone
    images: tuple[tuple[int, tuple[int, ...]], ...] = ((0, ()),)
    before: tuple[PatchNetwork, ...] = ()  # no network of this kind looks before another

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        inputs = INPUTS + FACTS + 2
        widths = (inputs, a.first, a.second, a.third)
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in itertools.pairwise(widths))
        self.leave = nn.Linear(a.third, 1)
        self.linear = nn.Linear(INPUTS, 1, bias=False)

    def forward(
        self, seen: Float[Tensor, "voxel inputs"], middle: Float[Tensor, "voxel"], facts: Float[Tensor, "facts"]
    ) -> Float[Tensor, "voxel"]:
        """The correction of each voxel in units of the object's grey scale, from what `surroundings` gives."""
        contrast = torch.sqrt((seen[:, : VOLUMES * len(NEAR)] ** 2).mean(1) + FAINT**2)
        x = seen / contrast[:, None]
        told = torch.stack([torch.log(contrast / FAINT), middle], 1)
        here = torch.cat([x, told, facts.expand(len(x), -1)], 1)
        for layer in self.layers:
            here = functional.leaky_relu(layer(here), 0.1)
        return contrast * (self.leave(here) + self.linear(x))[:, 0]

    def on(
        self, volumes: Sequence[Volume], core: tuple[slice, ...], scale: float, facts: Float[Tensor, "facts"], turned: bool = False
    ) -> Float[Tensor, "core_z core_y core_x"]:
        """The correction of the first of the volumes in a core, in units of ``scale``; ``turned``: both upside down."""
        device = next(self.parameters()).device
        region = region_of(volumes, core, scale)
        seen, middle = surroundings(np.ascontiguousarray(region[:, ::-1]) if turned else region)
        found = self(seen.to(device), middle.to(device), facts).reshape([s.stop - s.start for s in core])
        return found

    learns_on = on

    @staticmethod
    def bytes_for(shape: Sequence[int]) -> int:
        """The memory that a core of this shape takes."""
        return 4 * (5 * INPUTS + 300) * math.prod(shape)


def surroundings(region: Float[NDArray[np.float32], "volume z y x"]) -> tuple[Float[Tensor, "voxel inputs"], Float[Tensor, "voxel"]]:
    """What the network sees of each voxel that lies at least `REACH` from the faces of a region, and the voxel itself.

    All are in units of the object's grey scale (dimensionless); those of the first volume are differences from the voxel.
    """
    size = tuple(n - 2 * REACH for n in region.shape[1:])
    count = math.prod(size)

    def at(volume: NDArray[np.float32], offset: Sequence[int]) -> NDArray[np.float32]:
        z, y, x = (slice(REACH + o, REACH + o + n) for o, n in zip(offset, size, strict=True))
        return volume[z, y, x].reshape(count)

    middle = at(region[0], (0, 0, 0))
    found = np.empty((INPUTS, count), np.float32)
    row = 0
    for number in range(VOLUMES):
        for near in NEAR:
            found[row] = at(region[number], [n - 2 for n in near])
            row += 1
    for edge, number in BLOCKS:
        means = np.asarray(uniform_filter(region[number], edge, mode="nearest"), np.float32)
        for block in np.ndindex(3, 3, 3):
            found[row] = at(means, [edge * (b - 1) for b in block])
            row += 1
    near = len(NEAR)
    first = [slice(0, near)] + [slice(2 * near + 27 * k, 2 * near + 27 * (k + 1)) for k, (_, number) in enumerate(BLOCKS) if number == 0]
    for rows in first:
        found[rows] -= middle
    return torch.from_numpy(found).T, torch.from_numpy(np.ascontiguousarray(middle))


def region_of(volumes: Sequence[Volume], core: tuple[slice, ...], scale: float) -> Float[NDArray[np.float32], "volume z2 y2 x2"]:
    """The volumes (in 1/mm) around a core, in units of ``scale``; beyond the faces the outermost voxels are repeated."""
    shape = volumes[0].shape
    z, y, x = (np.clip(np.arange(s.start - REACH, s.stop + REACH), 0, n - 1) for s, n in zip(core, shape, strict=True))
    return np.stack([v[np.ix_(z, y, x)] for v in volumes]).astype(np.float32) / np.float32(scale)
