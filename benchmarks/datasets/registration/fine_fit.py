"""The place of a volume in another to a small share of a voxel: rotation, shift, scale and grey map at once, by least squares.

Gauss and Newton with the gradient of the whole, on smoothed volumes first. The grey map (a factor and an offset) is fitted in each step, so
that nothing has to be known of the grey levels. Nothing is random.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ....base.shapes import Float, NewVoxelValues, VolumeMask, VoxelValues
from ....geometry.transform import rotation_matrix

_MOST_POINTS = 100_000
_MOST_STEPS = 25
_STILL = 1e-4  # voxels: a step that moves no corner farther ends the fit


@dataclass(frozen=True, eq=False)
class Pose:
    """Voxel (x, y, z) of the part, counted from its middle, lies at ``scale`` * ``turn`` @ voxel + ``middle`` in the whole, in voxels.

    ``gain`` * level + ``offset`` is the value there, in the unit of the whole.
    """

    turn: NDArray[np.float64]
    middle: NDArray[np.float64]
    scale: float = 1.0
    gain: float = 1.0
    offset: float = 0.0

    def places(self, index: Float[NDArray[np.float64], "point 3"]) -> Float[NDArray[np.float64], "point 3"]:
        """Where voxels (point, 3) lie, (x, y, z) in voxels of the whole."""
        return self.scale * index @ self.turn.T + self.middle


def fit(
    part: NewVoxelValues, whole: VoxelValues, start: Pose, valid: VolumeMask, smooth: tuple[float, ...] = (2.0, 1.0), *, last: bool = False
) -> Pose:
    """The pose of ``part`` in ``whole`` [z, y, x], in any unit, from a pose that is right to a few voxels. Places outside ``valid`` do not
    count. The ``last`` fit leaves the scale as it is, and looks at fine structure alone, which beam hardening and its
    correction do not move.
    """
    pose = start
    for sigma in smooth:
        one, other = (_fine(v, sigma) if last else _smooth(v, sigma) for v in (part, whole))
        found = _fit_at(one, other, pose, valid, int(np.ceil((4 if last else 2) * sigma)), last)
        pose = replace(found, gain=pose.gain, offset=pose.offset) if last else found
    return pose


def _fit_at(part: NewVoxelValues, whole: VoxelValues, pose: Pose, valid: VolumeMask, rim: int, rigid: bool) -> Pose:
    """The pose that fits best. A ``rim`` of voxels where the smoothing of the part lacked its neighbours does not count."""
    index, levels = _points(part, rim)
    slopes = [np.asarray(g, dtype=np.float32) for g in np.gradient(whole)][::-1]  # along x, y, z
    radius = float(np.abs(index).max())
    best, kept = np.inf, pose
    for _ in range(_MOST_STEPS):
        places = pose.places(index)
        value, inside = _sampled(whole, valid, places)
        if inside.sum() < 1000:
            return kept
        at, level, value = places[inside], levels[inside], value[inside]
        slope = np.stack([_at(s, at) for s in slopes], axis=1)
        around = at - pose.middle
        moved = np.cross(around, slope)
        columns = [slope, moved, -level[:, None], -np.ones((len(level), 1)), (around * slope).sum(axis=1)[:, None]]
        matrix = np.concatenate(columns[:-1] if rigid else columns, axis=1)
        size = np.sqrt((matrix**2).sum(axis=0)) + 1e-30
        solved = np.linalg.lstsq((matrix / size).T @ (matrix / size), -(matrix / size).T @ value, rcond=1e-10)[0] / size
        gain, offset, error = _grey_map(level, value)
        if error < best:
            best, kept = error, replace(pose, gain=gain, offset=offset)
        step, turn, grow = solved[:3], solved[3:6], 0.0 if rigid else float(solved[8])
        far = max(float(np.abs(step).max()), radius * float(np.linalg.norm(turn)), radius * abs(grow))
        ease = min(1.0, 4.0 / max(far, 1e-12))  # a linear model is believed for four voxels
        pose = Pose(_turned(ease * turn) @ pose.turn, pose.middle + ease * step, pose.scale * float(np.exp(ease * grow)))
        if far < _STILL:
            break
    return kept


def _grey_map(level: NDArray[np.float64], value: NDArray[np.float64]) -> tuple[float, float, float]:
    """(factor, offset) that map levels to values best, and the share of the spread of the values that is left."""
    spread = float(level.var()) + 1e-30
    shared = float(np.mean((level - level.mean()) * (value - value.mean())))
    gain = shared / spread
    return gain, float(value.mean() - gain * level.mean()), 1 - shared * gain / (float(value.var()) + 1e-30)


def _turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = float(np.linalg.norm(vector))
    return np.eye(3) if angle < 1e-12 else rotation_matrix(vector / angle, float(np.degrees(angle)))


def _points(part: VoxelValues, rim: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxels (x, y, z) from the middle and their levels: at most so many, on a regular raster."""
    every = max(1, int(np.ceil((part.size / _MOST_POINTS) ** (1 / 3))))
    axes = [np.arange(edge + every // 2, n - edge, every) for n in part.shape for edge in [min(rim, n // 4)]]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    levels = part[tuple(index.T)].astype(np.float64)
    return (index - (np.array(part.shape) - 1) / 2)[:, ::-1].copy(), levels


def _at(volume: VoxelValues, places: NDArray[np.float64]) -> NDArray[np.float64]:
    return ndimage.map_coordinates(volume, places[:, ::-1].T, order=1, mode="nearest").astype(np.float64)


def _sampled(whole: VoxelValues, valid: VolumeMask, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    nearest = np.round(places).astype(np.intp)[:, ::-1]
    inside = np.asarray(((nearest >= 0) & (nearest < np.array(whole.shape))).all(axis=1))
    inside[inside] = valid[tuple(nearest[inside].T)]
    return _at(whole, places), inside


def agreement(part: NewVoxelValues, whole: VoxelValues, pose: Pose, valid: VolumeMask) -> tuple[float, float]:
    """(correlation of the two, of their fine structure) where they overlap: the second tells one scan from another of the same kind.

    Fine structure is what a Gaussian of two voxels takes away.
    """
    index, _ = _points(part)
    found = []
    for fine in (False, True):
        one, other = (_fine(v, 0.5) if fine else v for v in (part, whole))
        levels = _points(one)[1]
        value, inside = _sampled(other, valid, pose.places(index))
        enough = inside.sum() > 100 and levels[inside].std() > 0 and value[inside].std() > 0
        found.append(float(np.corrcoef(levels[inside], value[inside])[0, 1]) if enough else 0.0)
    return found[0], found[1]


def _fine(volume: VoxelValues, sigma: float) -> VoxelValues:
    return _smooth(volume, sigma) - _smooth(volume, 4 * sigma)


def _smooth(volume: VoxelValues, sigma: float) -> VoxelValues:
    return np.asarray(ndimage.gaussian_filter(volume, sigma), dtype=np.float32)
