"""FDK on a GPU: from tensors to tensors without a copy, differentiable, or from numpy in blocks that fit the card."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...base import InputError
from ...base.memory import require_memory
from ...geometry import Grid, Scan
from ...geometry.rotation import Orbit
from ..projector.gpu.slabs import Slab, free_bytes, slabs_of
from ..projector.gpu.transfer import to_device, to_host
from ..projector.gpu.turning import copy_turned
from ..projector.gpu.voxel_driven import VoxelDriven, held_shape
from .filter_on_card import CardFilter
from .redundancy import Coverage, coverage

STORAGE = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class CardFdk:
    """FDK of the views of a scan on a grid, on one device; ``storage`` is what filtered views are kept in while they are summed.

    ``filter``, ``cutoff`` as in `FdkSettings`. What the geometry says is found by the first call and kept.
    Called with the views [view, row, col] it gives the volume [z, y, x]; both float32.
    """

    scan: Scan
    grid: Grid
    device: torch.device
    filter: str = "ramp"
    cutoff: float = 1.0
    storage: str = "float32"

    def __call__(self, values: Tensor) -> Tensor:
        """The volume [z, y, x] of views [view, row, col], both float32 and on the device, all at once; differentiable."""
        expected = (len(self.scan), *self.scan.shape)
        if tuple(values.shape) != expected or values.device.type != self.device.type or values.dtype != torch.float32:
            raise InputError(
                f"views of shape {tuple(values.shape)} and type {values.dtype} on {values.device}",
                expected=f"{expected} (view, row, col) and torch.float32 on {self.device}",
                remedy="fewview.recon.fdk takes arrays of numpy",
            )
        return _Differentiable.apply(values, self)  # pyright: ignore[reportReturnType]

    def volume(self, values: NDArray[np.float32], tell: Callable[[int], None] = lambda views: None) -> NDArray[np.float32]:
        """The same from and to numpy, in slabs and blocks that the card has room for; ``tell(views)`` after each block of the last slab."""
        filter_, covered = self._filter
        views = self._blocks(filter_)
        require_memory(4 * math.prod(self.grid.shape), f"FDK's volume of {' x '.join(map(str, self.grid.shape))} voxels",
                       "use larger voxels or a smaller grid")  # fmt: skip
        volume = np.empty(self.grid.shape, np.float32)
        rows, cols = self.scan.shape
        block = 4 * (views[0].stop * (5 * rows * filter_.length + 2 * cols * (rows + 8)))
        require_memory(block + 8 * self.grid.shape[1] * self.grid.shape[2], "one slice of FDK and a block of views, on the GPU,",
                       "use fewer views or larger voxels", free_bytes(self.device))  # fmt: skip
        slabs = slabs_of(self.grid, bytes_a_voxel=8, free=free_bytes(self.device) - block)
        for slab in slabs:
            sums = self._sums(slab.grid, covered.width / filter_.unit_mm)
            total = _empty_turned(slab, self.device)
            for part in views:
                there = to_device(values[part], self.device)
                sums.add(total, self._held(filter_, there, part), part.start)
                if slab is slabs[-1]:
                    tell(part.stop)
            to_host(_upright(total), volume[slab.z])
        return volume

    def forward(self, values: Tensor) -> Tensor:
        """The same as `__call__`, without gradients: line integrals [view, row, col] to a volume [z, y, x] in 1/mm."""
        filter_, sums = self._filter[0], self._whole
        total = _empty_turned(Slab.whole(self.grid), self.device)
        for part in self._blocks(filter_):
            sums.add(total, self._held(filter_, values[part], part), part.start)
        return _upright(total)

    def transposed(self, volume: Tensor) -> Tensor:
        """The transpose of `forward` (with views in float32), from a volume [z, y, x] in 1/mm to views [view, row, col]."""
        filter_, sums = self._filter[0], self._whole
        turned = _empty_turned(Slab.whole(self.grid), self.device)
        copy_turned(volume.permute(1, 2, 0), turned)
        out = torch.empty((len(self.scan), *self.scan.shape), dtype=torch.float32, device=self.device)
        for part in self._blocks(filter_):
            held = torch.zeros(held_shape(part.stop - part.start, *self.scan.shape), dtype=torch.float32, device=self.device)
            sums.spread(turned, held, part.start)
            out[part] = filter_.transpose(held, part)
        return out

    @cached_property
    def _whole(self) -> VoxelDriven:
        filter_, covered = self._filter
        return self._sums(self.grid, covered.width / filter_.unit_mm)

    @cached_property
    def _filter(self) -> tuple[CardFilter, Coverage]:
        orbit = Orbit.of(self.scan)
        covered = coverage(orbit.angle)
        return CardFilter.of(self.scan, orbit, covered, self.device, self.filter, self.cutoff), covered

    def _sums(self, grid: Grid, steps: NDArray[np.float64]) -> VoxelDriven:
        return VoxelDriven.of(self.scan, grid, steps, self.device)

    def _held(self, filter_: CardFilter, values: Tensor, part: slice) -> Tensor:
        held = torch.zeros(held_shape(part.stop - part.start, *self.scan.shape), dtype=STORAGE[self.storage], device=self.device)
        filter_.apply(values, part, held)
        return held

    def _blocks(self, filter_: CardFilter) -> list[slice]:
        """Views that are filtered and summed at once: as many as a quarter of the free memory holds, at most 64."""
        rows, cols = self.scan.shape
        each = 4 * (5 * rows * filter_.length + 2 * cols * (rows + 8))
        many = int(max(1, min(64, free_bytes(self.device) // 4 // each)))
        return [slice(i, min(i + many, len(self.scan))) for i in range(0, len(self.scan), many)]


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, fdk: CardFdk) -> Tensor:
        ctx.fdk = fdk
        return fdk.forward(values.detach())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Transposed.apply(grads[0], ctx.fdk), None


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volume: Tensor, fdk: CardFdk) -> Tensor:
        ctx.fdk = fdk
        return fdk.transposed(volume.detach())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Differentiable.apply(grads[0], ctx.fdk), None


def _empty_turned(slab: Slab, device: torch.device) -> Tensor:
    """[y, x, z] of zeros."""
    nz, ny, nx = slab.grid.shape
    return torch.zeros((ny, nx, nz), dtype=torch.float32, device=device)


def _upright(turned: Tensor) -> Tensor:
    """[y, x, z] -> [z, y, x]."""
    ny, nx, nz = turned.shape
    volume = torch.empty((nz, ny, nx), dtype=torch.float32, device=turned.device)
    copy_turned(turned.permute(2, 0, 1), volume)
    return volume
