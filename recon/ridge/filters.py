"""The filters of the ridge prior: two convolutions of 3^3 after one another, and their transpose, on volumes that go on at their border."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...base.shapes import Float
from ..iterative.arrays import Volume, as_numpy

FirstFilters = Float[Tensor, "m 1 3 3 3"]  # weights of the first of two convolutions, without a unit
SecondFilters = Float[Tensor, "f m 3 3 3"]  # and of the second
PAD = 2  # voxels by which a filter of 5^3 reaches beyond its middle


def continued(x: Float[Tensor, "n z y x"]) -> Float[Tensor, "n z2 y2 x2"]:
    """Volumes of any unit with `PAD` voxels more on all sides, each the nearest voxel of the volume."""
    return functional.pad(x[:, None], (PAD,) * 6, mode="replicate")[:, 0]


def folded(wide: Float[Tensor, "n z2 y2 x2"]) -> Float[Tensor, "n z y x"]:
    """The transpose of `continued`, in the same unit."""
    for axis in (1, 2, 3):
        count = wide.shape[axis] - 2 * PAD
        inner = wide.narrow(axis, PAD, count).clone()
        inner.narrow(axis, 0, 1).add_(wide.narrow(axis, 0, PAD).sum(dim=axis, keepdim=True))
        inner.narrow(axis, count - 1, 1).add_(wide.narrow(axis, PAD + count, PAD).sum(dim=axis, keepdim=True))
        wide = inner
    return wide


def responses(wide: Float[Tensor, "n z2 y2 x2"], first: FirstFilters, second: SecondFilters) -> Float[Tensor, "n f z y x"]:
    """W x [n, f, z, y, x] of continued volumes, in the same unit."""
    return functional.conv3d(functional.conv3d(wide[:, None], first), second)


def transposed(r: Float[Tensor, "n f z y x"], first: FirstFilters, second: SecondFilters) -> Float[Tensor, "n z2 y2 x2"]:
    """W' r of responses [n, f, z, y, x], on continued volumes, in the same unit."""
    return functional.conv_transpose3d(functional.conv_transpose3d(r, second), first)[:, 0]


def spectral_norm(first: FirstFilters, second: SecondFilters, size: int = 16) -> Float[Tensor, ""]:
    """The largest singular value (no unit) of the two convolutions after one another: the largest sum over filters of squared spectra."""
    one = torch.fft.rfftn(first[:, 0], s=(size,) * 3, dim=(-3, -2, -1))
    two = torch.fft.rfftn(second, s=(size,) * 3, dim=(-3, -2, -1))
    return (two * one[None]).sum(dim=1).abs().square().sum(dim=0).max().sqrt()


def grey_scale(volume: Volume) -> float:
    """The mean of a volume [z, y, x], weighted by itself: the attenuation of its body in 1/mm, whatever the air around it."""
    values = np.maximum(as_numpy(volume), 0)
    total = float(values.sum(dtype=np.float64))
    return float(np.einsum("zyx,zyx->", values, values, dtype=np.float64)) / total if total > 0 else 0.0
