"""Triton kernels of Joseph's projector and its transpose for rays in any direction: rolled, tilted and moved scans."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# ^ Triton compiles these functions and gives ``range`` and ``static_range`` their meaning.

from __future__ import annotations

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

from .positions import clamp, line_and_place, split


@triton.jit
def _within(at, slope, size):
    """The slices (float64) in which a line that is at ``at`` in slice 0 lies between -1 and ``size``: first, last."""
    one, two = (-1.0 - at) / slope, (size - at) / slope
    return tl.minimum(one, two), tl.maximum(one, two)


@triton.jit
def _ray(p, c, r, nx, ny, nz, pitch):
    """Of rays of one view, in float64: main axis and the two across it as (slices, strides, sizes), positions in slice 0, slopes, length.

    ``p`` points at source, first, u, v, voxel_mm and TIE of the view.
    """
    col, row = c.to(tl.float64), r.to(tl.float64)
    sx, sy, sz, tie = tl.load(p), tl.load(p + 1), tl.load(p + 2), tl.load(p + 13)
    dx = tl.load(p + 3) + col * tl.load(p + 6) + row * tl.load(p + 9)
    dy = tl.load(p + 4) + col * tl.load(p + 7) + row * tl.load(p + 10)
    dz = tl.load(p + 5) + col * tl.load(p + 8) + row * tl.load(p + 11)
    # Along the main axis m, across it the axes a and b: (x; y, z), (y; x, z) or (z; x, y).
    along_x = (tl.abs(dx) * tie >= tl.abs(dy)) & (tl.abs(dx) * tie >= tl.abs(dz))
    along_z = (along_x == 0) & (tl.abs(dy) * tie < tl.abs(dz))
    stride_x, stride_y = pitch, pitch * (nx + 3)
    dm, sm = tl.where(along_x, dx, tl.where(along_z, dz, dy)), tl.where(along_x, sx, tl.where(along_z, sz, sy))
    size_m = tl.where(along_x, nx, tl.where(along_z, nz, ny))
    stride_m = tl.where(along_x, stride_x, tl.where(along_z, 1, stride_y))
    slope_a, slope_b = tl.where(along_x, dy, dx) / dm, tl.where(along_z, dy, dz) / dm
    a = tl.where(along_x, sy, sx) - sm * slope_a
    b = tl.where(along_z, sy, sz) - sm * slope_b
    size_a, stride_a = tl.where(along_x, ny, nx), tl.where(along_x, stride_y, stride_x)
    size_b, stride_b = tl.where(along_z, ny, nz), tl.where(along_z, stride_y, 1)
    low_a, high_a = _within(a, slope_a, size_a.to(tl.float64))
    low_b, high_b = _within(b, slope_b, size_b.to(tl.float64))
    low = tl.maximum(tl.maximum(low_a, low_b), tl.where(dm > 0, tl.floor(sm) + 1, 0.0))  # in front of the source
    high = tl.minimum(tl.minimum(high_a, high_b) + 1, tl.where(dm > 0, 1e9, tl.ceil(sm)))
    first = tl.floor(clamp(low, 0.0, size_m.to(tl.float64))).to(tl.int32)
    last = tl.ceil(clamp(high, 0.0, size_m.to(tl.float64))).to(tl.int32)
    length = tl.load(p + 12) * tl.sqrt(dx * dx + dy * dy + dz * dz) / tl.abs(dm)
    return first, last, stride_m, a, slope_a, size_a, stride_a, b, slope_b, size_b, stride_b, length


@triton.jit(do_not_specialize=["rows", "pitch"])
def along_rays(
    volume, lines, packed, rows, cols, nx, ny, nz, pitch, TRANSPOSED: tl.constexpr, LINE: tl.constexpr, COUNT: tl.constexpr
):  # fmt: skip
    """``lines`` [view, col, row] of ``volume`` [y + 1, x + 1, z + 1] with a border, z ``pitch`` long; TRANSPOSED: added to the volume.

    A ray begins in float64, so that a source may be far away, and goes on in the type of the volume. Forward, it gathers; the transpose
    adds the same taps with relaxed atomics.
    """
    c, r = line_and_place(tl.program_id(1) * (COUNT // LINE), tl.program_id(0) * LINE, LINE, COUNT)
    view = tl.program_id(2).to(tl.int64)
    kind = volume.dtype.element_ty
    first, last, stride_m, a0, slope_a, size_a, stride_a, b0, slope_b, size_b, stride_b, length = _ray(
        packed + view * 14, c, r, nx, ny, nz, pitch
    )
    a0, slope_a, b0, slope_b = a0.to(kind), slope_a.to(kind), b0.to(kind), slope_b.to(kind)
    top_a, top_b = size_a.to(kind), size_b.to(kind)
    there = r < tl.where(c < cols, rows, 0)
    last = tl.where(there, last, 0)
    at_line = lines + (view * cols + c) * rows + r
    total = tl.zeros([COUNT], kind)
    value = total
    if TRANSPOSED:
        value = tl.load(at_line, mask=there, other=0.0) * length.to(kind)
    for k in range(tl.min(first), tl.max(last)):
        counts = (k >= first) & (k < last)
        a, a_part = split(clamp(a0 + k * slope_a, -1.0, top_a) + 1)
        b, b_part = split(clamp(b0 + k * slope_b, -1.0, top_b) + 1)
        tap = volume + ((k + 1) * stride_m + a * stride_a + b * stride_b)
        if TRANSPOSED:
            left, right = value * (1 - a_part), value * a_part
            a_in, a1_in = counts & (a > 0) & (a <= size_a), counts & (a < size_a)
            b_in, b1_in = (b > 0) & (b <= size_b), b < size_b
            tl.atomic_add(tap, left * (1 - b_part), mask=a_in & b_in, sem="relaxed")
            tl.atomic_add(tap + stride_b, left * b_part, mask=a_in & b1_in, sem="relaxed")
            tl.atomic_add(tap + stride_a, right * (1 - b_part), mask=a1_in & b_in, sem="relaxed")
            tl.atomic_add(tap + stride_a + stride_b, right * b_part, mask=a1_in & b1_in, sem="relaxed")
        else:
            beside = tap + stride_a
            below = tl.load(tap, mask=counts, other=0.0) * (1 - a_part) + tl.load(beside, mask=counts, other=0.0) * a_part
            tap, beside = tap + stride_b, beside + stride_b
            above = tl.load(tap, mask=counts, other=0.0) * (1 - a_part) + tl.load(beside, mask=counts, other=0.0) * a_part
            total += below + b_part * (above - below)
    if not TRANSPOSED:
        tl.store(at_line, total * length.to(kind), mask=there)
