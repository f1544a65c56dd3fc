"""Small heads from a seed: thin closed walls of bone in faint flesh, air with leaves of bone in it, and dense lumps.

Nothing is measured on a real head. Lengths are shares of the box, as in `kinds_of_volumes`; a wall is at least half a voxel of 64 thick.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ....base.shapes import Volume
from ..smooth_noise import Noise
from .bodies import Body, Triple, above, averaged, ellipsoid, log_uniform, near_zero, rod, rough, turned, wall, within

Shape = tuple[int, int, int]


def skull(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A head, large or small, somewhere in the box: flesh, one to three bony cases, lumps like teeth, arches, and sometimes a tube."""
    rng, size = np.random.default_rng([seed, 20]), min(shape[1:]) * voxel_mm
    large, bone, soft = size * log_uniform(rng, 0.5, 1), float(rng.uniform(0.07, 0.25)), float(rng.uniform(0.012, 0.04))
    middle = (size - large) * rng.uniform(-0.35, 0.35, 3)
    flesh = _flesh(rng, middle, large, soft)
    bodies = [_tube(rng, size)] if rng.random() < 0.3 else []
    bodies.append(flesh)
    for number in range(int(rng.integers(1, 4))):
        half = large * (rng.uniform(0.14, 0.34, 3) if number == 0 else rng.uniform(0.07, 0.2, 3))
        bodies += _case(rng, middle + large * rng.uniform(-0.22, 0.22, 3), half, large, size, bone, soft)
    bodies.append(_splinters(rng, flesh, large, bone))
    for _ in range(int(rng.integers(2, 11))):
        bodies.append(_lump(rng, middle + large * rng.uniform(-0.3, 0.3, 3), large, bone * float(rng.uniform(0.8, 1.5))))
    for _ in range(int(rng.integers(0, 4))):
        bodies += _arch(rng, middle + large * rng.uniform(-0.2, 0.2, 3), large, size, bone)
    return averaged(bodies, shape, voxel_mm, fine)


def _flesh(rng: np.random.Generator, middle: Triple, large: float, soft: float) -> Body:
    """A lump of muscle and fat, whose attenuation differs by some hundredths, or not at all."""
    coarse, depth = Noise.seeded(rng, large * log_uniform(rng, 0.03, 0.15)), float(rng.choice([0.0, 0.05, 0.15]))
    lump = ellipsoid(middle, large * rng.uniform(0.28, 0.46, 3), lambda p: soft * (1 + depth * np.tanh(2 * coarse(p))), turned(rng))
    return rough(lump, Noise.seeded(rng, large * log_uniform(rng, 0.05, 0.25)), large * float(rng.choice([0.008, 0.03])))


def _case(rng: np.random.Generator, at: Triple, half: Triple, large: float, size: float, bone: float, soft: float) -> list[Body]:
    """A closed wall of uneven thickness with windows in it, around flesh or around air; leaves of bone stand in the air."""
    lump = ellipsoid(at, half, 0.0, turned(rng), float(rng.choice([2.0, 2.0, 4.0])))
    outer = rough(lump, Noise.seeded(rng, large * log_uniform(rng, 0.05, 0.2)), large * float(rng.choice([0.005, 0.015, 0.03])))
    thick, uneven = size * log_uniform(rng, 0.008, 0.025), Noise.seeded(rng, large * log_uniform(rng, 0.04, 0.15))
    windows, opened = Noise.seeded(rng, large * log_uniform(rng, 0.03, 0.12)), float(rng.uniform(-2.5, -0.7))
    airy = rng.random() < 0.35
    inside = Body(outer.depth, 0.0 if airy else soft * float(rng.uniform(0.85, 1.1)), outer.center_mm, outer.reach_mm)
    sides = wall(outer, lambda p: thick * np.maximum(1 + 0.6 * uneven(p), 0.6))
    open_at = above(windows, opened)
    bodies = [inside, Body(lambda p: np.minimum(sides(p), open_at(p)), bone, outer.center_mm, outer.reach_mm)]
    if airy or rng.random() < 0.3:
        spacing = large * log_uniform(rng, 0.02, 0.06)
        leaves = near_zero(Noise.seeded(rng, spacing), max(0.25 * size / 64 / (1.6 * spacing), float(rng.uniform(0.12, 0.3))))
        bodies.append(within(outer, leaves, bone * float(rng.uniform(0.4, 1)), thick))
    return bodies


def _splinters(rng: np.random.Generator, flesh: Body, large: float, bone: float) -> Body:
    """Pieces of curved sheets here and there in the flesh."""
    spacing = large * log_uniform(rng, 0.03, 0.1)
    sheets, where = near_zero(Noise.seeded(rng, spacing), float(rng.uniform(0.15, 0.35))), Noise.seeded(rng, 2 * spacing)
    there = above(where, float(rng.uniform(0.6, 2)))
    return within(flesh, lambda p: np.minimum(sheets(p), there(p)), bone * float(rng.uniform(0.6, 1.1)), 0.03 * large)


def _lump(rng: np.random.Generator, at: Triple, large: float, mu: float) -> Body:
    """A dense piece of any direction, round or long."""
    half = large * log_uniform(rng, 0.015, 0.05) * np.array([1.0, rng.uniform(0.6, 1.4), rng.uniform(0.8, 3)])
    return rough(ellipsoid(at, half, mu, turned(rng)), Noise.seeded(rng, large * 0.03), large * float(rng.uniform(0, 0.01)))


def _arch(rng: np.random.Generator, at: Triple, large: float, size: float, bone: float) -> list[Body]:
    """A bent rod, as a jaw or a cheek bone."""
    turn, wide = turned(rng).astype(np.float64), large * rng.uniform(0.06, 0.25, 2)
    bend = np.linspace(0, rng.uniform(1, 3.5), 9)
    path = np.asarray(at) + np.stack([wide[0] * np.cos(bend), wide[1] * np.sin(bend), np.zeros(9)], axis=1) @ turn
    return [rod(a, b, size * log_uniform(rng, 0.007, 0.02), bone) for a, b in pairwise(path)]


def _tube(rng: np.random.Generator, size: float) -> Body:
    """A thin holder of plastic around the axis."""
    radius, half, mu = size * float(rng.uniform(0.4, 0.47)), size * float(rng.uniform(0.004, 0.012)), float(rng.uniform(0.008, 0.03))
    return Body(lambda p: half - np.abs(np.hypot(p[0], p[1]) - radius), mu)
