"""Families of volumes from a seed: ``name(shape, voxel_mm, seed)`` is a volume [z, y, x] in 1/mm, centred on the origin.

All lengths are shares of the shorter edge of a slice, so that a volume of fewer slices is the middle of one of more, and the same seed on
smaller voxels shows the same scene more sharply. The sizes of details are drawn too, over more than a factor of ten. Attenuation goes from
0 (air) to 0.3 1/mm, in the teeth of a skull to 0.38 and of other heads to 0.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ....base.shapes import Floats, Points, Volume
from ..limb import hind_limb
from ..smooth_noise import Noise
from .bodies import Body, Depths, Field, above, averaged, ball, beneath, disc, ellipsoid, log_uniform, near_zero, rod, rough, turned, within
from .heads import head
from .mammals import mammal
from .skulls import skull

Shape = tuple[int, int, int]
Family = Callable[..., Volume]  # (shape, voxel_mm, seed, fine=2)
LIGHT, HEAVY = (0.01, 0.06), (0.08, 0.3)  # 1/mm: plastics and soft tissue; bone, minerals and light metals


def _size(shape: Shape, voxel_mm: float) -> float:
    return min(shape[1:]) * voxel_mm


def _outer(rng: np.random.Generator, size: float, mu: float | Field) -> Body:
    """A lump that fills most of the box: an ellipsoid or a box with rounded edges, with a rough surface or a smooth one."""
    half = size * rng.uniform(0.25, 0.46, 3)
    lump = ellipsoid(size * rng.uniform(-0.03, 0.03, 3), half, mu, turned(rng), float(rng.choice([2.0, 4.0, 8.0])))
    return rough(lump, Noise.seeded(rng, size * log_uniform(rng, 0.03, 0.2)), size * float(rng.choice([0.0, 0.008, 0.02])))


def _spots(rng: np.random.Generator, size: float, count: int, within: float = 0.45) -> Floats:
    """Points (count, 3) in mm, evenly in a ball whose radius is ``within`` of the size of the box."""
    along = rng.standard_normal((count, 3))
    return size * within * along / np.linalg.norm(along, axis=1, keepdims=True) * rng.uniform(0, 1, (count, 1)) ** (1 / 3)


def foam(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A solid full of round pores, of one size or of many."""
    rng, size = np.random.default_rng([seed, 10]), _size(shape, voxel_mm)
    outer = _outer(rng, size, float(rng.uniform(*(HEAVY if rng.random() < 0.6 else LIGHT))))
    typical, spread = log_uniform(rng, 0.015, 0.09), float(rng.uniform(0, 0.6))
    spots = _spots(rng, size, min(600, int(0.25 / typical**2.4)))
    radii = size * np.clip(typical * np.exp(spread * rng.standard_normal(len(spots))), 0.01, 0.15)
    inside = outer.depth(spots.T) > 0.7 * radii
    filling = 0.0 if rng.random() < 0.7 else float(rng.uniform(*LIGHT))
    return averaged([outer, *(ball(c, r, filling) for c, r in zip(spots[inside], radii[inside], strict=True))], shape, voxel_mm, fine)


def fibres(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """Straight rods, aligned or not, full or hollow, in a matrix or in air."""
    rng, size = np.random.default_rng([seed, 11]), _size(shape, voxel_mm)
    bodies = [_outer(rng, size, float(rng.uniform(*LIGHT)))] if rng.random() < 0.6 else []
    radius, order = log_uniform(rng, 0.01, 0.05), float(rng.uniform(0, 3))
    main, hollow = rng.standard_normal(3), float(rng.choice([0.0, 0.0, 0.6]))
    for spot in _spots(rng, size, int(np.clip(0.03 / radius**1.8, 8, 120)), 0.42):
        along = order * main / np.linalg.norm(main) + rng.standard_normal(3) * 0.7
        half = along / np.linalg.norm(along) * (0.47 * size - np.linalg.norm(spot)) * rng.uniform(0.3, 1)
        thick, mu = size * radius * float(rng.uniform(0.8, 1.25)), float(rng.uniform(*HEAVY))
        bodies.append(rod(spot - half, spot + half, thick, mu))
        if hollow and hollow * thick > 0.008 * size:
            bodies.append(rod(spot - half, spot + half, hollow * thick, 0.0))
    return averaged(bodies, shape, voxel_mm, fine)


def blobs(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A smooth random texture of two scales inside a lump, with denser blobs in it."""
    rng, size = np.random.default_rng([seed, 12]), _size(shape, voxel_mm)
    coarse, small = Noise.seeded(rng, size * log_uniform(rng, 0.04, 0.2)), Noise.seeded(rng, size * log_uniform(rng, 0.012, 0.04))
    mean, depth, share = float(rng.uniform(0.02, 0.15)), float(rng.uniform(0.03, 0.3)), float(rng.uniform(0, 0.6))
    outer = _outer(rng, size, lambda p: mean * np.clip(1 + depth * (coarse(p) + share * small(p)), 0.1, 1.9))
    dense = within(outer, above(coarse, float(rng.uniform(0.8, 1.8))), float(rng.uniform(*HEAVY)))
    return averaged([outer, dense] if rng.random() < 0.5 else [outer], shape, voxel_mm, fine)


def plates(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """Flat round plates of all directions, or of one, in a light body."""
    rng, size = np.random.default_rng([seed, 13]), _size(shape, voxel_mm)
    bodies = [_outer(rng, size, float(rng.uniform(*LIGHT)))]
    main, spread = turned(rng)[0], log_uniform(rng, 0.05, 2.0)
    for spot in _spots(rng, size, int(rng.integers(6, 40)), 0.4):
        normal = main + spread * rng.standard_normal(3)
        normal = (normal / np.linalg.norm(normal)).astype(np.float32)
        wide, thick = (0.47 * size - np.linalg.norm(spot)) * rng.uniform(0.4, 1), size * log_uniform(rng, 0.008, 0.03)
        bodies.append(disc(spot, float(wide), thick, float(rng.uniform(*HEAVY)), normal))
    return averaged(bodies, shape, voxel_mm, fine)


def layers(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A body of wavy layers, each of its own attenuation, parallel to its surface or to a plane."""
    rng, size = np.random.default_rng([seed, 14]), _size(shape, voxel_mm)
    outer, wave = _outer(rng, size, 0.0), Noise.seeded(rng, size * log_uniform(rng, 0.08, 0.3))
    normal, height = turned(rng)[0], size * float(rng.uniform(0, 0.03))
    onion, count = rng.random() < 0.5, int(rng.integers(3, 12))
    edges = np.cumsum(rng.uniform(0.3, 1, count))
    edges = edges / edges[-1] * size * (0.35 if onion else 1.0) - (0 if onion else size / 2)
    materials = rng.uniform(LIGHT[0], float(rng.choice([0.06, 0.3])), count + 1)

    def value(p: Points) -> Depths:
        """Each layer replaces the one below it from its edge on, over one subvoxel."""
        place = (outer.depth(p) if onion else normal @ p) + height * wave(p)
        mu = np.full(p.shape[1], materials[0])
        for edge, here, below in zip(edges, materials[1:], materials[:-1], strict=True):
            mu += (here - below) * np.clip(0.5 + (place - edge) / (voxel_mm / 2), 0, 1)
        return mu

    return averaged([Body(outer.depth, value, outer.center_mm, outer.reach_mm)], shape, voxel_mm, fine)


def porous_bone(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A piece of bone: a cortex around a network of plates with windows, marrow between them, soft tissue about it."""
    rng, size = np.random.default_rng([seed, 15]), _size(shape, voxel_mm)
    bone = float(rng.uniform(0.12, 0.26))
    outer = _outer(rng, size, bone)
    cortex = size * log_uniform(rng, 0.015, 0.08)
    network, windows = Noise.seeded(rng, size * (spacing := log_uniform(rng, 0.025, 0.09))), Noise.seeded(rng, size * spacing)
    sheets, open_at = near_zero(network, log_uniform(rng, 0.2, 0.5)), above(windows, float(rng.uniform(-1.6, -0.5)))
    soft = Body(lambda p: outer.depth(p) + size * 0.06, float(rng.uniform(0.025, 0.045)), outer.center_mm, outer.wider(size * 0.08))
    marrow = beneath(outer, cortex, float(rng.uniform(0.025, 0.04)))
    spongy = within(outer, lambda p: np.minimum(sheets(p), open_at(p)), bone * float(rng.uniform(0.75, 1)), cortex)
    return averaged([*([soft] if rng.random() < 0.6 else []), outer, marrow, spongy], shape, voxel_mm, fine)


def part(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A machined part of one material: a rounded block with holes bored through it, and sometimes an inclusion."""
    rng, size = np.random.default_rng([seed, 16]), _size(shape, voxel_mm)
    outer = _outer(rng, size, float(rng.uniform(*(HEAVY if rng.random() < 0.5 else LIGHT))))
    turn, bodies = turned(rng), [outer]
    for spot in _spots(rng, size, int(rng.integers(0, 7))):
        along = turn[int(rng.integers(3))].astype(np.float64) * size
        bodies.append(rod(spot - along, spot + along, size * log_uniform(rng, 0.015, 0.08), 0.0))
    for spot in _spots(rng, 0.5 * size, int(rng.integers(0, 3))):
        bodies.append(ellipsoid(spot, size * rng.uniform(0.02, 0.08, 3), float(rng.uniform(*HEAVY)), turned(rng)))
    return averaged(bodies, shape, voxel_mm, fine)


def grains(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """Grains of a few minerals, loose or in a cement."""
    rng, size = np.random.default_rng([seed, 17]), _size(shape, voxel_mm)
    bodies = [_outer(rng, size, float(rng.uniform(*LIGHT)))] if rng.random() < 0.6 else []
    minerals, typical = rng.uniform(0.02, 0.3, 4), log_uniform(rng, 0.025, 0.09)
    for spot in _spots(rng, size * 0.85, min(250, int(0.06 / typical**2.4))):
        half = size * typical * rng.uniform(0.5, 1.4, 3)
        bodies.append(ellipsoid(spot, half, float(rng.choice(minerals)), turned(rng), float(rng.choice([2.0, 4.0]))))
    return averaged(bodies, shape, voxel_mm, fine)


def limb(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """The mouse hind limb of `hind_limb`, small or large in the box, in its tube where that fits."""
    rng, size = np.random.default_rng([seed, 18]), _size(shape, voxel_mm)
    scale, lesions = size / 24 * log_uniform(rng, 0.95, 1.8), int(rng.integers(3))
    return hind_limb(shape, voxel_mm, seed=seed, scale=scale, holder=scale < size / 23.5, lesions=lesions, supersample=fine).volume


KINDS = (foam, fibres, blobs, plates, layers, porous_bone, part, grains, limb, skull, head, mammal)
FAMILIES: Mapping[str, Family] = {f.__name__: f for f in KINDS}
# Thin walls around faint matter are the hardest from few views, and what small animals are made of; where three of four volumes were heads
# a network forgot bones and parts (docs/model_cards.md).
OFTEN = {"head": 3, "mammal": 10, "limb": 4, "porous_bone": 3, "part": 2, "grains": 2}


def family_of(seed: int) -> str:
    """The name of the family that `random_volume` draws for a seed: all alike often, but for those in `OFTEN`."""
    drawn = [name for name in FAMILIES for _ in range(OFTEN.get(name, 1))]
    return str(np.random.default_rng([seed, 19]).choice(drawn))


def random_volume(shape: Shape, voxel_mm: float, seed: int, fine: int = 2) -> Volume:
    """A volume of one of `FAMILIES`, drawn from the seed like everything in it."""
    return FAMILIES[family_of(seed)](shape, voxel_mm, seed, fine)
