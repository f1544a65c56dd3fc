"""The point networks of pixelNeRF and MedNeRF against a second writing of the published equations, and their numbers of weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fewview.data import Projections
from fewview.geometry import InputError, Scan
from fewview.nerf.mednerf import method as mednerf
from fewview.nerf.mednerf.graf import ConditionedField
from fewview.nerf.pixelnerf import method as pixelnerf
from fewview.nerf.pixelnerf.network import PixelNerf, PixelNerfArchitecture, build
from fewview.nerf.pixelnerf.point_network import PointNetwork
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import nn

Array = NDArray[np.float64]


def _numbers(module: nn.Module) -> dict[str, Array]:
    """All weights, drawn anew so that none is zero, in double precision."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / max(1, p[0].numel()) ** 0.5)
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def _linear(w: dict[str, Array], name: str, x: Array) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def test_pixelnerf_is_its_published_point_network_where_every_view_sees_the_point() -> None:
    """Yu et al., section 4.2 and appendix B.1: f = f2(mean_i f1(gamma(x), W_i)), f1 of three and f2 of two blocks."""
    network = PointNetwork(point_width=39, view_width=20, width=32, view_blocks=3, joint_blocks=2)
    w = _numbers(network)
    with torch.no_grad():
        network.spread.zero_()
        network.count.zero_()  # the published pooling is the mean alone
    random = np.random.default_rng(0)
    point, views = random.normal(size=(7, 39)), random.normal(size=(4, 7, 20))

    def block(name: str, x: Array) -> Array:
        return x + _linear(w, f"{name}.second", _relu(_linear(w, f"{name}.first", _relu(x))))

    states = []
    for view in views:
        state = _linear(w, "enter", point)
        for i in range(3):
            state = block(f"apart.{i}", state + _linear(w, f"told.{i}", view))
        states.append(state)
    joint = np.mean(states, axis=0)
    for i in range(2):
        joint = block(f"joint.{i}", joint)
    expected = _linear(w, "leave", _relu(joint))[:, 0]
    seen = torch.ones(views.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        found = network(torch.from_numpy(point).float(), torch.from_numpy(views).float(), seen).double().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


SCAN = Scan.circular(dso_mm=90, dsd_mm=150, rows=18, cols=22, pixel_mm=1.1, angles_deg=[10, 75, 200])
VIEWS = PixelNerfArchitecture(
    channels=(8, 8, 8, 8, 8), blocks=(1, 1, 1, 1), groups=4, width=24, view_blocks=3, joint_blocks=2, octaves=6, base=1.5, space="views",
    directions=True, mean_alone=True, whole=False,
)  # fmt: skip


def _view_network() -> tuple[PixelNerf, dict[str, Array]]:
    network = build(VIEWS, torch.Generator().manual_seed(4)).eval()
    w = _numbers(network.fine)
    with torch.no_grad():
        network.fine.spread.zero_()
        network.fine.count.zero_()
    network.radius_mm.fill_(7.0)
    return network, w


def _seen_by(scan: Scan, view: int, x: Array) -> tuple[Array, Array]:
    """(row, col) at which the ray from the source through each point meets the panel: the plane's equation, solved for each point."""
    normal = np.cross(scan.u[view], scan.v[view])
    hit = (
        scan.source[view]
        + (x - scan.source[view]) * ((scan.detector[view] - scan.source[view]) @ normal / ((x - scan.source[view]) @ normal))[:, None]
    )
    away = hit - scan.detector[view]
    u, v = scan.u[view], scan.v[view]
    return away @ v / (v @ v) + (scan.shape[0] - 1) / 2, away @ u / (u @ u) + (scan.shape[1] - 1) / 2


def test_pixelnerf_in_the_space_of_its_views_is_the_published_network() -> None:
    """Yu et al., equations 2 to 5 and their settings: gamma of R_i x with sines of 1.5 2^k, k = 0..5; R_i d unencoded; W_i bilinear at
    pi_i(x).
    """
    network, w = _view_network()
    random = np.random.default_rng(5)
    data = Projections(random.random((3, *SCAN.shape)).astype(np.float32), SCAN)
    x = random.uniform(-3, 3, (11, 3))
    ray = random.normal(size=(11, 3))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    with torch.no_grad():
        scene = network.scene(data)
        found = network.attenuation(scene, torch.from_numpy(x).float(), along=torch.from_numpy(ray).float()).double().numpy()
    maps = scene.maps.double().numpy()

    def block(name: str, x: Array) -> Array:
        return x + _linear(w, f"{name}.second", _relu(_linear(w, f"{name}.first", _relu(x))))

    states = []
    for view in range(3):
        row, col = (place / 2 for place in _seen_by(SCAN, view, x))  # maps have every second pixel
        i, j = np.floor(row).astype(int), np.floor(col).astype(int)
        a, b = row - i, col - j
        m = maps[view]
        features = (1 - a) * (1 - b) * m[:, i, j] + (1 - a) * b * m[:, i, j + 1] + a * (1 - b) * m[:, i + 1, j] + a * b * m[:, i + 1, j + 1]
        u, v = (step[view] / np.linalg.norm(step[view]) for step in (SCAN.u, SCAN.v))
        normal = np.cross(u, v)
        turn = np.stack([u, v, normal * np.sign(normal @ (SCAN.detector[view] - SCAN.source[view]))])
        at = x @ turn.T / 7.0
        waves = [f(1.5 * 2.0**k * at[:, axis : axis + 1]) for f in (np.sin, np.cos) for axis in range(3) for k in range(6)]
        state = _linear(w, "enter", np.concatenate([at, *waves, ray @ turn.T], axis=1))
        for n in range(3):
            state = block(f"apart.{n}", state + _linear(w, f"told.{n}", features.T))
        states.append(state)
    joint = np.mean(states, axis=0)
    for n in range(2):
        joint = block(f"joint.{n}", joint)
    expected = np.log1p(np.exp(_linear(w, "leave", _relu(joint))[:, 0])) / 7.0
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_network_in_the_space_of_its_views_knows_no_bed() -> None:
    """Scanner and animal turned together about the axis: the same attenuation; in the space of the scanner another."""
    network, _ = _view_network()
    bed = build(replace(VIEWS, space="scanner", directions=False, base=np.pi), torch.Generator().manual_seed(4)).eval()
    _numbers(bed.fine)
    random = np.random.default_rng(6)
    values, x = random.random((3, *SCAN.shape)).astype(np.float32), random.uniform(-3, 3, (6, 3)).astype(np.float32)
    turned = Scan.circular(dso_mm=90, dsd_mm=150, rows=18, cols=22, pixel_mm=1.1, angles_deg=[50, 115, 240])
    turn = Rotation.from_euler("z", 40, degrees=True).as_matrix().astype(np.float32)
    for model, same in ((network, True), (bed, False)):
        with torch.no_grad():
            first = model.attenuation(model.scene(Projections(values, SCAN)), torch.from_numpy(x))
            second = model.attenuation(model.scene(Projections(values, turned)), torch.from_numpy(x @ turn.T))
        assert torch.allclose(first, second, rtol=1e-3) == same


def test_the_published_pixelnerf_has_the_published_number_of_weights() -> None:
    """ResNet-34 up to its third stage, of one channel, and twice the published point network with one output: 15 038 146 weights.

    The published one has three channels (6 272 more), a fourth stage that nothing uses, and four outputs (3 078 more).
    """
    with torch.device("meta"):
        network = PixelNerf(pixelnerf.PRESETS["published"])
    count = sum(p.numel() for p in network.parameters() if p.requires_grad)
    convolution = lambda size, a, b: size * size * a * b + 2 * b  # noqa: E731
    encoder, inside = convolution(7, 1, 64), 64
    for outside, blocks in ((64, 3), (128, 4), (256, 6)):
        encoder += convolution(3, inside, outside) + (2 * blocks - 1) * convolution(3, outside, outside)
        encoder += convolution(1, inside, outside) if inside != outside else 0
        inside = outside
    point = (42 * 512 + 512) + 3 * (512 * 512 + 512) + 10 * (512 * 512 + 512) + 513
    assert count == encoder + 2 * point
    assert count == 15_038_146


def test_mednerf_is_grafs_conditioned_field_without_view_direction() -> None:
    """Schwarz et al., section 3.2: a NeRF of ``layers`` whose input is (gamma(x), shape code), again after the skip; the appearance code
    joins the brightness.
    """
    octaves, skip, layers = 4, 2, 5
    field = ConditionedField(layers=layers, width=24, skip=skip, octaves=octaves, shape_code=6, appearance_code=5)
    w = _numbers(field)
    random = np.random.default_rng(2)
    x, code = random.uniform(-1, 1, (9, 3)), random.normal(size=11)
    encoded = np.concatenate(
        [x, *([f(np.pi * 2.0**k * x[:, axis : axis + 1]) for f in (np.sin, np.cos) for axis in range(3) for k in range(octaves)])], axis=1
    )
    given = np.concatenate([encoded, np.broadcast_to(code[:6], (9, 6))], axis=1)
    hidden = _relu(_linear(w, "first.linear", given))
    for i in range(1, layers):
        again = np.concatenate([hidden, given], axis=1)
        hidden = _relu(_linear(w, f"layers.{i - 1}.linear", again) if i == skip else _linear(w, f"layers.{i - 1}", hidden))
    density = np.log1p(np.exp(_linear(w, "density", hidden)))[:, 0]
    tinted = np.concatenate([_linear(w, "feature", hidden), np.broadcast_to(code[6:], (9, 5))], axis=1)
    brightness = 1 / (1 + np.exp(-_linear(w, "brightness", _relu(_linear(w, "tint.linear", tinted)))))[:, 0]
    with torch.no_grad():
        found = [a.double().numpy() for a in field(torch.from_numpy(x).float(), torch.from_numpy(code).float())]
    np.testing.assert_allclose(found[0], density, atol=1e-5)
    np.testing.assert_allclose(found[1], brightness, atol=1e-5)


def test_settings_that_exclude_one_another_are_refused() -> None:
    with pytest.raises(InputError, match="space='scanner'"):
        replace(VIEWS, space="scanner")
    with pytest.raises(InputError, match="fdk=1"):
        replace(VIEWS, fdk=1)


def test_the_presets_with_plain_names_are_the_published_and_the_x_ray_ones() -> None:
    published, xray = (pixelnerf.PRESETS[name] for name in ("published", "xray"))
    assert published.points == 0  # images alone, as published
    assert xray.points > 0
    assert (published.octaves, published.width, published.coarse, published.fine) == (6, 512, 64, 32)
    optical, lines = (mednerf.PRESETS[name] for name in ("published", "xray"))
    assert (optical.rendering, optical.posed, lines.rendering, lines.posed) == ("composite", False, "line", True)
    a = optical
    field = ConditionedField(a.layers, a.width, a.skip, a.octaves, a.shape_code, a.appearance_code)
    assert sum(p.numel() for p in field.parameters()) == 677_764 - (3 + 6 * 4) * 128 - 2 * (
        128 + 1
    )  # GRAF's, less view direction and colours
    for learner in (pixelnerf.LEARNER, mednerf.LEARNER):
        assert {"published", "xray"} <= learner.training.keys()
