"""The pair for volumes and views of any size: slabs of slices and blocks of views that the card has room for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ....geometry import Grid, Scan
from ..joseph_rays import Rays
from .pair import Pair
from .slabs import Slab, free_bytes, slabs_of
from .transfer import to_device, to_host


class BlockedPair:
    """What an `Operator` keeps for one device and type: pairs of slabs and blocks, made when they are first used.

    Tensors may be on the device, or on the CPU, from where only a slab and a block are brought over at a time; results are where the
    values came from. A volume is the sum of its slabs, so that its projections are the sum of theirs, exactly.
    """

    def __init__(self, scan: Scan, grid: Grid, device: torch.device, dtype: torch.dtype) -> None:
        self.scan, self.grid, self.device, self.dtype = scan, grid, device, dtype
        self._pairs: dict[tuple[int, int, int, int], Pair] = {}

    def project(self, volume: Tensor) -> Tensor:
        """A volume (nz, ny, nx) in 1/mm to line integrals (view, row, col)."""
        slabs, blocks = self._parts()
        out = _Collected((len(self.scan), *self.scan.shape), volume)
        for views in blocks:
            out.put(views, _sum(self._pair(slab, views).project(to_device(volume[slab.z], self.device)) for slab in slabs))
        return out.result

    def backproject(self, projections: Tensor) -> Tensor:
        """Line integrals (view, row, col) to a volume (nz, ny, nx), the transpose of `project`."""
        slabs, blocks = self._parts()
        out = _Collected(self.grid.shape, projections)
        for slab in slabs:
            out.put(slab.z, _sum(self._pair(slab, views).backproject(to_device(projections[views], self.device)) for views in blocks))
        return out.result

    def _parts(self) -> tuple[list[Slab], list[slice]]:
        """All at once where it fits (values, and a turned copy of each); otherwise half of the free memory for either."""
        free, size = free_bytes(self.device), 2 * self.dtype.itemsize
        rows, cols = self.scan.shape
        each = int(1.25 * size * (rows + 16) * cols)
        count = max(1, min(len(self.scan), free // 2 // each))
        blocks = [slice(i, min(i + count, len(self.scan))) for i in range(0, len(self.scan), count)]
        return slabs_of(self.grid, size, free - count * each), blocks

    def _pair(self, slab: Slab, views: slice) -> Pair:
        key = (slab.z.start, slab.z.stop, views.start, views.stop)
        if key not in self._pairs:
            self._pairs[key] = Pair.of(Rays.of(self.scan[views], slab.grid), self.device, self.dtype)
        return self._pairs[key]


class _Collected:
    """Parts of a tensor that is to lie where ``like`` does; one part that is all of it is not copied there."""

    def __init__(self, shape: tuple[int, ...], like: Tensor) -> None:
        self.shape, self.like = shape, like
        self.result = like

    def put(self, where: slice, part: Tensor) -> None:
        """Take the part of the first axis that ``where`` says."""
        if part.shape == self.shape and part.device == self.like.device:
            self.result = part
            return
        if self.result is self.like:
            made = np.empty(self.shape, np.float64 if part.dtype == torch.float64 else np.float32)
            self.result = (
                torch.from_numpy(made)
                if self.like.device.type == "cpu"
                else torch.empty(self.shape, dtype=part.dtype, device=self.like.device)
            )
        if self.result.device.type == "cpu":
            to_host(part, self.result[where].numpy())
        else:
            self.result[where] = part


def _sum(parts: Iterable[Tensor]) -> Tensor:
    """Of tensors of one shape; the first is changed."""
    total: Tensor | None = None
    for part in parts:
        total = part if total is None else total.add_(part)
    assert total is not None
    return total
