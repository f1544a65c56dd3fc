"""What the heads of `heads` and of `mammals` have in common: fat in flesh, splinters, small bones, and what lies beside a head.

``size`` is the shorter edge of a slice and ``large`` the size of the head, both in mm; ``bone`` and ``soft`` are attenuations in 1/mm.
"""

from __future__ import annotations

import numpy as np

from ....base.shapes import Floats
from ..smooth_noise import Noise
from .bodies import Body, Field, above, beneath, ellipsoid, log_uniform, rod, rough, sheets, turned, wall, within

THIN = 1 / 256  # of the shorter edge of a slice: the thinnest thing that is drawn


def muscle(rng: np.random.Generator, large: float, size: float, soft: float) -> Field:
    """The attenuation of flesh, which differs by some hundredths from muscle to muscle and from grain to grain."""
    coarse, grain = Noise.seeded(rng, large * log_uniform(rng, 0.03, 0.15)), Noise.seeded(rng, size * log_uniform(rng, 0.006, 0.02))
    depth, rough_by = rng.uniform(0, 0.06, 2)
    return lambda p: soft * (1 + depth * np.tanh(2 * coarse(p)) + rough_by * grain(p))


def covered(rng: np.random.Generator, body: Body, large: float, size: float, soft: float) -> list[Body]:
    """A lump of muscle with thin sheets of fat in it, and a layer of fat below its skin; either may lack, and a cloth may lie around."""
    fat, parts = soft * float(rng.uniform(0.5, 1.0)), [cloth(rng, body, large, size, soft)] if rng.random() < 0.4 else []
    parts.append(body)
    if rng.random() < 0.6:
        spacing = large * log_uniform(rng, 0.06, 0.2)
        parts.append(within(body, sheets(Noise.seeded(rng, spacing), THIN * size * log_uniform(rng, 1, 3)), fat))
    if rng.random() < 0.6:
        deep, thick, wavy = *(THIN * size * rng.uniform((1, 1.5), (3, 5))), Noise.seeded(rng, 0.15 * large)
        inner = beneath(body, deep, 0.0)
        parts.append(Body(wall(inner, lambda p: thick * (1 + 0.8 * wavy(p))), fat, body.center_mm, body.reach_mm))
    return parts


def cloth(rng: np.random.Generator, body: Body, large: float, size: float, soft: float) -> Body:
    """Pieces of a thin faint sheet in the air around the head: a cloth, or loose skin."""
    spacing = large * log_uniform(rng, 0.1, 0.4)
    wide = ellipsoid(body.center_mm, large * rng.uniform(0.45, 0.65, 3), 0.0, turned(rng))
    sheet = sheets(Noise.seeded(rng, spacing), THIN * size * float(rng.uniform(0.7, 1.5)))
    partly = above(Noise.seeded(rng, spacing), float(rng.uniform(-0.5, 0.8)))
    return within(wide, lambda p: np.minimum(sheet(p), partly(p)), soft * float(rng.uniform(0.3, 1.0)))


def splinters(rng: np.random.Generator, flesh: Body, large: float, size: float, bone: float) -> Body:
    """Pieces of thin curved sheets here and there in the flesh."""
    spacing = large * log_uniform(rng, 0.03, 0.12)
    thin = sheets(Noise.seeded(rng, spacing), size * log_uniform(rng, THIN, 0.025))
    there = above(Noise.seeded(rng, 2 * spacing), float(rng.uniform(0.6, 2)))
    return within(flesh, lambda p: np.minimum(thin(p), there(p)), bone * float(rng.uniform(0.9, 1.1)), 0.03 * large)


def piece(rng: np.random.Generator, at: Floats, radius: float, size: float, bone: float, soft: float) -> list[Body]:
    """A bone or a tooth ``at`` a place [3] (x, y, z) in mm: round or long, solid or hollow."""
    half = np.maximum(radius * np.array([1.0, rng.uniform(0.6, 1.4), rng.uniform(0.8, 3.5)]), THIN * size)
    mu = bone * float(rng.uniform(0.4, 1.3))
    whole = rough(ellipsoid(at, half, mu, turned(rng)), Noise.seeded(rng, radius), radius * float(rng.uniform(0, 0.15)))
    if rng.random() < 0.5:
        return [whole]
    cortex = float(np.clip(radius * rng.uniform(0.2, 0.6), THIN * size, None))
    marrow = float(rng.uniform(soft, bone * 0.6))
    return [whole, beneath(whole, cortex, marrow)]


def paw(rng: np.random.Generator, at: Floats, large: float, size: float, bone: float, soft: float) -> list[Body]:
    """Short rods of bone in a little flesh, ``at`` a place [3] (x, y, z) in mm, often in the air beside the head."""
    wide, turn = large * log_uniform(rng, 0.03, 0.12), turned(rng).astype(np.float64)
    bodies = [ellipsoid(at, wide * rng.uniform(1, 1.8, 3), soft * float(rng.uniform(0.7, 1)), turned(rng))]
    for _ in range(int(rng.integers(3, 13))):
        begin = at + wide * rng.uniform(-1, 1, 3)
        end = begin + wide * float(rng.uniform(0.2, 1.2)) * (turn[0] + 0.3 * rng.standard_normal(3))
        bodies.append(rod(begin, end, max(wide * log_uniform(rng, 0.08, 0.3), THIN * size), bone * float(rng.uniform(0.9, 1.1))))
    return bodies


def tube(rng: np.random.Generator, size: float, soft: float) -> Body:
    """A thin holder around the axis, whole or a part of it."""
    radius, half, mu = size * float(rng.uniform(0.3, 0.47)), size * log_uniform(rng, 0.5 * THIN, 0.01), soft * float(rng.uniform(0.15, 0.8))
    cut, far = turned(rng)[0], float(rng.uniform(-1.2, 0.5)) * radius
    return Body(lambda p: np.minimum(half - np.abs(np.hypot(p[0], p[1]) - radius), cut[0] * p[0] + cut[1] * p[1] - far), mu)
