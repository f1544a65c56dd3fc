"""What `measure` is asked for, checked: the volume, its threshold, the region."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError
from ...geometry import Grid
from ...geometry.grid import require_grid

Region = NDArray[np.bool_] | Literal["whole", "trabecular", "cortical", "auto"] | None
NAMES = ("whole", "trabecular", "cortical", "auto")
_MOST_PER_MM = 10.0  # 1/mm: no tissue absorbs so much; more means grey levels or Hounsfield units
_FEWEST = 64  # voxels of bone below which nothing is measured


def checked_volume(volume: NDArray[Any], grid: Grid) -> NDArray[np.float32]:
    """The volume [z, y, x] as float32, in its own unit; InputError for a shape that is not the grid's, values that are not finite,
    or one value throughout.
    """
    grid = require_grid(grid)
    if volume.ndim != 3 or volume.shape != grid.shape:
        raise InputError(f"the volume has shape {volume.shape}", expected=f"{grid.shape}, as the grid says")
    values = np.ascontiguousarray(volume, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("the volume holds NaN or Inf", expected="finite values")
    if low == high:
        raise InputError(f"the volume holds nothing but {low:g}", expected="bone and what is around it")
    return values


def found_threshold(values: NDArray[np.float32], threshold: float | None) -> tuple[float, str]:
    """(the threshold, how it was found) for the values [z, y, x]: the one given, or Otsu's of all voxels.

    Raises InputError for one outside the values; where their units differ (grey levels and 1/mm) it says so.
    """
    low, high = float(values.min()), float(values.max())
    if threshold is None:
        from skimage.filters import threshold_otsu

        return float(threshold_otsu(values[:: max(1, values.shape[0] // 128)])), "Otsu's threshold of all voxels"
    if not np.isfinite(threshold):
        raise InputError(f"threshold is {threshold}", expected="a number, or none for Otsu's")
    if not low < threshold < high:
        raise InputError(
            f"threshold is {threshold:g} and the volume holds values from {low:g} to {high:g}{_units(threshold, high)}",
            expected="a threshold between them, in the unit of the volume",
            remedy="75/255 of 8-bit slices is 75 in their grey levels; in 1/mm bone is above about 0.1",
        )
    if threshold < 1 and high > _MOST_PER_MM:
        raise InputError(
            f"threshold is {threshold:g} and the volume holds values up to {high:g}{_units(threshold, high)}",
            expected="both in one unit",
            remedy="give the threshold in the volume's own values (75 for 8-bit slices), or read the slices with their grey window",
        )
    return float(threshold), "given"


def _units(threshold: float, high: float) -> str:
    """Words for a threshold and a volume that are plainly in different units."""
    levels = "8-bit grey levels" if high <= 255 else "grey levels or Hounsfield units"
    if threshold < 1 and high > _MOST_PER_MM:
        return f": the threshold is in 1/mm, the volume in {levels}"
    if threshold >= 1 and high < _MOST_PER_MM:
        return ": the threshold is in grey levels, the volume in 1/mm"
    return ""


def require_bone(bone: NDArray[np.bool_], threshold: float) -> None:
    """InputError where next to nothing of the mask [z, y, x] is bone, or everything."""
    count = int(np.count_nonzero(bone))
    if count < _FEWEST or count == bone.size:
        said = f"{count} of {bone.size} voxels are above the threshold {threshold:g}"
        raise InputError(said, expected=f"{_FEWEST} or more voxels of bone, and something else", remedy="give another threshold")


def region_name(region: Region) -> str:
    """``whole``, ``trabecular``, ``cortical``, ``auto``, or ``mask``; UnknownNameError for another word."""
    if region is None:
        return "whole"
    if isinstance(region, str):
        if region not in NAMES:
            raise UnknownNameError("region", region, NAMES)
        return region
    return "mask"


def region_mask(region: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A region given as an array [z, y, x]; InputError for a shape that is not the volume's, or an empty one."""
    mask = np.asarray(region) != 0
    if mask.shape != shape:
        raise InputError(f"the region has shape {mask.shape}", expected=f"{shape}, as the volume has")
    if not mask.any():
        raise InputError("the region is empty", expected="voxels that are in it")
    return mask
