"""Heads of small mammals from a seed: the bones of `anatomy` in flesh under a skin, and what lies around a head in a scanner.

How much bone there is, how dense beside flesh, and how much it differs from voxel to voxel were set by quantiles of four real heads
(docs/model_cards.md); nothing is copied from them. As those of `heads`, these are for volumes of 96 voxels across and more.
"""

from __future__ import annotations

import numpy as np

from ....base.shapes import Volume
from .anatomy import Frame, braincase, ears, jaws, limb_beside, neck, small_bones, snout
from .around import THIN, covered, muscle, paw, piece, splinters, tube
from .bodies import Body, averaged, log_uniform, rough, turned

Shape = tuple[int, int, int]


def mammal(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A head of any direction, sometimes with vertebrae, legs and paws beside it, a cloth or a tube; parts of it may lack."""
    rng, size = np.random.default_rng([seed, 22]), min(shape[1:]) * voxel_mm
    bone, long_mm = log_uniform(rng, 0.1, 0.25), size * log_uniform(rng, 0.6, 1.15)
    middle = max(size - long_mm, 0.15 * size) * rng.uniform(-0.4, 0.4, 3) * np.array([1, 1, 0.5])
    f = Frame(middle, turned(rng), long_mm, THIN * size, bone, bone * log_uniform(rng, 0.055, 0.15))
    flesh = _flesh(f, rng, size)
    bodies = [tube(rng, size, f.soft)] if rng.random() < 0.4 else []
    bodies += covered(rng, flesh, long_mm, size, f.soft)
    if rng.random() < 0.7:  # an airway
        bodies.append(f.lump((0, 0, -0.12), (0.35, *rng.uniform(0.012, 0.03, 2)), 0.0, (0, float(rng.uniform(-0.2, 0.2)), 0)))
    for _ in range(int(rng.integers(0, 4))):
        bodies += limb_beside(f, rng)
    for part in (neck, braincase, small_bones, ears, snout, jaws):
        if rng.random() < 0.92:
            bodies += part(f, rng)
    if rng.random() < 0.3:
        bodies.append(splinters(rng, flesh, long_mm, size, bone))
    for _ in range(int(rng.integers(0, 6))):
        bodies += piece(rng, middle + long_mm * rng.uniform(-0.3, 0.3, 3), long_mm * log_uniform(rng, 0.012, 0.05), size, bone, f.soft)
    for _ in range(int(rng.integers(0, 3))):
        bodies += paw(rng, middle + long_mm * rng.uniform(-0.6, 0.6, 3), long_mm, size, bone, f.soft)
    return averaged(bodies, shape, voxel_mm, fine)


def _flesh(f: Frame, rng: np.random.Generator, size: float) -> Body:
    """The muscles of head, cheeks and neck as one lump with a rough surface."""
    mu = muscle(rng, f.long_mm, size, f.soft)
    lumps = [
        f.lump((-0.1, 0, 0), rng.uniform((0.3, 0.22, 0.2), (0.42, 0.32, 0.3)), mu),
        f.lump((0.2, 0, -0.03), rng.uniform((0.26, 0.13, 0.14), (0.36, 0.2, 0.22)), mu),
        f.lump((-0.4, 0, -0.08), rng.uniform(0.15, 0.3, 3), mu, rng.uniform(-0.4, 0.4, 3)),
    ]
    x, y, z = map(float, f.middle_mm)
    whole = Body(lambda p: np.maximum.reduce([lump.depth(p) for lump in lumps]), mu, (x, y, z), 0.9 * f.long_mm)
    return rough(whole, f.noise(rng, 0.08, 0.3), f.long_mm * float(rng.choice([0.01, 0.02, 0.04])))
