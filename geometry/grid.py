"""The grid: where the voxels of a volume are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..base import InputError
from ..base.shapes import Float, Vector, VolumeMask
from .field_of_view import inside_cylinder, seen_by_every_view

if TYPE_CHECKING:
    from .scan import Scan


@dataclass(frozen=True)
class Grid:
    """Isotropic voxels: ``shape`` is (nz, ny, nx), ``voxel_mm`` the edge of a voxel, and ``center_mm`` the (x, y, z) of the middle.

    The volume is an array ``[z, y, x]`` in 1/mm whose indices increase with +z, +y, +x. It covers ``center_mm +- n * voxel_mm / 2`` along
    each axis; the outermost voxel centres lie half a voxel inside that.

    >>> Grid(shape=(2, 4, 4), voxel_mm=0.5).x_mm
    array([-0.75, -0.25,  0.25,  0.75])
    """

    shape: tuple[int, int, int]
    voxel_mm: float
    center_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in np.atleast_1d(self.shape))
        center = tuple(float(c) for c in np.atleast_1d(self.center_mm))
        if len(shape) != 3 or min(shape) < 1 or any(int(n) != n for n in self.shape):
            raise InputError(f"Grid shape is {self.shape}", expected="three positive whole numbers (nz, ny, nx)")
        if not (math.isfinite(self.voxel_mm) and self.voxel_mm > 0):
            raise InputError(f"Grid voxel_mm is {self.voxel_mm}", expected="a positive length in mm")
        if len(center) != 3 or not all(map(math.isfinite, center)):
            raise InputError(f"Grid center_mm is {self.center_mm}", expected="three finite numbers (x, y, z) in mm")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "voxel_mm", float(self.voxel_mm))
        object.__setattr__(self, "center_mm", center)

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """The lengths of the edges along (x, y, z) in mm."""
        nz, ny, nx = self.shape
        return (nx * self.voxel_mm, ny * self.voxel_mm, nz * self.voxel_mm)

    @property
    def origin_mm(self) -> Vector:
        """The centre of voxel [0, 0, 0] as (x, y, z) in mm."""
        n = np.array(self.shape[::-1], dtype=np.float64)
        return np.array(self.center_mm) - (n - 1) / 2 * self.voxel_mm

    def _axis(self, axis: int) -> NDArray[np.float64]:
        return self.origin_mm[axis] + np.arange(self.shape[2 - axis]) * self.voxel_mm

    @property
    def x_mm(self) -> Float[NDArray[np.float64], "nx"]:
        """The voxel centres along x, in mm."""
        return self._axis(0)

    @property
    def y_mm(self) -> Float[NDArray[np.float64], "ny"]:
        """The voxel centres along y, in mm."""
        return self._axis(1)

    @property
    def z_mm(self) -> Float[NDArray[np.float64], "nz"]:
        """The voxel centres along z, in mm."""
        return self._axis(2)

    def coarser(self, factor: int) -> Grid:
        """The same box with voxels ``factor`` times as large. The shape is rounded up, and the centre stays."""
        if factor < 1:
            raise InputError(f"factor is {factor}", expected="a whole number of 1 or more")
        nz, ny, nx = (-(-n // factor) for n in self.shape)
        return Grid((nz, ny, nx), self.voxel_mm * factor, self.center_mm)

    @classmethod
    def fit(cls, scan: Scan, voxel_mm: float | None = None) -> Grid:
        """The grid that holds the field of view of a scan: the box around the cylinder about the axis that the scan sees.

        ``voxel_mm`` defaults to the detector pixel scaled to the rotation axis, which is the natural resolution.
        """
        radius_mm, half_height_mm, pixel_mm = scan.field_of_view_mm
        voxel = float(f"{pixel_mm:.12g}") if voxel_mm is None else float(voxel_mm)
        if not (math.isfinite(voxel) and voxel > 0):
            raise InputError(f"voxel_mm is {voxel_mm}", expected="a positive length in mm")
        axis, height = scan.axis, scan.field_of_view_height_mm
        along = np.abs(axis.direction)
        across = np.hypot(along[[1, 2, 0]], along[[2, 0, 1]])
        half = radius_mm * across + half_height_mm * along  # the box around a cylinder about the axis
        nx, ny, nz = (max(1, math.ceil(2 * length / voxel - 1e-6)) for length in half)
        x, y, z = (float(c) for c in axis.point_mm + height * axis.direction)
        return cls((nz, ny, nx), voxel, (x, y, z))

    @classmethod
    def across(cls, scan: Scan, size: int) -> Grid:
        """The grid of the field of view of a scan with ``size`` voxels across, which is how benchmarks and training state a size.

        >>> from fewview.geometry import Scan
        >>> scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=8, cols=16, pixel_mm=1.0, angles_deg=[0, 120, 240])
        >>> Grid.across(scan, 16).shape
        (9, 16, 16)
        """
        if size < 8:
            raise InputError(f"size is {size}", expected="at least 8 voxels across")
        return cls.fit(scan, voxel_mm=float(f"{2 * scan.field_of_view_mm.radius_mm / size:.9g}"))

    def seen_by_all(self, scan: Scan) -> VolumeMask:
        """The voxels that every view of the scan sees (see `geometry.field_of_view`); volumes are scored inside them."""
        return seen_by_every_view(self, scan)

    def in_cylinder(self, scan: Scan) -> VolumeMask:
        """The voxels in the cylinder of the scan's field of view. Not every view sees its rims."""
        return inside_cylinder(self, scan)


def require_grid(thing: object) -> Grid:
    """The grid itself; for anything else an InputError that says how to make a grid from it."""
    if isinstance(thing, Grid):
        return thing
    expected = "a Grid: shape (nz, ny, nx) and voxel_mm"
    if isinstance(thing, int | float | np.number):
        raise InputError(
            f"the grid is {thing}", expected=expected, remedy=f"give Grid.across(scan, {int(thing)}) for that many voxels across"
        )
    if isinstance(thing, list | tuple) and len(thing) == 3:
        raise InputError(f"the grid is {tuple(thing)}", expected=expected, remedy=f"give Grid(shape={tuple(thing)}, voxel_mm=...)")
    raise InputError(f"the grid is {type(thing).__name__}", expected=expected, remedy="leave it out for the scan's whole field of view")
