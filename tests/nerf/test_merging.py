"""One network taught by two: each lesson by its own teacher, more exactly than the mean of their weights, and as a command."""

from __future__ import annotations

import copy
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from fewview.base import InputError
from fewview.nerf.merging import __main__ as command
from fewview.nerf.merging import teachers
from fewview.nerf.merging.teachers import FLOOR, Companion, Keeper, Teachers, mean_of
from fewview.nerf.patchwise import learning, procedural_lessons, scales
from fewview.nerf.patchwise.learner import LEARNER, Network
from fewview.nerf.patchwise.learning import LessonSettings, Pool, batch_loss, learned
from fewview.nerf.patchwise.lessons import Lesson, lesson
from fewview.nerf.patchwise.procedural_lessons import ProceduralVolumes, key_of_lessons
from fewview.nerf.procedural.scene import HEADS, family_of_first
from fewview.nerf.training.bank import Bank
from fewview.nerf.training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint

SMALL = scales.Scales(fine=4, middle=4, coarse=4)
SETTINGS = LessonSettings(batch=4, edge=16)


def network(bias: float, seed: int = 0) -> Network:
    """A network that answers with ``bias``, in units of the contrast around a voxel, and a little beside."""
    module = LEARNER.build(SMALL, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        module.net.leave.bias.fill_(bias)  # type: ignore[union-attr, operator]
    return module


def noise(seed: int, level: float = 0.8, error: float = 0.2) -> Lesson:
    """Noise about a level of grey; what is wanted of it is not what either teacher says."""
    rng = np.random.default_rng(seed)
    kept = np.stack([rng.normal(level, 0.2, (8, 24, 24)), np.zeros((8, 24, 24)), rng.normal(0, error, (8, 24, 24)), np.ones((8, 24, 24))])
    return lesson(kept.astype(np.float16), np.zeros(6, np.float32), torch.device("cpu"))


def checkpoint(module: Network, **changes: object) -> Checkpoint:
    told = {"method": "tvnet", "preset": "scales", "architecture": {"fine": 4, "middle": 4, "coarse": 4}, "settings": {}, "geometry": {}}
    return Checkpoint(**{**told, "data": {}, "losses": ({"step": 1},), "state": module.state_dict(), **changes})  # type: ignore[arg-type]


def test_each_lesson_has_its_own_teacher() -> None:
    """A copy of a teacher has nothing to learn from its lessons, and what it has to learn of the others' follows from what both say."""
    head, other, left, right = noise(1), noise(2), network(0.5), network(-0.5)
    by_two = Teachers(left, right, {head})
    for lessons, nothing, much in (([head], left, right), ([other], right, left)):
        losses = [
            float(by_two.loss(copy.deepcopy(m), lessons, SETTINGS, torch.Generator().manual_seed(3)).detach()) for m in (nothing, much)
        ]
        assert losses[0] < 1e-6
        assert losses[1] > 1e-3
    doubled = Teachers(left, right, {head}, weight=2.0).loss(right, [head], SETTINGS, torch.Generator().manual_seed(3))
    assert float(doubled.detach()) == pytest.approx(
        2 * float(by_two.loss(right, [head], SETTINGS, torch.Generator().manual_seed(3)).detach())
    )


def test_a_distance_counts_in_what_the_teacher_leaves() -> None:
    """Teachers that are right (their own words are what is wanted) have the floor alone in the denominator."""
    module, teacher, given = network(0.1), network(0.0, seed=1), noise(1)
    with torch.no_grad():
        exact = teacher.net(given.volumes.float()[None], given.facts[None])[0]
    right = lesson(torch.cat([given.volumes, exact.half()[None], given.weight[None]]).numpy(), np.zeros(6, np.float32), torch.device("cpu"))
    whole = LessonSettings(batch=1, edge=24)
    found = float(Teachers(teacher, teacher, set()).loss(module, [right], whole, torch.Generator().manual_seed(0)).detach())
    with torch.no_grad():
        answer = module.net(right.volumes.float()[None], right.facts[None])[0]
    assert found == pytest.approx(float(((answer - exact) ** 2).mean()) / right.error / FLOOR, rel=0.05)  # in half precision


def test_a_companion_makes_the_mean_of_both_right() -> None:
    """Of a head it has to say what the first leaves twice over, and of everything else what the first says."""
    head, other, first = noise(1), noise(2), network(0.5)
    beside = Companion(first, {head})
    draw = {"settings": LessonSettings(batch=1, edge=24), "generator": torch.Generator()}

    def loss(says: torch.Tensor, given: Lesson) -> float:
        module = copy.deepcopy(first)
        module.net.forward = lambda region, facts: says[None]  # type: ignore[method-assign, union-attr, assignment]
        with mock.patch.object(teachers, "patches", return_value=([given], torch.cat(given_parts(given))[None])):
            return float(beside.loss(module, [given], **draw).detach())  # type: ignore[arg-type]

    said = {}
    for given in (head, other):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            said[given] = first.net(given.volumes.float()[None], given.facts[None])[0].float()
    assert loss(2 * head.wanted.float() - said[head], head) < 1e-6
    assert loss(said[head], head) == pytest.approx(float(((said[head] - head.wanted.float()) ** 2).mean()) / head.error, rel=1e-3)
    assert loss(said[other], other) < 1e-6
    assert loss(2 * other.wanted.float() - said[other], other) > 1e-2
    doubled = Companion(first, {head}, weight=2.0)
    one, two = (float(x.loss(first, [head], SETTINGS, torch.Generator().manual_seed(3)).detach()) for x in (beside, doubled))
    assert two == pytest.approx(2 * one)


def test_a_keeper_finds_heads_right_and_the_rest_as_it_was() -> None:
    """A network that says what it said before has nothing to learn but heads, and of these what `batch_loss` says."""
    head, other, before, now = noise(1), noise(2), network(0.5), network(-0.5)
    keeper = Keeper(before, {head})

    def loss(module: Network, given: Lesson) -> float:
        return float(keeper.loss(module, [given], SETTINGS, torch.Generator().manual_seed(3)).detach())

    assert loss(before, other) < 1e-6
    assert loss(now, other) > 1e-3
    truth = float(batch_loss(now, [head], SETTINGS, torch.Generator().manual_seed(3)).detach())
    assert loss(now, head) == pytest.approx(truth, rel=1e-6)


def given_parts(given: Lesson) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The channels of a whole lesson as `patches` would give them."""
    return given.volumes.float(), given.wanted.float()[None], given.weight.float()[None]


@pytest.mark.parametrize("kind", [Companion, Keeper])
def test_heads_are_learned_and_the_rest_is_kept(kind: type[Keeper], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bright lessons are heads, which want a constant; of the faint ones the first member says next to nothing, and that is kept."""
    monkeypatch.setattr(learning, "WARM", 10)
    bright, faint = ([noise(k, level) for k in range(k, k + 4)] for k, level in ((1, 1.6), (11, 0.2)))
    for given in bright:
        given.wanted.fill_(0.3)
    first, second = network(0.0), network(0.0)
    lessons = [x for pair in zip(bright, faint, strict=True) for x in pair]
    beside = kind(first, set(bright))
    trained = learned(second, Pool(lessons, 8), LessonSettings(steps=60, batch=4, edge=16, rate=2e-2), loss_of=beside.loss)

    def left(module: Network, given: list[Lesson]) -> float:
        with torch.no_grad():
            return float(beside.loss(module, given, LessonSettings(batch=32, edge=16), torch.Generator().manual_seed(9)))

    assert left(trained, bright) < 0.3 * left(first, bright)
    assert left(trained, faint) < 0.1 * left(trained, bright) + 0.05


def test_it_learns_what_both_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bright lessons from one teacher and faint ones from the other: the mean of their weights says neither."""
    monkeypatch.setattr(learning, "WARM", 10)
    bright, faint = ([noise(k, level) for k in range(k, k + 4)] for k, level in ((1, 1.6), (11, 0.2)))
    by_two = Teachers(network(0.6), network(-0.6), set(bright))
    begin, lessons = network(0.0), [x for pair in zip(bright, faint, strict=True) for x in pair]
    mean = learned(begin, Pool(lessons, 8), LessonSettings(steps=60, batch=4, edge=16, rate=2e-2), loss_of=by_two.loss)

    def distance(module: Network) -> float:
        with torch.no_grad():
            return float(by_two.loss(module, lessons, LessonSettings(batch=32, edge=16), torch.Generator().manual_seed(9)))

    assert distance(mean) < 0.25 * distance(network(0.0))


def test_the_mean_of_checkpoints_knows_what_any_of_them_knows() -> None:
    a, b = network(0.2), network(0.4)
    a.known.copy_(torch.tensor([[0.0] * 6, [1.0] * 6]))
    b.known.copy_(torch.tensor([[0.5] * 6, [2.0] * 6]))
    mean = mean_of([checkpoint(a), checkpoint(b)])
    assert mean.state["net.leave.bias"].item() == pytest.approx(0.3)
    assert mean.state["known"].tolist() == [[0.0] * 6, [2.0] * 6]
    with pytest.raises(InputError, match="no checkpoint"):
        mean_of([])
    with pytest.raises(InputError, match=r"different networks.*'fine': 8"):
        mean_of([checkpoint(a), checkpoint(b, architecture={"fine": 8, "middle": 4, "coarse": 4})])


def test_the_command_teaches_heads_by_one_and_all_else_by_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From lessons that lie in the bank, so that no process is begun to make any."""
    heads = [seed for seed in range(60) if family_of_first(seed) in HEADS]
    first = next(s for s in heads if s + 1 not in heads)  # a head and something else
    rng, bank = np.random.default_rng(0), Bank(0, tmp_path / "bank")
    for seed in (first, first + 1):
        kept = (rng.random((4, 8, 16, 16)).astype(np.float16), np.full(6, seed, np.float32)) * 2
        bank.get(key_of_lessons(seed), lambda kept=kept: kept)
    monkeypatch.setattr(procedural_lessons, "ProcessPoolExecutor", lambda *a, **k: pytest.fail("lessons were made"))
    asked: list[tuple[float, bool]] = []
    own = Teachers.loss

    def loss(self: Teachers, module: Network, group: list[Lesson], *rest: object) -> torch.Tensor:
        asked.extend((float(x.facts[0]), x in self.animals) for x in group)
        return own(self, module, group, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Teachers, "loss", loss)
    paths = [tmp_path / name for name in ("a.pt", "b.pt", "c.pt", "out.pt")]
    for path, bias in zip(paths, (0.2, 0.4, -0.1), strict=False):
        save_checkpoint(path, checkpoint(network(bias)))
    volumes, training = ProceduralVolumes(scans=2, first=first), LessonSettings(steps=2, batch=1, rate=1e-9)
    command.main(paths[3], tmp_path / "bank", (paths[2],), (paths[0], paths[1]), volumes, training, device="cpu")
    assert set(asked) == {(float(first), True), (float(first + 1), False)}
    made = read_checkpoint(paths[3])
    assert made.state["net.leave.bias"].item() == pytest.approx((0.3 - 0.1) / 2, abs=1e-6)  # where it begins
    assert made.settings["animals"] == ["a.pt", "b.pt"]
    assert made.data["train"] == {"procedural volumes": f"seeds {first} to {first + 1}"}
    paths[3].write_text("mine")
    with pytest.raises(FileExistsError):
        command.main(paths[3], tmp_path / "bank", (paths[2],), (paths[0],), device="cpu")
