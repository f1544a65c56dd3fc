"""Joseph's projector as two GPU kernels in Triton, which comes with torch's CUDA builds: the fast pair for tensors on a GPU.

One thread a ray. The positions are found in float64, so that a source may be far away, and only their fractions are rounded to the
type of the values; taps and weights are those of the other backends (see `joseph_rays`). Forward, a ray gathers and sums; the
transpose adds the same taps with atomics, so that the order of its sums, and so their last bit, changes from call to call.

26 views of 256 x 256 rays through 256^3 voxels are 436 million samples of 4 taps. Here a tap is a read that mostly hits a cache (or an
atomic); plain torch writes some 200 bytes a sample to memory and reads them again.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from .joseph_rays import TIE, Rays

RAYS_A_BLOCK = 128


def project(volume: Tensor, rays: Rays) -> Tensor:
    """(nz, ny, nx) in 1/mm -> (view, row, col) line integrals, both float32 or both float64."""
    out = torch.empty((len(rays), rays.rows, rays.cols), dtype=volume.dtype, device=volume.device)
    _launch(volume, out, rays, transposed=False)
    return out


def backproject(projections: Tensor, rays: Rays) -> Tensor:
    """(view, row, col) -> (nz, ny, nx), the transpose of `project` but for the order of sums."""
    out = torch.zeros(rays.grid_shape, dtype=projections.dtype, device=projections.device)
    _launch(out, projections, rays, transposed=True)
    return out


def _launch(volume: Tensor, lines: Tensor, rays: Rays, *, transposed: bool) -> None:
    # Triton takes a Python float for float32, in which TIE is 1: both numbers travel with the vectors.
    numbers = np.tile([rays.voxel_mm, TIE], (len(rays), 1))
    packed = torch.from_numpy(np.concatenate([rays.packed, numbers], axis=1)).to(volume.device)
    nz, ny, nx = rays.grid_shape
    blocks = triton.cdiv(rays.rows * rays.cols, RAYS_A_BLOCK)
    with torch.cuda.device(volume.device) if volume.is_cuda else nullcontext():  # kernels are launched on the current device
        kernel: Any = _joseph[(blocks, len(rays))]
        kernel(volume, lines, packed, rays.rows, rays.cols, nx, ny, nz, transposed, RAYS_A_BLOCK)


@triton.jit(do_not_specialize=["rows", "cols", "nx", "ny", "nz"])  # one kernel for all sizes
def _joseph(volume, lines, packed, rows, cols, nx, ny, nz, TRANSPOSED: tl.constexpr, BLOCK: tl.constexpr):
    """A block of rays of one view; ``packed`` (view, 14) float64: source, first, u, v, voxel_mm, TIE."""
    pixel, view = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1).to(tl.int64)
    there = pixel < rows * cols
    col, row = (pixel % cols).to(tl.float64), (pixel // cols).to(tl.float64)
    p = packed + view * 14
    voxel_mm, tie = tl.load(p + 12), tl.load(p + 13)
    sx, sy, sz = tl.load(p), tl.load(p + 1), tl.load(p + 2)
    dx = tl.load(p + 3) + col * tl.load(p + 6) + row * tl.load(p + 9)
    dy = tl.load(p + 4) + col * tl.load(p + 7) + row * tl.load(p + 10)
    dz = tl.load(p + 5) + col * tl.load(p + 8) + row * tl.load(p + 11)

    plane = nx.to(tl.int64) * ny  # a volume may have more than 2^31 voxels

    # Along the main axis m, across it the axes a and b: (x; y, z), (y; x, z) or (z; x, y).
    along_x = (tl.abs(dx) * tie >= tl.abs(dy)) & (tl.abs(dx) * tie >= tl.abs(dz))
    along_z = (along_x == 0) & (tl.abs(dy) * tie < tl.abs(dz))
    dm = tl.where(along_x, dx, tl.where(along_z, dz, dy))
    sm = tl.where(along_x, sx, tl.where(along_z, sz, sy))
    size_m, stride_m = tl.where(along_x, nx, tl.where(along_z, nz, ny)), tl.where(along_x, 1, tl.where(along_z, plane, nx))
    slope_a, source_a = tl.where(along_x, dy, dx) / dm, tl.where(along_x, sy, sx)
    size_a, stride_a = tl.where(along_x, ny, nx), tl.where(along_x, nx, 1)
    slope_b, source_b = tl.where(along_z, dy, dz) / dm, tl.where(along_z, sy, sz)
    size_b, stride_b = tl.where(along_z, ny, nz), tl.where(along_z, nx, plane)

    kind = volume.dtype.element_ty
    length = (voxel_mm * tl.sqrt(dx * dx + dy * dy + dz * dz) / tl.abs(dm)).to(kind)
    at_line = lines + view * rows * cols + pixel
    total = tl.zeros([BLOCK], kind)
    value = tl.load(at_line, mask=there, other=0.0) * length if TRANSPOSED else total
    for k in range(0, tl.maximum(nx, tl.maximum(ny, nz))):
        depth = k - sm  # times 1 / dm: the same sign as dm in front of the source
        hit = there & (k < size_m) & (depth * dm > 0)
        at_a, at_b = source_a + depth * slope_a, source_b + depth * slope_b
        low_a, low_b = tl.floor(at_a), tl.floor(at_b)
        part_a, part_b = (at_a - low_a).to(kind), (at_b - low_b).to(kind)
        a = tl.minimum(tl.maximum(low_a, -2.0), size_a.to(tl.float64)).to(tl.int64)  # far outside an integer would overflow
        b = tl.minimum(tl.maximum(low_b, -2.0), size_b.to(tl.float64)).to(tl.int64)
        a_in, a1_in = (a >= 0) & (a < size_a), (a + 1 >= 0) & (a + 1 < size_a)
        b_in, b1_in = (b >= 0) & (b < size_b), (b + 1 >= 0) & (b + 1 < size_b)
        tap = volume + k * stride_m + a * stride_a + b * stride_b
        if TRANSPOSED:
            tl.atomic_add(tap, value * (1 - part_a) * (1 - part_b), mask=hit & a_in & b_in)
            tl.atomic_add(tap + stride_a, value * part_a * (1 - part_b), mask=hit & a1_in & b_in)
            tl.atomic_add(tap + stride_b, value * (1 - part_a) * part_b, mask=hit & a_in & b1_in)
            tl.atomic_add(tap + stride_a + stride_b, value * part_a * part_b, mask=hit & a1_in & b1_in)
        else:
            total += tl.load(tap, mask=hit & a_in & b_in, other=0.0) * (1 - part_a) * (1 - part_b)
            total += tl.load(tap + stride_a, mask=hit & a1_in & b_in, other=0.0) * part_a * (1 - part_b)
            total += tl.load(tap + stride_b, mask=hit & a_in & b1_in, other=0.0) * (1 - part_a) * part_b
            total += tl.load(tap + stride_a + stride_b, mask=hit & a1_in & b1_in, other=0.0) * part_a * part_b
    if not TRANSPOSED:
        tl.store(at_line, total * length, mask=there)
