"""A linear map from what a method makes to a reference: an offset and a small filter, by least squares on training animals.

Most of the distance between two reconstructions is often a grey scale and a smoothing, which anyone can learn from a few examples with a
hundred numbers. What is left after such a map is what a method knows beyond that.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ....base import InputError
from ....base.shapes import Float, FloatVolume, Volume, VolumeMask

SIDE = 5  # voxels: the filter has SIDE^3 weights for each volume, 125, and one offset
_BLOCK = 4096  # voxels whose neighbourhoods are in memory at once


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """What least squares needs to know of one animal: the products of all inputs (``gram``) and of inputs and reference (``right``).

    The inputs are the ``channels`` x ``side``^3 neighbours of a voxel, and 1 for the offset. Equations of several animals are added.
    """

    gram: Float[NDArray[np.float64], "n n"]
    right: Float[NDArray[np.float64], "n"]
    channels: int
    side: int = SIDE

    def __add__(self, other: NormalEquations) -> NormalEquations:
        if (self.channels, self.side) != (other.channels, other.side):
            raise InputError(f"{other.channels} volumes, side {other.side}", expected=f"{self.channels} and {self.side}, as for the others")
        return NormalEquations(self.gram + other.gram, self.right + other.right, self.channels, self.side)


@dataclass(frozen=True, eq=False)
class LinearMap:
    """The ``weights`` of each volume's neighbourhood and the ``offset`` in 1/mm."""

    weights: Float[NDArray[np.float64], "channel k k k"]
    offset: float

    def __call__(self, channels: Sequence[FloatVolume]) -> Volume:
        """The mapped volume; at its faces the outermost voxels are repeated."""
        if len(channels) != len(self.weights):
            raise InputError(f"{len(channels)} volumes", expected=f"{len(self.weights)}, as many as the map was fitted to")
        parts = (ndimage.correlate(v.astype(np.float64), w, mode="nearest") for v, w in zip(channels, self.weights, strict=True))
        return np.asarray(sum(parts) + self.offset, dtype=np.float32)


def normal_equations(channels: Sequence[FloatVolume], reference: FloatVolume, inside: VolumeMask, side: int = SIDE) -> NormalEquations:
    """The normal equations of a map from the ``channels`` to the ``reference``, over the voxels of ``inside``."""
    half, where = side // 2, np.argwhere(inside)
    padded = [np.pad(np.asarray(v, np.float64), half, mode="edge") for v in channels]
    shifts = list(itertools.product(range(side), repeat=3))
    count = len(channels) * len(shifts) + 1
    gram, right = np.zeros((count, count)), np.zeros(count)
    for start in range(0, len(where), _BLOCK):
        z, y, x = where[start : start + _BLOCK].T
        columns = [v[z + dz, y + dy, x + dx] for v in padded for dz, dy, dx in shifts]
        inputs = np.stack([*columns, np.ones(len(z))], axis=1)
        gram += inputs.T @ inputs
        right += inputs.T @ reference[z, y, x].astype(np.float64)
    return NormalEquations(gram, right, len(channels), side)


def solved(equations: NormalEquations) -> LinearMap:
    """The filter and the offset with the least squared error; of all such (a blank volume has many) the smallest one."""
    found = _least_squares(equations.gram, equations.right)
    side = equations.side
    return LinearMap(found[:-1].reshape(equations.channels, side, side, side), float(found[-1]))


def grey_map(equations: NormalEquations) -> LinearMap:
    """The gain of each volume and the offset with the least squared error: the same without neighbours."""
    side = equations.side
    middle = side**3 // 2
    kept = [c * side**3 + middle for c in range(equations.channels)] + [len(equations.right) - 1]
    found = _least_squares(equations.gram[np.ix_(kept, kept)], equations.right[kept])
    return LinearMap(found[:-1].reshape(-1, 1, 1, 1), float(found[-1]))


def _least_squares(gram: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = np.sqrt(np.diag(gram)) + 1e-12 * np.sqrt(np.trace(gram))  # so that volumes in 1/mm and the offset weigh alike
    scaled = np.linalg.lstsq(gram / np.outer(scale, scale), right / scale, rcond=1e-9)[0]
    return scaled / scale
