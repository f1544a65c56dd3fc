"""The Bruker SkyScan 1276 of the BoneMet data set, as its two published cone angles describe it."""

from __future__ import annotations

import math

import numpy as np

from ...base import InputError
from ..scan import Scan

CONE_HORIZONTAL_DEG = 25.888290
VIEWS, STEP_DEG = 260, 0.8


def skyscan_1276(rows: int, cols: int, voxel_mm: float) -> Scan:
    """A scan of 260 views with the cone angles of the SkyScan 1276, which are 25.888290 x 17.423092 deg for a panel of 3:2.

    The views are 0.8 deg apart: 207.2 deg from the first to the last, and 208 deg covered, because a view stands for its angular cell.

    ``voxel_mm`` is the pixel at the rotation axis, which is also the voxel of the natural reconstruction. The detector is a virtual one at
    the axis (pitch ``voxel_mm``, DSD = DSO = cols voxel_mm / 0.459683), since the distance of the real camera is neither published nor
    needed. ``cols`` sets the cone angle: use rows : cols = 2 : 3 for the whole panel, and fewer rows for a vertical crop of it (1 for a fan
    beam).

    >>> skyscan_1276(rows=128, cols=192, voxel_mm=0.2226).cone_angles_deg
    (25.88829..., 17.42309...)
    """
    if not (math.isfinite(voxel_mm) and voxel_mm > 0):
        raise InputError(f"voxel_mm is {voxel_mm}", expected="a positive length in mm, such as 0.0106")
    dso_mm = cols * voxel_mm / (2 * math.tan(math.radians(CONE_HORIZONTAL_DEG / 2)))
    return Scan.circular(dso_mm=dso_mm, dsd_mm=dso_mm, rows=rows, cols=cols, pixel_mm=voxel_mm, angles_deg=np.arange(VIEWS) * STEP_DEG)
