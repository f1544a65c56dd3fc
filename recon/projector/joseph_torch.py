"""Joseph's projector in plain torch: any device, float32 or float64, the reference for the fast backends.

Forward and adjoint use the very same taps and weights (a gather and an ``index_add``), so that they match to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .joseph_rays import TIE, Rays

SAMPLES_A_CHUNK = {"cpu": 1 << 20, "cuda": 1 << 23}  # (ray, slice) pairs at once, of about 200 bytes each


@dataclass(frozen=True)
class _Taps:
    """The four taps of a chunk of rays in all slices: flat voxel ``index`` and ``weight`` (4, ray, slice); flat pixel of each ``ray``."""

    index: Tensor
    weight: Tensor
    ray: Tensor


def project(volume: Tensor, rays: Rays) -> Tensor:
    """(nz, ny, nx) in 1/mm -> (view, row, col) line integrals."""
    flat = volume.reshape(-1)
    out = torch.zeros(len(rays) * rays.rows * rays.cols, dtype=volume.dtype, device=volume.device)
    for taps in _chunks(rays, volume.dtype, volume.device):
        out[taps.ray] = (flat[taps.index] * taps.weight).sum(dim=(0, 2))
    return out.reshape(len(rays), rays.rows, rays.cols)


def backproject(projections: Tensor, rays: Rays) -> Tensor:
    """Line integrals (view, row, col) to a volume (nz, ny, nx), the exact transpose of `project`."""
    flat = projections.reshape(-1)
    nz, ny, nx = rays.grid_shape
    out = torch.zeros(nz * ny * nx, dtype=projections.dtype, device=projections.device)
    for taps in _chunks(rays, projections.dtype, projections.device):
        out.index_add_(0, taps.index.reshape(-1), (flat[taps.ray][None, :, None] * taps.weight).reshape(-1))
    return out.reshape(nz, ny, nx)


def _chunks(rays: Rays, dtype: torch.dtype, device: torch.device) -> Iterator[_Taps]:
    """Chunks of rays that share a view and a main axis; nothing is kept between them, so memory stays bounded."""
    exact = torch.device("cpu") if device.type == "mps" else device  # where float64 exists
    size = rays.grid_shape[::-1]
    rays_a_chunk = max(1, SAMPLES_A_CHUNK.get(device.type, 1 << 20) // max(size))
    pixels = torch.arange(rays.rows * rays.cols, device=exact)
    col, row = (pixels % rays.cols).double()[:, None], (pixels // rays.cols).double()[:, None]
    for view in range(len(rays)):
        source, first, u, v = (torch.from_numpy(getattr(rays, name)[view].copy()).to(exact) for name in ("source", "first", "u", "v"))
        direction = first + col * u + row * v
        main = _main_axis(direction)
        for axis in range(3):
            for chunk in torch.nonzero(main == axis)[:, 0].split(rays_a_chunk):
                yield _taps(source, direction[chunk], chunk + view * len(pixels), axis, rays, dtype, device)


def _main_axis(direction: Tensor) -> Tensor:
    x, y, z = direction.abs().unbind(-1)
    x_first, y_first = (x * TIE >= y) & (x * TIE >= z), y * TIE >= z
    return torch.where(x_first, 0, torch.where(y_first, 1, 2))


def _taps(source: Tensor, direction: Tensor, ray: Tensor, main: int, rays: Rays, dtype: torch.dtype, device: torch.device) -> _Taps:
    """Positions are found in float64, and only their fractions are rounded to ``dtype``."""
    size, stride = rays.grid_shape[::-1], (1, rays.grid_shape[2], rays.grid_shape[1] * rays.grid_shape[2])
    k = torch.arange(size[main], device=direction.device)
    depth = (k.double() - source[main]) / direction[:, main : main + 1]
    length = rays.voxel_mm * direction.norm(dim=1) / direction[:, main].abs()
    weights, index = [(length[:, None] * (depth > 0)).to(dtype)], [k * stride[main]]
    for axis in (a for a in range(3) if a != main):
        at = source[axis] + depth * direction[:, axis : axis + 1]
        low = at.floor().clamp(-2, size[axis])  # so that a ray far outside cannot overflow an integer
        part = (at - low).to(dtype)
        both = []
        for tap, share in ((low.long(), 1 - part), (low.long() + 1, part)):
            inside = (tap >= 0) & (tap < size[axis])
            both.append((tap.clamp(0, size[axis] - 1) * stride[axis], share * inside))
        index = [i + tap for i in index for tap, _ in both]
        weights = [w * share for w in weights for _, share in both]
    return _Taps(torch.stack(index).to(device), torch.stack(weights).to(device), ray.to(device))
