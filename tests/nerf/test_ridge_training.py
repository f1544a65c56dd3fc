"""A short training of the ridge prior on scenes of its own beats where it started, and blurring, on scenes it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fewview.data.phantom.procedural.kinds_of_volumes import FAMILIES
from fewview.nerf.ridge.network import RidgeNetwork, RidgeSize, denoised, weights_of
from fewview.nerf.ridge.training import RidgeTraining, train_ridge
from fewview.recon.ridge.filters import grey_scale
from scipy.ndimage import gaussian_filter

SIZE = RidgeSize(middle=2, filters=6, knots=10, noise=(0.05, 0.2))
GIVEN = RidgeTraining(volumes=3, edge=20, steps=40, batch=2, patch=12, rate=0.05)
SIGMA = 0.1


def scenes(seed: int) -> list[np.ndarray]:
    made = [FAMILIES[name]((20, 20, 20), 0.2, seed) for name in ("part", "grains", "layers")]
    return [v / np.float32(grey_scale(v)) for v in made]


@pytest.fixture(scope="module")
def trained() -> RidgeNetwork:
    torch.set_num_threads(1)
    return train_ridge(GIVEN, SIZE, scenes(1))


def test_training_beats_its_start_and_a_blur(trained: RidgeNetwork) -> None:
    clean = torch.from_numpy(np.stack(scenes(2)))
    noisy = clean + SIGMA * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    sigma = torch.full((len(clean),), SIGMA)
    start = RidgeNetwork(SIZE, torch.Generator().manual_seed(GIVEN.seed))

    def error(volume: torch.Tensor) -> float:
        return float((volume - clean).square().mean())

    with torch.no_grad():
        after, before = (error(denoised(noisy, sigma, network, free=20)) for network in (trained, start))
    blurred = min(error(torch.from_numpy(gaussian_filter(noisy.numpy(), (0, s, s, s)))) for s in (0.4, 0.6, 0.8, 1.0))
    assert after < 0.97 * before
    assert after < 0.8 * blurred


def test_a_seed_repeats_and_the_weights_keep_their_promises(trained: RidgeNetwork) -> None:
    again = train_ridge(GIVEN, SIZE, scenes(1))
    for one, other in zip(trained.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    found = weights_of(trained)  # which checks them
    scale, slope = found.at(0.1)
    assert scale.shape == (6,)
    assert (slope >= 0).all()
    np.testing.assert_allclose(found.at(0.2)[1], found.slope[1])
