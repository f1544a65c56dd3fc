"""Total variation in 3-D: gradient, its adjoint, and the fused dual and primal steps that solvers are made of.

Isotropic, forward differences, no flow through the walls of the box (Neumann). The units are those of the volume: `tv` is the sum over
voxels of the length of the difference vector, not divided by the voxel size. Every kernel works slice by slice and shares no sums between
slices, so that results are the same bit for bit whatever the number of threads.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from ....base.shapes import Volume
from ...projector.compiled.threads import in_threads

NORM2 = 12.0  # an upper bound of the squared norm of the 3-D difference operator (Chambolle 2004)

_jit = numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"}, error_model="numpy")


def gradient(x: Volume, out: NDArray[np.float32]) -> None:
    """out[0, 1, 2] = forward differences of ``x`` [z, y, x] along z, y, x, in its unit; zero at the far walls."""
    in_threads(_gradient, len(x), x, out)


@_jit
def _gradient(first, stop, x, out):
    nz, ny, nx = x.shape
    for k in range(first, stop):
        for j in range(ny):
            for i in range(nx):
                out[0, k, j, i] = x[k + 1, j, i] - x[k, j, i] if k + 1 < nz else 0.0
                out[1, k, j, i] = x[k, j + 1, i] - x[k, j, i] if j + 1 < ny else 0.0
                out[2, k, j, i] = x[k, j, i + 1] - x[k, j, i] if i + 1 < nx else 0.0


def adjoint(p: NDArray[np.float32], out: Volume) -> None:
    """out = the adjoint of `gradient` applied to ``p`` (3, z, y, x), in its unit: minus the divergence."""
    in_threads(_adjoint, len(out), p, out)


@_jit
def _adjoint(first, stop, p, out):
    for k in range(first, stop):
        for j in range(out.shape[1]):
            _adjoint_row(p, k, j, out[k, j])


@numba.njit(inline="always")
def _adjoint_row(p, k, j, row):
    nz, ny, nx = p.shape[1:]
    here_z, here_y, here_x = p[0, k, j], p[1, k, j], p[2, k, j]
    below, front = p[0, max(k - 1, 0), j], p[1, k, max(j - 1, 0)]
    z0, z1 = np.float32(k > 0), np.float32(k + 1 < nz)
    y0, y1 = np.float32(j > 0), np.float32(j + 1 < ny)
    row[0] = z0 * below[0] - z1 * here_z[0] + y0 * front[0] - y1 * here_y[0] - (here_x[0] if nx > 1 else np.float32(0))
    for i in range(1, nx - 1):
        row[i] = z0 * below[i] - z1 * here_z[i] + y0 * front[i] - y1 * here_y[i] + here_x[i - 1] - here_x[i]
    if nx > 1:
        i = nx - 1
        row[i] = z0 * below[i] - z1 * here_z[i] + y0 * front[i] - y1 * here_y[i] + here_x[i - 1]


def ascend(p: NDArray[np.float32], x: Volume, step: np.float32, radius: np.float32, shrink: np.float32) -> None:
    """One dual step in place: p <- the projection of ``shrink (p + step gradient(x))`` on the balls ``|p| <= radius``, voxel by voxel.

    ``shrink`` = 1 for total variation; 1 / (1 + step delta / radius) for Huber's function with its bend at ``delta``. ``p`` (3, z, y, x)
    and ``x`` [z, y, x] have the same unit.
    """
    in_threads(_ascend, len(x), p, x, step, radius, shrink)


@_jit
def _ascend(first, stop, p, x, step, radius, shrink):
    nz, ny, nx = x.shape
    tiny = np.float32(1e-30)
    for k in range(first, stop):
        up = min(k + 1, nz - 1)  # the difference with itself is the zero that the wall asks for
        for j in range(ny):
            here, above, behind = x[k, j], x[up, j], x[k, min(j + 1, ny - 1)]
            pz, py, px = p[0, k, j], p[1, k, j], p[2, k, j]
            for i in range(nx - 1):
                a = shrink * (pz[i] + step * (above[i] - here[i]))
                b = shrink * (py[i] + step * (behind[i] - here[i]))
                c = shrink * (px[i] + step * (here[i + 1] - here[i]))
                scale = min(np.float32(1), radius / np.sqrt(a * a + b * b + c * c + tiny))
                pz[i] = a * scale
                py[i] = b * scale
                px[i] = c * scale
            i = nx - 1
            a = shrink * (pz[i] + step * (above[i] - here[i]))
            b = shrink * (py[i] + step * (behind[i] - here[i]))
            scale = min(np.float32(1), radius / np.sqrt(a * a + b * b + tiny))
            pz[i] = a * scale
            py[i] = b * scale
            px[i] = 0


def descend(base: Volume, p: NDArray[np.float32], scale: np.float32, lower: np.float32, upper: np.float32, out: Volume) -> None:
    """out = ``base - scale adjoint(p)``, clipped to lower .. upper, all [z, y, x] in the same unit."""
    in_threads(_descend, len(base), base, p, scale, lower, upper, out)


@_jit
def _descend(first, stop, base, p, scale, lower, upper, out):
    _, ny, nx = base.shape
    row = np.empty(nx, np.float32)
    for k in range(first, stop):
        for j in range(ny):
            _adjoint_row(p, k, j, row)
            base_row, out_row = base[k, j], out[k, j]
            for i in range(nx):
                out_row[i] = min(max(base_row[i] - scale * row[i], lower), upper)


@_jit
def _length_sums(first, stop, x, delta, sums):
    nz, ny, nx = x.shape
    for k in range(first, stop):
        up, total = min(k + 1, nz - 1), 0.0
        for j in range(ny):
            here, above, behind = x[k, j], x[up, j], x[k, min(j + 1, ny - 1)]
            part = np.float32(0)
            for i in range(nx):
                a, b, c = above[i] - here[i], behind[i] - here[i], here[min(i + 1, nx - 1)] - here[i]
                length = np.sqrt(a * a + b * b + c * c)
                part += (
                    length - np.float32(0.5) * delta
                    if length > delta
                    else length * length / (np.float32(2) * max(delta, np.float32(1e-30)))
                )
            total += part
        sums[k] = total


def tv(x: Volume, delta: float = 0.0) -> float:
    """The total variation of a volume [z, y, x]: the sum of the lengths of its differences; with ``delta`` > 0, Huber's function of each.

    >>> step = np.zeros((4, 4, 4), np.float32)
    >>> step[:, :, 2:] = 1.0
    >>> tv(step)  # a wall of 16 voxel faces
    16.0
    """
    sums = np.zeros(len(x))
    in_threads(_length_sums, len(x), x, np.float32(delta), sums)
    return float(sums.sum())
