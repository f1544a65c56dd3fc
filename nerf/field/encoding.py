"""Encodings of points for a network: learned grids at several resolutions, hashed grids, and sines of the coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...base.shapes import Float

Unit = Float[Tensor, "n 3"]  # (x, y, z), each in -1..1 across the box


class DenseGrids(nn.Module):
    """Feature grids of increasing resolution, read by trilinear interpolation. This encoding is fast on a CPU.

    ``resolutions`` are numbers of voxels along the longest side of the box; the other sides follow ``aspect`` (x, y, z sizes relative to
    the longest). The output is [n, len(resolutions) * features].
    """

    def __init__(self, resolutions: Sequence[int], features: int, aspect: Sequence[float], generator: torch.Generator) -> None:
        super().__init__()
        self.grids = nn.ParameterList()
        for resolution in resolutions:
            shape = [max(2, math.ceil(resolution * a)) for a in reversed(aspect)]  # z, y, x
            self.grids.append(nn.Parameter((torch.rand(1, features, *shape, generator=generator) - 0.5) * 2e-2))
        self.width = len(resolutions) * features

    def forward(self, unit: Unit) -> Float[Tensor, "n width"]:
        """The features of points in the unit box."""
        at = unit.reshape(1, 1, 1, -1, 3)
        parts = [nn.functional.grid_sample(g, at, align_corners=False, padding_mode="border")[0, :, 0, 0].T for g in self.grids]
        return torch.cat(parts, 1)

    def on_grid(self, shape: tuple[int, int, int]) -> Float[Tensor, "n width"]:
        """The features at the centres of ``shape`` voxels that fill the box, flattened: the same as `forward`, but several times faster."""
        return torch.cat([_resized(grid, shape).flatten(2) for grid in self.grids], 1).squeeze(0).T


def _resized(grid: Float[Tensor, "1 feature gz gy gx"], shape: tuple[int, int, int]) -> Float[Tensor, "1 feature z y x"]:
    if tuple(grid.shape[2:]) == shape:
        return grid  # torch would interpolate a grid onto itself at full cost
    return nn.functional.interpolate(grid, size=shape, mode="trilinear", align_corners=False)


class HashGrids(nn.Module):
    """Multi-resolution hash encoding (Mueller et al. 2022, sec. 3): the corners of each level share a table of 2^``log2_size`` entries.

    Levels that fit into their table are stored densely. The output is [n, levels * features].
    """

    _primes = (1, 2654435761, 805459861)

    def __init__(self, levels: int, features: int, log2_size: int, coarsest: int, finest: int, generator: torch.Generator) -> None:
        super().__init__()
        growth = math.exp((math.log(finest) - math.log(coarsest)) / max(1, levels - 1))
        self.resolutions = [int(coarsest * growth**level + 0.5) for level in range(levels)]
        self.sizes = [min((r + 1) ** 3, 2**log2_size) for r in self.resolutions]
        self.tables = nn.ParameterList(nn.Parameter((torch.rand(s, features, generator=generator) - 0.5) * 2e-4) for s in self.sizes)
        self.width = levels * features
        self.register_buffer("corners", torch.tensor([[c & 1, c >> 1 & 1, c >> 2] for c in range(8)]), persistent=False)

    def forward(self, unit: Unit) -> Float[Tensor, "n width"]:
        """The features of points in the unit box."""
        parts = []
        for resolution, size, table in zip(self.resolutions, self.sizes, self.tables, strict=True):
            place = ((unit + 1) / 2).clamp(0, 1) * resolution
            low = place.floor().clamp(max=resolution - 1)
            share = place - low
            shares = []
            for corner in self.get_buffer("corners"):
                weight = torch.where(corner.bool(), share, 1 - share).prod(1, keepdim=True)
                shares.append(weight * table[self._slot(low.long() + corner, resolution, size)])
            parts.append(torch.stack(shares).sum(0))
        return torch.cat(parts, 1)

    def _slot(self, corner: Tensor, resolution: int, size: int) -> Tensor:
        x, y, z = corner.unbind(1)
        if (resolution + 1) ** 3 <= size:
            return x + (resolution + 1) * (y + (resolution + 1) * z)
        a, b, c = self._primes
        return ((x * a) ^ (y * b) ^ (z * c)) % size


def positional(x: Float[Tensor, "... d"], octaves: int, base: float = math.pi) -> Float[Tensor, "... wide"]:
    """x with the sine and cosine of base 2^k x for k = 0 .. octaves - 1 (Mildenhall et al. 2020, equation 4): d (1 + 2 octaves) features.

    >>> positional(torch.tensor([0.5]), 2).round(decimals=3).abs().tolist()
    [0.5, 1.0, 0.0, 0.0, 1.0]
    """
    angles = x[..., None] * (base * 2.0 ** torch.arange(octaves, dtype=x.dtype, device=x.device))
    return torch.cat([x, angles.sin().flatten(-2), angles.cos().flatten(-2)], dim=-1)
