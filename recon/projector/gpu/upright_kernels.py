"""Triton kernels of Joseph's projector and its transpose where all rays of a detector column share one path in (x, y)."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# ^ Triton compiles these functions and gives ``range`` and ``static_range`` their meaning.

from __future__ import annotations

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

from .positions import clamp, line_and_place, split


@triton.jit
def column(table, at):
    """(first, last, a0, a1, b0, b1, d0, d1, kind) of columns, as `column_table` keeps them."""
    p = table + at * 12
    first, last = tl.load(p).to(tl.int32), tl.load(p + 1).to(tl.int32)
    a0, a1, b0, b1 = tl.load(p + 2), tl.load(p + 3), tl.load(p + 4), tl.load(p + 5)
    return first, last, a0, a1, b0, b1, tl.load(p + 6), tl.load(p + 7), tl.load(p + 8) != 0


@triton.jit(do_not_specialize=["rows", "pitch"])
def forward(volume, lines, table, rows, cols, nx, ny, nz, pitch, voxel_mm, LINE: tl.constexpr, COUNT: tl.constexpr):
    """Line integrals of rows of one column, or of several with few rows; ``lines`` is [view, col, row].

    ``volume`` is [y + 1, x + 1, z + 1] with a border of zeros, z ``pitch`` long. A ray is sampled once in each slice of its column.
    """
    c, r = line_and_place(tl.program_id(1) * (COUNT // LINE), tl.program_id(0) * LINE, LINE, COUNT)
    view = tl.program_id(2)
    first, last, a0, a1, b0, b1, d0, d1, along_y = column(table, view * cols + tl.minimum(c, cols - 1))
    stride_x, stride_y = pitch, pitch * (nx + 3)
    stride_m, stride_a = tl.where(along_y, stride_y, stride_x), tl.where(along_y, stride_x, stride_y)
    size_a = tl.where(along_y, nx, ny).to(a0.dtype)
    off = r.to(a0.dtype) - (rows - 1) * 0.5
    total = tl.zeros([COUNT], a0.dtype)
    begin, end = _range(first, last, LINE, COUNT)
    for k in range(begin, end):
        a_low, right = split(clamp(a0 + k * a1, -1.0, size_a) + 1)
        left = 1 - right
        if LINE != COUNT:
            counts = (k >= first) & (k < last)
            left, right = tl.where(counts, left, 0.0), tl.where(counts, right, 0.0)
        b_low, b_part = split(clamp((b0 + k * b1) + off * (d0 + k * d1), -1.0, nz) + 1)
        at = volume + (((k + 1) * stride_m + a_low * stride_a) + b_low)
        beside = at + stride_a
        below = tl.load(at) * left + tl.load(beside) * right
        above = tl.load(at + 1) * left + tl.load(beside + 1) * right
        total += below + b_part * (above - below)
    total *= _length(a1, b1, d1, off, voxel_mm)
    tl.store(lines + (view.to(tl.int64) * cols + c) * rows + r, total, mask=r < tl.where(c < cols, rows, 0))


@triton.jit
def _range(first, last, LINE: tl.constexpr, COUNT: tl.constexpr):
    """The slices of a column, or of all columns of a program."""
    if LINE == COUNT:
        return first, last
    else:
        return tl.min(first), tl.max(last)


@triton.jit
def _length(a1, b1, d1, off, voxel_mm):
    """Of a ray between two slices, in mm: voxel_mm |D| / |D_main|."""
    rise = b1 + off * d1
    return tl.load(voxel_mm) * tl.sqrt(1 + a1 * a1 + rise * rise)


@triton.jit
def lengthened(lines, held, table, rows, cols, pitch, margin, voxel_mm, BC: tl.constexpr, BR: tl.constexpr):
    """``lines`` [view, row, col] times each ray's length between two slices, turned to ``held`` [view, col, margin + row]."""
    c = (tl.program_id(1) * BC + tl.arange(0, BC))[None, :]
    r = (tl.program_id(0) * BR + tl.arange(0, BR))[:, None]
    view = tl.program_id(2)
    there = (c < cols) & (r < rows)
    _, _, a0, a1, _, b1, _, d1, _ = column(table, view * cols + tl.minimum(c, cols - 1))
    value = tl.load(lines + view.to(tl.int64) * rows * cols + r * cols + c, mask=there, other=0.0)
    value *= _length(a1, b1, d1, r.to(a0.dtype) - (rows - 1) * 0.5, voxel_mm)
    tl.store(held + (view.to(tl.int64) * cols + c) * pitch + margin + r, value, mask=there)
