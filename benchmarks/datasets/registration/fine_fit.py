"""The place of a volume in another to a small share of a voxel: rotation, shift, scale and grey map at once, by least squares.

On smoothed volumes first, by `fewview.data.volumes.rigid_fit`: nothing has to be known of the grey levels, and nothing is random.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ....base.shapes import Float, NewVoxelValues, VolumeMask, VoxelValues
from ....data.volumes.rigid_fit import Similarity, fit_motion, inside_of, sampled
from ....geometry import Grid

_MOST_POINTS = 100_000
_TOLERATED = 0.5  # of the range of grey values: all places count, as most of them are air


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
    start = Similarity(pose.turn, pose.middle, pose.scale)
    motion = fit_motion(
        whole, _in_voxels(whole), index, levels, start, valid=valid, freedoms=6 if rigid else 7, tolerated=_TOLERATED
    ).motion
    found = Pose(motion.rotation, motion.shift, motion.scale, pose.gain, pose.offset)
    value, inside = _sampled(whole, valid, found.places(index))
    return replace(found, **_grey_map(levels[inside], value)) if inside.any() else pose


def _grey_map(level: NDArray[np.float64], value: NDArray[np.float64]) -> dict[str, float]:
    """The factor and the offset that map levels to values best."""
    gain = float(np.mean((level - level.mean()) * (value - value.mean()))) / (float(level.var()) + 1e-30)
    return {"gain": gain, "offset": float(value.mean() - gain * level.mean())}


def _points(part: VoxelValues, rim: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxels (x, y, z) from the middle and their levels: at most so many, on a regular raster."""
    every = max(1, int(np.ceil((part.size / _MOST_POINTS) ** (1 / 3))))
    axes = [np.arange(edge + every // 2, n - edge, every) for n in part.shape for edge in [min(rim, n // 4)]]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    levels = part[tuple(index.T)].astype(np.float64)
    return (index - (np.array(part.shape) - 1) / 2)[:, ::-1].copy(), levels


def _in_voxels(volume: VoxelValues) -> Grid:
    """A grid whose mm are voxels, counted from the first."""
    nz, ny, nx = volume.shape
    return Grid((nz, ny, nx), 1.0, ((nx - 1) / 2, (ny - 1) / 2, (nz - 1) / 2))


def _sampled(whole: VoxelValues, valid: VolumeMask, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(values at the places that are valid, which of them are)."""
    grid = _in_voxels(whole)
    inside = inside_of(valid, grid, places)
    return sampled(whole, grid, places[inside]), inside


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
        enough = inside.sum() > 100 and levels[inside].std() > 0 and value.std() > 0
        found.append(float(np.corrcoef(levels[inside], value)[0, 1]) if enough else 0.0)
    return found[0], found[1]


def _fine(volume: VoxelValues, sigma: float) -> VoxelValues:
    return _smooth(volume, sigma) - _smooth(volume, 4 * sigma)


def _smooth(volume: VoxelValues, sigma: float) -> VoxelValues:
    return np.asarray(ndimage.gaussian_filter(volume, sigma), dtype=np.float32)
