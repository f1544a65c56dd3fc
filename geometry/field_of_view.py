"""What a scan sees: a cylinder about its axis, and the part of that cylinder that every view sees.

For a SkyScan 1276 the two differ by some 15 % of the volume. A cone is lower on the near side of the axis than on the far side, so the rims
of the cylinder are outside those views in which they lie towards the source. Benchmarks take their scores inside what every view sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base.shapes import VolumeMask

if TYPE_CHECKING:
    from .grid import Grid
    from .scan import Scan


class FieldOfView(NamedTuple):
    """Radius and half height (mm, at the axis) of the cylinder that a scan sees, and the size of a detector pixel
    scaled to the axis (mm).
    """

    radius_mm: float
    half_height_mm: float
    pixel_mm: float


def inside_cylinder(grid: Grid, scan: Scan) -> VolumeMask:
    """The voxels inside the cylinder of the field of view. Its axis is the axis of the scan, however the scan was moved."""
    along, distance = _about_axis(grid, scan)
    view = scan.field_of_view_mm
    return (distance <= view.radius_mm) & (np.abs(along - scan.field_of_view_height_mm) <= view.half_height_mm)


def seen_by_every_view(grid: Grid, scan: Scan) -> VolumeMask:
    """The voxels that every view of a full turn sees: inside the fan, and inside the cone on both its near and its far side.

    With heights measured along the axis from the plane of the sources, the panel sees from ``low`` to ``high`` at the axis; a voxel at
    distance r from the axis passes all depths DSO - r to DSO + r, so its height must lie between ``low (1 ± r / DSO)`` and
    ``high (1 ± r / DSO)`` for either sign. A panel shifted to one side sees its wider radius once in every turn only.
    """
    along, distance = _about_axis(grid, scan)
    view, middle = scan.field_of_view_mm, scan.field_of_view_height_mm
    near, far = 1 - distance / scan.dso_mm, 1 + distance / scan.dso_mm
    high, low = middle + view.half_height_mm, middle - view.half_height_mm
    below_top = along <= np.minimum(high * near, high * far)
    above_bottom = along >= np.maximum(low * near, low * far)
    return below_top & above_bottom & (distance <= view.radius_mm)


def _about_axis(grid: Grid, scan: Scan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For every voxel centre, in mm: its height along the axis above the plane of the sources, and its distance from the axis."""
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij", sparse=True)
    (px, py, pz), (dx, dy, dz) = scan.axis.point_mm, scan.axis.direction
    x, y, z = x - px, y - py, z - pz
    along = x * dx + y * dy + z * dz
    across2 = (y * dz - z * dy) ** 2 + (z * dx - x * dz) ** 2 + (x * dy - y * dx) ** 2
    return along, np.sqrt(across2)
