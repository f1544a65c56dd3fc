"""The point networks of pixelNeRF and MedNeRF against a second writing of the published equations, and their numbers of weights."""

from __future__ import annotations

import numpy as np
import torch
from fewview.nerf.mednerf import method as mednerf
from fewview.nerf.mednerf.graf import ConditionedField
from fewview.nerf.pixelnerf import method as pixelnerf
from fewview.nerf.pixelnerf.point_network import PointNetwork
from numpy.typing import NDArray
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
