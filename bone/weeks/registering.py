"""`CTRegistration`: one bone moved onto another, or upright onto its own long axis; a rotation and a shift, no more.

The tool of the paper, with SimpleITK: a coarse search over start rotations about z (26 by default: pi i / 16 for i from -16 to 9), then
mutual information (Mattes et al., IEEE TMI 22 (2003) 120), climbed at coarse resolutions by one thread over all voxels. From there on
`bone_fit` follows the grey values, and at last the surfaces, to a fraction of a voxel. Nothing is random: the same input gives the same
bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from ...base import InputError
from ...base.files import atomic_path
from ...base.settings import Count, Positive, checked
from ...data.volumes.resample import coarsen
from ...geometry import Grid
from ..measures.asked import checked_volume, found_threshold, require_bone
from .bone_fit import Motion, Ready, fit_rigid, fit_surface
from .motion_error import UNKNOWN, MotionError, motion_error
from .trust import apart, trust

_COARSE = 48  # voxels along the longest axis, for the search over start rotations
_TRIED = 3  # starts that are followed to the end
_SHAKEN_DEG = (-6.0, 6.0)  # about the long axis, where a bone says least about how it is turned
_ALL_OF = 500_000  # voxels: larger volumes are made coarser still for mutual information


@dataclass(frozen=True, eq=False)
class Registered:
    """``volume`` on ``grid``, that of the fixed one. Its point p (x, y, z in mm) is at ``rotation`` @ p + ``shift_mm`` in the moving one.

    ``dice``: overlap of the bone of both. ``information``: mutual information where its climb ended; ``likeness``: correlation of the grey
    values at and around bone; higher is better. ``confidence`` 0 to 1 and ``doubts``.
    """

    volume: NDArray[np.float32]
    grid: Grid
    rotation: NDArray[np.float64]
    shift_mm: NDArray[np.float64]
    dice: float
    information: float
    likeness: float
    confidence: float
    doubts: tuple[str, ...]
    error: MotionError = UNKNOWN

    @property
    def turn_error_deg(self) -> float:
        """The turn is known to plus or minus this (95 %), about the axis about which it is known least; NaN where it cannot be told."""
        return self.error.turn_deg

    @property
    def angle_deg(self) -> float:
        """How far it was turned, about whatever axis."""
        return math.degrees(math.acos(min(1.0, max(-1.0, (float(np.trace(self.rotation)) - 1) / 2))))

    def write_transform(self, path: str | Path, *, force: bool = False) -> Path:
        """Write a .tfm file as ITK, Slicer and SimpleITK read it: from points of the fixed volume to points of the moving one."""
        import SimpleITK as sitk

        if Path(path).suffix.lower() != ".tfm":
            raise InputError(f"{path}", expected="a name that ends in .tfm")
        with atomic_path(path, force=force) as temporary:
            sitk.WriteTransform(_as_sitk(self.rotation, self.shift_mm), str(temporary))
        return Path(path)

    def apply(self, volume: NDArray[Any], grid: Grid) -> NDArray[np.float32]:
        """Another volume [z, y, x] of the moving scan (labels, maps; any unit) on the fixed grid; linear between voxels, 0 outside."""
        return _moved(np.asarray(volume, dtype=np.float32), grid, self.grid, self.rotation, self.shift_mm)


@checked(of="CTRegistration")
class CTRegistration:
    """``CTRegistration()(moving, moving_grid, fixed, fixed_grid)``.

    Args:
        threshold: what is above it is bone, in the unit of the volumes; None for Otsu's of each.
        starts_deg: start rotations about z that are tried.
        iterations: of the climb at each resolution.
        resolutions: factors by which the volumes are made coarser for mutual information, one after the other.
        turn_tolerance_deg: where the turn is not known to so many degrees (95 %), the confidence is below 0.5.
    """

    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    starts_deg: tuple[float, ...] = tuple(180 * i / 16 for i in range(-16, 10))
    iterations: Count = 100
    resolutions: tuple[Count, ...] = (4, 2)
    turn_tolerance_deg: Positive = 1.0

    def __call__(self, moving: NDArray[Any], moving_grid: Grid, fixed: NDArray[Any], fixed_grid: Grid) -> Registered:
        """The moving volume on the grid of the fixed one, its bone on the other's. Raises InputError where one has no bone."""
        one, other = self._ready(moving, moving_grid), self._ready(fixed, fixed_grid)
        starts = _best_starts(one, moving_grid, other, fixed_grid, self.starts_deg)
        ends = [_climb(one, moving_grid, other, fixed_grid, start, self.iterations, self.resolutions) for start in starts]
        bone = other[0] > other[1]
        motions = [(rotation, shift) for rotation, shift, _ in ends]
        fits = fit_rigid(one[0], moving_grid, other[0], fixed_grid, bone, motions)
        best = max(range(len(fits)), key=lambda n: fits[n].correlation)
        shaken = [_shaken(fits[best].motion, bone, fixed_grid, degrees) for degrees in _SHAKEN_DEG]
        fits += fit_rigid(one[0], moving_grid, other[0], fixed_grid, bone, shaken, (2.0, 1.0))
        rotation, shift = fit_surface(one, moving_grid, other, fixed_grid, fits[best].motion)
        moved = _moved(one[0], moving_grid, fixed_grid, rotation, shift)
        overlap = _dice(moved > one[1], bone)
        gone = apart(fits[best].motion, (rotation, shift), bone, fixed_grid)
        error = motion_error(one, moving_grid, other, fixed_grid, (rotation, shift))
        known = [f"the surfaces fit {gone} from where all grey values do"] if gone else []
        known += [f"{error.in_words}, not to {self.turn_tolerance_deg:g} deg"] if error.turn_deg > self.turn_tolerance_deg else []
        doubts, confidence = trust(fits, best, bone, fixed_grid, overlap, known)
        return Registered(moved, fixed_grid, rotation, shift, overlap, -ends[best][2], fits[best].correlation, confidence, doubts, error)

    def upright(self, volume: NDArray[Any], grid: Grid) -> Registered:
        """A volume [z, y, x] of a bone (any unit), turned so that its long axis is z: the frame of week 0 where no reference is given."""
        values, level = self._ready(volume, grid)
        bone = values > level
        middle, axis = _long_axis(bone, grid)
        rotation = _turn_z_to(axis)
        centre = np.array(grid.center_mm)
        shift = middle - rotation @ centre
        moved = _moved(values, grid, grid, rotation, shift)
        lost = 1 - np.count_nonzero(moved > level) / np.count_nonzero(bone)
        doubts = (f"{lost:.0%} of the bone leaves the volume when it is upright",) if lost > 0.02 else ()
        return Registered(moved, grid, rotation, shift, 1.0, math.nan, 1.0, 0.4 if doubts else 1.0, doubts)

    def _ready(self, volume: NDArray[Any], grid: Grid) -> tuple[NDArray[np.float32], float]:
        values = checked_volume(volume, grid)
        level, _ = found_threshold(values, self.threshold)
        require_bone(values > level, level)
        return values, level


def _long_axis(bone: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(the middle of bone in mm, its long axis with z upwards)."""
    places = np.argwhere(bone)[:, ::-1] * grid.voxel_mm + grid.origin_mm
    middle = places.mean(axis=0)
    axis = np.linalg.svd((places - middle)[:: max(1, len(places) // 20000)], full_matrices=False)[2][0]
    return middle, axis if axis[2] > 0 else -axis


def _turn_z_to(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest rotation that takes z to a direction."""
    v, c = np.cross([0.0, 0.0, 1.0], axis), float(axis[2])
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + c)


def _turn_z(degrees: float) -> NDArray[np.float64]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def _moved(values: NDArray[np.float32], grid: Grid, to: Grid, rotation: NDArray, shift: NDArray) -> NDArray[np.float32]:
    """The volume at the points ``rotation @ p + shift`` of each voxel centre p of ``to``."""
    flip = np.eye(3)[::-1]
    matrix = flip @ rotation @ flip * (to.voxel_mm / grid.voxel_mm)
    offset = (rotation @ to.origin_mm + shift - grid.origin_mm)[::-1] / grid.voxel_mm
    around = float(np.median(values[:, :2]))
    moved = ndimage.affine_transform(values, matrix, offset.tolist(), output_shape=to.shape, order=1, cval=around)  # type: ignore[arg-type]
    return np.asarray(moved, dtype=np.float32)


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(a & b) / max(1, int(a.sum()) + int(b.sum())))


def _best_starts(one: Ready, grid: Grid, other: Ready, to: Grid, starts_deg: Sequence[float]) -> list[Motion]:
    """The start rotations under which the bones overlap most, middles of bone on one another; coarse volumes."""
    coarse = []
    for (values, level), g in ((one, grid), (other, to)):
        factor = max(1, max(values.shape) // _COARSE)
        small = coarsen((values > level).astype(np.float32), factor)
        shape = small.shape
        centre = g.origin_mm + g.voxel_mm * (factor * np.array(shape[::-1]) - 1) / 2
        coarse.append((small, Grid((shape[0], shape[1], shape[2]), g.voxel_mm * factor, tuple(float(c) for c in centre))))  # type: ignore[arg-type]
    (moving, moving_grid), (fixed, fixed_grid) = coarse
    middles = [g.origin_mm + g.voxel_mm * np.array(ndimage.center_of_mass(v))[::-1] for v, g in coarse]
    scored = []
    for degrees in starts_deg:
        rotation = _turn_z(degrees)
        shift = middles[0] - rotation @ middles[1]
        moved = _moved(moving, moving_grid, fixed_grid, rotation, shift)
        scored.append((float(np.minimum(moved, fixed).sum()), degrees, (rotation, shift)))
    scored.sort(key=lambda row: (-row[0], row[1]))
    return [start for _, _, start in scored[:_TRIED]]


def _as_sitk(rotation: NDArray, shift: NDArray, center: Sequence[float] = (0.0, 0.0, 0.0)) -> Any:
    import SimpleITK as sitk

    transform = sitk.VersorRigid3DTransform()
    transform.SetCenter([float(c) for c in center])
    transform.SetMatrix([float(m) for m in rotation.ravel()], 1e-6)
    about = np.asarray(center, dtype=float)
    transform.SetTranslation([float(t) for t in shift + rotation @ about - about])
    return transform


def _image(values: NDArray[np.float32], grid: Grid) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(values)
    image.SetSpacing([grid.voxel_mm] * 3)
    image.SetOrigin([float(o) for o in grid.origin_mm])
    return image


def _climb(
    one: Ready, grid: Grid, other: Ready, to: Grid, start: Motion, iterations: int, resolutions: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """(rotation, shift, - mutual information) where the climb from a start ends."""
    import SimpleITK as sitk

    fixed, moving = _image(other[0], to), _image(one[0], grid)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)  # several add their shares in the order in which they end, and sums then differ in the last bits
    method.SetMetricAsMattesMutualInformation(50)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0 * to.voxel_mm, 0.003 * to.voxel_mm, iterations, 0.6, 1e-9)
    method.SetOptimizerScalesFromPhysicalShift()
    more = max(1.0, (other[0].size / (_ALL_OF * min(resolutions) ** 3)) ** (1 / 3))
    factors = [math.ceil(f * more) for f in resolutions]
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([0.5 * f if f > 1 else 0.0 for f in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    transform = _as_sitk(*start, center=to.center_mm)
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    center = np.array(transform.GetCenter())
    shift = np.array(transform.GetTranslation()) + center - rotation @ center
    return rotation, shift, float(method.GetMetricValue())


def _shaken(motion: Motion, bone: NDArray[np.bool_], grid: Grid, degrees: float) -> Motion:
    """A motion before which the fixed bone is turned about its long axis."""
    rotation, shift = motion
    middle, axis = _long_axis(bone, grid)
    upright = _turn_z_to(axis)
    turn = upright @ _turn_z(degrees) @ upright.T
    return rotation @ turn, rotation @ (middle - turn @ middle) + shift
