"""FID and KID between two sets of images: the arithmetic of torchmetrics on features with a stated name."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...base import InputError, MissingBackendError
from ...base.shapes import Float, Images


@dataclass(frozen=True)
class Features:
    """A named feature extractor: ``extract`` maps images [n, 1, h, w] in 0..1 to features [n, d].

    ``label`` appears in every table, because a distance on other features is another quantity.
    """

    label: str
    extract: Callable[[Tensor], Tensor]


class _Given(nn.Module):
    """Passes features through, so that torchmetrics does only its arithmetic."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def inception_features(weights: str | Path | None = None) -> Features:
    """The FID Inception-v3 of 2015, with weights from the named file, or from where `fewview data fetch fid-inception` puts them.

    Raises MissingBackendError where they are missing; the network is never replaced by another one.
    """
    from ...data.catalogue.fetch import locate
    from .networks.inception import load_inception

    try:
        network = load_inception(locate("fid-inception") if weights is None else weights)
    except FileNotFoundError as error:
        raise MissingBackendError(
            f"the FID Inception weights are not here ({error})",
            expected="the published weight file",
            remedy="fetch them, or ask for the labelled random features",
        ) from error
    return Features("inception", lambda images: network(images.expand(-1, 3, -1, -1)))


def random_features(width: int = 64, seed: int = 0) -> Features:
    """A fixed random convolutional network, for use without the weights. Its label says so, and its numbers are not FID.

    It has three strided 5x5 convolutions with fixed Gaussian weights and ReLU; the features are mean and spread over the image of the last
    maps.
    """
    kernels = random_kernels([1, width // 4, width // 2, width // 2], seed)

    def extract(images: Tensor) -> Tensor:
        x = images
        for kernel in kernels:
            x = torch.relu(nn.functional.conv2d(x, kernel.to(x.dtype), stride=2, padding=2))
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)

    return Features(f"random{width}s{seed}", extract)


def random_kernels(widths: Sequence[int], seed: int) -> list[Float[Tensor, "out in 5 5"]]:
    """Random weights of 5 x 5 kernels from ``widths[k]`` to ``widths[k + 1]`` channels, with a variance that keeps the size of rectified
    maps.
    """
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(o, i, 5, 5, generator=generator) * (2 / (25 * i)) ** 0.5 for i, o in itertools.pairwise(widths)]


def features_of(images: Images, window: tuple[float, float], features: Features, batch: int = 32) -> Float[Tensor, "image feature"]:
    """The features (float64) of images whose intensities are mapped from the fixed ``window`` to 0..1 and clipped."""
    low, high = window
    if not high > low:
        raise InputError(f"the intensity window is {window}", expected="(low, high) with low < high")
    if images.ndim != 3 or len(images) == 0:
        raise InputError(f"images have shape {images.shape}", expected="(image, row, col) with at least one image")
    out = []
    with torch.no_grad():
        for start in range(0, len(images), batch):
            block = np.clip((np.asarray(images[start : start + batch], dtype=np.float32) - low) / (high - low), 0, 1)
            out.append(features.extract(torch.from_numpy(block)[:, None]).double())
    return torch.cat(out)


def frechet_distance(real: Float[Tensor, "m d"], fake: Float[Tensor, "n d"]) -> float:
    """The Frechet distance of the Gaussians fitted to two sets of features (Heusel et al. 2017, eq. 6), in float64 by torchmetrics."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    _need(real, fake, 2)
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]))
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    return float(metric.compute())


def kernel_distance(
    real: Float[Tensor, "m d"], fake: Float[Tensor, "n d"], *, subsets: int = 50, subset_size: int | None = None, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over subsets of the unbiased MMD^2 with kernel (x.y/d + 1)^3 (Binkowski et al. 2018), by torchmetrics.

    ``subset_size`` defaults to half of the smaller set, at most 1000: a subset of everything has no spread. The subsets are drawn with
    ``seed``; the global generator is left as it was.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(max(2, min(len(real), len(fake)) // 2), 1000) if subset_size is None else subset_size
    _need(real, fake, max(size, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns that it keeps all features, which are few and in memory already
        metric = KernelInceptionDistance(feature=_Given(real.shape[1]), subsets=subsets, subset_size=size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        metric.update(real.double(), real=True)
        metric.update(fake.double(), real=False)
        mean, spread = metric.compute()
    return float(mean), float(spread)


def _need(real: Tensor, fake: Tensor, least: int) -> None:
    for name, features in (("real", real), ("reconstructed", fake)):
        if len(features) < least:
            raise InputError(f"{len(features)} {name} images", expected=f"at least {least} for a distance between distributions")
