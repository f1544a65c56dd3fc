"""A scan seen from a grid: the lines that both Joseph backends integrate along.

Joseph's method (P. M. Joseph, IEEE Trans. Med. Imaging 1 (1982) 192): a ray is sampled once in every slice across its main axis, the
one it runs along most; each sample is interpolated bilinearly from four voxels of the slice (voxels outside the grid are zero), and
the sum is multiplied by the length of ray between two slices, ``voxel_mm |D| / |D_main|``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...geometry import Grid, Scan

# Rays at 45 deg have two main axes; a tiny preference (x before y before z) makes every backend choose the same one.
TIE = 1.0 + 1e-9


@dataclass(frozen=True)
class Rays:
    """Lines in units of voxels: voxel [z, y, x] has its centre at (x, y, z). All (n, 3) float64.

    The ray of pixel [view, row, col] starts at ``source`` and runs along ``first + col u + row v``; what lies behind the source does not
    count. Double precision here lets a source be far away (a parallel beam) while the inner loops work in single precision.
    """

    source: NDArray[np.float64]
    first: NDArray[np.float64]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    rows: int
    cols: int
    grid_shape: tuple[int, int, int]
    voxel_mm: float

    @classmethod
    def of(cls, scan: Scan, grid: Grid) -> Rays:
        """The rays of ``scan`` in the frame of ``grid``."""
        rows, cols = scan.shape
        first, mm = scan.first_pixel - scan.source, grid.voxel_mm
        return cls((scan.source - grid.origin_mm) / mm, first / mm, scan.u / mm, scan.v / mm, rows, cols, grid.shape, mm)

    def __len__(self) -> int:
        return len(self.source)

    def slabs(self, most: int) -> list[slice]:
        """The slices of the grid in slabs of at most that many.

        Line integrals through the grid are the sums of those through its slabs, since voxels outside of a slab count as zero.
        """
        nz = self.grid_shape[0]
        number = -(-nz // most)
        return [slice(nz * i // number, nz * (i + 1) // number) for i in range(number)]

    def slab(self, slices: slice) -> Rays:
        """The same rays through some slices of the grid alone, in units of its voxels."""
        shape = (slices.stop - slices.start, *self.grid_shape[1:])
        return replace(self, source=self.source - np.array([0.0, 0.0, slices.start]), grid_shape=shape)

    @property
    def packed(self) -> NDArray[np.float64]:
        """(n, 12): source, first, u, v side by side (in voxels, as the rays are), as the compiled loops take them."""
        return np.ascontiguousarray(np.concatenate([self.source, self.first, self.u, self.v], axis=1))

    def flat(self) -> NDArray[np.bool_]:
        """(n,) whether all rays of a detector column share one path in (x, y): columns along z, rows at right angles to it."""
        step, tiny = np.linalg.norm(self.v, axis=1), 1e-10
        level = np.abs(self.u[:, 2]) <= tiny * np.linalg.norm(self.u, axis=1)
        return (np.abs(self.v[:, :2]) <= tiny * step[:, None]).all(axis=1) & level

    def upright(self) -> NDArray[np.bool_]:
        """(n,) whether a view is `flat` and none of its rays runs mostly along z."""
        steep = np.maximum(np.abs(self.first[:, 2]), np.abs(self.first[:, 2] + (self.rows - 1) * self.v[:, 2]))
        col = np.arange(self.cols)[None, :, None]
        across = np.abs(self.first[:, None, :2] + col * self.u[:, None, :2]).max(axis=2).min(axis=1)
        return self.flat() & (steep < across)
