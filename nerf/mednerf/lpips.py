"""LPIPS (Zhang et al. 2018, arXiv:1801.03924): how different two images look to AlexNet, whose weights come from a checked file.

It is a column of the benchmarks, and a distance with which `mednerf` can be trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn

from ...base import MissingBackendError
from ...base.shapes import Float

LEAST_PIXELS = 32  # of a smaller image AlexNet's strides leave nothing for its last maps


@dataclass(frozen=True)
class Perceptual:
    """A named distance: ``maps`` makes the maps [n, c, h, w] of layers from images [n, 1, h, w] in 0..1, and ``weights`` has one [c] for
    each layer.

    ``label`` appears in every table, because with other maps or weights it is another quantity.
    """

    label: str
    maps: Callable[[Tensor], Sequence[Tensor]]
    weights: Sequence[Tensor]


def alexnet() -> nn.Sequential:
    """The convolutional part of AlexNet ("one weird trick", arXiv:1404.5997), numbered as in the published weight file."""
    sizes = [(3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1)]
    layers: list[nn.Module] = []
    for number, (inputs, outputs, kernel, stride, padding) in enumerate(sizes):
        layers += [nn.MaxPool2d(3, 2)] if number in (1, 2) else []
        layers += [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU()]
    return nn.Sequential(*layers)


def lpips_of(network: nn.Sequential, heads: Sequence[Tensor], label: str = "alexnet") -> Perceptual:
    """The distance over the five rectified maps of ``network``, with weights [channel] for each map and the images scaled as its training
    images were.
    """
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]

    def maps(images: Tensor) -> list[Tensor]:
        x, kept = (2 * images.expand(-1, 3, -1, -1) - 1 - shift.to(images)) / scale.to(images), []
        for layer in network.to(images.device):
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                kept.append(x)
        return kept

    return Perceptual(label, maps, heads)


def load_lpips(weights: str | Path | None = None) -> Perceptual:
    """LPIPS v0.1 with AlexNet, whose weights come from the named file or from ``fewview data fetch lpips-alexnet``, and its heads from
    torchmetrics.

    Raises MissingBackendError where the weights are missing; no other network takes their place.
    """
    from ...data.catalogue.fetch import locate

    try:
        path = locate("lpips-alexnet") if weights is None else Path(weights)
        stored = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError as error:
        raise MissingBackendError(
            f"the AlexNet weights of LPIPS are not here ({error})",
            expected="the published weight file",
            remedy="fetch them, or ask for the labelled random features",
        ) from error
    network = alexnet()
    network.load_state_dict({k.removeprefix("features."): v for k, v in stored.items() if k.startswith("features.")})
    return lpips_of(network.eval().requires_grad_(False), published_heads())


def published_heads() -> list[Tensor]:
    """The learned weights [channel] of the five layers of AlexNet, LPIPS v0.1 (BSD-2-Clause, R. Zhang et al.), as torchmetrics carries
    them.
    """
    try:
        place = files("torchmetrics.functional.image") / "lpips_models" / "alex.pth"
    except ModuleNotFoundError as error:
        raise MissingBackendError(
            "the heads of LPIPS come with torchmetrics, which is not installed", remedy="pip install torchmetrics (extra: bench)"
        ) from error
    with place.open("rb") as file:
        stored = torch.load(file, weights_only=True, map_location="cpu")
    return [stored[f"lin{layer}.model.1.weight"].reshape(-1) for layer in range(5)]


def layer_distance(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"], weight: Float[Tensor, "c"]) -> Float[Tensor, ""]:
    """The sum over images of the mean over positions of the squared distance of maps whose channels are scaled to length one (eq. 1)."""
    unit_a, unit_b = (x / torch.sqrt(1e-8 + (x**2).sum(1, keepdim=True)) for x in (a, b))
    return ((unit_a - unit_b) ** 2 * weight.to(a)[:, None, None]).sum(1).mean((1, 2)).sum()


def lpips_distance(a: Float[Tensor, "image 1 row col"], b: Float[Tensor, "image 1 row col"]) -> Float[Tensor, ""]:
    """LPIPS of images in -1..1 of at least 32 x 32 pixels, the mean over the images. MissingBackendError without weights."""
    found = _published()
    pairs = zip(found.maps((a + 1) / 2), found.maps((b + 1) / 2), found.weights, strict=True)
    return torch.stack([layer_distance(x, y, weight) for x, y, weight in pairs]).sum() / len(a)


@lru_cache(maxsize=1)
def _published() -> Perceptual:
    return load_lpips()
