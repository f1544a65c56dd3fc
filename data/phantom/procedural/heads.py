"""Heads of small animals from a seed, finer than `skulls`: walls of bone, some of one voxel of 128, and thin sheets in flesh and in air.

Contrast and texture were set after a look at four real heads and at quantiles of their grey values and gradients (docs/model_cards.md);
nothing is copied from them. Lengths are shares of the box. What is thinnest is half a voxel of 128 thick, so that these are for
volumes of 96 voxels across and more.
"""

from __future__ import annotations

import numpy as np

from ....base.shapes import Floats, Volume
from ..smooth_noise import Noise
from .around import THIN, covered, muscle, paw, piece, splinters, tube
from .bodies import Body, Field, above, averaged, ellipsoid, log_uniform, rough, sheets, turned, wall, within

Shape = tuple[int, int, int]


def head(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A head beside the axis: flesh under a skin, bony cases, granular and hollow bones, a paw, and now and then a tube or a cloth."""
    rng, size = np.random.default_rng([seed, 21]), min(shape[1:]) * voxel_mm
    large, bone = size * log_uniform(rng, 0.5, 1), log_uniform(rng, 0.1, 0.3)
    soft = bone * log_uniform(rng, 0.06, 0.16)
    middle = (size - large) * rng.uniform(-0.4, 0.4, 3) * np.array([1, 1, 0.3])
    flesh = _flesh(rng, middle, large, size, soft)
    bodies = [tube(rng, size, soft)] if rng.random() < 0.4 else []
    bodies += covered(rng, flesh, large, size, soft)
    for number in range(int(rng.integers(2, 9))):
        half = large * (rng.uniform(0.14, 0.34, 3) if number == 0 else rng.uniform(0.05, 0.18, 3))
        bodies += _case(rng, middle + large * rng.uniform(-0.24, 0.24, 3), half, large, size, bone, soft)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        bodies.append(_granular(rng, middle + large * rng.uniform(-0.25, 0.25, 3), large, size, bone))
    if rng.random() < 0.7:
        bodies.append(splinters(rng, flesh, large, size, bone))
    for _ in range(int(rng.integers(4, 20))):
        bodies += piece(rng, middle + large * rng.uniform(-0.33, 0.33, 3), large * log_uniform(rng, 0.015, 0.1), size, bone, soft)
    for _ in range(int(rng.integers(0, 3))):
        bodies += paw(rng, middle + large * rng.uniform(-0.6, 0.6, 3), large, size, bone, soft)
    return averaged(bodies, shape, voxel_mm, fine)


def _uneven(rng: np.random.Generator, mu: float, spacing: float) -> Field:
    """An attenuation that differs from place to place by a few tenths."""
    noise, depth = Noise.seeded(rng, spacing), float(rng.uniform(0.0, 0.3))
    return lambda p: mu * (1 + depth * np.tanh(noise(p)))


def _flesh(rng: np.random.Generator, middle: Floats, large: float, size: float, soft: float) -> Body:
    """A lump of muscle with a rough surface."""
    lump = ellipsoid(middle, large * rng.uniform(0.28, 0.46, 3), muscle(rng, large, size, soft), turned(rng))
    return rough(lump, Noise.seeded(rng, large * log_uniform(rng, 0.06, 0.3)), large * float(rng.choice([0.01, 0.04, 0.08])))


def _case(rng: np.random.Generator, at: Floats, half: Floats, large: float, size: float, bone: float, soft: float) -> list[Body]:
    """A closed wall, uneven in thickness and density and with windows, around flesh or air with leaves in it."""
    lump = ellipsoid(at, half, 0.0, turned(rng), float(rng.choice([2.0, 2.0, 3.0])))
    outer = rough(lump, Noise.seeded(rng, large * log_uniform(rng, 0.05, 0.25)), large * float(rng.choice([0.004, 0.012, 0.03])))
    thick, uneven = large * log_uniform(rng, 0.015, 0.06), Noise.seeded(rng, large * log_uniform(rng, 0.05, 0.25))
    windows, opened = Noise.seeded(rng, large * log_uniform(rng, 0.05, 0.2)), float(rng.uniform(-4, -1))
    airy = rng.random() < 0.3
    inside = Body(outer.depth, 0.0 if airy else soft * float(rng.uniform(0.85, 1.1)), outer.center_mm, outer.reach_mm)
    amount = float(rng.uniform(0.05, 0.5))
    sides = wall(outer, lambda p: np.maximum(thick * (1 + amount * uneven(p)), THIN * size))
    open_at = above(windows, opened)
    dense = _uneven(rng, bone * float(rng.uniform(0.35, 1.05)), size * log_uniform(rng, 0.02, 0.1))
    bodies = [inside, Body(lambda p: np.minimum(sides(p), open_at(p)), dense, outer.center_mm, outer.reach_mm)]
    if airy or rng.random() < 0.3:
        spacing = large * log_uniform(rng, 0.04, 0.12)
        leaves = sheets(Noise.seeded(rng, spacing), size * log_uniform(rng, THIN, 0.02))
        bodies.append(within(outer, leaves, bone * float(rng.uniform(0.4, 1)), thick))
    return bodies


def _granular(rng: np.random.Generator, at: Floats, large: float, size: float, bone: float) -> Body:
    """A plate or lump of small grains of bone that nearly touch."""
    region = ellipsoid(at, large * np.sort(rng.uniform(0.02, 0.2, 3)), bone, turned(rng))
    grains = above(Noise.seeded(rng, size * log_uniform(rng, 0.006, 0.016)), float(rng.uniform(-0.2, 1)))
    return within(region, grains, bone * float(rng.uniform(0.5, 1)))
