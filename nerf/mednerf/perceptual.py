"""Distances between images that compare more than single pixels.

LPIPS, with which MedNeRF was published, needs trained weights (``fewview data fetch lpips-alexnet``). The others do not, and have names of
their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from ...base import UnknownNameError
from ...base.shapes import Float
from .lpips import lpips_distance

Images = Float[Tensor, "image 1 row col"]


def multiscale_l1(a: Images, b: Images) -> Float[Tensor, ""]:
    """The average of the mean absolute differences of images and of their means over 2 x 2, 4 x 4, 8 x 8 pixels (as far as they are large
    enough).
    """
    terms = []
    difference = a - b
    for _ in range(4):
        terms.append(difference.abs().mean())
        if min(difference.shape[2:]) < 4:
            break
        difference = nn.functional.avg_pool2d(difference, 2)
    return torch.stack(terms).mean()


def random_feature_distance(a: Images, b: Images) -> Float[Tensor, ""]:
    """The mean squared difference of unit feature vectors of a fixed random network, layer by layer as in LPIPS (Zhang et al. 2018, eq. 1).

    The network is three 3x3 convolutions with seeded Gaussian weights, the last two strided; no weights are learned. The images are in
    -1..1.
    """
    total = a.new_zeros(())
    for i, kernel in enumerate(_kernels()):
        a, b = (torch.relu(nn.functional.conv2d(x, kernel.to(x), stride=min(2, i + 1), padding=1)) for x in (a, b))
        total = total + ((_unit(a) - _unit(b)) ** 2).sum(1).mean()
    return total / len(_kernels())


def kernel_distance(real: Images, fake: Images) -> Float[Tensor, ""]:
    """The unbiased squared distance of the means in the space of the kernel (x.y / d + 1)^3 (KID: Binkowski et al. 2018, eq. 4).

    x and y are mean and spread over the image of the last maps of that network. When it is taken against the images of one animal at a
    time, its mean over animals is that of all of them, except for a constant that depends on the data alone. It needs two images of each,
    and computes in float64.
    """
    x, y = (_features(images).double() for images in (real, fake))
    width = x.shape[1]
    among_real, among_fake, between = ((a @ b.T / width + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    return _off_diagonal_mean(among_real) + _off_diagonal_mean(among_fake) - 2 * between.mean()


def _features(images: Images) -> Float[Tensor, "image feature"]:
    for i, kernel in enumerate(_kernels()):
        images = torch.relu(nn.functional.conv2d(images, kernel.to(images), stride=min(2, i + 1), padding=1))
    return torch.cat([images.mean((2, 3)), images.std((2, 3))], 1)


def _off_diagonal_mean(square: Tensor) -> Tensor:
    n = len(square)
    return (square.sum() - square.diagonal().sum()) / (n * (n - 1))


def _unit(x: Tensor) -> Tensor:
    return x / (x.norm(dim=1, keepdim=True) + 1e-3)


@lru_cache(maxsize=1)
def _kernels() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    widths = (1, 16, 32, 32)
    return tuple(torch.randn(o, i, 3, 3, generator=generator) * (2 / (9 * i)) ** 0.5 for i, o in itertools.pairwise(widths))


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiscale-l1": multiscale_l1, "random-features": random_feature_distance, "lpips": lpips_distance,
}  # fmt: skip


def distance(name: str) -> Callable[[Images, Images], Float[Tensor, ""]]:
    """The distance with this name; UnknownNameError lists those there are."""
    if name not in DISTANCES:
        raise UnknownNameError("perceptual distance", name, DISTANCES)
    return DISTANCES[name]
