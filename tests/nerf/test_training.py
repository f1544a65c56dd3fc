"""Training: augmentation keeps physics, interruptions change nothing, checkpoints carry no code, bad input is refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fewview.benchmarks.datasets.build import build_bonemet
from fewview.cli.main import main
from fewview.data import Projections
from fewview.data.pairs import find_pairs
from fewview.geometry import Grid, InputError, MissingBackendError, Scan, UnknownNameError, skyscan_1276
from fewview.nerf import device
from fewview.nerf.device import autocast_type
from fewview.nerf.training.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from fewview.nerf.training.examples import augmented, draw_views, load_examples, mirrored, moved_along, turned
from fewview.nerf.training.learner import Example, Learner, ScoringLearner
from fewview.nerf.training.settings import TrainSettings
from fewview.nerf.training.state import step_generator
from fewview.nerf.training.train_network import state_of, train, validation_score
from fewview.nerf.training.trained_method import TrainedSettings, trained_method
from fewview.nerf.weights import shipped_path, shrink
from fewview.recon import Operator, fdk, reconstruct
from fewview.recon.corrections.prepared import prepared_views
from fewview.recon.physics.effects import Physics
from numpy.typing import NDArray
from torch import Generator, nn

pytestmark = pytest.mark.filterwarnings("ignore:the .* views cover:UserWarning", "ignore:Detected pickle protocol:UserWarning")
GRID = Grid((10, 16, 16), 1.0, (0.7, -0.4, 0.3))
SCAN = Scan.circular(dso_mm=80, dsd_mm=120, rows=16, cols=28, pixel_mm=1.4, angles_deg=np.arange(40) * 5.2, axis_shift_mm=0.6, roll_deg=1.5)


def _blob(grid: Grid, *centers: tuple[float, float, float], width: float = 2.0) -> NDArray[np.float32]:
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    return sum(0.1 * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2)) for a, b, c in centers).astype(np.float32)


def _example(*centers: tuple[float, float, float], name: str = "1 week 0") -> Example:
    volume = _blob(GRID, *centers)
    return Example(name, name.split()[0], Projections(Operator(SCAN, GRID)(volume), SCAN), GRID, volume, fingerprint=name)


EXAMPLES = [_example((3.0, 1.0, 0.5), name="1 week 0"), _example((-2.0, 2.0, 0.0), (1, -3, 1), name="2 week 0")]
HELD = [_example((1.0, -2.0, 0.0), (-3, 0, 1), name="3 week 0")]


# -- a learner that is quick: volume = gain * FDK + bias, a critic that only has to be stepped, and dropout that needs torch's own seed


@dataclass(frozen=True)
class Shape:
    gain: float = 0.3
    sizes: tuple[int, ...] = (1, 2)


class Toy(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.tensor(shape.gain)), nn.Parameter(torch.tensor(0.01))
        self.critic, self.drop = nn.Parameter(torch.zeros(3)), nn.Dropout(0.3)


def _build(shape: Any, generator: Generator) -> nn.Module:
    toy = Toy(shape)
    with torch.no_grad():
        toy.critic.copy_(torch.randn(3, generator=generator))
    return toy


def _volume(module: Any, projections: Projections, grid: Grid, generator: Generator) -> torch.Tensor:
    return module.gain * torch.from_numpy(fdk(projections, grid)) + 0.1 * module.bias


def _loss(module: Any, example: Example, given: NDArray[np.intp], generator: Generator, group: str) -> torch.Tensor:
    if group == "critic":
        return ((module.drop(module.critic) - torch.rand(3, generator=generator)) ** 2).mean()
    found = _volume(module, example.projections[given], example.grid, generator)
    return 1e3 * ((found - torch.from_numpy(example.reference)) ** 2).mean()


def _groups(module: Any) -> Mapping[str, Any]:
    return {"critic": ([module.critic], 0.1, "rmsprop"), "maker": ([module.gain, module.bias], 0.03)}


@dataclass(frozen=True)
class ToyLearner:
    """A learner whose parts tests exchange."""

    name: str = "toy"
    presets: Mapping[str, Any] = field(default_factory=lambda: {"small": Shape(), "large": Shape(gain=0.5)})
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    build: Any = _build
    groups: Any = _groups
    loss: Any = _loss
    reconstruct: Any = _volume


@dataclass(frozen=True)
class ScoringToy(ToyLearner):
    """One with a score of its own."""

    score: Any = None


TOY = ToyLearner()
SETTINGS = TrainSettings.of(TOY, steps=12, views=(8, 16), batch=2, check_every=4, check_views=(16,))


def _weights(module: nn.Module) -> dict[str, list[float]]:
    return {name: value.reshape(-1).tolist() for name, value in module.state_dict().items()}


# -- augmentation


@pytest.mark.parametrize("change", [lambda e: turned(e, 90), lambda e: turned(e, 180), lambda e: turned(e, 270), mirrored,
                                    lambda e: turned(mirrored(e), 90)])  # fmt: skip
def test_a_scan_turned_or_mirrored_is_still_a_scan_of_its_volume(change: Any) -> None:
    before = _example((4.0, 1.0, 1.5), (-1.0, -3.0, -2.0))
    after = change(before)
    seen = Operator(after.projections.scan, after.grid)(after.reference)
    assert np.abs(seen - after.projections.values).max() < 2e-5 * seen.max()
    assert np.abs(after.reference - before.reference).max() > 0.01  # something moved
    assert sorted(after.reference.ravel()) == sorted(before.reference.ravel())  # and no value changed
    assert (
        np.cross(after.projections.scan.u, after.projections.scan.v)[0]
        @ (after.projections.scan.detector - after.projections.scan.source)[0]
        * (np.cross(SCAN.u, SCAN.v)[0] @ (SCAN.detector - SCAN.source)[0])
        > 0
    )  # no mirrored detector
    again = fdk(after.projections, after.grid)
    assert np.abs(again - change(replace(before, reference=fdk(before.projections, before.grid))).reference).max() < 2e-3


def test_a_scan_turned_by_any_angle_is_consistent_up_to_interpolation() -> None:
    before = _example((4.0, 1.0, 1.5), (-1.0, -3.0, -2.0))
    for degrees in (33.0, 200.0):
        after = turned(before, degrees)
        seen = Operator(after.projections.scan, after.grid)(after.reference)
        assert np.abs(seen - after.projections.values).max() < 0.06 * seen.max()


def test_what_was_made_before_an_augmentation_can_be_moved_along() -> None:
    generator, before = Generator().manual_seed(3), _example((4.0, 1.0, 1.5), (-1.0, -3.0, -2.0))
    early, found = fdk(before.projections, before.grid), []
    for _ in range(8):
        after = augmented(before, "quarter", generator)
        assert after.before is before
        assert np.array_equal(moved_along(before.reference, after), after.reference)
        assert np.abs(moved_along(early, after) - fdk(after.projections, after.grid)).max() < 2e-3
        found.append((after.quarters, after.mirror))
    assert len(set(found)) > 4
    flat = replace(before, grid=Grid((10, 12, 16), 1.0), reference=before.reference[:, :12])  # not square: half turns alone
    assert {augmented(flat, "quarter", generator).quarters for _ in range(20)} == {0, 2}


def test_a_pool_of_subsets_comes_again(tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []

    def loss(module: Any, example: Example, given: Any, generator: Generator, group: str) -> torch.Tensor:
        seen.append((example.name, given.tobytes()))
        return _loss(module, example, given, generator, group)

    train(replace(TOY, loss=loss), EXAMPLES, HELD, replace(SETTINGS, steps=20, pool=3, check_every=20), tmp_path / "a.pt")
    assert 4 <= len(set(seen)) <= 6  # 2 scans, 3 subsets each
    seen.clear()
    train(replace(TOY, loss=loss), EXAMPLES, HELD, replace(SETTINGS, steps=20, check_every=20), tmp_path / "b.pt")
    assert len(set(seen)) > 30


def test_augmentation_draws_all_eight_ways_and_none_is_none() -> None:
    generator, before = Generator().manual_seed(0), _example((4.0, 1.0, 1.5))
    found = {augmented(before, "quarter", generator).reference.tobytes() for _ in range(60)}
    assert len(found) == 8
    assert augmented(before, "none", generator) is before
    assert augmented(before, "any", generator).reference.shape == before.reference.shape
    with pytest.raises(UnknownNameError, match="quarter"):
        augmented(before, "quater", generator)


def test_views_are_drawn_in_every_count_and_spread_over_the_scan() -> None:
    generator = Generator().manual_seed(1)
    drawn = [draw_views(SCAN, (1, 5, 13), ("evenly",), generator) for _ in range(200)]
    assert {len(d) for d in drawn} == {1, 5, 13}
    for given in drawn:
        assert given.min() >= 0
        assert given.max() < 40
        if len(given) > 1:
            assert np.ptp(np.diff(given)) <= 1  # even up to rounding
            assert given[-1] - given[0] >= (len(given) - 1) * 40 / len(given) - 1
    assert len({int(d[0]) for d in drawn if len(d) == 5}) > 4  # a random first view
    loose = [draw_views(SCAN, (13,), ("random",), generator) for _ in range(20)]
    assert all(len(np.unique(d)) == 13 and np.all(np.diff(d) > 0) for d in loose)
    assert max(np.ptp(np.diff(d)) for d in loose) > 3
    for counts, selections in (((41,), ("evenly",)), ((0,), ("evenly",)), ((), ("evenly",)), ((5,), ()), ((5,), ("evenley",))):
        with pytest.raises(InputError):
            draw_views(SCAN, counts, selections, generator)


# -- the loop


def test_training_learns_keeps_the_best_and_is_the_same_every_time(tmp_path: Path) -> None:
    told: list[Any] = []
    done = train(TOY, EXAMPLES, HELD, SETTINGS, tmp_path / "a.pt", callbacks=[told.append])
    again = train(TOY, EXAMPLES, HELD, SETTINGS, tmp_path / "b.pt")
    other = train(TOY, EXAMPLES, HELD, replace(SETTINGS, seed=1), tmp_path / "c.pt")
    assert done.losses == again.losses
    assert done.losses != other.losses
    assert done.losses[-1]["score"] > done.losses[0]["score"] + 3
    assert done.losses[-1]["maker"] < 0.7 * done.losses[1]["maker"]
    assert [p.step for p in told] == list(range(1, 13))
    module = load_checkpoint(tmp_path / "a.pt", TOY)
    assert not module.training
    assert validation_score(TOY, module, HELD, (16,)) == max(entry["score"] for entry in done.losses)
    assert not state_of(tmp_path / "a.pt").exists()


def test_a_learner_with_a_score_is_told_from_one_without() -> None:
    assert isinstance(TOY, Learner)
    assert not isinstance(TOY, ScoringLearner)
    assert isinstance(ScoringToy(score=lambda: 0.0), ScoringLearner)


def test_the_checkpoint_holds_the_best_weights_not_the_last(tmp_path: Path) -> None:
    peak = ScoringToy(score=lambda m, e, given, g: -abs(m.gain.item() - 0.42))  # gain goes through 0.42 on its way up
    done = train(peak, EXAMPLES, HELD, replace(SETTINGS, check_every=1, schedule="constant"), tmp_path / "a.pt")
    assert len(done.losses) == 13
    assert 1 <= done.step < 12
    assert abs(float(load_checkpoint(tmp_path / "a.pt", peak).get_parameter("gain").detach()) - 0.42) < 0.02


def test_gradients_of_a_batch_add_up(tmp_path: Path) -> None:
    """One step on two equal scans is one step on one."""
    plain = replace(SETTINGS, steps=1, views=(40,), selections=("evenly",), augment="none", check_every=1)
    maker = replace(TOY, groups=lambda m: {"maker": ([m.gain, m.bias], 0.03)})
    one = train(maker, EXAMPLES[:1], HELD, replace(plain, batch=1), tmp_path / "1.pt")
    three = train(maker, EXAMPLES[:1], HELD, replace(plain, batch=3), tmp_path / "3.pt")
    assert three.state["gain"] == pytest.approx(float(one.state["gain"]), rel=1e-6)
    assert float(one.state["gain"]) != pytest.approx(0.3)


@pytest.mark.parametrize("stop", [3, 6, 8])
def test_a_run_that_was_cut_off_goes_on_to_the_same_losses(tmp_path: Path, stop: int) -> None:
    whole = train(TOY, EXAMPLES, HELD, SETTINGS, tmp_path / "whole.pt")

    def interrupt(progress: Any) -> None:
        if progress.step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "cut.pt"
    with pytest.raises(KeyboardInterrupt):
        train(TOY, EXAMPLES, HELD, SETTINGS, out, callbacks=[interrupt])
    assert torch.load(state_of(out), weights_only=True)["step"] == stop
    with pytest.raises(FileExistsError, match="--resume"):
        train(TOY, EXAMPLES, HELD, SETTINGS, out)
    torch.rand(stop)  # something else draws random numbers in the meantime
    resumed = train(TOY, EXAMPLES, HELD, SETTINGS, out, resume=True)
    assert resumed.losses == whole.losses
    assert _weights(load_checkpoint(out, TOY)) == _weights(load_checkpoint(tmp_path / "whole.pt", TOY))
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def test_a_killed_run_goes_on_from_its_last_check(tmp_path: Path) -> None:
    whole = train(TOY, EXAMPLES, HELD, SETTINGS, tmp_path / "whole.pt")

    def die(progress: Any) -> None:
        if progress.step == 7:
            raise ZeroDivisionError  # nothing is saved on the way out, as by kill -9

    out = tmp_path / "cut.pt"
    with pytest.raises(ZeroDivisionError):
        train(TOY, EXAMPLES, HELD, SETTINGS, out, callbacks=[die])
    assert torch.load(state_of(out), weights_only=True)["step"] == 4
    assert train(TOY, EXAMPLES, HELD, SETTINGS, out, resume=True).losses == whole.losses


def test_resuming_asks_for_the_same_settings_data_and_architecture(tmp_path: Path) -> None:
    out = tmp_path / "a.pt"

    def stop(progress: Any) -> None:
        if progress.step == 5:
            raise ZeroDivisionError

    with pytest.raises(FileNotFoundError, match="no unfinished run"):
        train(TOY, EXAMPLES, HELD, SETTINGS, out, resume=True)
    with pytest.raises(ZeroDivisionError):
        train(TOY, EXAMPLES, HELD, SETTINGS, out, callbacks=[stop])
    for settings, said in (
        (replace(SETTINGS, seed=3), "seed 0, now 3"),
        (replace(SETTINGS, preset="large"), "architecture.gain 0.3, now 0.5"),
    ):
        with pytest.raises(InputError, match=said):
            train(TOY, EXAMPLES, HELD, settings, out, resume=True)
    with pytest.raises(InputError, match="data"):
        train(TOY, EXAMPLES[:1], HELD, SETTINGS, out, resume=True)
    state_of(out).write_bytes(b"not a state")
    with pytest.raises(InputError, match="training state"):
        train(TOY, EXAMPLES, HELD, SETTINGS, out, resume=True)
    with pytest.raises(FileExistsError, match="did not write"):  # it may be anybody's
        train(TOY, EXAMPLES, HELD, SETTINGS, out, force=True)
    state_of(out).unlink()
    assert train(TOY, EXAMPLES, HELD, SETTINGS, out, force=True).method == "toy"


def test_training_can_begin_with_the_weights_of_a_checkpoint(tmp_path: Path) -> None:
    """Its architecture is taken too, half precision becomes float32, and where nothing is gained the weights from before are kept."""
    before = train(TOY, EXAMPLES, HELD, SETTINGS, tmp_path / "a.pt")
    shrink(before, tmp_path / "half.pt")
    begun = replace(SETTINGS, preset="large", seed=5, steps=4, begin=str(tmp_path / "half.pt"))
    after = train(TOY, EXAMPLES, HELD, begun, tmp_path / "b.pt")
    assert after.architecture == before.architecture
    assert after.losses[0]["score"] == pytest.approx(max(entry["score"] for entry in before.losses), abs=0.01)
    assert {tensor.dtype for tensor in after.state.values()} == {torch.float32}
    assert len(after.data["begin"]["SHA-256"]) == 64
    to_nothing = replace(TOY, loss=lambda m, e, v, g, group: m.gain**2 + (m.bias**2 + m.critic**2).sum())
    spoiled = train(to_nothing, EXAMPLES, HELD, begun, tmp_path / "c.pt")
    assert spoiled.step == 0
    assert all(torch.equal(tensor, before.state[name].half().float()) for name, tensor in spoiled.state.items())


def test_a_run_that_began_with_other_weights_is_not_continued(tmp_path: Path) -> None:
    begun = replace(SETTINGS, begin=str(tmp_path / "a.pt"))
    train(TOY, EXAMPLES, HELD, replace(SETTINGS, steps=4), tmp_path / "a.pt")

    def stop(progress: Any) -> None:
        if progress.step == 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(TOY, EXAMPLES, HELD, begun, tmp_path / "b.pt", callbacks=[stop])
    train(TOY, EXAMPLES, HELD, replace(SETTINGS, steps=8), tmp_path / "a.pt", force=True)
    with pytest.raises(InputError, match="SHA-256"):
        train(TOY, EXAMPLES, HELD, begun, tmp_path / "b.pt", resume=True)
    with pytest.raises(InputError, match="was trained for method toy"):
        train(replace(TOY, name="other"), EXAMPLES, HELD, begun, tmp_path / "d.pt")
    with pytest.raises(FileNotFoundError, match="is not there"):
        train(TOY, EXAMPLES, HELD, replace(SETTINGS, begin=str(tmp_path / "none.pt")), tmp_path / "d.pt")
    assert not (tmp_path / "d.pt").exists()


def test_bad_settings_and_losses_are_refused(tmp_path: Path) -> None:
    cases = [
        ({"preset": "huge"}, "preset of toy"), ({"steps": 0}, "steps"), ({"batch": 1.5}, "batch"), ({"schedule": "step"}, "cosine"),
        ({"learning_rate": -1.0}, "learning_rate"), ({"clip": float("nan")}, "clip"), ({"pool": -1}, "pool"), ({"stepps": 3}, "steps"),
        ({"precision": "int8"}, "bf16"),
    ]  # fmt: skip
    for given, said in cases:
        with pytest.raises(InputError, match=said):
            TrainSettings.of(TOY, **given)
    with pytest.raises(InputError, match="no scan to train"):
        train(TOY, [], HELD, SETTINGS, tmp_path / "a.pt")
    with pytest.raises(MissingBackendError, match="nodevice"):
        train(TOY, EXAMPLES, HELD, replace(SETTINGS, device="nodevice"), tmp_path / "a.pt")
    bad = replace(TOY, loss=lambda m, e, v, g, group: m.gain * float("nan") + m.critic.sum())
    with pytest.raises(InputError, match="'critic' is nan at step 1"):
        train(bad, EXAMPLES, HELD, SETTINGS, tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()
    wrong = replace(TOY, groups=lambda m: {"maker": ([m.gain], 0.1, "lion")})
    with pytest.raises(UnknownNameError, match="rmsprop"):
        train(wrong, EXAMPLES, HELD, SETTINGS, tmp_path / "a.pt")


def test_mixed_precision_is_for_what_is_faster_with_it_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tiles, chosen in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(device, "multiplies_tiles", lambda tiles=tiles: tiles)
        assert autocast_type("auto", torch.device("cpu")) is chosen
    assert autocast_type("float32", torch.device("cpu")) is None
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    for has, kind in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has: has or including_emulation)
        assert autocast_type("auto", torch.device("cuda")) is kind  # emulated bf16 is slower than fp16
    monkeypatch.undo()
    seen: list[Any] = []

    def loss(module: Any, example: Example, given: Any, generator: Generator, group: str) -> torch.Tensor:
        seen.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        return _loss(module, example, given, generator, group)

    train(replace(TOY, loss=loss), EXAMPLES, HELD, replace(SETTINGS, steps=1, precision="bf16"), tmp_path / "a.pt")
    train(replace(TOY, loss=loss), EXAMPLES, HELD, replace(SETTINGS, steps=1, precision="float32"), tmp_path / "b.pt")
    assert set(seen[:4]) == {torch.bfloat16}
    assert set(seen[4:]) == {torch.float32}


def test_without_held_out_animals_the_last_weights_are_kept(tmp_path: Path) -> None:
    done = train(TOY, EXAMPLES, [], SETTINGS, tmp_path / "a.pt")
    assert done.losses[-1]["step"] == 12
    assert "score" not in done.losses[-1]


def test_tensorboard_gets_losses_and_scores_and_its_absence_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(TOY, EXAMPLES, HELD, SETTINGS, tmp_path / "a.pt", log=tmp_path / "log")
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    assert [e.step for e in events.Scalars("score")] == [0, 4, 8, 12]
    assert {"loss/critic", "loss/maker"} <= set(events.Tags()["scalars"])
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingBackendError, match="bench"):
        train(TOY, EXAMPLES, HELD, SETTINGS, tmp_path / "b.pt", log=tmp_path / "log2")


# -- checkpoints


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "toy.pt"
    train(TOY, EXAMPLES, HELD, replace(SETTINGS, steps=4), path)
    return path


def test_a_checkpoint_says_what_it_follows_from(made: Path) -> None:
    found = read_checkpoint(made)
    assert found.method == "toy"
    assert found.architecture == {"gain": 0.3, "sizes": [1, 2]}
    assert found.settings["views"] == [8, 16]
    assert found.data == {"train": {"1 week 0": "1 week 0", "2 week 0": "2 week 0"}, "validation": {"3 week 0": "3 week 0"}}
    assert found.geometry["voxel_mm"] == 1.0
    assert found.code["versions"]["fewview"]
    assert torch.load(made, weights_only=True)["method"] == "toy"  # plain values and tensors


class _Trap:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("trapped"),))


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    monkeypatch.chdir(tmp_path)
    content = torch.load(made, weights_only=True)
    torch.save({**content, "settings": _Trap()}, tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Trap()))
    for name in ("trap.pt", "plain.pt"):
        with pytest.raises(InputError, match="cannot be read as a checkpoint"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "trapped").exists()


def test_another_method_architecture_format_or_file_is_refused(tmp_path: Path, made: Path) -> None:
    with pytest.raises(InputError, match="trained for method toy; expected a checkpoint of other"):
        load_checkpoint(made, replace(TOY, name="other"))
    with pytest.raises(InputError, match=r"gain=0.3.*gain=0.5"):
        load_checkpoint(made, TOY, Shape(gain=0.5))
    assert load_checkpoint(made, TOY, Shape())

    @dataclass(frozen=True)
    class Newer(Shape):
        depth: int = 3

    with pytest.raises(InputError, match="differs in depth"):
        load_checkpoint(made, replace(TOY, presets={"small": Newer()}))

    class Wider(Toy):
        def __init__(self, shape: Shape) -> None:
            super().__init__(shape)
            self.more = nn.Linear(2, 2)

    with pytest.raises(InputError, match="do not fit the architecture of toy"):
        load_checkpoint(made, replace(TOY, build=lambda a, g: Wider(a)))
    content = torch.load(made, weights_only=True)
    torch.save({**content, "format": "fewview checkpoint 0"}, tmp_path / "old.pt")
    torch.save({k: v for k, v in content.items() if k != "losses"}, tmp_path / "part.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "cut.pt").write_bytes(made.read_bytes()[:-400])
    (tmp_path / "text.pt").write_text("not a checkpoint at all")
    (tmp_path / "empty.pt").write_bytes(b"")
    for name, said in (("old", "checkpoint 0"), ("part", "lacks losses"), ("list", "not of fewview"), ("cut", "cannot be read"),
                       ("text", "cannot be read"), ("empty", "cannot be read")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            read_checkpoint(tmp_path / f"{name}.pt")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_checkpoint(tmp_path / "nowhere.pt")
    with pytest.raises(FileExistsError):
        save_checkpoint(made, read_checkpoint(made))


# -- the method that a checkpoint becomes


def test_a_trained_method_asks_for_its_checkpoint_and_uses_it(made: Path) -> None:
    method = trained_method(TOY, TrainedSettings)
    p = HELD[0].projections
    with pytest.raises(InputError, match="fewview train toy --data"):
        reconstruct(p, method, GRID)
    with pytest.raises(InputError, match="consistency"):
        reconstruct(p, method, GRID, checkpoint=made, consistency=-1)
    rec = reconstruct(p, method, GRID, checkpoint=made)
    gain, bias = (float(read_checkpoint(made).state[name]) for name in ("gain", "bias"))
    assert np.allclose(rec.volume, gain * fdk(p, GRID) + 0.1 * bias, atol=1e-6)
    assert rec.settings["trained_voxel_mm"] == 1.0
    nearer = reconstruct(p, method, GRID, checkpoint=str(made), consistency=5)
    assert [h["step"] for h in nearer.history] == [1, 2, 3, 4, 5, 6]
    A = Operator(p.scan, GRID)
    assert np.linalg.norm(A(nearer.volume) - p.values) < 0.5 * np.linalg.norm(A(rec.volume) - p.values)
    with pytest.warns(UserWarning, match="one view corrects no volume"):
        alone = reconstruct(p[:1], method, GRID, checkpoint=str(made), consistency=5)
    assert alone.settings["consistency"] == 0


def test_other_voxels_than_those_trained_on_are_interpolated_and_told(made: Path) -> None:
    method, p = trained_method(TOY, TrainedSettings), HELD[0].projections
    fine = Grid((20, 32, 32), 0.5, GRID.center_mm)
    with pytest.warns(UserWarning, match=r"voxels of 1 mm.*0.5 mm"):
        rec = reconstruct(p, method, fine, checkpoint=made)
    coarse = reconstruct(p, method, GRID, checkpoint=made).volume
    assert rec.volume.shape == fine.shape
    assert np.abs(rec.volume.reshape(10, 2, 16, 2, 16, 2).mean((1, 3, 5))[1:-1, 1:-1, 1:-1] - coarse[1:-1, 1:-1, 1:-1]).max() < 0.02


# -- data sets and the command line


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms: one to train on, one to choose by, one that is never read."""
    out = tmp_path_factory.mktemp("data") / "heads"
    scan = skyscan_1276(rows=24, cols=36, voxel_mm=0.2226 * 192 / 36)
    build_bonemet([1, 2, 3], out, scan=scan, physics=Physics(polychromatic=False, photons=20000.0), truth=True)
    (out / "split.json").write_text(json.dumps({"train": ["851"], "validation": ["852"], "test": ["853"]}))
    return out


def test_examples_are_the_pairs_at_the_size_asked_for(heads: Path) -> None:
    pairs = find_pairs(heads)
    told: list[Any] = []
    found = load_examples(pairs[:2], 16, progress=lambda *a: told.append(a))
    assert told == [(0, 2, "851 week 0"), (1, 2, "852 week 0"), (2, 2, "")]
    example, whole = found[0], prepared_views(pairs[0])
    assert [entry["step"] for entry in example.projections.meta["corrections"]][-1] == "rings"  # as Recon-CT was
    assert example.grid == Grid.across(whole.scan, 16)
    assert example.projections.scan.shape == (12, 18)
    assert np.allclose(example.projections.values, whole.values.reshape(len(whole), 12, 2, 18, 2).mean((2, 4)), atol=1e-6)
    assert example.fingerprint == pairs[0].fingerprint()
    assert example.window == (0.0, 0.3)
    total = pairs[0].reference()[0].mean() * np.prod(pairs[0].reference()[1].size_mm)
    assert example.reference.mean() * np.prod(example.grid.size_mm) == pytest.approx(total, rel=0.02)
    truth = load_examples(pairs[:1], 16, target="truth")[0]
    assert truth.fingerprint != example.fingerprint
    assert 0.5 < np.corrcoef(truth.reference.ravel(), example.reference.ravel())[0, 1] < 1
    with pytest.raises(UnknownNameError, match="recon-ct"):
        load_examples(pairs, 16, target="recon")
    with pytest.raises(InputError, match="no truth"):
        load_examples([replace(pairs[0], truth=None)], 16, target="truth")
    with pytest.raises(InputError, match="at least 8"):
        load_examples(pairs, 4)


def _train(*words: str) -> int:
    return main(["train", *words])


def test_the_command_trains_reconstructs_and_resumes(heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lpd.pt"
    words = ["lpd", "--data", str(heads), "--out", str(out)]
    words += ["--size", "16", "--steps", "2", "--views", "9", "--set", "check_every=1", "check_views=[9]"]
    assert _train(*words) == 0
    said = capsys.readouterr().out
    assert "1 scans to train on, 1 for validation" in said
    assert f"wrote {out}" in said
    assert [entry["step"] for entry in read_checkpoint(out).losses][:2] == [0, 1]
    assert json.loads((tmp_path / "lpd.pt.record.json").read_text())["settings"]["views"] == [9]
    xrays = find_pairs(heads)[2].xrays
    volume = tmp_path / "v.nii.gz"
    assert main(["recon", str(xrays), "--method", "lpd", "--set", f"checkpoint={out}", "--views", "9", "--out", str(volume)]) == 0
    assert volume.exists()
    capsys.readouterr()
    again = ["recon", str(xrays), "--method", "lpd", "--set", f"checkpoint={out}", "--views", "9", "--out", str(volume), "--force"]
    assert main([*again, "--std", "2", "--std-kind", "members"]) == 2
    assert "members of lpd are all the same" in capsys.readouterr().err
    assert main([*again, "--std", "2", "--std-kind", "membres"]) == 2
    assert "did you mean members" in capsys.readouterr().err
    assert _train(*words) == 2
    assert "exists" in capsys.readouterr().err
    assert _train(*words, "--resume") == 2
    assert "no unfinished run" in capsys.readouterr().err
    assert _train(*words, "--force") == 0


def test_the_command_refuses_bad_input_in_one_line(heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "x.pt")
    alone = tmp_path / "alone"
    shutil.copytree(heads, alone, ignore=lambda folder, names: [n for n in names if n in ("852", "853") or n == "split.json"])
    empty = tmp_path / "untrained"
    shutil.copytree(heads, empty)
    (empty / "split.json").write_text(json.dumps({"train": [], "validation": ["852"], "test": ["853", "851"]}))
    cases = [
        (["unett", "--data", str(heads)], "did you mean unet"),
        (["fdk", "--data", str(heads)], "needs no training"),
        (["lpd", "--data", str(tmp_path / "none")], "is not a folder"),
        (["lpd", "--data", str(alone)], "has one animal"),
        (["lpd", "--data", str(empty)], "part 'train'"),
        (["lpd", "--data", str(heads), "--preset", "tiny"], "preset of lpd"),
        (["lpd", "--data", str(heads), "--size", "4"], "8 to 4096"),
        (["lpd", "--data", str(heads), "--size", "16", "--views", "999"], "whole numbers from 1 to 260"),
        (["lpd", "--data", str(heads), "--steps", "0"], "steps is 0"),
        (["lpd", "--data", str(heads), "--set", "check_evry=3"], "check_every"),
        (["lpd", "--data", str(heads), "--set", "steps=3"], "--steps"),
        (["lpd", "--data", str(heads), "--set", "preset=paper"], "--preset"),
        (["lpd", "--data", str(heads), "--set", "learning_rate=fast"], "learning_rate of training is 'fast'"),
        (["lpd", "--data", str(heads), "--set", "check_views=[]"], "check_views of training is []"),
        (["lpd", "--data", str(heads), "--set", "clip=1.0", "betas=0.9"], "betas of training is 0.9"),
        (["lpd", "--data", str(heads), "--target", "ct"], "recon-ct"),
        (["lpd", "--data", str(heads), "--begin", "shipped"], "weights that come with fewview 'lpd'"),
        (["lpd", "--data", str(heads), "--begin", str(tmp_path / "none.pt")], "none.pt is not there"),
        (["lpd", "--data", str(heads), "--begin", str(shipped_path("tvnet"))], "was trained for method tvnet"),
        (["lpd", "--data", str(heads), "--set", "begin=x.pt"], "--begin"),
        (["lpd", "--data", str(heads), "--size", "16", "--device", "cuda:99"], "cuda:99"),
    ]
    for words, said in cases:
        assert _train(*words, "--out", out) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
    assert not Path(out).exists()


def test_the_randomness_of_a_step_is_of_seed_and_step_alone() -> None:
    def first(seed: int, step: int) -> float:
        return float(torch.rand(1, generator=step_generator(seed, step)))

    assert first(0, 3) == first(0, 3)
    assert len({first(seed, step) for seed in range(4) for step in range(4)}) == 16
