"""Networks that look again: what a second look sees, that it begins with nothing to add, and that it alone learns."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fewview.base import InputError
from fewview.data import Projections
from fewview.geometry import Grid, Scan, skyscan_1276, views
from fewview.nerf.merging import again
from fewview.nerf.merging.again import looked_at, with_another_look
from fewview.nerf.merging.joined import joined
from fewview.nerf.merging.teachers import Keeper
from fewview.nerf.patchwise import learning, procedural_lessons
from fewview.nerf.patchwise.inputs import facts, grey_scale, left_over
from fewview.nerf.patchwise.learner import LEARNER, Network, correction, first_look, in_images, inputs, prepared
from fewview.nerf.patchwise.learning import LessonSettings, Pool, learned
from fewview.nerf.patchwise.lessons import lesson
from fewview.nerf.patchwise.members import Looks
from fewview.nerf.patchwise.procedural_lessons import ProceduralVolumes, key_of_lessons
from fewview.nerf.patchwise.scales import Scales
from fewview.nerf.procedural.example import procedural_example, procedural_scan
from fewview.nerf.procedural.scene import HEADS, family_of_first
from fewview.nerf.training.bank import Bank
from fewview.nerf.training.checkpoint import Checkpoint, module_of, read_checkpoint, save_checkpoint
from fewview.nerf.training.learner import Example
from fewview.recon import Operator

SIZE = Scales(fine=4, middle=4, coarse=4)
LAMBDA = 0.006


def member(seed: int) -> Checkpoint:
    """A network that changes a volume by some percent."""
    module = LEARNER.build(SIZE, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        module.net.linear.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(seed + 9))  # type: ignore[operator, union-attr]
        module.net.leave.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed + 99))  # type: ignore[operator, union-attr]
        module.known.copy_(torch.tensor([[-3.0], [3.0]]).expand(2, 6))
    return Checkpoint("tvnet", "scales", asdict(SIZE), {}, {}, {}, ({"step": 1},), module.state_dict())


def network(checkpoint: Checkpoint) -> Network:
    module = module_of(checkpoint, LEARNER)
    assert isinstance(module, Network)
    return module


def two_looks() -> Network:
    return network(with_another_look(joined([member(1), member(2)])))


@pytest.fixture(scope="module")
def scanned() -> tuple[Projections, Grid, np.ndarray]:
    """A few views of blocks of noise, and a blurred volume that fits them badly."""
    scan = skyscan_1276(rows=16, cols=40, voxel_mm=1.0)
    few = scan[views.evenly(scan, 10)]
    grid, rng = Grid((8, 24, 24), 1.0), np.random.default_rng(3)
    truth = np.zeros(grid.shape, np.float32)
    truth[:, 4:20, 4:20] = rng.random((8, 16, 16), np.float32)
    return Projections(Operator(few, grid)(truth), few), grid, np.where(truth > 0, np.float32(0.4), np.float32(0))


def test_a_second_look_adds_nothing_before_it_learned(scanned: tuple[Projections, Grid, np.ndarray]) -> None:
    """It gives what the members give, cut at zero."""
    projections, grid, volume = scanned
    alone, both = network(joined([member(1), member(2)])), two_looks()
    found = correction(both, projections, grid, volume, LAMBDA)
    wanted = np.maximum(volume + correction(alone, projections, grid, volume, LAMBDA), 0) - volume
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_second_look_sees_what_the_first_made_and_saw(scanned: tuple[Projections, Grid, np.ndarray]) -> None:
    projections, grid, volume = scanned
    module, told = two_looks(), np.zeros(6, np.float32)
    better, left, *before = inputs(module, partial(left_over, projections, grid), volume, 0.5, told)
    np.testing.assert_array_equal(before[0], volume)
    np.testing.assert_array_equal(before[1], left_over(projections, grid, volume))
    np.testing.assert_allclose(better, np.maximum(volume + in_images(module, module.net.before[0], before, 0.5, told), 0))
    np.testing.assert_allclose(left, left_over(projections, grid, better), atol=1e-6)
    assert np.abs(left - before[1]).max() > 0.01 * np.abs(left).max()


def test_no_views_are_needed_for_its_lessons(scanned: tuple[Projections, Grid, np.ndarray]) -> None:
    """What a lesson says the corrected volume leaves is what it does leave of the views."""
    projections, grid, volume = scanned
    module, scale = two_looks(), grey_scale(volume)
    rest, numbers = left_over(projections, grid, volume), facts(projections, grid, scale, LAMBDA)
    kept = np.stack([volume / scale, rest / scale, 0.1 - volume / scale, np.ones(grid.shape)]).astype(np.float16)
    given = looked_at(module, lesson(kept, numbers, torch.device("cpu")), grid, projections.scan)
    wanted = inputs(module, partial(left_over, projections, grid), volume, scale, numbers)
    for found, exact in zip(given.volumes.float().numpy(), wanted, strict=True):
        np.testing.assert_allclose(found, exact / scale, atol=4e-3 * np.abs(exact / scale).max())
    np.testing.assert_allclose((given.wanted + given.volumes[0]).float().numpy(), np.full(grid.shape, 0.1), atol=2e-3)
    whole = Example("a", "a", projections, grid, volume, "a")
    shown = prepared(whole.projections, grid, np.arange(len(projections)), module)
    assert [x.shape for x in shown] == [grid.shape] * 4 + [(7,)]


def test_only_the_last_look_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lessons whose correction is a share of what the corrected volume leaves."""
    monkeypatch.setattr(learning, "WARM", 10)
    rng, module, lessons = np.random.default_rng(0), two_looks(), []
    for _ in range(6):
        better, left, volume, rest = rng.normal(0.6, 0.2, (4, 8, 24, 24))
        kept = np.stack([better, left - 0.6, volume, rest - 0.6, 0.5 * (left - 0.6), np.ones((8, 24, 24))]).astype(np.float16)
        lessons.append(lesson(kept, np.zeros(6, np.float32), torch.device("cpu")))
    trained = learned(module, Pool(lessons, 6), LessonSettings(steps=120, batch=4, edge=16, rate=2e-2))
    before = two_looks().state_dict()
    for name, value in trained.state_dict().items():
        assert not name.startswith("net.first") or torch.equal(value, before[name]), name
    with torch.no_grad():
        x = lessons[0]
        found = trained.net(x.volumes.float(), x.facts)
    assert float(((found - x.wanted.float()) ** 2).mean()) < 0.5 * x.error


def test_a_training_on_own_scans_goes_on_with_the_last_look(scanned: tuple[Projections, Grid, np.ndarray]) -> None:
    """And what the first look made of a scan is not taken for what another made of it."""
    projections, grid, volume = scanned
    module, example = two_looks(), Example("a", "a", projections, grid, volume, "a")
    weights, *_ = LEARNER.groups(module)["tvnet"]
    assert {id(p) for p in weights} == {id(p) for p in module.net.again.parameters()}  # type: ignore[union-attr, operator]
    LEARNER.loss(module, example, np.arange(len(projections)), torch.Generator().manual_seed(0), "tvnet").backward()
    assert all(p.grad is None for p in module.net.first.parameters())  # type: ignore[union-attr, operator]
    assert any(float(p.grad.abs().max()) > 0 for p in weights if p.grad is not None)
    other = network(with_another_look(joined([member(1), member(3)])))
    assert module.fingerprint == two_looks().fingerprint != other.fingerprint
    assert network(member(1)).fingerprint == ()


def test_only_networks_on_scales_are_looked_at_again() -> None:
    alone = with_another_look(member(1))
    assert network(alone).architecture == Looks(4, 4, 4, members=1, looks=2)
    small = LEARNER.build(LEARNER.presets["small"], torch.Generator().manual_seed(0))
    other = Checkpoint("tvnet", "small", asdict(small.architecture), {}, {}, {}, ({"step": 1},), small.state_dict())
    for refused in (alone, other):
        with pytest.raises(InputError, match="presets scales or members"):
            with_another_look(refused)
    with pytest.raises(InputError, match="2 or more"):
        Looks(looks=1)
    with pytest.raises(InputError, match="cannot be members of one network"):
        joined([alone, alone])
    with pytest.raises(InputError, match=r"mine\.pt looks again.*fewview\.nerf\.merging\.again"):
        first_look(alone, "mine.pt")


def test_a_new_network_of_looks_is_drawn_as_one_network_is() -> None:
    module = LEARNER.build(Looks(16, 16, 16), torch.Generator().manual_seed(0))
    single = LEARNER.build(Scales(16, 16, 16), torch.Generator().manual_seed(0))
    for (name, own), (_, alone) in zip(module.net.again[0].named_parameters(), single.net.named_parameters(), strict=True):  # type: ignore[index, union-attr, operator]
        sizes = [float(tensor.detach().norm()) for tensor in (own, alone)]  # twice as many inputs are half as large each in the square
        assert sizes[0] == pytest.approx(sizes[1], rel=0.15), name


def test_the_scan_of_a_procedural_volume_is_known_without_its_views() -> None:
    for seed in (3, 4):
        whole = procedural_example(seed, Bank(0), 24)
        grid, scan = procedural_scan(seed, 24)
        assert grid == whole.grid
        np.testing.assert_array_equal(scan.source, whole.projections.scan.source)
        assert scan.shape == whole.projections.scan.shape


def test_the_command_trains_a_second_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From lessons that lie in the bank, so that no process is begun to make any."""
    bank, seeds = Bank(0, tmp_path / "bank"), (4, 5)
    for seed in seeds:
        shape = procedural_scan(seed, 16)[0].shape
        rng = np.random.default_rng(seed)
        kept = (rng.random((4, *shape)).astype(np.float16), np.zeros(6, np.float32)) * 2
        bank.get(key_of_lessons(seed, 16), lambda kept=kept: kept)
    monkeypatch.setattr(procedural_lessons, "ProcessPoolExecutor", lambda *a, **k: pytest.fail("lessons were made"))
    save_checkpoint(tmp_path / "both.pt", joined([member(1), member(2)]))
    asked: list[Scan] = []
    own = again.looked_at

    def looked(module: Network, given: object, grid: Grid, scan: Scan) -> object:
        asked.append(scan)
        return own(module, given, grid, scan)  # type: ignore[arg-type]

    monkeypatch.setattr(again, "looked_at", looked)
    of = ProceduralVolumes(scans=2, first=4, size=16), LessonSettings(steps=2, batch=1)
    run = partial(again.main, tmp_path / "both.pt", tmp_path / "out.pt", tmp_path / "bank", *of, device="cpu")
    run()
    assert len(asked) == 4
    assert all(len(scan) in procedural_lessons.FEW for scan in asked[::2])
    made = read_checkpoint(tmp_path / "out.pt")
    assert made.preset == "looks"
    assert made.settings["begin"] == "both.pt"
    assert made.data["train"] == {"procedural volumes": "seeds 4 to 5"}
    assert torch.equal(made.state["net.first.members.1.enter.weight"], member(2).state["net.enter.weight"])
    kept: list[Keeper] = []
    monkeypatch.setattr(again, "Keeper", lambda *given: kept.append(Keeper(*given)) or kept[-1])
    again.main(tmp_path / "out.pt", tmp_path / "more.pt", tmp_path / "bank", *of, keep=True, device="cpu")  # goes on with the last look
    assert [family_of_first(seed) in HEADS for seed in seeds] == [True, False]
    assert len(kept[0].animals) == 2
    assert torch.equal(kept[0].before.state_dict()["net.again.0.enter.weight"], made.state["net.again.0.enter.weight"])
    assert read_checkpoint(tmp_path / "more.pt").architecture == made.architecture
    (tmp_path / "out.pt").write_text("mine")
    with pytest.raises(FileExistsError):
        run()
