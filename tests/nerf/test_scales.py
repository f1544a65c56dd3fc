"""The network on three scales: the same answer by every way that it is computed, and the mean over a box by its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fewview.nerf.patchwise.scales import AROUND, ScaleNetwork, Scales, _alone, _boxed

SHAPE = (10, 21, 14)  # of no edge a multiple of 4


@pytest.fixture(scope="module")
def network() -> ScaleNetwork:
    torch.manual_seed(0)
    return ScaleNetwork(Scales(fine=8, middle=8, coarse=8))


def region(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(seed))


def test_the_mean_over_a_box_is_of_the_voxels_inside() -> None:
    x = region()
    found = _boxed(x[None])[0].numpy()
    half = AROUND // 2
    for z, y, q in ((0, 0, 0), (5, 10, 7), (9, 20, 13), (3, 1, 12)):
        box = x[:, max(z - half, 0) : z + half + 1, max(y - half, 0) : y + half + 1, max(q - half, 0) : q + half + 1]
        np.testing.assert_allclose(found[:, z, y, q], box.mean((1, 2, 3)).numpy(), rtol=1e-5)


def test_what_is_learned_from_is_what_is_answered(network: ScaleNetwork) -> None:
    """With gradients nothing is written over that they need, and without them memory is used again: the answer is the same."""
    facts = torch.zeros(6)
    learned = network(region(), facts)
    learned.square().mean().backward()
    with torch.no_grad():
        answered = network(region(), facts)
    torch.testing.assert_close(answered, learned.detach())
    assert answered.shape == SHAPE
    weight, step = network.first.weight, 1e-2
    assert weight.grad is not None
    place = np.unravel_index(int(weight.grad.abs().argmax()), weight.shape)
    slope = float(weight.grad[tuple(place)])
    with torch.no_grad():
        sizes = []
        for sign in (1, -1):
            weight[tuple(place)] += sign * step
            sizes.append(float(network(region(), facts).square().mean()))
            weight[tuple(place)] -= sign * step
    assert (sizes[0] - sizes[1]) / (2 * step) == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize("name", ["leave", "linear"])
def test_one_output_among_others_is_the_same(network: ScaleNetwork, name: str) -> None:
    """In bf16 on a processor, where a layer of one output is made among others."""
    layer = getattr(network, name)
    x = torch.rand(1, layer.weight.shape[1], *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = _alone(layer, x)
        torch.testing.assert_close(_alone(layer, x), exact)
    assert found.dtype is torch.bfloat16
    assert found.shape == exact.shape
    torch.testing.assert_close(found.float(), exact, atol=0.02 * float(exact.abs().max()), rtol=0)
