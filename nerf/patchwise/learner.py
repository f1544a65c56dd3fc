"""How `tvnet` learns: random patches of scans, the target the truth, each scan's error in units of that of its total variation."""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from ...base import InputError
from ...base.shapes import Float, Volume
from ...data import Projections
from ...geometry import Grid
from ...recon.iterative.pdhg_tv import pdhg_tv
from ...recon.iterative.tuning.prior_weight import TYPICAL
from ..training.bank import Bank, key_of, original, seen_by_all
from ..training.checkpoint import Checkpoint, module_of
from ..training.examples import moved_along
from ..training.learner import Example, Given, Group
from .inputs import as_learned, facts, grey_scale, left_over
from .members import LookNetwork, Looks, MemberNetwork, Members
from .network import FACTS, Architecture, PatchNetwork
from .scales import Convolutions, ScaleNetwork, Scales
from .tiles import tiled

MOST = 20.0  # of a scan's error by total variation: beyond it, a loss counts by its logarithm
OUTSIDE = 0.05  # weight of voxels that not all views see
GREY_SCANS = 500  # scans, about so many, over which the grey scale of the targets is averaged
RESIDUAL = ("first", "middle", "coarse", "back", "last", "up1", "up2")  # layers that are added to what they are given
AnySize = Architecture | Scales | Members | Looks
PRESETS: Mapping[str, AnySize] = {"small": Architecture(), "scales": Scales(), "members": Members(), "looks": Looks()}
ALIKE = {
    "pool": 2, "views": (13, 18, 26, 26, 36, 52), "selections": ("evenly", "evenly", "evenly", "random"), "check_scans": 4,
    "check_views": (26,), "clip": 1.0, "betas": (0.9, 0.99),
}  # fmt: skip
ON_SCALES = {**ALIKE, "steps": 1500, "batch": 2, "check_every": 250, "learning_rate": 0.7}
TRAINING = {
    "small": {**ALIKE, "steps": 3000, "batch": 16, "check_every": 500},
    "scales": ON_SCALES,
    "members": ON_SCALES,
    "looks": ON_SCALES,
}


class Network(nn.Module):
    """The network, the least and the greatest of each fact about the scans that it was trained on, how bright its targets were beside the
    views (and in how many scans that was seen), and what was made of scans before.
    """

    known: Tensor
    grey_seen: Tensor
    precision: torch.dtype | None = None  # in which the layers compute where nothing is learned; None: float32

    def __init__(self, a: AnySize) -> None:
        super().__init__()
        self.architecture = a
        self.net = _network(a)
        self.bank = Bank()
        self.register_buffer("known", torch.tensor([[math.inf] * FACTS, [-math.inf] * FACTS]))
        self.register_buffer("grey_seen", torch.tensor([1.0, 0.0]))
        self.register_load_state_dict_pre_hook(_without_grey)

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """By what to know the looks before the last one, which do not learn: nothing where there are none."""
        digests = []
        for look in self.net.before:
            digest = hashlib.sha256()
            for tensor in look.state_dict().values():
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
            digests.append(digest.hexdigest())
        return tuple(digests)

    @property
    def grey(self) -> float:
        """How many times as bright as the views say the volumes were that it learned from: its result is in their grey scale.

        Views that were corrected for beam hardening, for example, are as bright as at one energy, and the targets as at another. The
        network corrects the shape alone, so that held-out views can judge it.
        """
        return float(self.grey_seen[0])

    @property
    def grey_is_learned(self) -> bool:
        """Whether the grey scale was seen in training; that of the weights that come with fewview is the views' own, by their making."""
        return float(self.grey_seen[1]) > 0

    def see_grey(self, volume: Float[NDArray[np.float32], "voxel"], target: Float[NDArray[np.float32], "voxel"]) -> None:
        """Take the grey scale of another target (in any unit) into the mean; the volume, in 1/mm, is what the views alone say of the same
        voxels.
        """
        here, there = float(volume.sum(dtype=np.float64)), float(target.sum(dtype=np.float64))
        if here > 0 and there > 0:
            value, count = self.grey_seen.tolist()
            share = max(1 / (count + 1), 1 / GREY_SCANS)
            self.grey_seen.copy_(torch.tensor([value * (there / here / value) ** share, count + 1]))


def _network(a: AnySize) -> PatchNetwork | Convolutions:
    if isinstance(a, Architecture):
        return PatchNetwork(a)
    return LookNetwork(a) if isinstance(a, Looks) else MemberNetwork(a) if isinstance(a, Members) else ScaleNetwork(a)


def _without_grey(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Weights that were written before the grey scale was kept are in that of the views."""
    state.setdefault(f"{prefix}grey_seen", torch.tensor([1.0, 0.0]))


def first_look(checkpoint: Checkpoint, name: str) -> Network:
    """The network of a checkpoint, if it looks but once, as one has to that learns from lessons of total variation. Raises InputError for
    one that looks again, and the errors of `module_of`.
    """
    module: Any = module_of(checkpoint, LEARNER, name=name)
    if module.net.before:
        raise InputError(
            f"{name} looks again at what it made of a scan, and is not trained from total variation",
            expected="weights of the presets scales or members",
            remedy="go on with its last look: python -m fewview.nerf.merging.again, or fewview train tvnet --begin",
        )
    return module.float()


def correction(module: Network, projections: Projections, grid: Grid, volume: np.ndarray, lambda_: float) -> Float[np.ndarray, "z y x"]:
    """What the network adds to total variation of weight ``lambda_``, in 1/mm as the views have it; zero for a volume that is empty."""
    scale = grey_scale(volume)
    if scale == 0:
        return np.zeros(grid.shape, np.float32)
    told = as_learned(facts(projections, grid, scale, lambda_), module.known.cpu().numpy())
    seen = inputs(module, partial(left_over, projections, grid), volume, scale, told)
    added = in_images(module, module.net, seen, scale, told)
    return added + (seen[0] - volume) if module.net.before else added


def inputs(
    module: Network, left: Callable[[Volume], Volume], volume: Volume, scale: float, told: Float[NDArray[np.float32], "facts"]
) -> tuple[Volume, ...]:
    """What the last look of the network sees, in the unit of ``scale``: a volume, and what it has ``left`` of the views (`left_over`).
    Where networks look before it: the volume as they correct it, what that leaves, and then the two of before.
    """
    seen: tuple[Volume, ...] = (volume, left(volume))
    for look in module.net.before:
        better = np.maximum(seen[0] + in_images(module, look, seen, scale, told), 0)
        seen = (better, left(better), *seen[:2])
    return seen


def in_images(
    module: Network,
    look: PatchNetwork | Convolutions,
    volumes: Sequence[Volume],
    scale: float,
    told: Float[NDArray[np.float32], "facts"],
) -> Float[NDArray[np.float32], "z y x"]:
    """The correction of the first of the volumes, in their unit and that of ``scale``: the mean of what the network says of it and of
    images of it, mirrored or turned by a quarter, each turned back. It has learned from all of them, and what it gets wrong in one way in
    an image it partly gets wrong in another way in the next.
    """
    added = np.zeros(volumes[0].shape, np.float32)
    half = nullcontext() if module.precision is None else torch.autocast(module.known.device.type, module.precision)
    for quarters, axes in look.images:
        image = [np.flip(np.rot90(v, quarters, (1, 2)), axes) for v in volumes]
        with half:
            found = tiled(look, image, told, scale)
        added += np.rot90(np.flip(found, axes), -quarters, (1, 2))
    return added / np.float32(len(look.images))


@dataclass(frozen=True)
class TvnetLearner:
    """The learner of `tvnet`."""

    name: str = "tvnet"
    presets: Mapping[str, AnySize] = field(default_factory=lambda: PRESETS)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TRAINING)

    def build(self, architecture: AnySize, generator: Generator) -> Network:
        """The network with weights from ``generator`` alone (He et al. 2015); what it adds is zero at the start."""
        module = Network(architecture)
        with torch.no_grad():
            for named, parameter in module.named_parameters():
                name = re.sub(r"^net\.((first\.)?members|again)\.\d+\.", "net.", named)  # as in a network of its own
                if name.endswith("bias") or name.startswith(("net.leave", "net.linear", "net.told")):
                    parameter.zero_()
                else:  # each output of a transposed convolution has one voxel of each channel as input
                    inputs = parameter.shape[0] if name.startswith("net.up") else parameter[0].numel()
                    beside = name.split(".")[1] in RESIDUAL
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * ((0.25 if beside else 2) / inputs) ** 0.5)
        return module

    def groups(self, module: Network) -> Mapping[str, Group]:
        """All weights that learn, in one group."""
        return {"tvnet": ([p for p in module.parameters() if p.requires_grad], 1.5e-3)}

    def loss(self, module: Network, example: Example, given: Given, generator: Generator, group: str) -> Float[Tensor, ""]:
        """The squared error of a random patch, divided by the mean squared error in the whole scan of the volume that is corrected."""
        first = original(example)
        *volumes, numbers = module.bank.get(
            ("tvnet inputs", key_of(first), given.tobytes(), *module.fingerprint),
            lambda: prepared(first.projections[given], first.grid, given, module),
        )
        scale = float(numbers[0])
        device = next(module.parameters()).device
        shown, seen = moved_along(np.stack(volumes), example), seen_by_all(module.bank, example)
        module.see_grey(shown[0][seen], example.reference[seen])
        target = example.reference / np.float32(module.grey)
        error = float(((shown[0] - target)[seen] ** 2).mean()) if seen.any() else 0.0
        core = patch(shown[0] > 0.05 * scale, module.net.patch, generator)
        turned = bool(torch.rand(1, generator=generator) < 0.5)  # upside down
        told = torch.from_numpy(numbers[1:].astype(np.float32)).to(device)
        module.known.copy_(torch.stack([torch.minimum(module.known[0], told), torch.maximum(module.known[1], told)]))
        found = module.net.learns_on(list(shown), core, scale, told, turned).float()
        turn = -1 if turned else 1
        wanted = np.ascontiguousarray((target[core] - shown[0][core])[::turn]) / np.float32(scale)
        weight = np.ascontiguousarray(np.where(seen[core], np.float32(1), np.float32(OUTSIDE))[::turn])
        squares = torch.from_numpy(weight).to(device) * (found - torch.from_numpy(wanted).to(device)) ** 2
        z, y, x = inner(core, seen.shape, module.net.margin)
        squares = squares.flip(0)[z, y, x] if turned and module.net.margin else squares[z, y, x]
        loss = squares.mean() / max(error / scale**2, 1e-6)
        return loss if loss < MOST else MOST * (1 + torch.log(loss / MOST))

    def reconstruct(self, module: Network, projections: Projections, grid: Grid, generator: Generator) -> Float[Tensor, "z y x"]:
        """Total variation of weight `TYPICAL` with the network's correction, never below zero, in the grey scale of what it was trained on;
        validation scores it.
        """
        lambda_ = 0.6 * TYPICAL
        first = pdhg_tv(projections, grid, lambda_=lambda_)
        volume = np.maximum(first + correction(module, projections, grid, first, lambda_), 0)
        return torch.from_numpy(volume * np.float32(module.grey))


def prepared(projections: Projections, grid: Grid, given: Given, module: Network | None = None) -> tuple[np.ndarray, ...]:
    """What the last look of the network sees (None: a first look), and (scale, facts); the weight of total variation is drawn from those
    that the rule of `pdhg_tv` chooses among.

    The draw depends on the views alone, so that a scan that comes again has the same.
    """
    drawn = np.random.default_rng(zlib.crc32(projections.scan.source.tobytes() + given.tobytes())).random()
    lambda_ = TYPICAL * 0.38 ** float(drawn)
    first = pdhg_tv(projections, grid, lambda_=lambda_)
    scale = max(grey_scale(first), 1e-9)
    numbers = np.array([scale, *facts(projections, grid, scale, lambda_)])
    if module is None or not module.net.before:
        return first, left_over(projections, grid, first), numbers
    told = as_learned(numbers[1:].astype(np.float32), module.known.cpu().numpy())
    return *inputs(module, partial(left_over, projections, grid), first, scale, told), numbers


def patch(inside: np.ndarray, edge: int, generator: Generator) -> tuple[slice, slice, slice]:
    """A random cube whose middle lies inside (anywhere, one time in eight), or the part of it that fits into the volume."""
    place = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    there = np.flatnonzero(inside) if place[3] > 1 / 8 else np.empty(0, np.intp)
    spot = int(there[int(place[0] * len(there))]) if len(there) else int(place[0] * inside.size)
    begin = [
        int(np.clip(m - edge // 2, 0, max(n - edge, 0))) for m, n in zip(np.unravel_index(spot, inside.shape), inside.shape, strict=True)
    ]
    z, y, x = (slice(b, min(b + edge, n)) for b, n in zip(begin, inside.shape, strict=True))
    return z, y, x


def inner(core: tuple[slice, ...], shape: tuple[int, ...], margin: int) -> tuple[slice, ...]:
    """The part of a patch that is ``margin`` voxels away from those of its faces that lie inside the volume."""
    return tuple(slice(margin * (s.start > 0), s.stop - s.start - margin * (s.stop < n)) for s, n in zip(core, shape, strict=True))


LEARNER = TvnetLearner()
