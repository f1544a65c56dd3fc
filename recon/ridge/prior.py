"""The ridge prior of a volume, and its gradient: ``R(x) = sum_i sum_voxels psi(a_i (W x)_i) / a_i^2`` (arXiv 2308.10542, in 3-D).

It is evaluated in slabs, so that only a slab of responses is in memory at a time.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...base.shapes import Float
from ..iterative.arrays import Volume
from .filters import PAD, continued, folded, responses, transposed
from .weights import RidgeWeights

_SLAB_VOXELS = 1 << 19
Table = Float[NDArray[Any], "_"]  # numbers of the profile, without a unit


class RidgePrior:
    """The prior at the noise ``sigma``, a share of the grey scale of the volume. ``steepest`` bounds its second derivative."""

    def __init__(self, weights: RidgeWeights, sigma: float, like: Volume | None = None) -> None:
        device = like.device if isinstance(like, torch.Tensor) else torch.device("cpu")
        scale, slope = weights.at(sigma)
        knots = len(slope) - 1
        potential = np.concatenate([[0.0], np.cumsum(slope[:-1] + slope[1:])]) / (2 * knots)
        self.sigma = sigma
        self.steepest = float(np.diff(slope).max() * knots)
        self.first, self.second = (torch.as_tensor(w, dtype=torch.float32, device=device) for w in (weights.first, weights.second))
        self.scale, self.slope, self.potential = (a.astype(np.float32) for a in (scale, slope, potential))

    def value_and_gradient(self, x: Volume, unit: float = 1.0) -> tuple[float, Volume]:
        """R(x / unit), summed in float64, and its derivative with respect to x / unit, for a volume [z, y, x] of the same unit."""
        tensor = x if isinstance(x, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(x))
        with torch.inference_mode():
            wide = continued((tensor / unit)[None])
            out, total = torch.zeros_like(wide), 0.0
            rows = max(1, _SLAB_VOXELS // (tensor.shape[1] * tensor.shape[2]))
            for top in range(0, len(tensor), rows):
                slab = slice(top, min(top + rows, len(tensor)) + 2 * PAD)
                r = responses(wide[:, slab], self.first, self.second)
                total += self._bend(r)
                out[:, slab] += transposed(r, self.first, self.second)
            slope = folded(out)[0]
        return total, slope.numpy() if isinstance(x, np.ndarray) else slope

    def _bend(self, r: Float[Tensor, "1 f z y x"]) -> float:
        """The sum of the potential of responses, which are replaced by its derivative."""
        if r.device.type != "cpu":
            return _bend_on_device(r, self.scale, self.slope, self.potential)
        values = r.numpy()[0]
        return float(_bend_numpy(values.reshape(len(values), -1), self.scale, self.slope, self.potential).sum())


@numba.njit(parallel=True, nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"}, error_model="numpy")
def _bend_numpy(r, scale, slope, potential):  # pragma: no cover - compiled
    """Per filter: the sum of psi(a r) / a^2; r [f, voxel] becomes psi'(a r) / a."""
    sums = np.zeros(len(r), np.float64)
    knots = len(slope) - 1
    for f in numba.prange(len(r)):
        a, row, total = scale[f], r[f], 0.0
        one, width = np.float32(1) / a, np.float32(1) / np.float32(knots)
        for i in range(row.size):
            t = abs(row[i]) * a
            place = min(t, np.float32(1)) * np.float32(knots)
            k = min(int(place), knots - 1)
            share = place - np.float32(k)
            here = slope[k] + share * (slope[k + 1] - slope[k])
            value = potential[k] + np.float32(0.5) * share * width * (slope[k] + here) + max(t - np.float32(1), np.float32(0)) * here
            total += value
            row[i] = here * one if row[i] >= 0 else -here * one
        sums[f] = total * one * one
    return sums


def _bend_on_device(r: Float[Tensor, "1 f z y x"], scale: Table, slope: Table, potential: Table) -> float:
    """The same as `_bend_numpy` with tensors of another device."""
    a = torch.as_tensor(scale, device=r.device)[None, :, None, None, None]
    table, sums = torch.as_tensor(slope, device=r.device), torch.as_tensor(potential, device=r.device)
    knots = len(slope) - 1
    t = r.abs() * a
    place = t.clamp(max=1) * knots
    k = place.long().clamp(max=knots - 1)
    share = place - k
    here = table[k] + share * (table[k + 1] - table[k])
    value = sums[k] + 0.5 * share / knots * (table[k] + here) + (t - 1).clamp(min=0) * here
    total = float((value / a**2).sum(dtype=torch.float64))
    r.copy_(r.sign() * here / a)
    return total
