"""A piece of a phantom's tibia at any resolution, upright and by itself in a drop of muscle: a specimen for the scanner."""

from __future__ import annotations

import numpy as np

from ...base.shapes import NewVolume
from ...geometry import Grid
from .bones import CARTILAGE, CORTEX, MARROW, NOTHING, TRABECULAE
from .leg import MATERIALS, grow_leg

_OFFSET_MM = (0.05, 0.25)  # x, y: where the middle of the tibia is below its head
_PARTS = {
    CORTEX: "tibia cortex", TRABECULAE: "tibia trabeculae", MARROW: "marrow", CARTILAGE: "cartilage", NOTHING: "muscle"
}  # fmt: skip


def tibia_piece(grid: Grid, *, seed: int = 0, t_mm: float = 2.4, radius_mm: float = 1.9) -> NewVolume:
    """Attenuation in 1/mm [z, y, x], one sample a voxel; the grid's middle is ``t_mm`` below the knee, z runs away from it.

    Trabeculae are plates and rods of 60 to 120 um, 0.2 to 0.3 mm apart; the cortex is 0.2 mm thick. Outside ``radius_mm`` there is air.
    """
    bone = grow_leg(seed, 0, 1.0, mirrored=False, holder=False).bone("tibia")
    table = np.zeros(len(_PARTS), np.float32)
    for part, name in _PARTS.items():
        table[part] = MATERIALS[name]
    y, x = (a.ravel() for a in np.meshgrid(grid.y_mm, grid.x_mm, indexing="ij"))
    near = np.flatnonzero(np.hypot(x, y) < radius_mm)
    volume = np.zeros((grid.shape[0], x.size), np.float32)
    for n, z in enumerate(grid.z_mm):
        t = np.full(near.size, t_mm * bone.stretch + z)
        local = np.stack([x[near] + _OFFSET_MM[0], y[near] + _OFFSET_MM[1], t])
        volume[n, near] = table[bone.part(bone.frame.T @ local + bone.origin_mm[:, None])]
    return volume.reshape(grid.shape)
