"""How `tvnet` learns: random patches of scans, the target the truth, each scan's error in units of that of its total variation."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ...base.shapes import Float
from ...data import Projections
from ...geometry import Grid
from ...recon.iterative.tuning.prior_weight import TYPICAL
from ..training.bank import Bank, key_of, original, seen_by_all
from ..training.examples import moved_along
from ..training.learner import Example, Given, Group
from .inputs import facts, grey_scale, left_over, total_variation
from .network import Architecture, PatchNetwork, region_of, surroundings, tiled

PATCH = 10  # voxels along the edges of a patch, of which each scan gives one in a step
OUTSIDE = 0.05  # weight of voxels that not all views see
PRESETS = {"small": Architecture()}
TRAINING = {
    "small": {
        "steps": 3000, "batch": 16, "pool": 2, "views": (13, 18, 26, 26, 36, 52),
        "selections": ("evenly", "evenly", "evenly", "random"), "check_every": 500, "check_scans": 4, "check_views": (26,), "clip": 1.0,
        "betas": (0.9, 0.99),
    }
}  # fmt: skip


class Network(nn.Module):
    """The network, with what was made of scans before."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.architecture = a
        self.net = PatchNetwork(a)
        self.bank = Bank()


def correction(module: Network, projections: Projections, grid: Grid, volume: np.ndarray, lambda_: float) -> Float[np.ndarray, "z y x"]:
    """What the network adds to total variation of weight ``lambda_``, in 1/mm; zero for a volume that is empty."""
    scale = grey_scale(volume)
    if scale == 0:
        return np.zeros(grid.shape, np.float32)
    rest = left_over(projections, grid, volume)
    return tiled(module.net, (volume, rest), facts(projections, grid, scale, lambda_), scale)


@dataclass(frozen=True)
class TvnetLearner:
    """The learner of `tvnet`."""

    name: str = "tvnet"
    presets: Mapping[str, Architecture] = field(default_factory=lambda: PRESETS)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TRAINING)

    def build(self, architecture: Architecture, generator: Generator) -> Network:
        """The network with weights from ``generator`` alone (He et al. 2015); what it adds is zero at the start."""
        module = Network(architecture)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name.endswith("bias") or "leave" in name or "linear" in name:
                    parameter.zero_()
                else:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / parameter.shape[1]) ** 0.5)
        return module

    def groups(self, module: Network) -> Mapping[str, Group]:
        """All weights in one group."""
        return {"tvnet": (list(module.parameters()), 1.5e-3)}

    def loss(self, module: Network, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The squared error of a random patch, divided by the mean squared error of total variation in the whole scan."""
        first = original(example)
        volume, rest, numbers = module.bank.get(
            ("tvnet inputs", key_of(first), given.tobytes()), lambda: _prepared(first.projections[given], first.grid, given)
        )
        scale = float(numbers[0])
        device = next(module.parameters()).device
        inputs, seen = moved_along(np.stack([volume, rest]), example), seen_by_all(module.bank, example)
        error = float(((inputs[0] - example.reference)[seen] ** 2).mean()) if seen.any() else 0.0
        core = patch(inputs[0] > 0.05 * scale, generator)
        turn = -1 if torch.rand(1, generator=generator) < 0.5 else 1  # upside down
        around, middle = surroundings(np.ascontiguousarray(region_of(list(inputs), core, scale)[:, ::turn]))
        wanted = (example.reference[core] - inputs[0][core])[::turn].reshape(-1) / np.float32(scale)
        weight = np.where(seen[core][::turn].reshape(-1), np.float32(1), np.float32(OUTSIDE))
        found = module.net(around.to(device), middle.to(device), torch.from_numpy(numbers[1:].astype(np.float32)).to(device)).float()
        squares = torch.from_numpy(weight).to(device) * (found - torch.from_numpy(wanted).to(device)) ** 2
        return (squares.mean() / max(error / scale**2, 1e-6)).clamp(max=20.0)

    def reconstruct(self, module: Network, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """Total variation of weight `TYPICAL` with the network's correction, in 1/mm, never below zero; validation scores it."""
        first = total_variation(projections, grid, lambda_=0.6 * TYPICAL)
        return torch.from_numpy(np.maximum(first.volume + correction(module, projections, grid, first.volume, first.lambda_), 0))


def _prepared(projections: Projections, grid: Grid, given: Given) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Total variation, what it leaves, and (scale, facts); the weight is drawn from those that the rule of `pdhg_tv` chooses among.

    The draw depends on the views alone, so that a scan that comes again has the same.
    """
    drawn = np.random.default_rng(zlib.crc32(projections.scan.source.tobytes() + given.tobytes())).random()
    first = total_variation(projections, grid, lambda_=TYPICAL * 0.38 ** float(drawn))
    scale = max(grey_scale(first.volume), 1e-9)
    numbers = np.array([scale, *facts(projections, grid, scale, first.lambda_)])
    return first.volume, left_over(projections, grid, first.volume), numbers


def patch(inside: np.ndarray, generator: Generator) -> tuple[slice, slice, slice]:
    """A random cube whose middle lies inside (anywhere, one time in eight), or the part of it that fits into the volume."""
    place = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    there = np.flatnonzero(inside) if place[3] > 1 / 8 else np.empty(0, np.intp)
    spot = int(there[int(place[0] * len(there))]) if len(there) else int(place[0] * inside.size)
    begin = [
        int(np.clip(m - PATCH // 2, 0, max(n - PATCH, 0))) for m, n in zip(np.unravel_index(spot, inside.shape), inside.shape, strict=True)
    ]
    z, y, x = (slice(b, min(b + PATCH, n)) for b, n in zip(begin, inside.shape, strict=True))
    return z, y, x


LEARNER = TvnetLearner()
