"""How close a volume is to its reference, beyond PSNR: errors, edges, bone overlap and surfaces, resolution, unseen views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...base import InputError
from ...base.shapes import FloatVolume, VolumeMask


def _pair(volume: NDArray, reference: NDArray) -> tuple[NDArray, NDArray]:
    if volume.shape != reference.shape:
        raise InputError(
            f"the volume has shape {volume.shape} and the reference {reference.shape}",
            expected="the same shape",
            remedy="reconstruct on the reference's grid, or resample it (fewview.data.volumes.resample)",
        )
    return np.asarray(volume, dtype=np.float64), np.asarray(reference, dtype=np.float64)


def nrmse(volume: FloatVolume, reference: FloatVolume, mask: VolumeMask | None = None) -> float:
    """The root mean square error divided by the root mean square of the reference, inside ``mask``."""
    x, y = _pair(volume, reference)
    inside = np.ones(x.shape, bool) if mask is None else mask
    scale = np.sqrt(np.mean(y[inside] ** 2))
    if scale == 0:
        raise InputError("the reference is zero everywhere inside the mask", expected="an object to compare with")
    return float(np.sqrt(np.mean((x - y)[inside] ** 2)) / scale)


def edge_error(volume: FloatVolume, reference: FloatVolume, voxel_mm: float, mask: VolumeMask | None = None) -> float:
    """The root mean square difference of the gradients (1/mm^2) over that of the reference's gradient: 0 is exact, 1 is a blank volume."""
    x, y = _pair(volume, reference)
    inside = np.ones(x.shape, bool) if mask is None else mask
    gx, gy = (np.stack(list(np.gradient(v, voxel_mm))) for v in (x, y))
    scale = np.sqrt(np.mean(gy[:, inside] ** 2))
    if scale == 0:
        raise InputError("the reference is constant inside the mask", expected="a reference with edges")
    return float(np.sqrt(np.mean((gx - gy)[:, inside] ** 2)) / scale)


def dice(volume: FloatVolume, reference: FloatVolume, threshold: float) -> float:
    """The overlap 2|A and B| / (|A| + |B|) of what is above ``threshold`` (1/mm) in each; NaN where neither has any.

    >>> dice(np.array([[[0., 1.]]]), np.array([[[1., 1.]]]), 0.5)
    0.666...
    """
    x, y = _pair(volume, reference)
    a, b = x > threshold, y > threshold
    total = int(a.sum()) + int(b.sum())
    return float(2 * np.count_nonzero(a & b) / total) if total else float("nan")


@dataclass(frozen=True)
class SurfaceDistance:
    """The distances between two surfaces in mm: the mean of both directions, and the 95th percentile."""

    mean_mm: float
    p95_mm: float


def surface_distance(volume: FloatVolume, reference: FloatVolume, threshold: float, voxel_mm: float) -> SurfaceDistance:
    """The symmetric distance of the surfaces of what is above ``threshold``: infinite where only one has a surface, NaN where none has."""
    x, y = _pair(volume, reference)
    shells = [mask & ~np.asarray(ndimage.binary_erosion(mask), dtype=bool) for mask in (x > threshold, y > threshold)]
    if not shells[0].any() or not shells[1].any():
        missing = float("nan") if not (shells[0].any() or shells[1].any()) else float("inf")
        return SurfaceDistance(missing, missing)
    to_a, to_b = (np.asarray(ndimage.distance_transform_edt(~shell, sampling=voxel_mm)) for shell in shells)
    both = np.concatenate([to_b[shells[0]], to_a[shells[1]]])
    return SurfaceDistance(float(both.mean()), float(np.percentile(both, 95)))


@dataclass(frozen=True)
class ShellCorrelation:
    """Fourier shell correlation: the ``frequency`` of each shell in cycles/mm, ``correlation`` -1..1, and the resolution at 0.5 in mm."""

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    resolution_mm: float


def fourier_shell_correlation(volume: FloatVolume, reference: FloatVolume, voxel_mm: float) -> ShellCorrelation:
    """The correlation of the two spectra shell by shell (Harauz & van Heel 1986), with a smooth window against wrap-around.

    The resolution is 1 / (frequency where the curve first falls below 0.5), and never finer than two voxels.
    """
    x, y = _pair(volume, reference)
    window = np.ones(x.shape)
    for axis, n in enumerate(x.shape):
        shape = [1] * x.ndim
        shape[axis] = n
        window = window * (np.hanning(n + 2)[1:-1] if n > 2 else np.ones(n)).reshape(shape)
    fx, fy = (np.fft.fftn((v - v.mean()) * window) for v in (x, y))
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*(np.fft.fftfreq(n) for n in x.shape), indexing="ij", sparse=True)))
    shells = max(1, min(n for n in x.shape if n > 1) // 2)
    label = np.minimum((radius * 2 * shells + 0.5).astype(int), shells + 1)
    cross, px, py = (np.bincount(label.ravel(), weights=w.ravel()) for w in ((fx * fy.conj()).real, np.abs(fx) ** 2, np.abs(fy) ** 2))
    power = np.sqrt(px * py)[: shells + 1]
    correlation = np.divide(cross[: shells + 1], power, out=np.zeros(shells + 1), where=power > 1e-12 * power.max())
    frequency = np.arange(shells + 1) / (2 * shells * voxel_mm)
    return ShellCorrelation(frequency[1:], correlation[1:], _resolution(frequency[1:], correlation[1:], voxel_mm))


def _resolution(frequency: NDArray[np.float64], correlation: NDArray[np.float64], voxel_mm: float) -> float:
    below = np.flatnonzero(correlation < 0.5)
    if below.size == 0:
        return 2 * voxel_mm
    i = int(below[0])
    if i == 0:
        return float(1 / frequency[0])
    share = (correlation[i - 1] - 0.5) / (correlation[i - 1] - correlation[i])
    return float(1 / (frequency[i - 1] + share * (frequency[i] - frequency[i - 1])))
