"""LPIPS (Zhang et al. 2018, arXiv:1801.03924): how different two images look to AlexNet, whose weights come from a checked file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...base import InputError, MissingBackendError
from ...base.shapes import Float, Images
from .distribution import random_kernels

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
        x, kept = (2 * images.expand(-1, 3, -1, -1) - 1 - shift) / scale, []
        for layer in network:
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
    place = files("torchmetrics.functional.image") / "lpips_models" / "alex.pth"
    with place.open("rb") as file:
        stored = torch.load(file, weights_only=True, map_location="cpu")
    return [stored[f"lin{layer}.model.1.weight"].reshape(-1) for layer in range(5)]


def random_perceptual(width: int = 32, seed: int = 0) -> Perceptual:
    """The same arithmetic on three fixed random 5x5 convolutions with equal channels, for use without the weights. It is not LPIPS."""
    widths = [1, width // 2, width, width]
    kernels = random_kernels(widths, seed)

    def maps(images: Tensor) -> list[Tensor]:
        x, kept = images, []
        for kernel in kernels:
            x = torch.relu(nn.functional.conv2d(x, kernel, stride=2, padding=2))
            kept.append(x)
        return kept

    return Perceptual(f"random{width}s{seed}", maps, [torch.full((w,), 1 / w) for w in widths[1:]])


def perceptual_distance(images: Images, reference: Images, window: tuple[float, float], perceptual: Perceptual) -> float:
    """The mean over image pairs of the weighted squared distance of their maps, with the channels of each position scaled to length one
    (eq. 1).

    Intensities are mapped from the fixed ``window`` to 0..1 and clipped. InputError for shapes that differ or images below 32 pixels.
    """
    if images.shape != reference.shape or images.ndim != 3 or len(images) == 0:
        raise InputError(f"images of shape {images.shape} and {reference.shape}", expected="two equal stacks (image, row, col)")
    if min(images.shape[1:]) < LEAST_PIXELS:
        raise InputError(f"images of {images.shape[1]} x {images.shape[2]} pixels", expected=f"at least {LEAST_PIXELS} each way")
    low, high = window
    scaled = [torch.from_numpy(np.clip((a - low) / (high - low), 0, 1).astype(np.float32))[:, None] for a in (images, reference)]
    total = 0.0
    with torch.no_grad():
        for a, b in zip(*(part.split(16) for part in scaled), strict=True):
            total += sum(float(_layer(x, y, w)) for x, y, w in zip(perceptual.maps(a), perceptual.maps(b), perceptual.weights, strict=True))
    return total / len(images)


def _layer(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"], weight: Float[Tensor, "c"]) -> Float[Tensor, ""]:
    """The sum over images of the mean over positions."""
    unit_a, unit_b = (x / torch.sqrt(1e-8 + (x**2).sum(1, keepdim=True)) for x in (a, b))
    return ((unit_a - unit_b) ** 2 * weight[:, None, None]).sum(1).mean((1, 2)).sum()
