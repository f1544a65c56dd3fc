"""pixelNeRF: where features are sampled, what pooling does, coarse and fine points, sizes as published, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import Grid, InputError, Scan, transform, views
from fewview.nerf.field.fine_samples import coarse_cells, fine_cells
from fewview.nerf.field.rendering import Pose, Rays, box_of
from fewview.nerf.pixelnerf.encoder import Encoder, enlarged
from fewview.nerf.pixelnerf.method import LEARNER, _drawn
from fewview.nerf.pixelnerf.network import PAPER, SMALL, PixelNerf, build
from fewview.nerf.pixelnerf.view_features import Cameras, sampled
from fewview.nerf.training.checkpoint import load_checkpoint
from fewview.nerf.training.learner import Example
from fewview.nerf.training.settings import TrainSettings
from fewview.nerf.training.train_network import decibel, train
from fewview.recon import Operator, reconstruct
from torch import Tensor, nn

TINY = replace(
    SMALL, channels=(8, 8, 8, 8, 8), blocks=(1, 1, 1, 1), features=8, width=24, view_blocks=1, joint_blocks=1, octaves=3, rays=8, coarse=12,
    fine=8, points=400, jitter=0.0, learning_rate=8e-3,
)  # fmt: skip


def _scan(count: int = 12, rows: int = 20, cols: int = 28, **options: Any) -> Scan:
    return Scan.circular(dso_mm=80, dsd_mm=120, rows=rows, cols=cols, pixel_mm=1.2, angles_deg=np.arange(count) * 208 / count, **options)


def _odd(scan: Scan) -> Scan:
    """The same panel rolled, tilted, rows counted downwards, and all of it moved."""
    tipped = transform.tilt(transform.roll(scan, 3.0), 4.0, -6.0)
    return transform.move(transform.flip_rows(tipped), transform.rotation_matrix((1.0, 2.0, 0.5), 40.0), (5.0, -7.0, 11.0))


def _seed(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _random(architecture: Any = TINY, seed: int = 0, dtype: torch.dtype = torch.float32) -> PixelNerf:
    """A network none of whose parts is zero, as it is after some training."""
    network = build(architecture, _seed(seed)).to(dtype)
    generator = _seed(seed + 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator).to(dtype)
    return network.eval()


# Where a point is seen


def test_a_point_on_the_ray_of_a_pixel_is_projected_to_that_pixel_in_any_geometry() -> None:
    scan = _odd(_scan(5, axis_shift_mm=1.7))
    cameras, random = Cameras.of(scan, torch.float64), np.random.default_rng(0)
    for view in range(len(scan)):
        pixels = transform.pixel_centers(scan, view)
        for row, col in ((0, 0), (19, 27), (7, 11)):
            point = scan.source[view] + random.uniform(0.3, 1.5) * (pixels[row, col] - scan.source[view])
            found = [float(a[view, 0]) for a in cameras.project(torch.tensor(point)[None])]
            assert found == pytest.approx([row, col, 1.0], abs=1e-9)


def test_projection_of_a_circular_scan_is_that_of_similar_triangles() -> None:
    scan, (x, y, z) = _scan(1, axis_shift_mm=0.6), (3.0, 10.0, -2.0)  # at 0 degrees: source at y = -80, rays along +y
    row, col, seen = Cameras.of(scan, torch.float64).project(torch.tensor([[x, y, z]], dtype=torch.float64))
    magnification = 120 / (80 + y)
    assert float(col) == pytest.approx(27 / 2 + (x * magnification + 0.6) / 1.2)
    assert float(row) == pytest.approx(19 / 2 + z * magnification / 1.2)
    assert bool(seen)


def test_points_off_the_panel_or_behind_the_source_are_not_seen() -> None:
    scan = _scan(1)
    edge = 14 * 1.2 / 1.5  # of the panel, seen at the axis
    points = torch.tensor([[0.0, 0, 0], [edge - 0.1, 0, 0], [edge + 0.1, 0, 0], [0, 0, 8.1], [0, 0, -8.1], [0, -80.0, 0], [0, -200, 0]])
    assert Cameras.of(scan).project(points)[2][0].tolist() == [True, True, False, False, False, False, False]


@pytest.mark.parametrize("stride", [1, 2])
def test_features_are_those_of_the_pixel_that_sees_the_point(stride: int) -> None:
    """The encoder replaced by one that passes the image, and an image that says of each pixel which it is."""
    scan = _odd(_scan(4))
    row, col = np.meshgrid(np.arange(20), np.arange(28), indexing="ij")
    network = build(TINY, _seed())
    network.encoder = _Passes(stride)  # pyright: ignore[reportAttributeAccessIssue]
    scene = network.scene(Projections(np.broadcast_to(100 * row + col, (4, 20, 28)).astype(np.float32), scan))
    inside = [scan.source + (transform.pixel_centers(scan, 2)[r, c] - scan.source) * 0.7 for r, c in ((3, 4), (15, 20))]
    points = torch.tensor(np.stack([p[2] for p in inside]), dtype=torch.float32)
    at_row, at_col, _ = scene.cameras.project(points)
    found = sampled(scene.maps, at_row, at_col, stride)[:, :, 0]
    assert found[2].tolist() == pytest.approx([304, 1520], abs=0.02)
    last = stride * ((20 - 1) // stride), stride * ((28 - 1) // stride)  # pixels that a feature lies on
    expected = 100 * at_row.clamp(0, last[0]) + at_col.clamp(0, last[1])  # bilinear is exact on a plane; the border's value outside
    assert torch.allclose(found, expected, atol=0.05)


class _Passes(nn.Module):
    def __init__(self, stride: int, channels: int = 1) -> None:
        super().__init__()
        self.stride, self.channels = stride, channels

    def forward(self, images: Tensor) -> Tensor:
        return images[:, None, :: self.stride, :: self.stride].expand(-1, self.channels, -1, -1)


@pytest.mark.parametrize("stride", [1, 2])
def test_all_levels_of_the_pyramid_lie_over_the_same_pixels(stride: int) -> None:
    """A bright pixel in the very middle, symmetric kernels: features are symmetric about it, so no level is shifted."""
    encoder = Encoder((4, 4, 4, 4, 4), (1, 1, 1, 1), stride, None, 0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(0.05)
        encoder.whole.weight.zero_()
        image = torch.zeros(1, 1 + 32 * stride, 1 + 48 * stride)
        image[0, 16 * stride, 24 * stride] = 1.0
        maps = encoder(image)
    assert maps.shape == (1, 16, 33, 49)
    assert torch.allclose(maps, maps.flip(2), atol=1e-6)
    assert torch.allclose(maps, maps.flip(3), atol=1e-6)
    for level in range(4):  # each is brightest there, and brighter than where the pixel has no part
        assert float(maps[0, 4 * level].max()) == pytest.approx(float(maps[0, 4 * level, 16, 24]), rel=1e-5)
        assert float(maps[0, 4 * level, 16, 24]) > float(maps[0, 4 * level, 16, 8]) + 1e-4
    ramp = enlarged(torch.arange(5.0)[None, None, :, None].expand(1, 1, 5, 3), 17, 9, 4)
    assert ramp[0, 0, :, 0].tolist() == pytest.approx((np.arange(17) / 4).tolist())


# Pooling, and what the scan's frame may not change


def _example(seed: int = 0, count: int = 24, size: int = 16, scan: Scan | None = None) -> Example:
    """A head-like thing: an ellipsoid with two denser ones in it, projected from a grid 1.5 times as fine that is not the one scored on."""
    scan = _scan(count) if scan is None else scan
    random, grid = np.random.default_rng(seed), Grid.across(scan, size)
    parts = [(random.uniform(-2, 2, 3), random.uniform(5, 8, 3) * (1, 1, 0.6), 0.05)]
    parts += [(parts[0][0] + random.uniform(-2.5, 2.5, 3), random.uniform(1.5, 3, 3), 0.1) for _ in range(2)]

    def body(on: Grid) -> np.ndarray[Any, np.dtype[np.float32]]:
        z, y, x = np.meshgrid(on.z_mm, on.y_mm, on.x_mm, indexing="ij")
        total = np.zeros(on.shape)
        for (cx, cy, cz), (ax, ay, az), value in parts:
            r = np.sqrt(((x - cx) / ax) ** 2 + ((y - cy) / ay) ** 2 + ((z - cz) / az) ** 2)
            total += value / (1 + np.exp(12 * (r - 1)))
        return total.astype(np.float32)

    fine = Grid(tuple(int(1.5 * n) + 1 for n in grid.shape), grid.voxel_mm / 1.5, (0.05, 0.1, 0.0))  # pyright: ignore[reportArgumentType]
    return Example(f"{seed} week 0", str(seed), Projections(Operator(scan, fine)(body(fine)), scan), grid, body(grid))


@pytest.mark.parametrize("features", [0, 2], ids=["pure", "with FDK"])
def test_the_order_of_the_views_makes_no_difference_and_their_content_does(features: int) -> None:
    example, network = _example(), _random(replace(TINY, fdk=features))
    given = example.projections[[1, 8, 15, 20]]
    first = LEARNER.reconstruct(network, given, example.grid, _seed())
    assert torch.allclose(first, LEARNER.reconstruct(network, given[[2, 0, 3, 1]], example.grid, _seed()), atol=1e-6)
    other = LEARNER.reconstruct(network, Projections(given.values[[2, 0, 3, 1]], given.scan), example.grid, _seed())
    assert (first - other).abs().max() > 1e-4


@pytest.mark.parametrize("count", [1, 2, 24])
def test_any_number_of_views_gives_a_volume_and_the_chunks_do_not_show(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    example, network = _example(), _random(replace(TINY, fdk=1))
    given = example.projections[views.evenly(example.projections.scan, count)]
    found = LEARNER.reconstruct(network, given, example.grid, _seed())
    assert found.shape == example.grid.shape
    assert bool(torch.isfinite(found).all())
    assert float(found.min()) >= 0
    scene = network.scene(given)
    voxel = (3, 5, 6)
    point = torch.tensor([[example.grid.x_mm[6], example.grid.y_mm[5], example.grid.z_mm[3]]], dtype=torch.float32)
    assert float(network.attenuation(scene, point).detach()) == pytest.approx(float(found[voxel]), rel=1e-4)


def test_a_view_that_does_not_see_a_point_says_nothing_of_it() -> None:
    scan, network = _scan(6), _random()
    values = np.random.default_rng(0).uniform(0, 2, (6, 20, 28)).astype(np.float32)
    point = torch.tensor([[0.0, 11.8, 0.0], [0.0, 0.0, 60.0]])  # the first: beside some panels; the second: seen by none
    seen = Cameras.of(scan).project(point)[2]
    assert 0 < int(seen[:, 0].sum()) < 6
    assert int(seen[:, 1].sum()) == 0
    changed = values.copy()
    changed[~seen[:, 0].numpy()] += 1.0
    a, b = (network.attenuation(network.scene(Projections(v, scan)), point).detach() for v in (values, changed))
    assert float(a[0]) == pytest.approx(float(b[0]), rel=1e-5)
    assert float(a[1]) == pytest.approx(float(b[1]), rel=1e-5)
    assert bool(torch.isfinite(a).all())


@pytest.mark.parametrize("features", [0, 2], ids=["pure", "with FDK"])
def test_a_scan_that_was_moved_and_a_wider_panel_show_the_same_object(features: int) -> None:
    """Moved: the same values at the moved points. More columns of air: where a point is, and its attenuation, do not hang on the panel."""
    example, network = _example(scan=_scan(7)), _random(replace(TINY, fdk=features))
    network.radius_mm.fill_(12.0)
    p, points = example.projections, torch.tensor([[1.0, 2.0, 3.0], [-4.0, 0.5, 1.0], [0.0, 0.0, -2.0]])
    before = network.attenuation(network.scene(p), points)
    rotation, shift = transform.rotation_matrix((0.0, 1.0, 0.0), 30.0), np.array([5.0, -3.0, 8.0])
    moved = Projections(p.values, transform.move(p.scan, rotation, shift))
    after = network.attenuation(network.scene(moved), torch.tensor(points.numpy() @ rotation.T + shift, dtype=torch.float32))
    assert torch.allclose(before, after, rtol=1e-3 if features == 0 else 0.03)  # FDK's grid is not turned with the scan
    network.encoder = _Passes(2, 8)  # features by position, without what convolutions see of the borders  # pyright: ignore
    wide = network.attenuation(network.scene(_wider(p)), points)
    assert torch.allclose(network.attenuation(network.scene(p), points), wide, rtol=1e-3 if features == 0 else 0.03)


def _wider(projections: Projections) -> Projections:
    """Four more columns of air on both sides: the panel of another scanner."""
    scan, (rows, cols) = projections.scan, projections.scan.shape
    values = np.pad(projections.values, ((0, 0), (0, 0), (4, 4)))
    return Projections(values, Scan((rows, cols + 8), scan.source, scan.detector, scan.u, scan.v, scan.angles_deg))


# Coarse and fine


def test_cells_cover_the_ray_and_fine_points_go_where_the_attenuation_is() -> None:
    grid = Grid((8, 8, 20), 1.0)  # 20 mm along x
    rays = Rays(torch.tensor([[-50.0, 0.2, 0.1], [-50.0, 30.0, 0.0]]), torch.tensor([[1.0, 0, 0], [1.0, 0, 0]]))
    cells, index = coarse_cells(rays, box_of(grid), 10, _seed())
    assert index.tolist() == [0]
    assert float(cells.width.sum()) == pytest.approx(20.0, rel=1e-5)

    def slab(points: Tensor) -> Tensor:  # 0.5 mm, an eighth of a coarse step of 2 mm, at x = 2.6 .. 3.1
        return ((points[:, 0] > 2.6) & (points[:, 0] < 3.1)).float() + 0.01

    near = (cells.points[:, 0] > 2) & (cells.points[:, 0] < 4)
    both = fine_cells(cells, near.float() + 1e-3, 40, _seed(1))
    assert both.distance.shape == (1, 50)
    assert bool((both.distance.diff(dim=1) >= 0).all())
    assert float(both.width.sum()) == pytest.approx(20.0, rel=1e-5)
    x = both.points[:, 0]
    assert int(((x > 1) & (x < 5)).sum()) > 35  # a tenth of the 40 is spread evenly
    errors = [abs(float(c.integral(slab(c.points))) - (0.5 + 0.2)) for c in (cells, both)]
    assert errors[1] < 0.1
    assert errors[1] < 0.5 * errors[0]
    assert float(both.integral(torch.full((50,), 0.1))) == pytest.approx(2.0, rel=1e-5)


def test_a_rendered_line_of_the_network_is_the_integral_of_its_volume() -> None:
    example, network = _example(size=24), _random()
    p = example.projections
    scene = network.scene(p[[0, 6, 12]])
    grid = Grid(tuple(2 * n for n in example.grid.shape), example.grid.voxel_mm / 2)  # pyright: ignore[reportArgumentType]
    rays = Pose.of(p.scan).rays(torch.tensor([3, 9]), torch.tensor([9.0, 11.0]), torch.tensor([12.0, 16.0]))
    cells, _ = coarse_cells(rays, box_of(grid), 48, None)
    with torch.no_grad():
        coarse, fine = network.lines(scene, cells, 24, None)
    seen = Operator(p.scan, grid)(LEARNER.reconstruct(network, p[[0, 6, 12]], grid, _seed()))
    assert coarse is None  # one network for both passes
    assert fine.tolist() == pytest.approx([float(seen[3, 9, 12]), float(seen[9, 11, 16])], rel=0.02)


def test_the_fine_network_is_its_own_where_asked_and_both_learn() -> None:
    example = _example()
    network = build(replace(TINY, own_fine=True), _seed())
    LEARNER.loss(network, example, np.array([0, 8, 16]), _seed(3), "pixelnerf").backward()
    for part in (network.coarse, network.fine, network.encoder):
        gradient = [p.grad for p in part.parameters() if p.grad is not None]
        assert sum(float(g.abs().sum()) for g in gradient) > 0
    assert network.coarse is not network.fine


def test_gradients_in_float64() -> None:
    example = _example(size=8)
    network = _random(replace(TINY, points=20, rays=3, coarse=4, fine=0), dtype=torch.float64)
    chosen = [network.coarse.spread, network.coarse.count, network.encoder.whole.bias, network.coarse.told[0].bias]

    def value(*parameters: Tensor) -> Tensor:
        for place, parameter in zip(chosen, parameters, strict=True):
            place.data.copy_(parameter.detach())
        return LEARNER.loss(network, example, np.array([0, 9, 17]), _seed(5), "pixelnerf")

    start = [p.detach().clone() for p in chosen]
    network.zero_grad()
    value(*start).backward()
    for k, place in enumerate(chosen):
        direction = torch.randn(place.shape, generator=_seed(k), dtype=torch.float64)
        ends = []
        for sign in (1, -1):
            moved = [p + sign * 1e-6 * direction if i == k else p for i, p in enumerate(start)]
            ends.append(float(value(*moved).detach()))
        assert place.grad is not None
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float((place.grad * direction).sum()), rel=1e-5, abs=1e-9)


def test_random_voxels_stand_for_the_mean_over_all_that_every_view_sees() -> None:
    """Half of them are drawn where attenuation is, and weighted for it: 30 000 give the mean over all, to the chance that is left."""
    example, network = _example(), _random(replace(TINY, rays=0, points=30_000))
    given = np.array([0, 9, 17])
    with torch.no_grad():
        drawn = float(LEARNER.loss(network, example, given, _seed(2), "pixelnerf"))
    inside, radius = example.grid.seen_by_all(example.projections.scan), example.projections.scan.field_of_view_mm[0]
    error = (LEARNER.reconstruct(network, example.projections[given], example.grid, _seed()).numpy() - example.reference)[inside] * radius
    assert drawn == pytest.approx(float((error**2).mean()), rel=0.03)


# Sizes as published


def test_the_paper_preset_has_the_published_sizes() -> None:
    """28 million: ResNet-34 without its last layer (21.28, one channel), the fourth stage's vector, and two networks of 3.43 for points."""
    with torch.device("meta"):
        network = PixelNerf(PAPER)
    count = sum(p.numel() for p in network.parameters())

    def convolution(size: int, a: int, b: int) -> int:
        return size * size * a * b + 2 * b

    resnet, inside = convolution(7, 1, 64), 64
    for outside, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        resnet += convolution(3, inside, outside) + (2 * blocks - 1) * convolution(3, outside, outside)
        resnet += convolution(1, inside, outside) if inside != outside else 0
        inside = outside
    place, told = 39 * 512 + 512, 3 * (515 * 512 + 512)
    points = place + told + 5 * 2 * (512 * 512 + 512) + 2 * 512 + 513
    assert count == resnet + (512 * 512 + 512) + 2 * points
    assert 27.5e6 < count < 28.5e6
    assert network.encoder.width == 512
    assert len(network.coarse.apart) + len(network.coarse.joint) == 5
    assert 1e5 < sum(p.numel() for p in build(SMALL, _seed()).parameters()) < 1e6


def test_a_network_in_the_space_of_its_views_learns_from_rays_and_makes_a_volume() -> None:
    example, given = _example(), np.array([0, 9, 17])
    network = build(replace(TINY, space="views", directions=True, mean_alone=True, whole=False, points=0), _seed())
    LEARNER.loss(network, example, given, _seed(5), "pixelnerf").backward()
    assert float(network.fine.enter.weight.grad[:, -3:].abs().sum()) > 0  # the directions
    assert network.fine.spread.grad is None
    volume = LEARNER.reconstruct(network, example.projections[given], example.grid, _seed())
    assert volume.shape == example.grid.shape
    assert float(volume.min()) > 0


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    a, b, c = (build(TINY, _seed(s)).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["encoder.stem.weight"], c["encoder.stem.weight"])


def test_an_untrained_field_is_neither_empty_nor_dense() -> None:
    """About 0.03 / R everywhere, softplus(-3.5): from a denser start the line integrals emptied the small preset for good."""
    example = _example()
    start = (
        LEARNER.reconstruct(build(SMALL, _seed()), example.projections[::5], example.grid, _seed())
        * example.projections.scan.field_of_view_mm[0]
    )
    assert 0.025 < float(start.min()) < float(start.max()) < 0.036


# Learning

SMOKE = replace(LEARNER, presets={"small": TINY}, training={})


def _settings(**more: Any) -> TrainSettings:
    return TrainSettings.of(SMOKE, **{"views": (1, 3, 6), "selections": ("evenly", "random"), "clip": 1.0, "augment": "none",
                                      "check_every": 1000, "check_views": (5,), **more})  # fmt: skip


def test_learns_across_animals_and_reconstructs_unseen_ones_better_than_their_mean(tmp_path: Path) -> None:
    """Loss and held-out score better than at the start, and better than the mean of the training volumes, at 5 views more than at 1."""
    training, unseen = [_example(k) for k in range(10)], [_example(k) for k in (100, 101)]
    out = tmp_path / "tiny.pt"
    done = train(SMOKE, training, unseen[:1], _settings(steps=240, check_every=20), out)
    first, last = done.losses[1], done.losses[-1]
    assert last["pixelnerf"] < 0.6 * first["pixelnerf"]
    assert last["score"] > done.losses[0]["score"] + 4
    mean = np.mean([e.reference for e in training], axis=0)
    for example in unseen:
        trivial, start = decibel(mean, example), decibel(np.zeros_like(mean), example)
        scores = {}
        for count in (1, 5):
            given = example.projections[views.evenly(example.projections.scan, count)]
            made = reconstruct(given, "pixelnerf", example.grid, checkpoint=out)
            scores[count] = decibel(made.volume, example)
            assert made.settings["trained_preset"] == "small"
        assert scores[5] > max(trivial, start) + 1.5
        assert scores[5] > scores[1]
    wide = reconstruct(_wider(unseen[0].projections)[::5], "pixelnerf", unseen[0].grid, checkpoint=out)
    assert decibel(wide.volume, unseen[0]) > decibel(mean, unseen[0]) + 1.5  # a panel of another size shows the same animal
    network = load_checkpoint(out, SMOKE)
    assert float(network.get_buffer("radius_mm")) == pytest.approx(training[0].projections.scan.field_of_view_mm[0])


def test_the_same_seed_learns_the_same_and_another_does_not(tmp_path: Path) -> None:
    examples = [_example(k) for k in range(2)]
    runs = [train(SMOKE, examples, [], _settings(steps=3, seed=seed), tmp_path / f"{k}.pt") for k, seed in enumerate((4, 4, 5))]
    assert runs[0].losses == runs[1].losses
    assert all(torch.equal(runs[0].state[k], runs[1].state[k]) for k in runs[0].state)
    assert runs[0].losses != runs[2].losses


def test_x_rays_alone_teach_too(tmp_path: Path) -> None:
    """Without a reference (points = 0), as published: the error of rendered rays falls."""
    learner = replace(SMOKE, presets={"small": replace(TINY, points=0, rays=64, coarse=16, fine=8, own_fine=True)})
    done = train(learner, [_example(k) for k in range(3)], [], _settings(steps=60, check_every=5), tmp_path / "rays.pt")
    losses = [values["pixelnerf"] for values in done.losses[1:]]
    assert losses[-1] < 0.4 * losses[0]  # means over five steps, the first five and the last


def test_voxels_are_drawn_by_their_chance_however_many_there_are() -> None:
    for count in (1000, (1 << 24) + 1000):
        chance = np.full(count, 1e-9)
        chance[[5, count - 3]] = 1.0, 3.0
        drawn = _drawn(chance.cumsum(), 4000, _seed(1))
        assert (drawn == count - 3).mean() == pytest.approx(0.75, abs=0.03)
        assert (drawn == 5).mean() == pytest.approx(0.25, abs=0.03)


def test_every_weight_has_a_gradient_in_half_precision() -> None:
    """The pass without a gradient that comes first leaves no cast weights behind for the pass with one."""
    network = build(TINY, _seed())
    with torch.autocast("cpu", torch.bfloat16):
        error = LEARNER.loss(network, _example(), np.array([0, 4, 8]), _seed(3), "pixelnerf")
    error.backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


# Bad input


def test_without_a_checkpoint_it_says_how_to_make_one() -> None:
    with pytest.raises(InputError, match="fewview train pixelnerf"):
        reconstruct(_example().projections, "pixelnerf", _example().grid)


def test_an_encoder_of_wrong_sizes_is_refused() -> None:
    with pytest.raises(InputError, match="five and four"):
        Encoder((4, 4, 4), (1, 1, 1, 1), 1, None, 0)
    with pytest.raises(InputError, match="stride"):
        Encoder((4, 4, 4, 4, 4), (1, 1, 1, 1), 0, None, 0)
