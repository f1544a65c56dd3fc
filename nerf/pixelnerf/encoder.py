"""From images to features: a ResNet-34 and the pyramid of its stages, for images of one channel. It is trained from scratch, in our own
code.

As in pixelNeRF (Yu, Ye, Tancik, Kanazawa, CVPR 2021, section 5 and appendix B.1), the outputs of the stem and of the first three stages are
brought to the size of the first and stacked. The published network contains the fourth stage (13 of its 28 million parameters) without
using it; here its mean over the image is one vector for a view, which every point of that view sees, unless the stage is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...base import InputError
from ...base.shapes import Float


class Residual(nn.Module):
    """Two 3 x 3 convolutions with a path around them (He et al. 2016, figure 2)."""

    def __init__(self, inside: int, outside: int, stride: int, groups: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(inside, outside, 3, stride, groups), _convolution(outside, outside, 3, 1, groups)
        same = inside == outside and stride == 1
        self.around = nn.Identity() if same else _convolution(inside, outside, 1, stride, groups)

    def forward(self, images: Float[Tensor, "view channel row col"]) -> Float[Tensor, "view width r c"]:
        """The features of the images; with a stride of 2 the maps have half the size."""
        return torch.relu(self.around(images) + self.second(torch.relu(self.first(images))))


def _convolution(inside: int, outside: int, size: int, stride: int, groups: int) -> nn.Module:
    """A convolution whose output [j] is centred on input [stride * j]: odd kernels, padded alike on both sides. ``groups`` 0: no
    normalisation.
    """
    layer = nn.Conv2d(inside, outside, size, stride, size // 2, bias=groups == 0)
    return nn.Sequential(layer, nn.GroupNorm(groups, outside)) if groups else layer


class Encoder(nn.Module):
    """Line integrals [view, row, col] -> features [view, width, row / stride, col / stride].

    ``channels`` and ``blocks`` are those of the stem (one number, no block) and of the four stages, and ``stride`` is that of the stem.
    With ``features`` None the pyramid is stacked as it is; a number mixes it down to so many channels. ``groups`` are those of the
    normalisation, which does not depend on the number of views (the published one does), 0 for none. ``whole`` adds the fourth stage.
    Feature [i, j] belongs to pixel [stride * i, stride * j] at all levels.
    """

    def __init__(
        self, channels: tuple[int, ...], blocks: tuple[int, ...], stride: int, features: int | None, groups: int, whole: bool = True
    ) -> None:
        super().__init__()
        if len(channels) != 5 or len(blocks) != 4 or min(*channels, *blocks, stride) < 1:
            raise InputError(
                f"channels {channels}, blocks {blocks}, stride {stride}", expected="five and four whole numbers and a stride of 1 or more"
            )
        self.stride = stride
        self.stem = _convolution(1, channels[0], 7, stride, groups)
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages = []
        for i, count in enumerate(blocks if whole else blocks[:3]):
            first = Residual(channels[i], channels[i + 1], 1 if i == 0 else 2, groups)  # the pooling halves the first
            stages.append(nn.Sequential(first, *(Residual(channels[i + 1], channels[i + 1], 1, groups) for _ in range(count - 1))))
        self.stages = nn.ModuleList(stages)
        self.width = sum(channels[:4]) if features is None else features
        self.mix = nn.Identity() if features is None else nn.Conv2d(sum(channels[:4]), features, 1)
        self.whole = nn.Linear(channels[4], self.width) if whole else None

    def forward(self, images: Float[Tensor, "view row col"]) -> Float[Tensor, "view width r c"]:
        """The features of each view by itself."""
        levels = [torch.relu(self.stem(images[:, None]))]
        state = self.pool(levels[0])
        for stage in self.stages:
            state = stage(state)
            levels.append(state)
        rows, cols = levels[0].shape[2:]
        stacked = torch.cat([levels[0], *(enlarged(level, rows, cols, 2 ** (i + 1)) for i, level in enumerate(levels[1:4]))], dim=1)
        mixed = self.mix(stacked)
        return mixed if self.whole is None else mixed + self.whole(levels[4].mean(dim=(2, 3)))[:, :, None, None]


def enlarged(maps: Float[Tensor, "view channel r c"], rows: int, cols: int, factor: int) -> Float[Tensor, "view channel row col"]:
    """The features between the pixels of the maps, bilinear: [i, j] of a map lies at [factor * i, factor * j] of the result, and the border
    is repeated.
    """
    down, across = (_tents(n, m, factor).to(maps) for n, m in ((rows, maps.shape[2]), (cols, maps.shape[3])))
    return down @ (maps @ across.T)


def _tents(large: int, small: int, factor: int) -> Float[Tensor, "large small"]:
    at = (torch.arange(large) / factor).clamp(max=small - 1)
    return (1 - (at[:, None] - torch.arange(small)).abs()).clamp(min=0)
