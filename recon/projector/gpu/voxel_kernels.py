"""Triton kernels of the voxel-driven back-projection of filtered views, and of its transpose."""

from __future__ import annotations

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

from .positions import clamp, line_and_place, split


@triton.jit
def _at_view(m, x, y, z, cols, rows, UPRIGHT: tl.constexpr):
    """In the view with matrix ``m`` (see `voxel_driven.index_matrices`): column, row + 2, 1 / w, and whether the voxel counts.

    Where `UPRIGHT` column and w do not depend on z, and have the shape of x.
    """
    u = tl.load(m) * x + tl.load(m + 1) * y + tl.load(m + 3)
    v = tl.load(m + 4) * x + tl.load(m + 5) * y + tl.load(m + 7)
    w = tl.load(m + 8) * x + tl.load(m + 9) * y + tl.load(m + 11)
    if not UPRIGHT:
        u, w = u + tl.load(m + 2) * z, w + tl.load(m + 10) * z
    inverse = 1.0 / w
    col = u * inverse
    row = (v * inverse + 2.0) + tl.load(m + 6) * inverse * z
    there = (w > 0) & (col >= -0.5) & (col <= cols - 0.5)
    return clamp(col, 0.0, cols - 1.0), clamp(row, 0.0, rows + 3.0), inverse, there


@triton.jit
def _add_line(total, here, m, step, x, y, z, cols, rows, pitch, UPRIGHT: tl.constexpr):
    """``total`` of the voxels (x, y, z) with one more view, ``here`` [col, pitch]."""
    col, row, inverse, there = _at_view(m, x.to(tl.float32), y.to(tl.float32), z.to(tl.float32), cols, rows, UPRIGHT)
    c = tl.minimum(col.to(tl.int32), tl.maximum(cols - 2, 0))
    scale = tl.where(there, step * inverse * inverse, 0.0)
    right = scale * (col - c.to(tl.float32))
    left = scale - right
    r, part = split(row)
    at = here + (c * pitch + r)
    beside = at + pitch * tl.minimum(cols - 1, 1)
    below = tl.load(at).to(tl.float32) * left + tl.load(beside).to(tl.float32) * right
    above = tl.load(at + 1).to(tl.float32) * left + tl.load(beside + 1).to(tl.float32) * right
    return total + (below + part * (above - below))


@triton.jit
def _put_line(volume, total, x, y, z, nx, ny, nz):
    inside = z < tl.where((x < nx) & (y < ny), nz, 0)
    place = volume + (y * nx + x).to(tl.int64) * nz + z
    tl.store(place, tl.load(place, mask=inside, other=0.0) + total, mask=inside)


@triton.jit(do_not_specialize=["first", "views", "nz", "pitch"])
def add_views(
    volume, held, matrices, steps, first, views, nx, ny, nz, cols, rows, pitch, stride,
    UPRIGHT: tl.constexpr, LINE: tl.constexpr, COUNT: tl.constexpr
):  # fmt: skip
    """Add to ``volume`` [y, x, z] the filtered views ``first`` to ``first + views``, each times ``steps`` / w^2, bilinearly interpolated.

    ``held`` [view, col, pitch], ``stride`` apart, begins with view ``first``; ``matrices`` (view, 12) and ``steps`` with view 0. A program
    has two lines of z by two, which share columns of a view; with short lines, so many along x each.
    """
    lines: tl.constexpr = COUNT // LINE
    across = tl.cdiv(nx, 2 * lines)
    tile = tl.program_id(0)
    y = tile // across * 2
    x, z = line_and_place(tile % across * 2 * lines, tl.program_id(1) * LINE, LINE, COUNT)
    one = tl.zeros([COUNT], tl.float32)
    two, three, four = one, one, one
    here = held
    for view in range(views):
        m, step = matrices + (first + view) * 12, tl.load(steps + first + view)
        one = _add_line(one, here, m, step, x, y, z, cols, rows, pitch, UPRIGHT)
        two = _add_line(two, here, m, step, x + lines, y, z, cols, rows, pitch, UPRIGHT)
        three = _add_line(three, here, m, step, x, y + 1, z, cols, rows, pitch, UPRIGHT)
        four = _add_line(four, here, m, step, x + lines, y + 1, z, cols, rows, pitch, UPRIGHT)
        here += stride
    _put_line(volume, one, x, y, z, nx, ny, nz)
    _put_line(volume, two, x + lines, y, z, nx, ny, nz)
    _put_line(volume, three, x, y + 1, z, nx, ny, nz)
    _put_line(volume, four, x + lines, y + 1, z, nx, ny, nz)


@triton.jit(do_not_specialize=["first", "views", "nz", "pitch"])
def spread_views(
    volume, held, matrices, steps, first, views, nx, ny, nz, cols, rows, pitch, stride,
    UPRIGHT: tl.constexpr, LINE: tl.constexpr, COUNT: tl.constexpr
):  # fmt: skip
    """The transpose of `add_views`: add every voxel to ``held`` at the four places that it is read from."""
    lines: tl.constexpr = COUNT // LINE
    across = tl.cdiv(nx, lines)
    tile = tl.program_id(0)
    y = tile // across
    x, z = line_and_place(tile % across * lines, tl.program_id(1) * LINE, LINE, COUNT)
    inside = z < tl.where(x < nx, nz, 0)
    value = tl.load(volume + (y * nx + x).to(tl.int64) * nz + z, mask=inside, other=0.0)
    beside = pitch * tl.minimum(cols - 1, 1)
    here = held
    for view in range(views):
        m, step = matrices + (first + view) * 12, tl.load(steps + first + view)
        col, row, inverse, there = _at_view(m, x.to(tl.float32), y.to(tl.float32), z.to(tl.float32), cols, rows, UPRIGHT)
        c = tl.minimum(col.to(tl.int32), tl.maximum(cols - 2, 0))
        share = value * tl.where(there, step * inverse * inverse, 0.0)
        right = share * (col - c.to(tl.float32))
        left = share - right
        r, part = split(row)
        at = here + (c * pitch + r)
        given = z < tl.where(there, tl.where(x < nx, nz, 0), 0)
        tl.atomic_add(at, left * (1 - part), mask=given, sem="relaxed")
        tl.atomic_add(at + 1, left * part, mask=given, sem="relaxed")
        tl.atomic_add(at + beside, right * (1 - part), mask=given, sem="relaxed")
        tl.atomic_add(at + beside + 1, right * part, mask=given, sem="relaxed")
        here += stride
