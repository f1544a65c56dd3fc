"""Training of tvnet on many scans at once: what is learned from, that it learns, and that mirror images are averaged."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fewview.base import InputError
from fewview.geometry import Grid, Scan
from fewview.nerf.patchwise import __main__ as command
from fewview.nerf.patchwise import learning, lessons, procedural_lessons, scales
from fewview.nerf.patchwise.learner import LEARNER, OUTSIDE, Network, correction
from fewview.nerf.patchwise.learning import LessonSettings, Pool, batch_loss, learned
from fewview.nerf.patchwise.lessons import Lesson, error_left, lesson
from fewview.nerf.patchwise.procedural_lessons import ProceduralVolumes, key_of_lessons
from fewview.nerf.procedural import scene as scenes
from fewview.nerf.procedural.example import VALIDATION
from fewview.nerf.procedural.scene import draw_scene, means_in_voxels, with_means
from fewview.nerf.training.bank import Bank
from fewview.nerf.training.checkpoint import module_of, read_checkpoint
from fewview.nerf.weights import SHA256, shipped_checkpoint
from fewview.nerf.weights.__main__ import main as to_ship
from scipy.ndimage import uniform_filter

SMALL = scales.Scales(fine=6, middle=8, coarse=8)


def smoothing(seed: int, shape: tuple[int, int, int] = (12, 32, 32)) -> Lesson:
    """Noise that is to be smoothed: what is wanted is the mean of the neighbours less the voxel."""
    noise = np.random.default_rng(seed).normal(0.8, 0.3, shape)
    wanted = uniform_filter(noise, 3) - noise
    kept = np.stack([noise, np.zeros(shape), wanted, np.ones(shape)]).astype(np.float16)
    return lesson(kept, np.zeros(6, np.float32), torch.device("cpu"))


def fresh() -> Network:
    return LEARNER.build(SMALL, torch.Generator().manual_seed(0))


def test_a_network_that_adds_nothing_has_all_of_the_error_left() -> None:
    given = smoothing(0)
    assert error_left(fresh(), given) == pytest.approx(1)
    assert given.error == pytest.approx(float((given.wanted.float() ** 2).mean()), rel=1e-5)


def test_it_learns_what_it_was_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean over 27 neighbours is one of the filters of the network. Half of the error is gone long before the training ends."""
    monkeypatch.setattr(learning, "WARM", 10)
    mean = learned(fresh(), Pool([smoothing(k) for k in range(1, 5)], 4), LessonSettings(steps=50, batch=2, edge=20, rate=4e-3))
    assert error_left(mean, smoothing(0)) < 0.5


def test_the_same_seed_gives_the_same_weights() -> None:
    given = [smoothing(1), smoothing(2, (8, 32, 32))]
    trained = [learned(fresh(), Pool(given, 2), LessonSettings(steps=4, batch=2, edge=24, seed=s)) for s in (0, 0, 1)]
    a, b, c = (module.state_dict()["net.enter.weight"] for module in trained)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_what_a_step_learns_from_depends_on_the_step_alone() -> None:
    """Lessons are taken in their order, none before it is needed, and all of them are there for the last fifth of the steps."""
    taken: list[int] = []

    def source() -> Iterator[Lesson]:
        for k in range(1, 101):
            taken.append(k)
            yield smoothing(k, (2, 4, 4))

    pool = Pool(source(), 100)
    for share, held in ((0.0, 2), (1e-3, 3), (0.4, 51), (0.8, 100), (1.0, 100)):
        pool.grow(share)
        assert taken == list(range(1, held + 1))
        assert len(pool.facts) == held
    assert len(pool.draw(torch.Generator().manual_seed(0))) == 100


def test_lessons_come_in_the_order_of_their_seeds_while_others_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the folder already; where one cannot be made the reason is told, and no more are begun."""
    made: list[int] = []

    def make(seed: int, folder: Path, size: int | None = None) -> tuple[np.ndarray, ...]:
        def arrays() -> tuple[np.ndarray, ...]:
            if seed == 9:
                raise InputError("this one cannot be made")
            if seed >= 20:
                time.sleep(0.02)  # that the error is met long before all of these could be made
            made.append(seed)
            return (np.full((4, 2, 4, 4), seed, np.float16), np.full(6, seed, np.float32)) * 2

        return Bank(0, folder).get(key_of_lessons(seed), arrays)

    monkeypatch.setattr(procedural_lessons, "procedural_lessons", make)
    monkeypatch.setattr(procedural_lessons, "ProcessPoolExecutor", lambda n, mp_context, initializer: ThreadPoolExecutor(n))
    make(4, tmp_path)
    pairs = procedural_lessons.lessons_in_turn(ProceduralVolumes(180, 20, workers=1), tmp_path, torch.device("cpu"), [7, 4, 5, 9])
    assert [float(pair[1].facts[0]) for pair in itertools.islice(pairs, 3)] == [7, 4, 5]
    assert made[:3] == [4, 7, 5]
    with pytest.raises(InputError, match="cannot be made"):
        next(pairs)
    assert len(made) < 180


def test_the_loss_of_an_untrained_network_is_one_whatever_the_size_of_the_error() -> None:
    """The squared error is counted in that of total variation, and faces of a patch inside the volume have no weight."""
    given = smoothing(1)
    small = replace(given, wanted=given.wanted / 8, error=given.error / 64)
    for each in (given, small):
        loss = batch_loss(fresh(), [each], LessonSettings(batch=4, edge=24), torch.Generator().manual_seed(0))
        assert float(loss.detach()) == pytest.approx(1, abs=0.1)
    far = replace(given, error=given.error / 1000)
    loss = batch_loss(fresh(), [far], LessonSettings(batch=4, edge=24), torch.Generator().manual_seed(0))
    assert float(loss.detach()) == pytest.approx(20 * (1 + np.log(1000 / 20)), rel=0.02)


def test_the_middle_of_most_patches_lies_in_the_object() -> None:
    """An object in a part of the slices; the middle of a patch is a column of it, but for one in eight, which is any."""
    kept = np.ones((4, 8, 96, 96), np.float16)
    kept[0] = np.arange(96, dtype=np.float16)[:, None]  # its row
    kept[2, :, 60:80] = 2
    kept[3] = lessons.AIR
    kept[3, 3, 60:80, 50:90] = 1
    given = lesson(kept, np.zeros(6, np.float32), torch.device("cpu"))
    assert given.columns.shape == (20 * 40, 2)
    assert given.error == pytest.approx(4)  # of the object alone
    rows = {int(learning._cut(given, 32, (draw, 0.5, 0.5))[0, 0, 0, 0]) for draw in np.linspace(0, 0.999, 200)}
    assert rows == {min(middle - 16, 64) for middle in range(60, 80)}
    rows = {int(learning._cut(given, 32, (draw, 0.5, 0.1))[0, 0, 0, 0]) for draw in np.linspace(0, 0.999, 200)}
    assert (min(rows), max(rows)) == (0, 64)
    empty = lesson(
        np.where(np.arange(4)[:, None, None, None] == 3, np.float16(lessons.AIR), kept), np.zeros(6, np.float32), torch.device("cpu")
    )
    assert learning._cut(empty, 32, (0.5, 0.5, 0.5)).shape == (4, 8, 32, 32)


def test_air_and_what_not_all_views_see_count_less() -> None:
    volume = np.array([[[0.0, 1.0, 1.0]]], np.float32)
    weight = lessons.lesson_weight(volume, np.array([[[True, True, False]]]))
    assert weight.ravel().tolist() == pytest.approx([lessons.AIR, 1, OUTSIDE])


def test_an_object_fills_the_slices_or_is_small_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each object fills its box: in about `LARGE` of the scenes the whole circle is full, in the others an eighth to two thirds."""
    monkeypatch.setattr(scenes, "draw_object", lambda rng, number, shape: np.ones(shape, np.float32))
    monkeypatch.setattr(scenes, "random_volume", lambda shape, *args, **kwargs: np.ones(shape, np.float32))
    grid, circle = Grid((6, 24, 24), 0.25), np.hypot(*np.meshgrid(np.arange(48) - 23.5, np.arange(48) - 23.5)) < 0.48 * 48
    held = np.array([(draw_scene(np.random.default_rng([s, 40]), s, grid) > 0)[:, circle].any(axis=0).mean() for s in range(60)])
    assert 0.2 < (held == 1).mean() < 0.6  # 0.4 of 60, by three standard deviations
    assert 0.12 < held.min() < 0.4
    assert np.quantile(held[held < 1], 0.9) < 0.9


def test_a_scene_is_finite_and_lies_within_the_circle_that_all_views_see() -> None:
    grid, outside = Grid((6, 24, 24), 0.25), np.hypot(*np.meshgrid(np.arange(48) - 23.5, np.arange(48) - 23.5)) > 0.48 * 48 + 1
    for seed in range(12):
        scene = draw_scene(np.random.default_rng([seed, 40]), seed, grid)
        assert scene.shape == (12, 48, 48)
        assert scene.min() >= 0
        assert np.isfinite(scene).all()
        assert not scene[:, outside].any()
    assert np.array_equal(scene, draw_scene(np.random.default_rng([11, 40]), 11, grid))


def test_what_is_projected_of_a_scene_has_the_means_of_the_scene() -> None:
    """A single bright voxel, interpolated linearly, spreads 1/8 of itself along each axis into each neighbour."""
    scene = np.zeros((6, 6, 6), np.float32)
    scene[2, 2, 2] = 64
    means = means_in_voxels(scene)
    assert means[2, 2, 2] == pytest.approx(64 * 0.75**3)
    assert means[2, 2, 1] == pytest.approx(64 * 0.75**2 / 8)
    assert means.sum() == pytest.approx(64)
    ball = np.float32(np.linalg.norm(np.indices((24, 24, 24)) - 11.5, axis=0) < 8)
    blocks = [v.reshape(12, 2, 12, 2, 12, 2).mean(axis=(1, 3, 5)) for v in (ball, means_in_voxels(ball), means_in_voxels(with_means(ball)))]
    smooth, kept = (np.sqrt(((v - blocks[0]) ** 2).mean()) for v in blocks[1:])
    assert kept < 0.25 * smooth


def test_a_correction_is_the_mean_over_images_that_are_turned_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that answers with the voxel one to the right is, averaged over images, the mean of all four neighbours in a slice."""
    from fewview.data import Projections
    from fewview.nerf.patchwise import learner

    grid = Grid((8, 12, 14), 1.0)
    scan = Scan.circular(dso_mm=60, dsd_mm=60, rows=12, cols=20, pixel_mm=1.0, angles_deg=np.arange(12) * 30.0)
    volume = np.random.default_rng(0).random(grid.shape, dtype=np.float32)
    monkeypatch.setattr(learner, "tiled", lambda net, volumes, told, scale: np.roll(volumes[0], -1, axis=2))
    found = correction(fresh(), Projections(np.zeros((12, 12, 20), np.float32), scan), grid, volume, 0.01)
    around = [np.roll(volume, way, axis=axis) for axis in (1, 2) for way in (-1, 1)]
    np.testing.assert_allclose(found, np.mean(around, axis=0), rtol=1e-5)


def test_the_command_makes_a_file_of_weights_that_can_be_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From lessons that lie in the bank, so that no process is begun to make any."""
    rng, bank = np.random.default_rng(0), Bank(0, tmp_path / "bank")
    rows = {seed: rng.random(6, np.float32) for seed in (0, 1, 7, VALIDATION[0])}
    for seed, row in rows.items():
        kept = (rng.random((4, 8, 16, 16)).astype(np.float16), row) * 2
        bank.get(key_of_lessons(seed), lambda kept=kept: kept)
    monkeypatch.setattr(procedural_lessons, "ProcessPoolExecutor", lambda *a, **k: pytest.fail("lessons were made"))
    monkeypatch.setattr(command, "ARCHITECTURE", SMALL)
    out, half = tmp_path / "tvnet.pt", tmp_path / "half.pt"
    command.main(out, tmp_path / "bank", ProceduralVolumes(scans=2), LessonSettings(steps=2, batch=2), held=1, device="cpu")
    to_ship("tvnet", str(out), str(half))
    digest = hashlib.sha256(half.read_bytes()).hexdigest()
    assert f"SHA-256 {digest}, not the file that this version ships" in capsys.readouterr().out
    monkeypatch.setitem(SHA256, "tvnet", digest)
    shipped = shipped_checkpoint("tvnet", half.rename(tmp_path / "tvnet.pt").parent)
    assert (shipped.step, shipped.data["train"]) == (2, {"procedural volumes": "seeds 0 to 1"})
    module = module_of(shipped, LEARNER)
    assert np.allclose(module.get_buffer("known")[0], np.minimum(rows[0], rows[1]), atol=1e-3)
    seventh, still = ProceduralVolumes(scans=1, first=7), LessonSettings(steps=1, batch=1, rate=1e-9)
    command.main(tmp_path / "on.pt", tmp_path / "bank", seventh, still, held=1, begin=out, device="cpu")
    before, after = (read_checkpoint(path) for path in (out, tmp_path / "on.pt"))
    assert after.data["train"] == {"procedural volumes": "seeds 7 to 7"}
    assert after.settings["begin"] == "tvnet.pt"
    assert np.allclose(after.state["known"][0], np.minimum(np.minimum(rows[0], rows[1]), rows[7]), atol=1e-3)
    assert all(np.allclose(value, after.state[name], atol=1e-6) for name, value in before.state.items() if name != "known")


def test_the_command_refuses_what_would_be_lost_and_a_device_that_is_not_here(tmp_path: Path) -> None:
    out = tmp_path / "a.pt"
    out.write_text("mine")
    with pytest.raises(FileExistsError):
        command.main(out, tmp_path / "bank", device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(Exception, match="cuda"):
            command.main(tmp_path / "b.pt", tmp_path / "bank", device="cuda")
