"""The column LPIPS, by AlexNet (`nerf.mednerf.lpips`) or by random features that are labelled as such."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...base import InputError
from ...base.shapes import Images
from ...nerf.mednerf.lpips import LEAST_PIXELS, Perceptual, layer_distance
from .distribution import random_kernels


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
            total += sum(
                float(layer_distance(x, y, w)) for x, y, w in zip(perceptual.maps(a), perceptual.maps(b), perceptual.weights, strict=True)
            )
    return total / len(images)
