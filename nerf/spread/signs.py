"""Signs of a large error in a voxel: contrast around it, what the volume leaves of the views there, and numbers about the scan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from ...base.shapes import Float, Volume
from ...data import Projections
from ...geometry import Grid
from ..patchwise.inputs import facts, grey_scale, left_over

BOXES = (3, 9)  # voxels across the boxes around a voxel
FAINT = 0.01  # of the grey scale of the object: what is below this is as good as nothing
LOCAL = 6  # signs of the voxel itself
TOLD = (0, 3)  # which numbers of `facts` count: that of the views, and the noise; of others there are too few in the scans to learn from
SIGNS = 1 + LOCAL + len(TOLD) + LOCAL * (LOCAL + 1) // 2
SLAB_VOXELS = 1 << 20  # at a time


def slabs_of_signs(
    projections: Projections, grid: Grid, volume: Volume
) -> Iterator[tuple[slice, float, Float[NDArray[np.float32], "sign z y x"]]]:
    """For a few slices after the others: which, the grey scale in 1/mm, and the signs of their voxels; nothing for an empty volume."""
    scale = grey_scale(volume)
    if scale == 0:
        return
    rest = left_over(projections, grid, volume)
    told = facts(projections, grid, scale, 0.006)[list(TOLD)]
    halo = max(BOXES) // 2
    slices = max(1, SLAB_VOXELS // (volume.shape[1] * volume.shape[2]))
    for top in range(0, len(volume), slices):
        here = slice(top, min(top + slices, len(volume)))
        wide = slice(max(here.start - halo, 0), here.stop + halo)
        own = slice(here.start - wide.start, here.stop - wide.start)
        yield here, scale, signs_of(volume[wide] / np.float32(scale), rest[wide] / np.float32(scale), told, own)


def signs_of(
    volume: Float[NDArray[np.float32], "z2 y x"],
    rest: Float[NDArray[np.float32], "z2 y x"],
    told: Float[NDArray[np.float32], "told"],
    own: slice,
) -> Float[NDArray[np.float32], "sign z y x"]:
    """The signs of each voxel of the slices ``own``, from a volume and the back-projection of what it leaves of the views (dimensionless:
    divided by the grey scale). They are logarithms, their products, and a one.
    """

    def around(x: NDArray[np.float32], edge: int) -> NDArray[np.float32]:
        return np.asarray(uniform_filter(x, edge, mode="nearest"), np.float32)

    local = []
    for edge in BOXES:
        variance = around(volume**2, edge) - around(volume, edge) ** 2
        local += [np.log(np.maximum(variance, 0) + FAINT**2) / 2, np.log(around(rest**2, edge) + FAINT**2) / 2]
    near = around(volume, BOXES[0])
    local += [np.log(np.maximum(near, 0) + 0.05), np.log(np.abs(volume - near) + FAINT)]
    centred = [(x + np.float32(2))[own] for x in local]  # about zero, so that products say something of their own
    facts_here = [np.full_like(centred[0], number) for number in told]
    products = [a * b for a, b in combinations_with_replacement(centred, 2)]
    return np.stack([np.ones_like(centred[0]), *centred, *facts_here, *products]).astype(np.float32)
