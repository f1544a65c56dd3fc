"""What `measure` is asked for, checked: the volume, its threshold, the region."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...base import InputError, UnknownNameError
from ...geometry import Grid
from ...geometry.grid import require_grid
from ..stack.cut import Cut
from ..stack.sliced import Sliced

Region = Sliced | Literal["whole", "trabecular", "cortical", "auto"] | None
PARTS = ("trabecular", "cortical", "auto")
NAMES = ("whole", *PARTS)
_MOST_PER_MM = 10.0  # 1/mm: no tissue absorbs so much; more means grey levels or Hounsfield units
_SAMPLED = 128  # slices, at least, of which Otsu's threshold is made where there are more
_FEWEST = 64  # voxels of bone below which nothing is measured


def checked_volume(volume: NDArray[Any], grid: Grid) -> NDArray[np.float32]:
    """The volume [z, y, x] as float32, in its own unit; InputError for a shape that is not the grid's, values that are not finite,
    or one value throughout.
    """
    require_shape(volume, grid)
    values = np.ascontiguousarray(volume, dtype=np.float32)
    value_range([values])
    return values


def require_shape(volume: Sliced, grid: Grid) -> None:
    """InputError for a volume [z, y, x] whose shape is not the grid's."""
    grid = require_grid(grid)
    if tuple(volume.shape) != grid.shape:
        raise InputError(f"the volume has shape {volume.shape}", expected=f"{grid.shape}, as the grid says")


def value_range(slabs: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """(the least, the greatest value) of a volume in slabs [z, y, x], in its own unit; InputError for values that are not finite, or one
    throughout.
    """
    low, high = np.inf, -np.inf
    for values in slabs:
        least, most = float(values.min()), float(values.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            raise InputError("the volume holds NaN or Inf", expected="finite values")
        low, high = min(low, least), max(high, most)
    if low == high:
        raise InputError(f"the volume holds nothing but {low:g}", expected="bone and what is around it")
    return low, high


def found_threshold(values: NDArray[np.float32], threshold: float | None) -> tuple[float, str]:
    """(the threshold, how it was found) for the values [z, y, x], in their own unit: see `threshold_of`."""
    return threshold_of(lambda z: values[z], len(values), (float(values.min()), float(values.max())), threshold)


def threshold_of(
    grey: Callable[[slice], NDArray[np.float32]], count: int, extremes: tuple[float, float], threshold: float | None
) -> tuple[float, str]:
    """(the threshold, how it was found) for the ``grey`` values of ``count`` slices [z, y, x]: the one given, or Otsu's of all voxels.

    ``extremes`` are the least and the greatest value. Raises InputError for a threshold outside them; where their units differ (grey levels
    and 1/mm) it says so.
    """
    low, high = extremes
    if threshold is None:
        return _otsu(grey, range(0, count, max(1, count // _SAMPLED))), "Otsu's threshold of all voxels"
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


def _otsu(grey: Callable[[slice], NDArray[np.float32]], sample: range) -> float:
    """Otsu's threshold of some slices, one after the other."""
    from skimage.filters import threshold_otsu

    planes = [slice(z, z + 1) for z in sample]
    ends = min(float(grey(z).min()) for z in planes), max(float(grey(z).max()) for z in planes)
    counts, edges = np.histogram(grey(planes[0]), 256, ends)
    for z in planes[1:]:
        counts = counts + np.histogram(grey(z), 256, ends)[0]
    return float(threshold_otsu(hist=(counts, (edges[1:] + edges[:-1]) / 2)))


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
    require_bone_count(int(np.count_nonzero(bone)), bone.size, threshold)


def require_bone_count(count: int, size: int, threshold: float) -> None:
    """InputError where next to none of ``size`` voxels are bone, or all."""
    if count < _FEWEST or count == size:
        said = f"{count} of {size} voxels are above the threshold {threshold:g}"
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


def require_region(region: Sliced, cut: Cut) -> None:
    """InputError for a region [z, y, x] whose shape is not the volume's, or that is empty."""
    if tuple(region.shape) != cut.shape:
        raise InputError(f"the region has shape {region.shape}", expected=f"{cut.shape}, as the volume has")
    if not any(np.any(region[own]) for own in cut.slabs):
        raise InputError("the region is empty", expected="voxels that are in it")
