"""The inner loops of all kernels: contiguous runs of float32 that the compiler vectorises on AVX2, AVX-512 and NEON alike.

Arrays are one-dimensional and indices unsigned. Numba wraps a negative index around the end of an array, and that test alone would keep
a loop from being vectorised; an unsigned index needs no such test. Slices are avoided because making one counts references atomically.
Nothing is checked: the callers keep every run inside its array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray

from .threads import in_threads

# Reordering and contraction keep a sum of the same products; the flags that assume no NaN and no Inf are left out.
FLAGS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
LANES = 8  # runs along z are padded to a multiple of this many values
TILE = 32  # voxels along x and z that are turned at once

Array = NDArray[np.float32]
U = np.uint64


def njit_inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that other compiled functions alone call. It compiles faster than with `njit`: nothing is made for calls from Python."""
    return register_jitable(**{name: value for name, value in FLAGS.items() if name != "cache"})(function)


def padded(length: int) -> int:
    """``length`` rounded up to whole vectors.

    >>> padded(171)
    176
    """
    return -(-length // LANES) * LANES


@njit_inner
def two_to_two(a, i0, i1, wi0, wi1, out, j0, j1, wj0, wj1, n):
    """Blend two runs of ``a`` and add the blend to two runs of ``out``: ``out[j] += wj (wi0 a[i0] + wi1 a[i1])``; its own transpose."""
    for z in range(n):
        blend = wi0 * a[i0 + z] + wi1 * a[i1 + z]
        out[j0 + z] += wj0 * blend
        out[j1 + z] += wj1 * blend


@njit_inner
def four_to_two(a, i0, i1, i2, i3, wi0, wi1, wi2, wi3, out, j0, j1, wj0, wj1, wj2, wj3, n):
    """`two_to_two` of i0, i1 and of i2, i3 to the same two runs of ``out``, which are read and written once for both."""
    for z in range(n):
        one = wi0 * a[i0 + z] + wi1 * a[i1 + z]
        two = wi2 * a[i2 + z] + wi3 * a[i3 + z]
        out[j0 + z] += wj0 * one + wj2 * two
        out[j1 + z] += wj1 * one + wj3 * two


@njit_inner
def two_to_four(a, i0, i1, wi0, wi1, wi2, wi3, out, j0, j1, j2, j3, wj0, wj1, wj2, wj3, n):
    """The transpose of `four_to_two`."""
    for z in range(n):
        near, far = a[i0 + z], a[i1 + z]
        one = wi0 * near + wi1 * far
        two = wi2 * near + wi3 * far
        out[j0 + z] += wj0 * one
        out[j1 + z] += wj1 * one
        out[j2 + z] += wj2 * two
        out[j3 + z] += wj3 * two


@njit_inner
def four_to_one(a, i0, i1, i2, i3, w0, w1, w2, w3, out, j, n):
    """Add a blend of four runs of ``a`` to one run of ``out``."""
    for z in range(n):
        out[j + z] += w0 * a[i0 + z] + w1 * a[i1 + z] + w2 * a[i2 + z] + w3 * a[i3 + z]


@njit_inner
def eight_to_one(a, i0, i1, i2, i3, w0, w1, w2, w3, k0, k1, k2, k3, v0, v1, v2, v3, out, j, n):
    """Add a blend of eight runs of ``a`` to one run of ``out``, which is read and written once."""
    for z in range(n):
        one = w0 * a[i0 + z] + w1 * a[i1 + z] + w2 * a[i2 + z] + w3 * a[i3 + z]
        two = v0 * a[k0 + z] + v1 * a[k1 + z] + v2 * a[k2 + z] + v3 * a[k3 + z]
        out[j + z] += one + two


@njit_inner
def four_to(a, i0, i1, i2, i3, w0, w1, w2, w3, out, j, n):
    """Write a blend of four runs of ``a`` to one run of ``out``."""
    for z in range(n):
        out[j + z] = w0 * a[i0 + z] + w1 * a[i1 + z] + w2 * a[i2 + z] + w3 * a[i3 + z]


@njit_inner
def blend_to_fours(a, i0, i1, wi0, wi1, k0, k1, wk0, wk1, m0, m1, wm0, wm1, n0, n1, wn0, wn1, out, j, n):
    """Write four blends of two runs of ``a`` each to one run of ``out``, in turn."""
    for c in range(n):
        at = j + U(4) * c
        out[at] = wi0 * a[i0 + c] + wi1 * a[i1 + c]
        out[at + U(1)] = wk0 * a[k0 + c] + wk1 * a[k1 + c]
        out[at + U(2)] = wm0 * a[m0 + c] + wm1 * a[m1 + c]
        out[at + U(3)] = wn0 * a[n0 + c] + wn1 * a[n1 + c]


@njit_inner
def add_blend(a, i0, i1, w0, w1, out, j, n):
    """Add a blend of two runs of ``a`` to one run of ``out``."""
    for c in range(n):
        out[j + c] += w0 * a[i0 + c] + w1 * a[i1 + c]


@njit_inner
def copy(a, i, out, j, n):
    """Write a run of ``a`` to a run of ``out``."""
    for c in range(n):
        out[j + c] = a[i + c]


@njit_inner
def add_run(a, i, out, j, n):
    """Add a run of ``a`` to a run of ``out``."""
    for c in range(n):
        out[j + c] += a[i + c]


@njit_inner
def clear(out, j, n):
    """Write zeros to a run of ``out``."""
    for c in range(n):
        out[j + c] = 0


@njit_inner
def turn(a, i, pitch, rows, cols, out, j, out_pitch):
    """Write the matrix ``a[i:]`` (rows, cols), rows ``pitch`` apart, as its transpose to ``out[j:]``, rows ``out_pitch`` apart."""
    for c in range(cols):
        at, start = j + c * out_pitch, i + c
        for r in range(rows):
            out[at + r] = a[start + r * pitch]


@njit_inner
def turn_fours(a, pitch, cols, out, j, out_pitch):
    """Write ``a`` (4, cols, 4), rows ``pitch`` apart, as its transpose (cols, 16) to ``out[j:]``, rows ``out_pitch`` apart.

    Both are float32 seen as float64, and lengths count these: the two moves of four values that lie together become one.
    """
    for c in range(cols):
        s, t = U(2) * c, j + c * out_pitch
        s1, s2, s3 = s + pitch, s + U(2) * pitch, s + U(3) * pitch
        x0, x1, x2, x3 = a[s], a[s + U(1)], a[s1], a[s1 + U(1)]
        x4, x5, x6, x7 = a[s2], a[s2 + U(1)], a[s3], a[s3 + U(1)]
        out[t], out[t + U(1)], out[t + U(2)], out[t + U(3)] = x0, x1, x2, x3
        out[t + U(4)], out[t + U(5)], out[t + U(6)], out[t + U(7)] = x4, x5, x6, x7


@njit_inner
def aligned_zeros(length: int) -> Array:
    """Zeros (length,), dimensionless, whose first lies on a cache line.

    A vector that straddles two lines takes one and a half times as long, and numpy's own large arrays begin 16 bytes behind one.
    """
    space = np.zeros(length + 16, np.float32)
    first = (16 - space.ctypes.data // 4 % 16) % 16
    return space[first : first + length]


def to_lines(volume: Array, pitch: int) -> Array:
    """A volume [z, y, x] in any unit as lines along z, one after another in y and x, each filled up with zeros to ``pitch`` values."""
    _, ny, nx = volume.shape
    lines = aligned_zeros(ny * nx * pitch)
    in_threads(_to_lines, ny, volume, pitch, lines)
    return lines


@njit(**FLAGS)
def _to_lines(first, stop, volume, pitch, lines):
    nz, ny, nx = volume.shape
    flat = volume.reshape(-1)
    for y in range(first, stop):
        for z in range(0, nz, TILE):
            for x in range(0, nx, TILE):
                deep, wide, row = U(min(TILE, nz - z)), U(min(TILE, nx - x)), U(y * nx + x)
                turn(flat, U(z * ny * nx) + row, U(ny * nx), deep, wide, lines, row * U(pitch) + U(z), U(pitch))


def add_lines(lines: Array, pitch: int, volume: Array) -> None:
    """Add lines along z, as `to_lines` makes them, to a ``volume`` [z, y, x] in the same unit."""
    in_threads(_add_lines, volume.shape[1], lines, pitch, volume)


@njit(**FLAGS)
def _add_lines(first, stop, lines, pitch, volume):
    nz, ny, nx = volume.shape
    flat = volume.reshape(-1)
    part = np.empty(TILE * TILE, np.float32)
    for y in range(first, stop):
        for z in range(0, nz, TILE):
            for x in range(0, nx, TILE):
                deep, wide, row = U(min(TILE, nz - z)), U(min(TILE, nx - x)), U(y * nx + x)
                turn(lines, row * U(pitch) + U(z), U(pitch), wide, deep, part, U(0), U(TILE))
                for k in range(deep):
                    add_run(part, k * U(TILE), flat, (U(z) + k) * U(ny * nx) + row, wide)
