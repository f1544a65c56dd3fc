"""How well a registration knows a motion, told from the two volumes themselves.

Streaks and noise lie on the bone as they lie on the soft tissue around it, where they can be seen: soft tissue is homogeneous, so what is
left of it when its level is taken away is artefact. Such a field r turns the bone that the fit finds by the sum over all places of r times
how much the turn changes with the grey value there (`sensitivity`). Laid on the soft tissue in all places, that sum has a variance; it
follows from the covariance of the artefacts at each distance, which counts voxels of soft tissue only. That holds if artefacts are on the
bone as they are around it. What a volume has on its bone alone (cupping in a thick cortex) is not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ...base.shapes import Float, VolumeMask, VoxelValues
from ...data.volumes.resample import coarsen
from ...data.volumes.rigid_fit import Similarity, inside_of, sampled, sensitivity
from ...geometry import Grid
from ..masks import grown
from .bone_fit import FREEDOMS, LOST, Motion, Ready, Surfaces

_MOST = 500_000  # voxels: larger volumes are made coarser
_CLEAR, _NEAR = 3, 8  # voxels: where the blur of bone and air ends; from bone, where the level of the soft tissue is taken
_WIDE = 2.0  # voxels: artefacts are smoothed by it before air and other tissue are told from soft tissue
_FEWEST = 2000  # voxels of soft tissue
_FEWEST_PAIRS = 200  # of voxels at one distance
_SIGMAS = 1.96  # of a normal distribution hold 95 %

Templates = Float[NDArray[np.float64], "number z y x"]
Covariance = Float[NDArray[np.float64], "number number"]


@dataclass(frozen=True)
class MotionError:
    """Bounds that hold 95 %: of the turn about the axis about which it is known least, and of the middle of the bone in the direction in
    which that is, where it has not grown. NaN where the volumes have too little soft tissue, or none that was measured, to tell.
    """

    turn_deg: float = math.nan
    shift_mm: float = math.nan

    @property
    def known(self) -> bool:
        """Whether the volumes could tell."""
        return math.isfinite(self.turn_deg)

    @property
    def in_words(self) -> str:
        """For people."""
        if not self.known:
            return "how well the turn is known cannot be told: the volumes show too little soft tissue around the bone"
        return f"turn known to ± {self.turn_deg:.2g} deg and place to ± {self.shift_mm:.2g} mm (95 %), growth aside"


UNKNOWN = MotionError()


def motion_error(moving: Ready, moving_grid: Grid, fixed: Ready, fixed_grid: Grid, found: Motion) -> MotionError:
    """How well `fit_surface` knows the motion that it ``found``: fixed point p is at rotation @ p + shift in the moving volume."""
    (moving, moving_grid), (fixed, fixed_grid) = _coarse(moving, moving_grid), _coarse(fixed, fixed_grid)
    soft = [_soft_tissue(*one) for one in (fixed, moving)]
    if min(np.count_nonzero(mask) for mask in soft) < _FEWEST:
        return UNKNOWN
    surfaces = Surfaces.of(moving, moving_grid, fixed, fixed_grid)
    motion = surfaces.fitted(found)
    everywhere = np.argwhere(np.ones(fixed_grid.shape, bool))[:, ::-1] * fixed_grid.voxel_mm + fixed_grid.origin_mm
    at = motion.places(everywhere)
    shown = sampled(surfaces.moving, moving_grid, at).reshape(fixed_grid.shape).astype(np.float32)
    also = inside_of(soft[1], moving_grid, at).reshape(fixed_grid.shape)
    if np.count_nonzero(also) < _FEWEST:
        return UNKNOWN
    on_fixed, on_moving = _templates(Surfaces.of(moving, moving_grid, fixed, fixed_grid, fixed[0].size), motion)
    variance = _variance(on_fixed, surfaces.fixed, soft[0]) + _variance(on_moving, shown, also)
    turn, shift = (math.sqrt(max(0.0, float(np.linalg.eigvalsh(variance[part, part])[-1]))) for part in (slice(0, 3), slice(3, 6)))
    return MotionError(_SIGMAS * math.degrees(turn), _SIGMAS * shift)


def _coarse(one: Ready, grid: Grid) -> tuple[Ready, Grid]:
    """Both volumes with as many voxels as are used; what is finer than these says nothing."""
    factor = max(1, math.ceil((one[0].size / _MOST) ** (1 / 3)))
    return ((coarsen(one[0], factor), one[1]), grid.coarser(factor)) if factor > 1 else (one, grid)


def _soft_tissue(values: VoxelValues, level: float) -> VolumeMask:
    """Where soft tissue, or whatever else surrounds the bone, was measured: not in the blur of bone or air, nor where all voxels around
    have the very same value, because something was filled in there.
    """
    bone = values > level
    filled_in = ndimage.maximum_filter(values, 3) == ndimage.minimum_filter(values, 3)
    clear = ~grown(bone | filled_in, _CLEAR)
    near = clear & grown(bone, _NEAR)
    if not near.any():
        return near
    middle = float(np.median(values[near]))
    other = np.abs(ndimage.gaussian_filter(values, _WIDE) - middle) > (level - middle) / 2
    return clear & ~grown(np.asarray(other), _CLEAR)


def _templates(surfaces: Surfaces, motion: Similarity) -> tuple[Templates, Templates]:
    """By how much the turn (3, in radians) and the shift (3, in mm) change with the grey values of the fixed volume at each voxel, and
    with those of the moving one there; not where they are clipped.
    """
    points, wanted = surfaces.points, surfaces.wanted
    changes, gain = sensitivity(surfaces.near, surfaces.moving_grid, points, wanted, motion, freedoms=FREEDOMS, tolerated=LOST)
    seen = sampled(surfaces.moving, surfaces.moving_grid, motion.places(points))
    found = []
    for values, (low, high), factor in ((surfaces.fixed[surfaces.index], surfaces.fixed_ends, 1.0), (seen, surfaces.moving_ends, gain)):
        template = np.zeros((6, *surfaces.fixed.shape))
        template[(slice(None), *surfaces.index)] = factor * changes[:6] * ((values > low) & (values < high))
        found.append(template)
    return found[0], found[1]


def _variance(templates: Templates, values: VoxelValues, soft: VolumeMask) -> Covariance:
    """The covariance of the sums of template times artefact, of artefacts as they are where there is ``soft`` tissue."""
    shape = [2 * n for n in soft.shape]
    artefact = np.where(soft, values - float(np.median(values[soft])), 0)
    sums, pairs = (_whole(np.abs(_waves(a, shape)) ** 2, shape) for a in (artefact, soft.astype(np.float64)))
    spectrum = _waves(np.where(pairs > _FEWEST_PAIRS, sums / np.maximum(pairs, 1), 0), shape).real
    inner = tuple(slice(0, n) for n in soft.shape)
    spread = [_whole(_waves(template, shape) * spectrum, shape)[inner] for template in templates]
    variance = np.array([[float((a * b).sum()) for b in spread] for a in templates])
    return (variance + variance.T) / 2


def _waves(values: NDArray[np.floating], shape: list[int]) -> NDArray[np.complexfloating]:
    """The Fourier transform of values, with zeros up to a shape."""
    return np.asarray(fft.rfftn(values, shape))


def _whole(waves: NDArray[Any], shape: list[int]) -> NDArray[np.floating]:
    """Back from it."""
    return np.asarray(fft.irfftn(waves, shape))
