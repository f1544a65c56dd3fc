"""The Inception-v3 network of the Frechet Inception Distance, with weights from a file that is checked by its hash.

The structure is that of Szegedy et al. 2016 (arXiv:1512.00567) with the pooling of the 2015 TensorFlow graph on which FID was defined
(Heusel et al. 2017): average pools leave out the padding, and the last block pools by maximum. Parameter names are those of the published
file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....base import InputError
from ....base.shapes import Float

WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
Pool = Callable[[Tensor], Tensor]


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, same: bool = True) -> None:
        super().__init__()
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (high // 2, wide // 2) if same else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h2 w2"]:
        """The feature maps that this unit makes of ``inputs`` feature maps."""
        return functional.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Parallel chains of named units, joined along the channels. A name in brackets splits a chain into two ends."""

    def __init__(self, units: dict[str, Unit], chains: Sequence[Sequence[str | tuple[str, str]]], pool: Pool) -> None:
        super().__init__()
        for name, unit in units.items():
            self.add_module(name, unit)
        self.chains, self.pool = chains, pool

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h2 w2"]:
        """The feature maps of every chain, then those of the pooled branch (projected where the block has a ``branch_pool``)."""
        parts = []
        for chain in self.chains:
            y = x
            for step in chain:
                y = torch.cat([self.get_submodule(s)(y) for s in step], 1) if isinstance(step, tuple) else self.get_submodule(step)(y)
            parts.append(y)
        pooled = self.pool(x)
        parts.append(self.get_submodule("branch_pool")(pooled) if "branch_pool" in self._modules else pooled)
        return torch.cat(parts, 1)


def _average(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _maximum(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=1, padding=1)


def _halve(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=2)


def _block_a(n: int, pool: int) -> Block:
    units = {"branch1x1": Unit(n, 64, 1), "branch5x5_1": Unit(n, 48, 1), "branch5x5_2": Unit(48, 64, 5)}
    units |= {"branch3x3dbl_1": Unit(n, 64, 1), "branch3x3dbl_2": Unit(64, 96, 3), "branch3x3dbl_3": Unit(96, 96, 3)}
    units |= {"branch_pool": Unit(n, pool, 1)}
    return Block(units, [["branch1x1"], ["branch5x5_1", "branch5x5_2"], [f"branch3x3dbl_{i}" for i in (1, 2, 3)]], _average)


def _block_b(n: int) -> Block:
    units = {"branch3x3": Unit(n, 384, 3, 2, same=False), "branch3x3dbl_1": Unit(n, 64, 1)}
    units |= {"branch3x3dbl_2": Unit(64, 96, 3), "branch3x3dbl_3": Unit(96, 96, 3, 2, same=False)}
    return Block(units, [["branch3x3"], [f"branch3x3dbl_{i}" for i in (1, 2, 3)]], _halve)


def _block_c(n: int, c: int) -> Block:
    wide, high = (1, 7), (7, 1)
    units = {"branch1x1": Unit(n, 192, 1)}
    units |= {"branch7x7_1": Unit(n, c, 1), "branch7x7_2": Unit(c, c, wide), "branch7x7_3": Unit(c, 192, high)}
    units |= {"branch7x7dbl_1": Unit(n, c, 1), "branch7x7dbl_2": Unit(c, c, high), "branch7x7dbl_3": Unit(c, c, wide)}
    units |= {"branch7x7dbl_4": Unit(c, c, high), "branch7x7dbl_5": Unit(c, 192, wide), "branch_pool": Unit(n, 192, 1)}
    long = [f"branch7x7dbl_{i}" for i in range(1, 6)]
    return Block(units, [["branch1x1"], [f"branch7x7_{i}" for i in (1, 2, 3)], long], _average)


def _block_d(n: int) -> Block:
    units = {"branch3x3_1": Unit(n, 192, 1), "branch3x3_2": Unit(192, 320, 3, 2, same=False), "branch7x7x3_1": Unit(n, 192, 1)}
    units |= {"branch7x7x3_2": Unit(192, 192, (1, 7)), "branch7x7x3_3": Unit(192, 192, (7, 1))}
    units |= {"branch7x7x3_4": Unit(192, 192, 3, 2, same=False)}
    return Block(units, [["branch3x3_1", "branch3x3_2"], [f"branch7x7x3_{i}" for i in range(1, 5)]], _halve)


def _block_e(n: int, pool: Pool) -> Block:
    wide, high = (1, 3), (3, 1)
    units = {"branch1x1": Unit(n, 320, 1), "branch3x3_1": Unit(n, 384, 1)}
    units |= {"branch3x3_2a": Unit(384, 384, wide), "branch3x3_2b": Unit(384, 384, high)}
    units |= {"branch3x3dbl_1": Unit(n, 448, 1), "branch3x3dbl_2": Unit(448, 384, 3)}
    units |= {"branch3x3dbl_3a": Unit(384, 384, wide), "branch3x3dbl_3b": Unit(384, 384, high), "branch_pool": Unit(n, 192, 1)}
    split = ["branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")]
    return Block(units, [["branch1x1"], ["branch3x3_1", ("branch3x3_2a", "branch3x3_2b")], split], pool)


class FidInception(nn.Module):
    """Images [n, 3, h, w] in 0..1 -> [n, 2048] features of the final average pool."""

    num_features = 2048

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2, same=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, same=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, same=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _block_a(192, 32), _block_a(256, 64), _block_a(288, 64)
        self.Mixed_6a = _block_b(288)
        self.Mixed_6b, self.Mixed_6c = _block_c(768, 128), _block_c(768, 160)
        self.Mixed_6d, self.Mixed_6e = _block_c(768, 160), _block_c(768, 192)
        self.Mixed_7a = _block_d(768)
        self.Mixed_7b, self.Mixed_7c = _block_e(1280, _average), _block_e(2048, _maximum)
        self.fc = nn.Linear(2048, 1008)  # not used for features; part of the published file

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n feature"]:
        """The features. Images are first resized to 299 x 299 (bilinear) and scaled to -1..1, as the FID network was trained."""
        x = functional.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * x - 1)))
        x = _halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(_halve(x))))
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = self.get_submodule(f"Mixed_{name}")(x)
        return x.mean(dim=(2, 3))


def load_inception(weights: str | Path) -> FidInception:
    """The network with the published weights (``fewview data fetch fid-inception``); a file with another hash is refused."""
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"FID Inception weights {path} are not there; fetch them with `fewview data fetch fid-inception`")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise InputError(f"{path} has SHA-256 {digest}", expected=WEIGHTS_SHA256, remedy="fetch it again")
    network = FidInception()
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return network.eval().requires_grad_(False)
