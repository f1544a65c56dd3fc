"""The discriminator of MedNeRF: data augmentation optimised for GANs (DAG, Tran et al. 2021), self-supervised as in FastGAN (Liu 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import cached

from ...base import UnknownNameError
from ...base.shapes import Float
from .patches import SIDE
from .perceptual import distance

Images = Float[Tensor, "image _ _ _"]  # image, channel, row, col; the sizes of one image need not be those of another
HEADS = 4
SHARE = 0.2  # weight of the three augmented heads together, beside 1 for the head for unchanged images

Transform = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Augmentation:
    """A transform of images [..., row, col] and its inverse. It must be invertible, so that only the true distribution fits all of them."""

    name: str
    forward: Transform
    inverse: Transform


def _turned(quarters: int) -> Augmentation:
    def turn(back: bool) -> Transform:
        return lambda x: torch.rot90(x, -quarters if back else quarters, (-2, -1))

    return Augmentation(f"rotate{90 * quarters}", turn(False), turn(True))


def _flipped(name: str, axis: int) -> Augmentation:
    return Augmentation(name, lambda x: x.flip(axis), lambda x: x.flip(axis))


IDENTITY = Augmentation("identity", lambda x: x, lambda x: x)
POLICIES: Mapping[str, tuple[Augmentation, ...]] = {
    "fliprot": (IDENTITY, _flipped("left-right", -1), _flipped("bottom-up", -2), _turned(1)),  # as MedNeRF was published
    "rotation": (IDENTITY, _turned(1), _turned(2), _turned(3)),  # as DAG was published
}


def policy(name: str) -> tuple[Augmentation, ...]:
    """The four augmentations of a policy, beginning with the identity."""
    if name not in POLICIES:
        raise UnknownNameError("policy of augmentation", name, POLICIES)
    return POLICIES[name]


class _Down(nn.Module):
    """A block that halves the size: the mean of two convolutions (4x4 and 3x3) and of a pooled 1x1 convolution (FastGAN's block)."""

    def __init__(self, inside: int, out: int, normed: bool) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_block(nn.Conv2d(inside, out, 4, 2, 1, bias=False), normed), *_block(nn.Conv2d(out, out, 3, 1, 1, bias=False), normed)
        )
        self.direct = nn.Sequential(nn.AvgPool2d(2), *_block(nn.Conv2d(inside, out, 1, bias=False), normed))

    def forward(self, x: Images) -> Images:
        return (self.main(x) + self.direct(x)) / 2


class _Excite(nn.Module):
    """Scales the channels of a small map by what an earlier, larger one holds (FastGAN's skip-layer excitation)."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        first, second = spectral_norm(nn.Conv2d(inside, out, 4, bias=False)), spectral_norm(nn.Conv2d(out, out, 1, bias=False))
        self.main = nn.Sequential(nn.AdaptiveAvgPool2d(4), first, nn.SiLU(), second, nn.Sigmoid())

    def forward(self, early: Images, late: Images) -> Images:
        return late * self.main(early)


def _block(convolution: nn.Conv2d, normed: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(convolution.out_channels)] if normed else []
    return [spectral_norm(convolution), *norm, nn.LeakyReLU(0.2)]


def _decoder(inside: int, width: int) -> nn.Sequential:
    """Layers from features of 8 x 8 to an image of 32 x 32 in -1..1."""

    def up(a: int, b: int) -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2), spectral_norm(nn.Conv2d(a, 2 * b, 3, 1, 1, bias=False)), nn.GLU(dim=1)]

    return nn.Sequential(*up(inside, 2 * width), *up(2 * width, width), spectral_norm(nn.Conv2d(width, 1, 3, 1, 1, bias=False)), nn.Tanh())


class Discriminator(nn.Module):
    """Patches [image, 1 + condition, 32, 32] -> 5 x 5 verdicts of each of four heads. Each augmentation has its head; everything else is
    shared.

    It has ``base`` channels at full size, times 1/4, 1/2, 1, 4 as published (16, 32, 64, 256 for 64). Spectral norms are everywhere, batch
    norms if ``normed``. Two decoders restore the image from the last features and a quarter of it from the middle ones.
    """

    def __init__(self, condition: int, base: int, normed: bool) -> None:
        super().__init__()
        self.normed = normed
        narrow, middle, wide = base // 4, base // 2, base
        self.start = nn.Sequential(spectral_norm(nn.Conv2d(1 + condition, narrow, 3, 1, 1, bias=False)), nn.LeakyReLU(0.2))
        self.down1, self.down2 = _Down(narrow, middle, normed), _Down(middle, wide, normed)
        self.excite1, self.excite2 = _Excite(narrow, middle), _Excite(middle, wide)
        self.neck = nn.Sequential(*_block(nn.Conv2d(wide, 4 * base, 1, bias=False), normed))
        self.heads = nn.ModuleList(spectral_norm(nn.Conv2d(4 * base, 1, 4, bias=False)) for _ in range(HEADS))
        self.decode_whole, self.decode_part = _decoder(wide, max(4, base // 2)), _decoder(middle, max(4, base // 2))

    def features(self, images: Images) -> tuple[Images, Images]:
        """The middle features (16 x 16) and the last features (8 x 8) of images."""
        first = self.start(images)
        middle = self.excite1(first, self.down1(first))
        return middle, self.excite2(middle, self.down2(middle))

    def each(self, batches: Sequence[Images]) -> list[tuple[Images, Images]]:
        """The features of several batches of one size. They are computed together, except that each batch norm sees one batch alone."""
        if self.normed:
            return [self.features(images) for images in batches]
        middle, last = self.features(torch.cat(list(batches)))
        return list(zip(middle.chunk(len(batches)), last.chunk(len(batches)), strict=True))

    def verdict(self, last: Images, head: int) -> Float[Tensor, "image place"]:
        """The verdicts of a head on the last features: 25 scores for each image, higher for what looks real."""
        return self.heads[head](self.neck(last)).flatten(1)

    def restore(self, middle: Images, last: Images, quarter: int) -> tuple[Images, Images]:
        """The image restored from the last features, and one ``quarter`` of it (row by row) from the middle ones,
        each of 32 x 32 pixels.
        """
        return self.decode_whole(last), self.decode_part(_quarter(middle, quarter))


def _quarter(images: Images, which: int) -> Images:
    half = images.shape[-1] // 2
    row, col = divmod(which, 2)
    return images[..., row * half : (row + 1) * half, col * half : (col + 1) * half]


def hinge(verdict: Float[Tensor, "*verdicts"], real: bool, margin: float | Tensor = 1.0) -> Float[Tensor, ""]:
    """The mean hinge loss of the discriminator: max(0, margin - verdict) on real images, max(0, margin + verdict) on generated ones."""
    return torch.relu(margin - verdict if real else margin + verdict).mean()


def weights() -> tuple[float, ...]:
    """The weights of the four heads: 1, and ``SHARE`` divided among the rest (Tran et al. 2021, eq. 9; 0.2 as published for MedNeRF)."""
    return (1.0, *[SHARE / (HEADS - 1)] * (HEADS - 1))


def discriminator_loss(
    network: Discriminator, real: Images, fake: Images, augmentations: str, perceptual: str, generator: torch.Generator, kind: str = "each"
) -> Float[Tensor, ""]:
    """The hinge loss of every head on its own augmentation, with margins from 0.8 to 1, plus the error of restoring real images.

    ``kind`` is "each" for the loss of every verdict, or "mean" for that of their mean, as published.
    """
    total, chosen = real.new_zeros(()), policy(augmentations)
    shown = [augmentation.forward(images) for images in (real, fake) for augmentation in chosen]
    with cached():  # one step of each spectral norm for a loss
        features = network.each(shown)
        for head, weight in enumerate(weights()):
            verdicts = network.verdict(features[head][1], head), network.verdict(features[HEADS + head][1], head)
            if kind == "mean":
                verdicts = verdicts[0].mean(), verdicts[1].mean()
            margins = [0.8 + 0.2 * torch.rand(v.shape, generator=generator).to(v) for v in verdicts]
            loss = hinge(verdicts[0], True, margins[0]) + hinge(verdicts[1], False, margins[1])
            quarter = int(torch.randint(4, (), generator=generator))
            total = total + weight * (loss + _missed(network, shown[head][:, :1], *features[head], quarter, perceptual))
    return total


def _missed(network: Discriminator, image: Images, middle: Images, last: Images, quarter: int, perceptual: str) -> Float[Tensor, ""]:
    whole, part = network.restore(middle, last, quarter)
    enlarged = nn.functional.interpolate(_quarter(image, quarter), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    measure = distance(perceptual)
    return measure(whole, image) + measure(part, enlarged)


def generator_loss(network: Discriminator, fake: Images, augmentations: str) -> Float[Tensor, ""]:
    """The loss of the generator: minus the weighted mean verdict of every head on its own augmentation of generated images."""
    with cached():
        features = network.each([augmentation.forward(fake) for augmentation in policy(augmentations)])
        verdicts = [network.verdict(last, head).mean() for head, (_, last) in enumerate(features)]
    return -(torch.stack(verdicts) * torch.tensor(weights()).to(fake)).sum()
