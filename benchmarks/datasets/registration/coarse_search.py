"""Which way round a volume lies in another, and roughly where: normalised correlation over all shifts, for every orientation tried.

Templates in a larger image, as J.P. Lewis does it (Fast normalized cross-correlation, Vision Interface 1995): the sums under the template
come from Fourier transforms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft as scipy_fft
from scipy import ndimage

from ....base.shapes import NewVoxelValues, VoxelValues
from ....geometry.transform import rotation_matrix

fft: Any = scipy_fft  # its own stubs speak of dispatch, not of arrays
_STEP_DEG = 30.0  # between turns about z; a start 15 deg off is near enough for the fit


@dataclass(frozen=True, eq=False)
class Start:
    """A guess: a step of one voxel (x, y, z) of the part is ``turn`` @ step in the whole, ``middle`` (x, y, z) is where the middle voxel of
    the part lies in the whole, in voxels, and ``correlation`` is from -1 to 1 (below 0: the grey levels run backwards).
    """

    turn: NDArray[np.float64]
    middle: NDArray[np.float64]
    correlation: float

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged."""
        return float(np.linalg.det(self.turn)) < 0


def orientations(axial: bool) -> Iterator[NDArray[np.float64]]:
    """Matrices (3, 3) of the directions tried: all turns about z by 30 deg, upside down or not, mirrored or not.

    ``axial`` False: those in which the slices of the part are not perpendicular to z instead.
    """
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            swap = np.zeros((3, 3))
            swap[list(order), range(3)] = signs  # axis i of the part runs along axis order[i] of the whole
            if (order[2] == 2) == axial and signs[order.index(0)] > 0 and order.index(0) < order.index(1):  # the rest are turns of these
                for angle in np.arange(0, 360, _STEP_DEG):
                    yield rotation_matrix((0, 0, 1), float(angle)) @ swap


def search(part: NewVoxelValues, whole: VoxelValues, *, axial: bool = True, most: int = 4) -> list[Start]:
    """The best guesses of where ``part`` lies in ``whole``, [z, y, x] in any unit with the same voxels; half of them of each handedness.

    What is outside ``whole`` is taken as 0, air.
    """
    diagonal = float(np.linalg.norm(part.shape[1:] if axial else part.shape))
    reach = [part.shape[0] if axial else diagonal, diagonal, diagonal]
    size = [fft.next_fast_len(n + int(np.ceil(r)) + 1, real=True) for n, r in zip(whole.shape, reach, strict=True)]
    seen, squares = fft.rfftn(whole, size), fft.rfftn(whole * whole, size)
    found = []
    for turn in orientations(axial):
        template, box, low = _turned(part, turn)
        start = _best_shift(template, box, low, seen, squares, size)
        found.append(Start(turn, *start))
    found.sort(key=lambda s: -abs(s.correlation))
    best: list[Start] = []
    for handed in (False, True):
        best += [s for s in found if s.mirrored == handed][: -(-most // 2)]
    return sorted(best, key=lambda s: -abs(s.correlation))


def _turned(part: VoxelValues, turn: NDArray[np.float64]) -> tuple[NewVoxelValues, NewVoxelValues, NDArray[np.float64]]:
    """The part turned, the mask of its box, and where its middle is in that array (z, y, x)."""
    flip = turn[::-1, ::-1]
    shape = np.ceil(np.abs(flip) @ np.array(part.shape) - 1e-6).astype(int)
    middle = (shape - 1) / 2
    back = flip.T
    offset = (np.array(part.shape) - 1) / 2 - back @ middle
    values = ndimage.affine_transform(part, back, offset.tolist(), output_shape=tuple(shape), order=1, cval=np.nan)  # type: ignore[arg-type]
    box = np.isfinite(values)
    return np.where(box, values, 0).astype(np.float32), box.astype(np.float32), middle


def _best_shift(
    template: VoxelValues, box: VoxelValues, middle: NDArray[np.float64], seen: NDArray, squares: NDArray, size: list[int]
) -> tuple[NDArray[np.float64], float]:
    """(where the middle of the part lies (x, y, z), correlation) at the shift of the largest correlation, of either sign."""
    count = float(box.sum())
    centred = (template - template.sum() / count) * box
    one, other = fft.rfftn(centred, size).conj(), fft.rfftn(box, size).conj()
    product, total, square = (fft.irfftn(a, size) for a in (seen * one, seen * other, squares * other))
    spread = np.sqrt(np.maximum(square - total**2 / count, 0)) * np.sqrt(float((centred**2).sum()))
    good = spread > 0.05 * spread.max()  # empty air correlates with anything
    score = np.where(good, product / np.where(good, spread, 1), 0)
    place = np.array(np.unravel_index(int(np.abs(score).argmax()), score.shape))
    best = float(score[tuple(place)])
    shift = np.where(place > np.array(size) - np.array(template.shape), place - np.array(size), place)
    return (shift + middle)[::-1].astype(np.float64), best
