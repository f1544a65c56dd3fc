"""Bringing a volume to its reference before they are compared: an affine grey map and a rigid registration. Both are options and are
reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....base import InputError
from ....base.shapes import FloatVolume, VolumeMask
from ....geometry import Grid


@dataclass(frozen=True)
class GreyMap:
    """``gain * volume + offset`` (offset in 1/mm)."""

    gain: float
    offset: float

    def __call__(self, volume: FloatVolume) -> FloatVolume:
        """The mapped volume, float32."""
        return (self.gain * volume + self.offset).astype(np.float32)


def fit_grey(volume: FloatVolume, reference: FloatVolume, mask: VolumeMask | None = None) -> GreyMap:
    """The least-squares affine grey map of ``volume`` onto ``reference`` inside ``mask``, which undoes an unknown grey window.

    A constant volume is mapped to the mean of the reference. The fit flatters a wrong volume (a blank one scores the spread of the
    reference), so scores with and without it belong side by side.
    """
    if volume.shape != reference.shape:
        raise InputError(f"the volume has shape {volume.shape} and the reference {reference.shape}", expected="the same shape")
    inside = np.ones(volume.shape, bool) if mask is None else mask
    x, y = volume[inside].astype(np.float64), reference[inside].astype(np.float64)
    spread = x.var()
    if spread == 0:
        return GreyMap(0.0, float(y.mean()))
    gain = float(np.mean((x - x.mean()) * (y - y.mean())) / spread)
    return GreyMap(gain, float(y.mean() - gain * x.mean()))


@dataclass(frozen=True)
class Motion:
    """The rigid motion of a volume onto its reference: Euler angles about the middle of the grid in degrees, and a translation in mm."""

    angles_deg: tuple[float, ...]
    translation_mm: tuple[float, ...]


def register(volume: FloatVolume, reference: FloatVolume, grid: Grid, *, steps: int = 100) -> tuple[FloatVolume, Motion]:
    """Rigid registration of ``volume`` to ``reference``, both on ``grid``, with SimpleITK (mutual information, three resolutions).

    Returns the moved volume (linear interpolation, zero outside) and the motion. It needs the extra ``bone``.
    """
    if volume.shape != grid.shape or reference.shape != grid.shape:
        raise InputError(f"volumes of shape {volume.shape} and {reference.shape}", expected=f"{grid.shape}, as the grid says")
    import SimpleITK as sitk

    moving, fixed = (_image(sitk, v, grid) for v in (volume, reference))
    start = sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.25, 1)  # without a seed the clock decides, and no two runs agree
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, steps)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(start, inPlace=False)
    found = _euler(sitk, method.Execute(fixed, moving))
    moved = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, found, sitk.sitkLinear, 0.0))
    angles = np.degrees([found.GetAngleX(), found.GetAngleY(), found.GetAngleZ()])
    return moved.astype(np.float32), Motion(tuple(map(float, angles)), tuple(map(float, found.GetTranslation())))


def _image(sitk: Any, volume: FloatVolume, grid: Grid) -> Any:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume, dtype=np.float32))
    image.SetSpacing((grid.voxel_mm,) * 3)
    image.SetOrigin(tuple(map(float, grid.origin_mm)))
    return image


def _euler(sitk: Any, transform: Any) -> Any:
    """The Euler transform inside any wrapper that SimpleITK returns."""
    while transform.GetName() == "CompositeTransform":
        transform = sitk.CompositeTransform(transform).GetNthTransform(0)
    return sitk.Euler3DTransform(transform)
