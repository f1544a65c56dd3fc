"""The published PSNR and SSIM are those of torchmetrics on the same images, and are as published in scale, window and range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fewview.benchmarks.scores.published import as_published, published_psnr, published_ssim
from fewview.geometry import InputError
from numpy.typing import NDArray
from scipy import ndimage


def _images(seed: int, noise: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    measured = ndimage.gaussian_filter(random.random((43, 64)), 2).astype(np.float32)
    return (measured + noise * random.standard_normal(measured.shape)).astype(np.float32), measured


@pytest.mark.parametrize("noise", [0.003, 0.03, 0.3])
def test_they_are_those_of_torchmetrics(noise: float) -> None:
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    image, target = as_published(*_images(1, noise))
    a, b = (torch.from_numpy(x)[None, None] for x in (image, target))
    assert published_psnr(image, target) == pytest.approx(float(peak_signal_noise_ratio(a, b, data_range=2.0)), abs=0.01)
    whole = structural_similarity_index_measure(a, b, data_range=2.0, sigma=1.5, kernel_size=11, return_full_image=True)[1]
    assert published_ssim(image, target) == pytest.approx(float(whole.mean()), abs=0.001)


@pytest.mark.parametrize("noise", [0.003, 0.03, 0.3])
def test_they_are_those_of_ignite_which_the_published_code_uses(noise: float) -> None:
    metrics = pytest.importorskip("ignite.metrics", reason="ignite is not installed (pip install pytorch-ignite)")
    image, target = as_published(*_images(3, noise))
    pair = tuple(torch.from_numpy(x)[None, None] for x in (image, target))
    psnr, ssim = metrics.PSNR(data_range=2.0), metrics.SSIM(data_range=2.0, kernel_size=(11, 11), sigma=(1.5, 1.5))
    for metric in (psnr, ssim):
        metric.update(pair)
    assert published_psnr(image, target) == pytest.approx(float(psnr.compute()), abs=0.01)
    assert published_ssim(image, target) == pytest.approx(float(ssim.compute()), abs=0.001)


def test_each_image_is_scaled_by_the_maximum_of_the_measured_one() -> None:
    rendered, measured = _images(2, 0.1)
    image, target = as_published(rendered, measured)
    assert (target.max(), target.min()) == (1.0, pytest.approx(2 * measured.min() / measured.max() - 1))
    np.testing.assert_allclose(image, 2 * rendered / measured.max() - 1, rtol=1e-5)
    assert published_psnr(*as_published(3 * rendered, 3 * measured)) == pytest.approx(published_psnr(image, target), abs=1e-4)
    assert published_psnr(target, target) == np.inf
    assert published_ssim(target, target) == pytest.approx(1.0)


def test_a_view_of_nothing_and_small_images_are_refused() -> None:
    with pytest.raises(InputError, match="an object in the beam"):
        as_published(np.zeros((12, 12), np.float32), np.zeros((12, 12), np.float32))
    with pytest.raises(InputError, match="at least 11"):
        published_ssim(np.zeros((8, 12), np.float32), np.zeros((8, 12), np.float32))
