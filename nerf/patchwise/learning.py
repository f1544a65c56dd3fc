"""Training of `tvnet` on many scans at once, all of them on one device, while more are still being made.

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
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from ...base.settings import Count, Positive, Seed, checked
from ...base.shapes import Float
from .learner import MOST, Network
from .lessons import Lesson
from .scales import ScaleNetwork

WARM = 200  # steps in which the learning rate rises to its full height
KEEPS = 0.999  # of the running mean of the weights, a step
FIRST, LAST = 0.02, 0.8  # share of the lessons that are there at the first step, and share of the steps after which all are


@checked(of="the training of tvnet on many scans at once")
class LessonSettings:
    """Settings of `learned`.

    Args:
        steps: steps of Adam.
        batch: patches in a step.
        edge: width of a patch in voxels.
        rate: learning rate of Adam, after the first steps and before it falls.
        seed: seed of the patches, and of first weights that are drawn.
    """

    steps: Count = 12_000
    batch: Count = 12
    edge: Count = 48
    rate: Positive = 2e-3
    seed: Seed = 0


Tell = Callable[[int, float, Network], None]  # step, mean loss since the last call, the mean of the weights so far
Loss = Callable[[Network, Sequence[Lesson], LessonSettings, Generator], Float[Tensor, ""]]  # of random patches of lessons of one height


class Pool:
    """Lessons, taken from their source in turn as a training goes on, so that it can begin while most of them are still being made.

    How many there are at a step depends on the step alone: where they are late the training waits, and what it learns is the same on a
    fast machine and on a slow one.
    """

    def __init__(self, source: Iterable[Lesson], count: int) -> None:
        """``count`` is how many lessons the source has."""
        self._source, self._count, self._held = iter(source), count, 0
        self._heights: dict[int, list[Lesson]] = {}

    def grow(self, share: float) -> None:
        """Take what is to be there after this share of the steps."""
        wanted = math.ceil(self._count * min(1.0, FIRST + (1 - FIRST) * share / LAST))
        while self._held < wanted:
            self._add(next(self._source))

    def _add(self, given: Lesson) -> None:
        self._heights.setdefault(given.wanted.shape[0], []).append(given)
        self._held += 1

    @property
    def facts(self) -> Float[Tensor, "lesson facts"]:
        """The facts of all lessons that are there, logarithms without a unit."""
        return torch.stack([x.facts for group in self._heights.values() for x in group])

    def draw(self, generator: Generator) -> list[Lesson]:
        """All lessons of one height, which is drawn as often as there are lessons of it."""
        groups = list(self._heights.values())
        return groups[int(torch.multinomial(torch.tensor([float(len(g)) for g in groups]), 1, generator=generator))]


def learned(
    module: Network, pool: Pool, settings: LessonSettings, tell: Tell | None = None, every: int = 500, loss_of: Loss | None = None
) -> Network:
    """The network after training: the running mean of its weights over the last steps. The loss is `batch_loss` unless another is given."""
    loss_of = loss_of or batch_loss
    device = next(module.parameters()).device
    mean, before = copy.deepcopy(module), module.known.clone()
    optimiser = torch.optim.Adam(module.parameters(), lr=settings.rate, betas=(0.9, 0.99))
    generator = Generator().manual_seed(settings.seed)
    total = torch.zeros((), device=device)
    for step in range(1, settings.steps + 1):
        pool.grow(step / settings.steps)
        height = min(1.0, step / WARM) * 0.5 * (1 + math.cos(math.pi * (step - 1) / settings.steps))
        optimiser.param_groups[0]["lr"] = settings.rate * height
        loss = loss_of(module, pool.draw(generator), settings, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        keeps = min(KEEPS, step / (step + 10))
        with torch.no_grad():
            for kept, new in zip(mean.parameters(), module.parameters(), strict=True):
                kept.lerp_(new, 1 - keeps)
        total += loss.detach()
        if step % every == 0 or step == settings.steps:
            rows = pool.facts
            mean.known.copy_(torch.stack([torch.minimum(before[0], rows.min(0).values), torch.maximum(before[1], rows.max(0).values)]))
            if tell:
                tell(step, float(total) / (step % every or every), mean)
            total.zero_()
    return mean


def batch_loss(module: Network, group: Sequence[Lesson], settings: LessonSettings, generator: Generator) -> Float[Tensor, ""]:
    """The mean of the losses of random patches.

    The loss of a patch is its weighted squared error in units of that of the volume that is corrected; beyond `MOST` its logarithm counts.
    """
    chosen, batch = patches(group, settings, generator)
    return bounded(shares_left(answers(module, chosen, batch), chosen, batch)).mean()


def bounded(losses: Float[Tensor, "patch"]) -> Float[Tensor, "patch"]:
    """The losses, dimensionless; of those beyond `MOST` the logarithm counts."""
    return torch.where(losses < MOST, losses, MOST * (1 + torch.log(losses.clamp(min=MOST) / MOST)))


def patches(
    group: Sequence[Lesson], settings: LessonSettings, generator: Generator
) -> tuple[list[Lesson], Float[Tensor, "patch channel z y x"]]:
    """Random patches of as many scans of one height, all turned and mirrored alike, and their lessons.

    The channels are what the network sees (two volumes, or four) and the correction, in units of the object's grey scale, and the weight
    (dimensionless).
    """
    draws = torch.rand(settings.batch + 1, 4, generator=generator, dtype=torch.float64).tolist()
    chosen = [group[int(draw[0] * len(group))] for draw in draws[:-1]]
    batch = torch.stack([_cut(x, settings.edge, draw[1:]) for x, draw in zip(chosen, draws[:-1], strict=True)]).float()
    quarters, flips = int(4 * draws[-1][0]), [axis for axis, drawn in ((-3, draws[-1][1]), (-1, draws[-1][2])) if drawn < 0.5]
    return chosen, torch.rot90(batch, quarters, (-1, -2)).flip(flips)


def answers(module: Network, chosen: Sequence[Lesson], batch: Float[Tensor, "patch channel z y x"]) -> Float[Tensor, "patch z y x"]:
    """The network's correction of each patch, in units of its object's grey scale (dimensionless), computed in half precision."""
    with torch.autocast(batch.device.type, torch.bfloat16):
        return module.net(batch[:, :-2], torch.stack([x.facts for x in chosen])).float()


def shares_left(
    found: Float[Tensor, "patch z y x"], chosen: Sequence[Lesson], batch: Float[Tensor, "patch channel z y x"]
) -> Float[Tensor, "patch"]:
    """The weighted squared error of corrections, of each patch as a share of that of the volume that is corrected in its whole scan."""
    weight = batch[:, -1]
    squares = (weight * (found - batch[:, -2]) ** 2).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1.0)
    return squares / torch.tensor([x.error for x in chosen], device=batch.device)


def _cut(given: Lesson, edge: int, place: Sequence[float]) -> Float[Tensor, "channel z y x"]:
    """A patch of all slices, (volumes, correction, weight); its voxels at faces inside the volume have no weight.

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
