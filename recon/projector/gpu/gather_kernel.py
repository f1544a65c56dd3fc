"""Triton kernel of the transpose of Joseph's projector as a gather, for upright scans."""
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# ^ Triton compiles these functions and gives ``range`` and ``static_range`` their meaning.

from __future__ import annotations

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

from .positions import below, clamp, line_and_place
from .upright_kernels import column

LINES = 4  # of voxels along z in a program, side by side across the slices: each column is read once for all of them


@triton.jit
def _first_column(n, k, a, reach, cols, ALONG_Y: tl.constexpr, COLS: tl.constexpr):
    """The first column that can touch the four lines from ``a`` on in slice ``k``; ``n`` points at the view's `ColumnTable.crossing`."""
    nk, na = tl.load(n + (2 if ALONG_Y else 1)), tl.load(n + (1 if ALONG_Y else 2))
    mk, ma = tl.load(n + (5 if ALONG_Y else 4)), tl.load(n + (4 if ALONG_Y else 5))
    upper, lower = tl.load(n) + nk * k + na * a, tl.load(n + 3) + mk * k + ma * a
    nearest = tl.minimum(upper / lower, (upper + 3 * na) / (lower + 3 * ma))
    return tl.floor(clamp(nearest - reach, -COLS - 1.0, cols + 0.0)).to(tl.int32) + 1


@triton.jit
def _is_main(table, at, first, cols, ALONG_Y: tl.constexpr, COLS: tl.constexpr, LINE: tl.constexpr, COUNT: tl.constexpr):
    """Whether some of COLS columns from ``first`` on have the main axis in question: it changes but once in so few."""
    one, other = tl.minimum(tl.maximum(first, 0), cols - 1), tl.minimum(tl.maximum(first + COLS - 1, 0), cols - 1)
    wanted = 1.0 if ALONG_Y else 0.0
    found = (tl.load(table + (at + one) * 12 + 8) == wanted) | (tl.load(table + (at + other) * 12 + 8) == wanted)
    if LINE == COUNT:
        return found
    else:
        return tl.max(found.to(tl.int32)) > 0


@triton.jit
def _share(distance, counts):
    """The weight of `forward`, 1 - |distance|, where the column counts."""
    return tl.where(counts, tl.maximum(1 - tl.abs(distance), 0.0), 0.0)


@triton.jit
def _rows_at(held, z, b, d, middle, rows, ROWS: tl.constexpr, COUNT: tl.constexpr):
    """What the rows of a column bring to voxels at ``z``; the row in the middle is at ``b``, and the rows are ``d`` apart."""
    slope = 1 / d  # rows a voxel
    begins = middle + 1 - 2e-3 - b * slope - tl.abs(slope)
    r, low = below(clamp(z * slope + begins, 0.0, rows + ROWS))
    off = ((b - middle * d) - z) + low * d
    line = tl.zeros([COUNT], z.dtype)
    for j in tl.static_range(ROWS):
        line += tl.load(held + r + j) * tl.maximum(1 - tl.abs(off + j * d), 0.0)
    return line


@triton.jit
def _add(volume, total, x, y, z, nx, ny, nz):
    inside = z < tl.where((x < nx) & (y < ny), nz, 0)
    place = volume + (y * nx + x).to(tl.int64) * nz + z
    tl.store(place, tl.load(place, mask=inside, other=0.0) + total, mask=inside)


@triton.jit(do_not_specialize=["views", "nz", "pitch"])
def gather(
    volume, held, table, crossing, views, nx, ny, nz, cols, rows, pitch, reach,
    ALONG_Y: tl.constexpr, COLS: tl.constexpr, ROWS: tl.constexpr, LINE: tl.constexpr, COUNT: tl.constexpr
):  # fmt: skip
    """Add to ``volume`` [y, x, z] the transpose of `forward`, of columns whose main axis is y (ALONG_Y) or x, without atomics.

    ``held`` is what `lengthened` made, with a margin of ROWS zeros before and behind the rows. At most COLS columns, within ``reach`` of
    those that cross them, touch the four lines of a program, and ROWS rows of each a voxel.
    """
    across = tl.cdiv(ny if ALONG_Y else nx, COUNT // LINE)
    tile = tl.program_id(0)
    a = tile // across * 4
    k, z = line_and_place(tile % across * (COUNT // LINE), tl.program_id(1) * LINE, LINE, COUNT)
    kind = held.dtype.element_ty
    kf, af, zf = k.to(kind), a.to(kind), z.to(kind)
    middle = ROWS + (rows - 1) * 0.5
    one = tl.zeros([COUNT], kind)
    two, three, four = one, one, one
    for view in range(views):
        begin = _first_column(crossing + view * 6, kf, af, reach, cols, ALONG_Y, COLS)
        if _is_main(table, view * cols, begin, cols, ALONG_Y, COLS, LINE, COUNT):
            for i in range(COLS):
                c = begin + i
                known = tl.minimum(tl.maximum(c, 0), cols - 1)
                first, last, a0, a1, b0, b1, d0, d1, along_y = column(table, view * cols + known)
                counts = (c == known) & (k >= first) & (k < last) & (along_y == ALONG_Y)
                at = held + (view * cols + known).to(tl.int64) * pitch
                line = _rows_at(at, zf, b0 + k * b1, d0 + k * d1, middle, rows, ROWS, COUNT)
                distance = a0 + k * a1 - af
                one += _share(distance, counts) * line
                two += _share(distance - 1, counts) * line
                three += _share(distance - 2, counts) * line
                four += _share(distance - 3, counts) * line
    if ALONG_Y:
        _add(volume, one, a, k, z, nx, ny, nz)
        _add(volume, two, a + 1, k, z, nx, ny, nz)
        _add(volume, three, a + 2, k, z, nx, ny, nz)
        _add(volume, four, a + 3, k, z, nx, ny, nz)
    else:
        _add(volume, one, k, a, z, nx, ny, nz)
        _add(volume, two, k, a + 1, z, nx, ny, nz)
        _add(volume, three, k, a + 2, z, nx, ny, nz)
        _add(volume, four, k, a + 3, z, nx, ny, nz)
