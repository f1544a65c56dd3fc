"""Lessons of `tvnet`: what is known of a scan before training, and training on many scans at once with all of them on one device.

`fewview train` takes one scan after the other and suits a processor. A graphics card is kept busy only where all scans lie in its memory
and a step works on a batch of patches: this is how the weights that come with fewview are made (``python -m fewview.nerf.patchwise``).

The loop here is not that of `training.train_network`, and they are simpler apart. That one draws views of an `Example` in each step, keeps
the best weights of any learner by validation, and can be resumed after days. This one draws patches of lessons that other processes made
before, of one height in a step, keeps the running mean of the weights, and takes minutes, so that nothing is taken up again but the
lessons. To serve both, that one would need the running mean (in its state too), a rise of the learning rate, a batch that the learner
draws, and views drawn as the lessons were: more than the 35 lines of `learned`. How views are drawn, how an error counts, and the file
that is written are the same for both.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ...base.settings import Count, Positive, Seed, checked
from ...base.shapes import Bool, Float, Int, Volume
from ..training.examples import draw_views
from ..training.learner import Example
from ..training.state import step_generator
from .learner import ALIKE, MOST, OUTSIDE, Network, prepared
from .scales import ScaleNetwork

AIR = 0.3  # weight of voxels where total variation sees next to nothing
WARM = 200  # steps in which the learning rate rises to its full height
KEEPS = 0.999  # of the running mean of the weights, a step


@dataclass(frozen=True, eq=False)
class Lesson:
    """One scan from some of its views: the two volumes that the network sees and the correction that it should find, in units of the
    object's grey scale, the weight of each voxel, and the facts about the scan. ``error`` is the weighted mean square of the correction in
    the object, and ``columns`` are the places (y, x) of the columns of voxels that hold some of it.
    """

    volumes: Float[Tensor, "volume z y x"]
    wanted: Float[Tensor, "z y x"]
    weight: Float[Tensor, "z y x"]
    facts: Float[Tensor, "facts"]
    error: float
    columns: Int[NDArray[np.intp], "column 2"]


def lesson_arrays(example: Example, number: int, counts: Sequence[int] = ALIKE["views"]) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """What is kept of lesson ``number``: (two volumes, correction, weight) in half precision, dimensionless [4, z, y, x], and the facts.

    Each number has views of its own, drawn as `fewview train tvnet` draws them; how many is one of ``counts``.
    """
    scan = example.projections.scan
    given = draw_views(scan, counts, ALIKE["selections"], step_generator(0, 2**42 + number))
    volume, rest, numbers = prepared(example.projections[given], example.grid, given)
    scale = np.float32(numbers[0])
    first = np.asarray(volume / scale, np.float32)
    kept = np.stack([first, rest / scale, example.reference / scale - first, lesson_weight(first, example.grid.seen_by_all(scan))])
    return kept.clip(-6e4, 6e4).astype(np.float16), numbers[1:].astype(np.float32)


def lesson_weight(volume: Volume, seen: Bool[NDArray[np.bool_], "z y x"]) -> Float[NDArray[np.float32], "z y x"]:
    """1 in the object, `AIR` beside it, and `OUTSIDE` of either where not all views see the voxel.

    The volume is in units of its grey scale, and the weight dimensionless.
    """
    return (np.where(seen, 1, OUTSIDE) * np.where(volume > 0.05, 1, AIR)).astype(np.float32)


def lesson(kept: NDArray[np.float16], facts: NDArray[np.float32], device: torch.device) -> Lesson:
    """The lesson on the device; ``kept`` [4, z, y, x] is dimensionless, as `lesson_arrays` gives it."""
    whole, told = torch.from_numpy(kept).to(device), torch.from_numpy(facts).to(device)
    inside = kept[3] > AIR
    counted = inside if inside.any() else ~inside  # of an empty volume, all
    size = _mean_square(whole[2].float(), whole[3].float() * torch.from_numpy(counted).to(device))
    return Lesson(whole[:2], whole[2], whole[3], told, max(size, 1e-6), np.argwhere(inside.any(axis=0)))


def error_left(module: Network, given: Lesson) -> float:
    """The weighted squared error with the network's correction, as a share of that of total variation."""
    with torch.no_grad():
        found = module.net(given.volumes.float(), given.facts).float()
    weight = given.weight.float()
    return _mean_square(found - given.wanted.float(), weight) / max(_mean_square(given.wanted.float(), weight), 1e-6)


def _mean_square(x: Float[Tensor, "z y x"], weight: Float[Tensor, "z y x"]) -> float:
    return float((weight * x**2).sum() / weight.sum())


@checked(of="the training of tvnet on many scans at once")
class LessonSettings:
    """Settings of `learned`. ``rate`` is the learning rate of Adam after the first steps; ``edge`` the width of a patch in voxels."""

    steps: Count = 12_000
    batch: Count = 12
    edge: Count = 48
    rate: Positive = 2e-3
    seed: Seed = 0


Tell = Callable[[int, float, Network], None]  # step, mean loss since the last call, the mean of the weights so far


def learned(module: Network, lessons: Sequence[Lesson], settings: LessonSettings, tell: Tell | None = None, every: int = 500) -> Network:
    """The network after training: the running mean of its weights over the last steps."""
    device = next(module.parameters()).device
    mean = copy.deepcopy(module)
    rows = torch.stack([x.facts for x in lessons])
    known = torch.stack([torch.minimum(module.known[0], rows.min(0).values), torch.maximum(module.known[1], rows.max(0).values)])
    heights: dict[int, list[Lesson]] = {}
    for x in lessons:
        heights.setdefault(x.wanted.shape[0], []).append(x)
    groups = list(heights.values())
    shares = torch.tensor([float(len(g)) for g in groups])
    optimiser = torch.optim.Adam(module.parameters(), lr=settings.rate, betas=(0.9, 0.99))
    generator = Generator().manual_seed(settings.seed)
    total = torch.zeros((), device=device)
    for step in range(1, settings.steps + 1):
        height = min(1.0, step / WARM) * 0.5 * (1 + math.cos(math.pi * (step - 1) / settings.steps))
        optimiser.param_groups[0]["lr"] = settings.rate * height
        group = groups[int(torch.multinomial(shares, 1, generator=generator))]
        loss = batch_loss(module, group, settings, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        keeps = min(KEEPS, step / (step + 10))
        with torch.no_grad():
            for kept, new in zip(mean.parameters(), module.parameters(), strict=True):
                kept.lerp_(new, 1 - keeps)
        total += loss.detach()
        if tell and (step % every == 0 or step == settings.steps):
            mean.known.copy_(known)
            tell(step, float(total) / (step % every or every), mean)
            total.zero_()
    mean.known.copy_(known)
    return mean


def batch_loss(module: Network, group: Sequence[Lesson], settings: LessonSettings, generator: Generator) -> Float[Tensor, ""]:
    """The mean of the losses of random patches of as many scans of one height, all turned and mirrored alike.

    The loss of a scan is its weighted squared error in units of that of total variation; beyond `MOST` its logarithm counts.
    """
    draws = torch.rand(settings.batch + 1, 4, generator=generator, dtype=torch.float64).tolist()
    chosen = [group[int(draw[0] * len(group))] for draw in draws[:-1]]
    batch = torch.stack([_cut(x, settings.edge, draw[1:]) for x, draw in zip(chosen, draws[:-1], strict=True)]).float()
    quarters, flips = int(4 * draws[-1][0]), [axis for axis, drawn in ((-3, draws[-1][1]), (-1, draws[-1][2])) if drawn < 0.5]
    batch = torch.rot90(batch, quarters, (-1, -2)).flip(flips)
    with torch.autocast(batch.device.type, torch.bfloat16):
        found = module.net(batch[:, :2], torch.stack([x.facts for x in chosen])).float()
    weight = batch[:, 3]
    squares = (weight * (found - batch[:, 2]) ** 2).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1.0)
    losses = squares / torch.tensor([x.error for x in chosen], device=batch.device)
    return torch.where(losses < MOST, losses, MOST * (1 + torch.log(losses.clamp(min=MOST) / MOST))).mean()


def _cut(given: Lesson, edge: int, place: Sequence[float]) -> Float[Tensor, "channel z y x"]:
    """A patch of all slices, (two volumes, correction, weight); its voxels at faces inside the volume have no weight.

    Its middle is a column of the object, if there is one; of one in eight, any column.
    """
    shape, margin, held = given.wanted.shape[1:], ScaleNetwork.margin, len(given.columns)
    anywhere = place[2] < 1 / 8 or not held
    spot = [int(draw * n) for draw, n in zip(place[:2], shape, strict=True)] if anywhere else given.columns[int(place[0] * held)]
    begin = [int(np.clip(m - edge // 2, 0, max(n - edge, 0))) for m, n in zip(spot, shape, strict=True)]
    y, x = (slice(b, b + edge) for b in begin)
    inner = tuple(slice(margin * (b > 0), edge - margin * (b + edge < n)) for b, n in zip(begin, shape, strict=True))
    weight = torch.zeros_like(given.weight[:, y, x])
    weight[:, *inner] = given.weight[:, y, x][:, *inner]
    return torch.cat([given.volumes[:, :, y, x], given.wanted[None, :, y, x], weight[None]])
