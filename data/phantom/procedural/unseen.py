"""Scenes that no weights are trained on: a tooth and a chest, to test on what training has not seen."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ....base.shapes import Points, Volume
from ..smooth_noise import Noise
from .bodies import Body, Depths, averaged, ball, ellipsoid, rod, rough, within

Shape = tuple[int, int, int]


def tooth(shape: Shape, voxel_mm: float, seed: int) -> Volume:
    """A tooth in air: homogeneous dentine with a tapering root, a cap of enamel, and a pulp cavity. Its axis is z."""
    rng, size = np.random.default_rng([seed, 30]), min(shape) * voxel_mm
    crown, thick = size * rng.uniform(0.27, 0.33), size * rng.uniform(0.03, 0.06)
    flat = rng.uniform(0.7, 1.0)
    wobble = rough(ball((0, 0, 0), size, 0.0), Noise.seeded(rng, size * 0.1), size * 0.012)

    def depth(p: Points) -> Depths:
        """Below the surface of the whole tooth."""
        height = np.clip(p[2] / size + 0.5, 0, 1)
        radius = (
            crown * (0.25 + 0.75 * np.clip(height / 0.65, 0, 1) ** 0.8) * np.sqrt(np.clip(1 - ((height - 0.6) / 0.36).clip(0) ** 2, 0, 1))
        )
        side = (radius - np.hypot(p[0], p[1] / flat)) * flat
        return np.minimum(side, size * np.minimum(height - 0.06, 0.95 - height)) + (wobble.depth(p) - (size - np.sqrt((p**2).sum(axis=0))))

    whole = Body(depth, float(rng.uniform(0.11, 0.14)))
    enamel = Body(lambda p: np.minimum(depth(p), p[2] - 0.05 * size + 0.04 * np.abs(p[0])), float(rng.uniform(0.24, 0.28)))
    dentine = Body(lambda p: np.where(p[2] > 0.05 * size, depth(p) - thick, depth(p)), whole.mu)
    pulp = rod(np.array([0, 0, -0.36 * size]), np.array([0, 0, 0.06 * size]), size * float(rng.uniform(0.025, 0.045)), 0.03)
    return averaged([whole, enamel, dentine, pulp], shape, voxel_mm)


def chest(shape: Shape, voxel_mm: float, seed: int) -> Volume:
    """A chest: soft tissue with fat, lungs with vessels and nodules, heart, spine and ribs. Its axis is z.

    The attenuation is that of a body 6 units thick at its middle, whatever the size of the box: 0.02 1/mm at 300 mm.
    """
    rng, size = np.random.default_rng([seed, 31]), min(shape) * voxel_mm
    unit = 6 / size
    wide, deep = 0.45 * size, size * float(rng.uniform(0.3, 0.34))
    body = ellipsoid((0, 0, 0), (wide, deep, 2 * size), 0.9 * unit, sharp=2.5)
    muscle = Body(lambda p: body.depth(p) - 0.02 * size, unit)
    bodies = [body, muscle]
    for side in (-1, 1):
        middle = (side * 0.21 * size, -0.01 * size, 0.0)
        lung = rough(ellipsoid(middle, (0.15 * size, 0.21 * size, 0.42 * size), 0.27 * unit), Noise.seeded(rng, 0.08 * size), 0.01 * size)
        bodies.append(lung)
        root = np.array([side * 0.08 * size, 0.0, 0.0])
        for tip in rng.uniform(-1, 1, (14, 3)) * (0.13 * size, 0.17 * size, 0.35 * size) + middle:
            vessel = rod(root, tip, size * float(rng.uniform(0.006, 0.016)), unit)
            bodies.append(within(vessel, lung.depth, unit))
        for spot in rng.uniform(-0.6, 0.6, (3, 3)) * (0.13 * size, 0.17 * size, 0.3 * size) + middle:
            bodies.append(ball(spot, size * float(rng.uniform(0.01, 0.025)), unit))
    heart = ellipsoid((0.06 * size, 0.1 * size, -0.1 * size), (0.12 * size, 0.1 * size, 0.16 * size), 1.05 * unit)
    bodies += [heart, rod(np.array([0, -0.19, -2]) * size, np.array([0, -0.19, 2]) * size, 0.05 * size, 1.9 * unit)]
    bodies.append(rod(np.array([0, -0.19, -2]) * size, np.array([0, -0.19, 2]) * size, 0.035 * size, 1.4 * unit))
    for level in np.arange(-0.45, 0.5, 0.11) * size:  # ribs: rods along half an ellipse just below the skin
        turn = np.linspace(-2.6, 2.6, 22)
        ring = np.stack([0.39 * size * np.sin(turn), 0.26 * size * np.cos(turn), level + 0.05 * size * np.cos(turn)], axis=1)
        bodies += [rod(a, b, 0.011 * size, 1.7 * unit) for a, b in pairwise(ring)]
    return averaged(bodies, shape, voxel_mm)
