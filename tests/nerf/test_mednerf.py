"""mednerf: what it renders, what its discriminator judges, that it learns, and that an inversion fits the X-rays."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fewview.benchmarks.scores.distribution import features_of, frechet_distance, random_features
from fewview.data import Projections
from fewview.geometry import Grid, InputError, Scan, UnknownNameError
from fewview.nerf.field.rendering import Pose, field_volume
from fewview.nerf.mednerf import dag
from fewview.nerf.mednerf import method as mednerf
from fewview.nerf.mednerf.graf import Frame
from fewview.nerf.mednerf.inversion import Inversion
from fewview.nerf.mednerf.patches import Patches, ray_channels
from fewview.nerf.mednerf.perceptual import DISTANCES, kernel_distance
from fewview.nerf.training.learner import Example
from fewview.nerf.training.settings import TrainSettings
from fewview.nerf.training.state import step_generator
from fewview.nerf.training.train_network import _rate_factor, train
from fewview.recon import METHODS, Operator, reconstruct
from numpy.typing import NDArray

TINY = mednerf.Architecture(
    layers=3, width=24, skip=1, octaves=2, shape_code=6, appearance_code=4, base=8, normed=False, samples=10, patches=3,
    least_share=0.6, anneal=0.02, posed=False, average=0.9, generator_rate=1e-3, discriminator_rate=4e-3,
)  # fmt: skip
POSED = replace(TINY, posed=True)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _scan(count: int = 13) -> Scan:
    return Scan.circular(dso_mm=60, dsd_mm=60, rows=24, cols=32, pixel_mm=0.7, angles_deg=np.arange(count) * 208 / count)


def _phantom(grid: Grid, animal: int) -> NDArray[np.float32]:
    """A soft oval body with two dense rods, larger or smaller and elsewhere in each animal."""
    random = np.random.default_rng(animal)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    body = 0.04 / (1 + np.exp(4 * (np.hypot(np.hypot(x / 4, y / 3.2), z / 4) - 1) * random.uniform(1.5, 2.5)))
    for side in (-1, 1):
        at = side * 1.6 + random.uniform(-0.5, 0.5)
        body += 0.10 * np.exp(-((x - at) ** 2 + (y - random.uniform(-1, 1)) ** 2) / 1.0 - (z / 3) ** 4)
    return body.astype(np.float32)


def _animals(numbers: Sequence[int]) -> list[Example]:
    scan = _scan()
    fine, grid = Grid.across(scan, 44), Grid.across(scan, 24)
    found = []
    for number in numbers:
        values = Operator(scan, fine)(_phantom(fine, number))
        found.append(Example(f"{number} week 0", str(number), Projections(values, scan), grid, _phantom(grid, number), f"{number}"))
    return found


def _likeness(module: torch.nn.Module, examples: Sequence[Example]) -> float:
    """The FID-like distance of samples to all X-rays of the examples."""
    real = np.concatenate([e.projections.values for e in examples])
    fake = mednerf.LEARNER.samples(module, examples[0].projections.scan, 40, _seeded(3))
    network, window = random_features(), (0.0, 1.0)
    return frechet_distance(features_of(real, window, network), features_of(fake, window, network))


# --- the generator ---------------------------------------------------------------------------------------------------------------


def test_what_is_rendered_are_the_line_integrals_of_the_volume_that_is_read() -> None:
    scan = _scan(4)
    grid = Grid.across(scan, 48)
    module = mednerf.LEARNER.build(replace(TINY, samples=48), _seeded())
    with torch.no_grad():
        for p in module.average.parameters():
            p.mul_(2.0)  # structure worth the name
    code = torch.randn(10, generator=_seeded(1))
    volume = field_volume(module.average.field(code, Frame.of(scan)), grid).numpy()
    optics = module.architecture.optics
    for view in range(4):
        seen = (optics.view(module.average, code, scan, grid, view).numpy() + 1) / 2 * module.architecture.window
        expected = Operator(scan[[view]], grid, backend="torch")(volume)[0]  # exact; depth bins differ most at the rim of the box
        assert expected.std() > 0.05 * expected.mean()
        assert np.abs(seen - expected).max() < 0.03 * expected.max()
        assert np.abs(seen - expected).mean() < 0.01 * expected.mean()


def test_the_paper_preset_has_the_published_sizes() -> None:
    module = mednerf.LEARNER.build(mednerf.PRESETS["paper"], _seeded())
    assert [layer.out_features for layer in module.generator.modules() if isinstance(layer, torch.nn.Linear)].count(256) == 9
    published = 677_764  # GRAF's generator: 8 x 256, 10 and 4 octaves, codes of 128 and 128, three colours
    view_direction, two_colours = (3 + 6 * 4) * 128, 2 * (128 + 1)
    assert sum(p.numel() for p in module.generator.parameters()) == published - view_direction - two_colours
    assert module.generator.code == 128 + 128
    shapes = {name: tuple(p.shape) for name, p in module.discriminator.named_parameters()}
    heads = [shape for name, shape in shapes.items() if name.startswith("heads")]
    assert heads == [(1, 256, 4, 4)] * 4
    widths = [module.discriminator.start[0], module.discriminator.down1.main[0], module.discriminator.down2.main[0]]
    assert [layer.out_channels for layer in widths] == [16, 32, 64]
    rates = {name: group[1:] for name, group in mednerf.LEARNER.groups(module).items()}
    assert rates == {"discriminator": (1e-4, "rmsprop"), "generator": (5e-4, "rmsprop")}
    assert list(rates) == ["discriminator", "generator"]
    assert mednerf.PRESETS["paper"].patches == 8
    few = mednerf.LEARNER.build(replace(mednerf.PRESETS["paper"], patches=2, samples=2), _seeded())
    for group in mednerf.LEARNER.groups(few):
        mednerf.LEARNER.loss(few, _animals([1])[0], np.array([0, 1]), _seeded(), group).backward()
    assert all(torch.isfinite(p.grad).all() for p in few.parameters() if p.requires_grad and p.grad is not None)
    assert mednerf.TRAINING["paper"]["steps"] == 100_000


def test_weights_follow_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    one = mednerf.LEARNER.build(TINY, _seeded(4)).state_dict()
    before = torch.random.get_rng_state()
    two = mednerf.LEARNER.build(TINY, _seeded(4)).state_dict()
    other = mednerf.LEARNER.build(TINY, _seeded(5)).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_shape_and_appearance_codes_change_what_they_should() -> None:
    network = mednerf.LEARNER.build(TINY, _seeded()).generator
    points, code = torch.rand(50, 3, generator=_seeded()) - 0.5, torch.randn(10, generator=_seeded())
    density, brightness = network(points, code)
    tinted = network(points, torch.cat([code[:6], code[6:] + 1]))
    shaped = network(points, torch.cat([code[:6] + 1, code[6:]]))
    millimetres = network.field(code, Frame((1.0, 2.0, 3.0), 10.0))(10 * points + torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(millimetres, density * brightness / 5, rtol=1e-4)  # 2 density brightness / radius
    assert torch.equal(tinted[0], density)
    assert not torch.allclose(tinted[1], brightness)
    assert not torch.allclose(shaped[0], density)


def test_one_view_has_the_frame_of_the_whole_scan() -> None:
    scan = Scan.circular(dso_mm=60, dsd_mm=90, rows=24, cols=32, pixel_mm=0.7, angles_deg=np.arange(13) * 16, axis_shift_mm=0.4)
    whole = Frame.of(scan)
    for part in (scan[[5]], scan[[0, 3]]):
        one = Frame.of(part)
        assert one.radius_mm == pytest.approx(whole.radius_mm, rel=1e-6)
        assert np.allclose(one.center_mm, whole.center_mm, atol=1e-6)


# --- patches ---------------------------------------------------------------------------------------------------------------------


def test_patches_lie_in_the_image_and_read_what_is_there() -> None:
    values = np.random.default_rng(0).random((3, 40, 50), dtype=np.float32)
    patches = Patches.draw(torch.tensor([2, 0, 1, 1]), (40, 50), 0.3, _seeded())
    assert patches.row.min() >= 0
    assert patches.row.max() <= 39 + 1e-4
    assert patches.col.max() <= 49 + 1e-4
    spans = (patches.row[:, -1] - patches.row[:, 0]) / 39
    assert torch.allclose(spans, (patches.col[:, -1] - patches.col[:, 0]) / 49, atol=1e-5)
    assert 0.3 <= float(spans.min()) < float(spans.max()) <= 1
    exact = Patches(torch.tensor([1]), torch.arange(4.0, 36)[None], torch.arange(7.0, 39)[None])
    assert np.allclose(exact.read(values)[0, 0].numpy(), values[1, 4:36, 7:39], atol=1e-5)
    between = Patches(torch.tensor([1]), torch.arange(4.0, 36)[None] + 0.25, torch.arange(7.0, 39)[None])
    assert np.allclose(between.read(values)[0, 0].numpy(), 0.75 * values[1, 4:36, 7:39] + 0.25 * values[1, 5:37, 7:39], atol=1e-5)
    with pytest.raises(InputError, match="least share"):
        Patches.draw(torch.tensor([0]), (40, 50), 0.0, _seeded())


def test_the_discriminator_is_told_the_ray_of_each_pixel() -> None:
    scan = _scan(5)
    patches = Patches.draw(torch.tensor([3, 1]), scan.shape, 0.5, _seeded())
    rays, frame = patches.rays(scan), Frame.of(scan)
    channels = ray_channels(rays, frame, 2)
    assert channels.shape == (2, 6, 32, 32)
    row, col = patches.row[1, 7], patches.col[1, 20]
    own = Pose.of(scan).rays(torch.tensor([1]), row[None], col[None])
    assert torch.allclose(channels[1, :3, 7, 20], own.direction[0].float(), atol=1e-6)
    point = own.origin[0] + 17.0 * own.direction[0]  # the moment is that of any point of the ray
    moment = torch.linalg.cross((point - torch.tensor(frame.center_mm)) / frame.radius_mm, own.direction[0])
    assert torch.allclose(channels[1, 3:, 7, 20], moment.float(), atol=1e-5)
    assert mednerf.LEARNER.build(POSED, _seeded()).discriminator.start[0].in_channels == 7
    assert mednerf.LEARNER.build(TINY, _seeded()).discriminator.start[0].in_channels == 1


# --- as published: batches over animals, noise, schedule


def test_a_batch_of_animals_is_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The discriminator sees one batch with a patch of each animal, and the hinge is that of the mean of its verdicts."""
    module = mednerf.LEARNER.build(replace(TINY, patches=1, hinge="mean"), _seeded())
    batch = [(example, np.array([0, 3])) for example in _animals((1, 2, 3))]
    seen: list[torch.Tensor] = []
    each = dag.Discriminator.each
    monkeypatch.setattr(dag.Discriminator, "each", lambda self, batches: (seen.extend(batches), each(self, batches))[1])
    loss = mednerf.LEARNER.batch_loss(module, batch, _seeded(1), "discriminator")
    assert [len(images) for images in seen] == [3] * 8  # four augmentations of real images, and of invented ones
    loss.backward()
    assert all(p.grad is None for p in module.generator.parameters())
    one, two = (mednerf.LEARNER.build(TINY, _seeded()) for _ in range(2))  # each loss moves the spectral norms by a step
    alone = mednerf.LEARNER.loss(one, *batch[0], _seeded(1), "generator")
    assert torch.equal(alone, mednerf.LEARNER.batch_loss(two, batch[:1], _seeded(1), "generator"))


def test_the_hinge_of_the_mean_is_not_the_mean_of_the_hinges(monkeypatch: pytest.MonkeyPatch) -> None:
    network = mednerf.LEARNER.build(TINY, _seeded()).discriminator
    monkeypatch.setattr(dag, "_missed", lambda *given: torch.zeros(()))
    monkeypatch.setattr(torch, "rand", lambda *shape, generator=None: torch.ones(*shape))  # margins of 1
    monkeypatch.setattr(dag.Discriminator, "verdict", lambda self, last, head: torch.tensor([[-3.0, 5.0]]))
    images = torch.zeros(1, 1, 32, 32)
    both = {
        kind: float(dag.discriminator_loss(network, images, images, "fliprot", "multiscale-l1", _seeded(), kind))
        for kind in ("each", "mean")
    }
    heads = sum(dag.weights())
    assert both["mean"] == pytest.approx(heads * (0 + 2))  # the mean is 1: max(0, 1 - 1) + max(0, 1 + 1)
    assert both["each"] == pytest.approx(heads * (2 + 3))  # (4 + 0) / 2 + (0 + 6) / 2


def test_noise_joins_the_density_and_fades_in_its_steps() -> None:
    network = mednerf.LEARNER.build(TINY, _seeded()).generator
    points, code = torch.rand(40, 3, generator=_seeded()) - 0.5, torch.randn(10, generator=_seeded())
    noise = torch.randn(40, generator=_seeded(2))
    plain, loud = network(points, code)[0], network(points, code, noise)[0]
    raw = torch.log(torch.expm1(plain))  # what softplus made of it
    assert torch.allclose(loud, torch.nn.functional.softplus(raw + noise), atol=1e-5)
    example, module = _animals((1,))[0], mednerf.LEARNER.build(replace(TINY, noise=1.0, quiet_after=10), _seeded())
    quiet = copy.deepcopy(module)
    quiet.architecture = TINY

    def loss(of: torch.nn.Module) -> float:
        with torch.no_grad():
            return float(mednerf.LEARNER.loss(of, example, np.array([0]), _seeded(5), "generator"))

    assert loss(module) != loss(quiet)
    for each in (module, quiet):
        each.get_buffer("step").fill_(10)
    assert loss(module) == loss(quiet)


def test_rates_are_halved_as_published() -> None:
    chosen = TrainSettings.of(mednerf.LEARNER, "published")
    assert (chosen.batch, chosen.schedule, mednerf.PRESETS["published"].patches) == (8, "halving", 1)
    assert [_rate_factor(chosen, step) for step in (1, 50_000, 50_001, 100_001, 200_001)] == [1, 1, 0.5, 0.25, 0.125]


# --- the discriminator -----------------------------------------------------------------------------------------------------------


def test_augmentations_are_what_their_names_say_and_can_be_undone() -> None:
    image = np.arange(2 * 32 * 32, dtype=np.float32).reshape(2, 1, 32, 32)
    expected = {
        "identity": image, "left-right": image[..., ::-1], "bottom-up": image[..., ::-1, :],
        "rotate90": np.rot90(image, 1, (2, 3)), "rotate180": image[..., ::-1, ::-1], "rotate270": np.rot90(image, 3, (2, 3)),
    }  # fmt: skip
    seen = set()
    for augmentations in dag.POLICIES.values():
        assert len(augmentations) == dag.HEADS
        assert augmentations[0].name == "identity"
        for augmentation in augmentations:
            seen.add(augmentation.name)
            shown = augmentation.forward(torch.from_numpy(image))
            assert np.array_equal(shown.numpy(), expected[augmentation.name])
            assert np.array_equal(augmentation.inverse(shown).numpy(), image)
    assert seen == set(expected)
    with pytest.raises(UnknownNameError, match="fliprot"):
        dag.policy("fliprott")


def test_hinge_loss_by_hand() -> None:
    verdict = torch.tensor([2.0, 0.5, -1.0])
    assert dag.hinge(verdict, real=True) == pytest.approx((0 + 0.5 + 2) / 3)
    assert dag.hinge(verdict, real=False) == pytest.approx((3 + 1.5 + 0) / 3)
    assert dag.hinge(verdict, True, torch.tensor([0.8, 1.0, 0.9])) == pytest.approx((0 + 0.5 + 1.9) / 3)
    assert dag.weights() == (1.0, *[pytest.approx(0.2 / 3)] * 3)


def test_every_head_judges_its_own_augmentation() -> None:
    module = mednerf.LEARNER.build(TINY, _seeded())
    network = module.discriminator.eval()  # spectral norms stand still
    images = torch.rand(3, 1, 32, 32, generator=_seeded())
    with torch.no_grad():
        parts = [network.verdict(network.features(a.forward(images))[1], i).mean() for i, a in enumerate(dag.policy("fliprot"))]
        expected = -sum(w * p for w, p in zip(dag.weights(), parts, strict=True))
        assert float(dag.generator_loss(network, images, "fliprot")) == pytest.approx(float(expected), rel=1e-5)
    assert len({round(float(p), 6) for p in parts}) == 4
    network.train()
    dag.discriminator_loss(network, images, images.flip(0) * 0.5, "fliprot", "multiscale-l1", _seeded()).backward()
    norms = {name: float(p.grad.norm()) for name, p in network.named_parameters() if p.grad is not None}
    assert set(norms) == {name for name, _ in network.named_parameters()}
    assert min(norms.values()) > 0


def test_restoring_is_of_the_image_and_of_the_quarter_that_is_named() -> None:
    network = mednerf.LEARNER.build(TINY, _seeded()).discriminator
    middle, last = network.features(torch.rand(2, 1, 32, 32, generator=_seeded()))
    assert middle.shape[2:] == (16, 16)
    assert last.shape[2:] == (8, 8)
    assert network.verdict(last, 2).shape == (2, 25)
    middle = middle.detach().requires_grad_(True)
    whole, part = network.restore(middle, last, 2)
    assert whole.shape == part.shape == (2, 1, 32, 32)
    part.sum().backward()
    assert middle.grad is not None
    used = middle.grad.abs().sum((0, 1)) > 0
    assert used[8:, :8].all()  # the lower left
    assert int(used.sum()) == 64


def test_perceptual_distances_are_zero_for_equals_and_grow() -> None:
    image, other = (torch.rand(2, 1, 32, 32, generator=_seeded(i)) for i in range(2))
    for measure in (found for name, found in DISTANCES.items() if name != "lpips"):  # which needs weights
        assert measure(image, image) == 0
        near, far = measure(image, image + 0.1 * other), measure(image, image + 0.5 * other)
        assert 0 < float(near) < float(far)
    assert DISTANCES["multiscale-l1"](image, image + 0.25) == pytest.approx(0.25, rel=1e-4)


def test_kernel_distance_is_unbiased_and_tells_distributions_apart() -> None:
    flat = [torch.rand(12, 1, 32, 32, generator=_seeded(i)) for i in range(12)]
    same = [float(kernel_distance(a, b)) for a, b in zip(flat[::2], flat[1::2], strict=True)]
    striped = float(kernel_distance(flat[0], flat[1] * torch.linspace(0, 1, 32)))
    assert min(same) < 0 < max(same)  # unbiased: on both sides of zero
    assert striped > 5 * max(map(abs, same))


# --- learning --------------------------------------------------------------------------------------------------------------------


def test_losses_move_only_their_own_group_and_the_average_follows() -> None:
    module, example = mednerf.LEARNER.build(POSED, _seeded()), _animals([1])[0]
    given = np.array([1, 4, 7])
    start = copy.deepcopy(module.state_dict())
    for group, (parameters, *_) in mednerf.LEARNER.groups(module).items():
        module.zero_grad()
        mednerf.LEARNER.loss(module, example, given, _seeded(), group).backward()
        assert {id(p) for p in parameters} == {id(p) for p in module.parameters() if p.grad is not None}
    assert all(p.requires_grad for p in module.discriminator.parameters())
    with torch.no_grad():
        for p in module.generator.parameters():
            p.add_(1.0)
    mednerf.LEARNER.loss(module, example, given, _seeded(), "generator")
    moved = module.average.density.weight - start["average.density.weight"]
    assert torch.allclose(moved, torch.full_like(moved, 10 / 11), atol=1e-5)  # the second step: a share of 10 / (10 + 1)
    assert module.steps_done == 2
    with pytest.raises(UnknownNameError, match="generator"):
        mednerf.LEARNER.loss(module, example, given, _seeded(), "generater")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Example], mednerf.MedNerf, Sequence[dict[str, float]]]:
    """A tiny mednerf that has learned a little from four phantoms: checkpoint, phantoms, module and losses."""
    torch.set_num_threads(1)
    examples, path = _animals([1, 2, 3, 4]), tmp_path_factory.mktemp("mednerf") / "tiny.pt"
    learner = replace(mednerf.LEARNER, presets={"small": TINY})
    settings = TrainSettings(steps=60, views=(6,), augment="none", schedule="constant", check_every=30, check_views=(13,), seed=1)
    checkpoint = train(learner, examples, _animals([5]), settings, path)
    module = mednerf.LEARNER.build(TINY, _seeded())
    module.load_state_dict(checkpoint.state)
    return path, examples, module, checkpoint.losses


def test_training_makes_samples_more_like_the_x_rays(trained: tuple) -> None:
    _, examples, module, losses = trained
    assert _likeness(module, examples) < 0.7 * _likeness(mednerf.LEARNER.build(TINY, step_generator(1, 0)), examples)
    assert all(math.isfinite(value) for entry in losses for value in entry.values())
    assert losses[-1]["score"] > 0.5 * losses[0]["score"]  # both negative: less than half the distance


def test_the_same_seed_trains_the_same(tmp_path: Path) -> None:
    learner = replace(mednerf.LEARNER, presets={"small": replace(POSED, normed=True)})
    states = []
    for run, seed in enumerate((0, 0, 1)):
        settings = TrainSettings(steps=2, views=(6,), augment="none", seed=seed)
        states.append(train(learner, _animals([1]), [], settings, tmp_path / f"{run}.pt").state)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_an_inversion_fits_the_given_views_and_leaves_the_generator_alone(trained: tuple) -> None:
    _, _, module, _ = trained
    example = _animals([6])[0]
    given, kept = example.projections[[0, 6]], copy.deepcopy(module.state_dict())
    settings = Inversion(steps=40, starts=4, generator_rate=1e-3)
    volume, found = mednerf.inverted_volume(module, given, example.grid, settings, _seeded())
    again, _ = mednerf.inverted_volume(module, given, example.grid, settings, _seeded())
    assert torch.equal(volume, again)
    assert found.psnr_after > found.psnr_before + 1.5
    assert all(torch.equal(kept[name], value) for name, value in module.state_dict().items())
    _, by_code = mednerf.inverted_volume(module, given, example.grid, replace(settings, fit="z"), _seeded())
    assert all(torch.equal(a, b) for a, b in zip(by_code.network.parameters(), module.average.parameters(), strict=True))
    assert not torch.equal(by_code.code, found.code)
    assert by_code.psnr_before == found.psnr_before
    assert by_code.psnr_after < found.psnr_after


def test_all_views_are_fitted_not_the_first_alone(trained: tuple) -> None:
    _, _, module, _ = trained
    example = _animals([7])[0]
    settings = Inversion(steps=40, starts=2, generator_rate=1e-3)
    errors = {}
    for views in ("all", "one"):
        volume, _ = mednerf.inverted_volume(module, example.projections[[0, 6]], example.grid, replace(settings, views=views), _seeded())
        seen = Operator(example.projections.scan[[6]], example.grid)(volume.numpy())
        errors[views] = float(np.sqrt(np.mean((seen - example.projections.values[[6]]) ** 2)))
    assert errors["all"] < errors["one"]


def test_it_is_a_registered_method_and_says_how_well_the_input_fits(
    trained: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, examples, _, _ = trained
    monkeypatch.setattr(mednerf, "LEARNER", replace(mednerf.LEARNER, presets={"small": TINY}))
    example = examples[0]
    assert METHODS["mednerf"].trained
    rec = reconstruct(example.projections[[3]], "mednerf", example.grid, checkpoint=str(path), steps=20, starts=1)
    assert rec.volume.shape == example.grid.shape
    assert rec.volume.min() >= 0
    assert rec.settings["input_psnr_after"] > rec.settings["input_psnr_before"]
    assert [entry["step"] for entry in rec.history[:2]] == [10, 20]
    with pytest.raises(InputError, match="checkpoint=FILE"):
        reconstruct(example.projections[[3]], "mednerf", example.grid)


def test_optical_images_stay_in_their_window_and_grow_opaque() -> None:
    scan = _scan(3)
    module = mednerf.LEARNER.build(replace(TINY, rendering="composite", window=2.0), _seeded())
    seen = mednerf.LEARNER.samples(module, scan, 3, _seeded())
    assert seen.shape == (3, 24, 32)
    assert 0 <= seen.min() < seen.max() <= 2.0
    with torch.no_grad():
        module.average.density.bias.fill_(400.0)  # opaque: what is seen is the brightness at the front
        module.average.brightness.weight.zero_()
        module.average.brightness.bias.fill_(1.0)
    opaque = mednerf.LEARNER.samples(module, scan, 1, _seeded())
    assert np.allclose(opaque, 2.0 / (1 + math.exp(-1)), rtol=1e-3)
    assert torch.isfinite(mednerf.LEARNER.loss(module, _animals([1])[0], np.array([0, 1]), _seeded(), "generator"))


# --- bad input -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rendering": "lines"}, "line"), ({"perceptual": "vgg"}, "multiscale-l1"), ({"augmentations": "flip"}, "fliprot"),
        ({"layers": 0}, "layers"), ({"patches": 1.5}, "patches"), ({"window": -1.0}, "window"), ({"least_share": 0.0}, "least_share"),
        ({"average": 1.5}, "average"), ({"base": 18}, "multiple of 4"), ({"generator_rate": math.nan}, "generator_rate"),
    ],
)  # fmt: skip
def test_architectures_that_cannot_be_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fit": "code"}, "generator"), ({"views": "two"}, "all"), ({"steps": -1}, "steps"), ({"patches": 0}, "patches"),
        ({"starts": 0.5}, "starts"), ({"prior": -1.0}, "prior"), ({"code_rate": math.inf}, "code_rate"), ({"least_share": 2.0}, "least"),
    ],
)  # fmt: skip
def test_inversions_that_cannot_be_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Inversion(**given)
    with pytest.raises(InputError, match=message):
        METHODS["mednerf"].settings(**given)


def test_foreign_modules_and_no_samples_are_refused() -> None:
    module = mednerf.LEARNER.build(TINY, _seeded())
    with pytest.raises(InputError, match="at least one"):
        mednerf.LEARNER.samples(module, _scan(3), 0, _seeded())
    with pytest.raises(InputError, match="Linear"):
        mednerf.LEARNER.samples(torch.nn.Linear(1, 1), _scan(3), 1, _seeded())


def test_every_preset_is_a_frozen_architecture_of_plain_numbers() -> None:
    for preset in mednerf.LEARNER.presets.values():
        assert all(isinstance(value, int | float | str | bool) for value in dataclasses.asdict(preset).values())
    assert set(mednerf.LEARNER.training) == set(mednerf.LEARNER.presets)
    for name in mednerf.LEARNER.presets:
        TrainSettings.of(mednerf.LEARNER, name)
