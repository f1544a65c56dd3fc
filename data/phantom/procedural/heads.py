"""Heads of small animals from a seed, finer than `skulls`: walls of bone, some of one voxel of 128, and thin sheets in flesh and in air.

Contrast and texture were set after a look at four real heads and at quantiles of their grey values and gradients (docs/model_cards.md);
nothing is copied from them. Lengths are shares of the box. What is thinnest is half a voxel of 128 thick, so that these are for
volumes of 96 voxels across and more.
"""

from __future__ import annotations

import numpy as np

from ....base.shapes import Floats, Points, Volume
from ..smooth_noise import Noise
from .bodies import Body, Field, above, averaged, ellipsoid, log_uniform, rod, rough, sheets, turned, wall, within

Shape = tuple[int, int, int]
THIN = 1 / 256  # of the box: the thinnest thing that is drawn


def head(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A head beside the axis: flesh under a skin, bony cases, granular and hollow bones, a paw, and now and then a tube or a cloth."""
    rng, size = np.random.default_rng([seed, 21]), min(shape[1:]) * voxel_mm
    large, bone = size * log_uniform(rng, 0.5, 1), log_uniform(rng, 0.1, 0.3)
    soft = bone * log_uniform(rng, 0.06, 0.16)
    middle = (size - large) * rng.uniform(-0.4, 0.4, 3) * np.array([1, 1, 0.3])
    flesh, around = _flesh(rng, middle, large, size, soft)
    bodies = [_tube(rng, size, soft)] if rng.random() < 0.4 else []
    bodies += around
    for number in range(int(rng.integers(2, 9))):
        half = large * (rng.uniform(0.14, 0.34, 3) if number == 0 else rng.uniform(0.05, 0.18, 3))
        bodies += _case(rng, middle + large * rng.uniform(-0.24, 0.24, 3), half, large, size, bone, soft)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        bodies.append(_granular(rng, middle + large * rng.uniform(-0.25, 0.25, 3), large, size, bone))
    if rng.random() < 0.7:
        bodies.append(_splinters(rng, flesh, large, size, bone))
    for _ in range(int(rng.integers(4, 20))):
        bodies += _piece(rng, middle + large * rng.uniform(-0.33, 0.33, 3), large * log_uniform(rng, 0.015, 0.1), size, bone, soft)
    for _ in range(int(rng.integers(0, 3))):
        bodies += _paw(rng, middle + large * rng.uniform(-0.6, 0.6, 3), large, size, bone, soft)
    return averaged(bodies, shape, voxel_mm, fine)


def _uneven(rng: np.random.Generator, mu: float, spacing: float) -> Field:
    """An attenuation that differs from place to place by a few tenths."""
    noise, depth = Noise.seeded(rng, spacing), float(rng.uniform(0.0, 0.3))
    return lambda p: mu * (1 + depth * np.tanh(noise(p)))


def _flesh(rng: np.random.Generator, middle: Floats, large: float, size: float, soft: float) -> tuple[Body, list[Body]]:
    """A lump of muscle under a skin with thin sheets of fat in it, and what lies loosely around it."""
    fat, coarse = soft * float(rng.uniform(0.5, 1.0)), Noise.seeded(rng, large * log_uniform(rng, 0.03, 0.15))
    grain, rough_by, depth = Noise.seeded(rng, size * log_uniform(rng, 0.006, 0.02)), *rng.uniform(0, 0.06, 2)

    def muscle(p: Points) -> Floats:
        return soft * (1 + depth * np.tanh(2 * coarse(p)) + rough_by * grain(p))

    lump = ellipsoid(middle, large * rng.uniform(0.28, 0.46, 3), muscle, turned(rng))
    body = rough(lump, Noise.seeded(rng, large * log_uniform(rng, 0.06, 0.3)), large * float(rng.choice([0.01, 0.04, 0.08])))
    parts = [_cloth(rng, middle, large, size, soft)] if rng.random() < 0.4 else []
    parts.append(body)
    if rng.random() < 0.6:  # fat between muscles
        spacing = large * log_uniform(rng, 0.06, 0.2)
        parts.append(within(body, sheets(Noise.seeded(rng, spacing), THIN * size * log_uniform(rng, 1, 3)), fat))
    if rng.random() < 0.6:  # a layer of fat below the skin
        deep, thick, wavy = *(THIN * size * rng.uniform((1, 1.5), (3, 5))), Noise.seeded(rng, 0.15 * large)
        inner = Body(lambda p: body.depth(p) - deep, 0.0)
        parts.append(Body(wall(inner, lambda p: thick * (1 + 0.8 * wavy(p))), fat, body.center_mm, body.reach_mm))
    return body, parts


def _cloth(rng: np.random.Generator, middle: Floats, large: float, size: float, soft: float) -> Body:
    """Pieces of a thin faint sheet in the air around the head: a cloth, or loose skin."""
    spacing = large * log_uniform(rng, 0.1, 0.4)
    wide = ellipsoid(middle, large * rng.uniform(0.45, 0.65, 3), 0.0, turned(rng))
    sheet = sheets(Noise.seeded(rng, spacing), THIN * size * float(rng.uniform(0.7, 1.5)))
    partly = above(Noise.seeded(rng, spacing), float(rng.uniform(-0.5, 0.8)))
    return within(wide, lambda p: np.minimum(sheet(p), partly(p)), soft * float(rng.uniform(0.3, 1.0)))


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


def _splinters(rng: np.random.Generator, flesh: Body, large: float, size: float, bone: float) -> Body:
    """Pieces of thin curved sheets here and there in the flesh."""
    spacing = large * log_uniform(rng, 0.03, 0.12)
    thin = sheets(Noise.seeded(rng, spacing), size * log_uniform(rng, THIN, 0.025))
    there = above(Noise.seeded(rng, 2 * spacing), float(rng.uniform(0.6, 2)))
    return within(flesh, lambda p: np.minimum(thin(p), there(p)), bone * float(rng.uniform(0.9, 1.1)), 0.03 * large)


def _piece(rng: np.random.Generator, at: Floats, radius: float, size: float, bone: float, soft: float) -> list[Body]:
    """A bone or a tooth: round or long, solid or hollow."""
    half = np.maximum(radius * np.array([1.0, rng.uniform(0.6, 1.4), rng.uniform(0.8, 3.5)]), THIN * size)
    mu = bone * float(rng.uniform(0.4, 1.3))
    whole = rough(ellipsoid(at, half, mu, turned(rng)), Noise.seeded(rng, radius), radius * float(rng.uniform(0, 0.15)))
    if rng.random() < 0.5:
        return [whole]
    cortex = float(np.clip(radius * rng.uniform(0.2, 0.6), THIN * size, None))
    marrow = float(rng.uniform(soft, bone * 0.6))
    return [whole, Body(lambda p: whole.depth(p) - cortex, marrow, whole.center_mm, whole.reach_mm)]


def _paw(rng: np.random.Generator, at: Floats, large: float, size: float, bone: float, soft: float) -> list[Body]:
    """Short rods of bone side by side in a little flesh, which often lies in the air beside the head."""
    wide, turn = large * log_uniform(rng, 0.03, 0.12), turned(rng).astype(np.float64)
    bodies = [ellipsoid(at, wide * rng.uniform(1, 1.8, 3), soft * float(rng.uniform(0.7, 1)), turned(rng))]
    for _ in range(int(rng.integers(3, 13))):
        begin = at + wide * rng.uniform(-1, 1, 3)
        end = begin + wide * float(rng.uniform(0.2, 1.2)) * (turn[0] + 0.3 * rng.standard_normal(3))
        bodies.append(rod(begin, end, max(wide * log_uniform(rng, 0.08, 0.3), THIN * size), bone * float(rng.uniform(0.9, 1.1))))
    return bodies


def _tube(rng: np.random.Generator, size: float, soft: float) -> Body:
    """A thin holder around the axis, whole or a part of it."""
    radius, half, mu = size * float(rng.uniform(0.3, 0.47)), size * log_uniform(rng, 0.5 * THIN, 0.01), soft * float(rng.uniform(0.15, 0.8))
    cut, far = turned(rng)[0], float(rng.uniform(-1.2, 0.5)) * radius
    return Body(lambda p: np.minimum(half - np.abs(np.hypot(p[0], p[1]) - radius), cut[0] * p[0] + cut[1] * p[1] - far), mu)
