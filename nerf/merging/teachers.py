"""Two networks teach a third: what one of them says of animals, and the other of everything else. Or one learns animals, alone or with a
second member beside it, and keeps the rest.

Weights that go on to learn heads forget other objects within a few hundred steps, and learning both from the truth takes a card: most of
the error is what no network can find in few views, so that the gradients of small batches are nearly all noise. What another network says
can be learned to the end. (Hinton, Vinyals and Dean 2015, arXiv:1503.02531; Li and Hoiem 2016, arXiv:1606.09282, where the old network
keeps the new one from forgetting.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator

from ...base import InputError
from ...base.shapes import Float
from ..patchwise.learner import Network
from ..patchwise.learning import LessonSettings, answers, bounded, patches, shares_left
from ..patchwise.lessons import Lesson
from ..training.checkpoint import Checkpoint

FLOOR = 0.2  # added to the share of the error that a teacher leaves, so that lessons without an error do not outweigh all others


@dataclass(frozen=True, eq=False)
class Teachers:
    """Who teaches what: ``of_animals`` the lessons in ``animals``, which count ``weight`` times as much, and ``of_others`` all the rest."""

    of_animals: Network
    of_others: Network
    animals: set[Lesson]
    weight: float = 1.0

    def loss(self, module: Network, group: Sequence[Lesson], settings: LessonSettings, generator: Generator) -> Float[torch.Tensor, ""]:
        """The mean over random patches of how far the network is from their teachers.

        It is the squared difference in units of what the teacher leaves of the truth, so that it counts as it would in decibels. Network
        and teacher see the same patch, so that its faces do them the same harm.
        """
        chosen, batch = patches(group, settings, generator)
        here = torch.tensor([x in self.animals for x in chosen], device=batch.device)
        taught = torch.empty_like(batch[:, -2])
        with torch.no_grad():
            for teacher, mine in ((self.of_animals, here), (self.of_others, ~here)):
                if mine.any():
                    taught[mine] = answers(teacher, [x for x, m in zip(chosen, mine.tolist(), strict=True) if m], batch[mine])
        left = shares_left(taught, chosen, batch) + FLOOR
        losses = bounded(shares_left(answers(module, chosen, batch), chosen, _aiming(batch, taught)) / left)
        return (losses * torch.where(here, self.weight, 1.0)).mean()


@dataclass(frozen=True, eq=False)
class Keeper:
    """A network learns from the truth in the lessons in ``animals``, which count ``weight`` times as much, and in all the rest keeps to
    what another said, ``before``: itself, as it began.
    """

    before: Network
    animals: set[Lesson]
    weight: float = 1.0

    def loss(self, module: Network, group: Sequence[Lesson], settings: LessonSettings, generator: Generator) -> Float[torch.Tensor, ""]:
        """The mean over random patches of how far the answer is from there.

        What the truth teaches counts as in `batch_loss`, and what was said before as in `Teachers`.
        """
        chosen, batch = patches(group, settings, generator)
        here = torch.tensor([x in self.animals for x in chosen], device=batch.device)
        with torch.no_grad():
            said = answers(self.before, chosen, batch)
        left = torch.where(here, 1.0, shares_left(said, chosen, batch) + FLOOR)
        taught = torch.where(here[:, None, None, None], batch[:, -2], said)
        answer = self.together(answers(module, chosen, batch), said)
        losses = bounded(shares_left(answer, chosen, _aiming(batch, taught)) / left)
        return (losses * torch.where(here, self.weight, 1.0)).mean()

    def together(
        self, answer: Float[torch.Tensor, "patch z y x"], said: Float[torch.Tensor, "patch z y x"]
    ) -> Float[torch.Tensor, "patch z y x"]:
        """What is compared with the lesson, in units of the object's grey scale (dimensionless): the answer of the one that learns."""
        return answer


class Companion(Keeper):
    """The same for a second member beside the one ``before``, which stays as it is: it learns that the mean of both is the truth of
    animals, and of all the rest what the first says.
    """

    def together(
        self, answer: Float[torch.Tensor, "patch z y x"], said: Float[torch.Tensor, "patch z y x"]
    ) -> Float[torch.Tensor, "patch z y x"]:
        """The mean of what both say, in units of the object's grey scale (dimensionless)."""
        return (answer + said) / 2


def _aiming(
    batch: Float[torch.Tensor, "patch channel z y x"], taught: Float[torch.Tensor, "patch z y x"]
) -> Float[torch.Tensor, "patch channel z y x"]:
    """The patches with another correction to find."""
    return torch.cat([batch[:, :-2], taught[:, None], batch[:, -1:]], dim=1)


def mean_of(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The checkpoint whose weights are the means of those of several, which were trained from one another (Wortsman et al. 2022,
    arXiv:2203.05482). What is known is what any of them knows. Raises `InputError` where their networks differ, or where there are none.
    """
    if not checkpoints:
        raise InputError("no checkpoint was given", expected="at least one for each teacher")
    first, states = checkpoints[0], [c.state for c in checkpoints]
    if any(c.method != first.method or dict(c.architecture) != dict(first.architecture) for c in checkpoints):
        told = ", ".join(f"{c.method} {dict(c.architecture)}" for c in checkpoints)
        raise InputError(f"the checkpoints hold different networks: {told}", expected="one architecture")
    names = [name for name in first.state if all(name in state for state in states)]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0) for name in names}
    return replace(first, state={**mean, "known": known_to_any(checkpoints)})


def known_to_any(checkpoints: Sequence[Checkpoint]) -> Float[torch.Tensor, "2 facts"]:
    """The least and the greatest of each fact about scans (dimensionless) that any of several networks learned from."""
    known = torch.stack([checkpoint.state["known"].float() for checkpoint in checkpoints])
    return torch.stack([known[:, 0].min(0).values, known[:, 1].max(0).values])
