"""Smoothing of projections and the median of a volume."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...base import InputError, UnknownNameError
from ...base.shapes import LineIntegrals, Volume

KERNELS = ("gaussian", "box")


def smooth(values: LineIntegrals, level: int, kernel: str = "gaussian") -> LineIntegrals:
    """Line integrals smoothed within each view; ``level`` 0 (nothing) to 10, the radius of the kernel in pixels, as NRecon's *Smoothing*.

    ``box`` is the mean over (2 level + 1) x (2 level + 1) pixels; ``gaussian`` has the same radius at two standard deviations. The panel's
    edge is repeated, so a uniform view stays uniform.
    """
    if kernel not in KERNELS:
        raise UnknownNameError("smoothing kernel", kernel, KERNELS)
    if not 0 <= level <= 10 or level != int(level):
        raise InputError(f"smoothing is {level}", expected="a whole number from 0 (off) to 10")
    if level == 0:
        return values
    if kernel == "box":
        across = ndimage.uniform_filter1d(values, 2 * level + 1, axis=1, mode="nearest")
        return np.asarray(ndimage.uniform_filter1d(across, 2 * level + 1, axis=2, mode="nearest"), dtype=np.float32)
    return np.asarray(ndimage.gaussian_filter(values, sigma=(0, level / 2, level / 2), mode="nearest", truncate=2.0), dtype=np.float32)


def median_volume(volume: Volume, radius: int) -> Volume:
    """The volume with each voxel replaced by the median of its (2 radius + 1)^3 neighbourhood; ``radius`` 0 changes nothing."""
    if not 0 <= radius <= 5 or radius != int(radius):
        raise InputError(f"median radius is {radius}", expected="a whole number of voxels from 0 (off) to 5")
    if radius == 0:
        return volume
    return np.asarray(ndimage.median_filter(volume, size=2 * radius + 1, mode="nearest"), dtype=np.float32)
