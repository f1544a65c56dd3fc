"""Positions as a whole number and a part, the way all kernels take them."""

from __future__ import annotations

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]


@triton.jit
def below(x):
    """x >= 0 -> the whole number below it, as an integer and as x's own type; of a whole x it may be x - 1.

    In float32, below 2^22: adding 1.5 x 2^23 rounds x - 1/2 to a whole number, which then stands in the low bits. Conversions to integers
    and back run at a quarter to an eighth of the rate of an addition.
    """
    if x.dtype == tl.float64:
        low = tl.floor(x)
        return low.to(tl.int32), low
    else:
        shifted = (x - 0.5) + 12582912.0
        return shifted.to(tl.int32, bitcast=True) - 0x4B400000, shifted - 12582912.0


@triton.jit
def split(x):
    """x >= 0 -> (i, part) with x = i + part and 0 <= part <= 1; a whole x may come as (x - 1, 1)."""
    i, low = below(x)
    return i, x - low


@triton.jit
def clamp(x, low, high):
    """x between low and high; low where x is not a number."""
    return tl.minimum(tl.maximum(x, low), high)


@triton.jit
def line_and_place(first_line, first_place, LINE: tl.constexpr, COUNT: tl.constexpr):
    """Of a program's COUNT lanes: the line each is on, and its place there; a line has LINE lanes, so that neighbours lie side by side.

    Where all are on one line it is a scalar, and what depends on it alone is found once. Lanes are counted along one axis only: of two
    axes one version of Triton takes the first for that of neighbouring lanes and another the second, and the wrong one is ten times slower.
    """
    lane = tl.arange(0, COUNT)
    if LINE == COUNT:
        return first_line, first_place + lane
    else:
        return first_line + lane // LINE, first_place + lane % LINE
