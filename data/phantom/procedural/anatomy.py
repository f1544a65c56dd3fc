"""The bones of a small mammal's head, drawn with much freedom after what a textbook of anatomy says; nothing is measured.

Places and lengths are shares of the head's length, in its own frame: along the nose, to the right, and up. What comes in pairs is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ....base.shapes import Floats, Points, Vector
from ..smooth_noise import Noise
from .bodies import Body, Field, Triple, above, beneath, ellipsoid, log_uniform, near_zero, rod, rough, sheets, wall, within

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a head lies: its middle (x, y, z) in mm, and its axes as rows (nose, right, up). ``thin_mm`` is the thinnest wall, and ``bone``
    and ``soft`` are attenuations in 1/mm.
    """

    middle_mm: Vector
    axes: NDArray[np.float32]  # [3, 3], a rotation
    long_mm: float
    thin_mm: float
    bone: float
    soft: float

    def point(self, place: Triple) -> Vector:
        """A place (nose, right, up) as (x, y, z) in mm."""
        return self.middle_mm + self.long_mm * (np.asarray(place, np.float64) @ self.axes)

    def lump(self, place: Triple, half: Triple, mu: float | Field, tilt: Triple = (0, 0, 0), sharp: float = 2.0) -> Body:
        """An ellipsoid with halves along nose, right and up, tilted by a rotation vector in radians."""
        turn = Rotation.from_rotvec(tilt).as_matrix().T.astype(np.float32) @ self.axes
        return ellipsoid(self.point(place), np.maximum(self.long_mm * np.asarray(half), self.thin_mm / 2), mu, turn, sharp)

    def noise(self, rng: Rng, low: float, high: float) -> Noise:
        """Smooth noise whose spacing lies between two shares of the length."""
        return Noise.seeded(rng, self.long_mm * log_uniform(rng, low, high))

    def dense(self, rng: Rng, low: float, high: float) -> Field:
        """Bone of a density between two shares of the usual one, which differs a little from place to place and from grain to grain."""
        mu, noise, grain = self.bone * float(rng.uniform(low, high)), self.noise(rng, 0.02, 0.2), self.noise(rng, 0.008, 0.03)
        depth, fine = rng.uniform(0, (0.2, 0.4))
        return lambda p: mu * (1 + depth * np.tanh(noise(p)) + fine * np.tanh(grain(p)))

    def spongy(self, rng: Rng) -> Field:
        """The inside of a bone: marrow, or trabeculae that are finer than a voxel or about as wide."""
        low, high = self.soft * float(rng.uniform(0.6, 1.5)), self.bone * float(rng.uniform(0.1, 0.8))
        level, noise = float(rng.uniform(-1, 1.5)), self.noise(rng, 0.008, 0.03)
        return lambda p: low + (high - low) / (1 + np.exp(-4 * (noise(p) - level)))


def mirrored(side: int, place: Triple) -> Vector:
    """A place of the right side (``side`` 1), or the same one of the left (-1)."""
    return np.asarray(place, np.float64) * (1, side, 1)


def tilted(side: int, tilt: Triple) -> Vector:
    """A rotation vector on one side or, as in a mirror, on the other."""
    return np.asarray(tilt, np.float64) * (side, 1, side)


def hollow(f: Frame, rng: Rng, whole: Body, thick: float) -> list[Body]:
    """A bone with a cortex of a share of the head's length around spongy bone."""
    cortex = max(f.long_mm * thick, f.thin_mm)
    return [whole, beneath(whole, cortex, f.spongy(rng))]


def case(f: Frame, rng: Rng, outer: Body, thick: float, inside: float | Field, mu: Field, below: float = 0.0) -> list[Body]:
    """A closed wall, thicker towards its lower side, with a few thin seams and windows in it."""
    uneven, amount, gaps = f.noise(rng, 0.04, 0.2), float(rng.uniform(0.05, 0.5)), f.noise(rng, 0.1, 0.3)
    seam = near_zero(gaps, float(rng.uniform(0.01, 0.06)) if rng.random() < 0.6 else 0.0)
    open_at, up = above(f.noise(rng, 0.06, 0.2), float(rng.uniform(-4, -1.5))), f.axes[2]
    middle = np.asarray(outer.center_mm, np.float32)[:, None]

    def thickness(p: Points) -> Floats:
        lower = np.clip(-(up @ (p - middle)) / (0.15 * f.long_mm), 0, 1)
        return np.maximum(f.long_mm * thick * (1 + amount * uneven(p) + below * lower), f.thin_mm)

    sides = wall(outer, thickness)
    filled = Body(outer.depth, inside, outer.center_mm, outer.reach_mm)
    return [filled, Body(lambda p: np.minimum(np.minimum(sides(p), open_at(p)), -seam(p)), mu, outer.center_mm, outer.reach_mm)]


def arc(f: Frame, at: Triple, first: Triple, second: Triple, turn: tuple[float, float], thick: float, mu: float | Field) -> list[Body]:
    """A bent rod around a place: ``first`` and ``second`` are the halves of its ellipse, between two angles in radians."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    path = [f.point(np.asarray(at) + a * np.cos(t) + b * np.sin(t)) for t in np.linspace(*turn, 9)]
    return [rod(p, q, max(f.long_mm * thick, f.thin_mm / 2), mu) for p, q in pairwise(path)]


def braincase(f: Frame, rng: Rng) -> list[Body]:
    """The wall around the brain, thicker below."""
    at, half = rng.uniform((-0.2, 0, 0.03), (-0.05, 0, 0.12)), rng.uniform((0.19, 0.15, 0.13), (0.28, 0.22, 0.19))
    outer = rough(
        f.lump(at, half, 0.0, rng.uniform(-0.2, 0.2, 3) * (0, 1, 0)), f.noise(rng, 0.08, 0.3), f.long_mm * float(rng.uniform(0, 0.02))
    )
    brain, depth, folds = f.soft * float(rng.uniform(0.85, 1.15)), float(rng.uniform(0, 0.06)), f.noise(rng, 0.03, 0.15)
    thick, mu = log_uniform(rng, 0.008, 0.026), f.dense(rng, 0.55, 1.1)
    return case(f, rng, outer, thick, lambda p: brain * (1 + depth * np.tanh(2 * folds(p))), mu, float(rng.uniform(0, 1.5)))


def ears(f: Frame, rng: Rng) -> list[Body]:
    """On either side a thin bubble of air or fluid, and dense bone with fine canals beside it."""
    at, radius = rng.uniform((-0.25, 0.11, -0.12), (-0.12, 0.18, -0.04)), float(rng.uniform(0.045, 0.09))
    thick, airy, canals = log_uniform(rng, 0.006, 0.02), rng.random() < 0.7, float(rng.uniform(0, 1.2))
    bodies = []
    for side in (-1, 1):
        bubble = rough(f.lump(mirrored(side, at), radius * rng.uniform(0.8, 1.2, 3), 0.0), f.noise(rng, 0.03, 0.1), 0.01 * f.long_mm)
        beside, half = mirrored(side, at + np.array([0.02, -0.05, 0.05])), radius * rng.uniform(0.5, 1.0, 3)
        petrous = f.lump(beside, half, f.dense(rng, 0.8, 1.2), rng.uniform(-1, 1, 3))
        holes = above(f.noise(rng, 0.012, 0.03), canals)
        bodies += [petrous, within(petrous, holes, 0.0 if airy else f.soft, 0.005 * f.long_mm)]
        bodies += case(f, rng, bubble, thick, 0.0 if airy else f.soft, f.dense(rng, 0.5, 1.0))
    return bodies


def snout(f: Frame, rng: Rng) -> list[Body]:
    """The nose: a tapered case with a wall in its middle and thin scrolls of bone, in air or in fluid."""
    at, half = rng.uniform((0.2, 0, 0.0), (0.3, 0, 0.06)), rng.uniform((0.18, 0.06, 0.06), (0.28, 0.11, 0.11))
    airy, filled = rng.random() < 0.7, f.soft * float(rng.uniform(0.8, 1.1))
    outer = f.lump(at, half, 0.0, (0, float(rng.uniform(-0.1, 0.4)), 0), float(rng.choice([2.0, 3.0])))
    bodies = case(f, rng, outer, log_uniform(rng, 0.012, 0.03), 0.0 if airy else filled, f.dense(rng, 0.5, 1.1), 0.5)
    spacing = f.long_mm * log_uniform(rng, 0.015, 0.05)
    scroll = sheets(Noise.seeded(rng, (3 * spacing, spacing, spacing)), 1.6 * max(f.long_mm * log_uniform(rng, 0.005, 0.014), f.thin_mm))
    lining = sheets(Noise.seeded(rng, (3 * spacing, spacing, spacing)), float(rng.uniform(1, 2)) * spacing)
    middle = np.asarray(outer.center_mm, np.float32)[:, None]
    bodies.append(within(outer, lambda p: lining(f.axes @ (p - middle)), filled))
    bodies.append(within(outer, lambda p: scroll(f.axes @ (p - middle)), f.dense(rng, 0.3, 0.9)))
    return [*bodies, f.lump(at, (half[0] * 0.9, 0.004, half[2] * 0.9), f.dense(rng, 0.5, 0.9))]


def jaws(f: Frame, rng: Rng) -> list[Body]:
    """Upper and lower jaws with their teeth, and the arches of the cheeks."""
    wide, low, yaw = float(rng.uniform(0.06, 0.12)), float(rng.uniform(-0.22, -0.14)), float(rng.uniform(0.1, 0.35))
    lower, upper = rng.uniform((0.16, 0.014, 0.03), (0.26, 0.035, 0.06)), rng.uniform((0.08, 0.015, 0.015), (0.14, 0.045, 0.05))
    behind, cheek = rng.uniform((0.06, 0.008, 0.06), (0.09, 0.02, 0.09)), rng.uniform((0.16, 0.17), (0.26, 0.26))
    arch, bodies = log_uniform(rng, 0.006, 0.018), []
    for side in (-1, 1):
        jaw = f.lump(mirrored(side, (0.12, wide, low)), lower, f.dense(rng, 0.8, 1.2), tilted(side, (0.2, -0.2, -yaw)))
        bodies.append(f.lump(mirrored(side, (-0.05, wide + 0.05, low + 0.06)), behind, f.dense(rng, 0.6, 1.1)))
        bodies += hollow(f, rng, rough(jaw, f.noise(rng, 0.05, 0.1), 0.006 * f.long_mm), log_uniform(rng, 0.008, 0.03))
        bodies += hollow(f, rng, f.lump(mirrored(side, (0.14, 0.06, -0.05)), upper, f.dense(rng, 0.7, 1.1)), log_uniform(rng, 0.008, 0.03))
        bodies += arc(f, (0.02, 0, -0.05), (cheek[0], 0, 0), mirrored(side, (0, cheek[1], 0)), (0.6, 2.6), arch, f.dense(rng, 0.6, 1.1))
    return bodies + teeth(f, rng, low)


def teeth(f: Frame, rng: Rng, low: float) -> list[Body]:
    """Long bent incisors and rows of grinders, denser than bone; ``low`` is how high the lower jaw lies."""
    enamel, thick, bend = f.dense(rng, 1.05, 1.5), log_uniform(rng, 0.01, 0.028), float(rng.uniform(0.18, 0.32))
    grinder, row, bodies = rng.uniform(0.012, 0.028, 3), int(rng.integers(1, 5)), []
    for side in (-1, 1):
        if rng.random() < 0.9:
            bodies += arc(f, mirrored(side, (0.36, 0.025, -0.1)), (0.09, 0, 0), (0, 0, 0.1), (0, 2.2), thick, enamel)
            bodies += arc(f, mirrored(side, (0.14, 0.03, low + bend)), (bend, 0, 0), (0, 0, -bend), (0.3, 2.0), thick, enamel)
        for number, height in product(range(row), (-0.09, low + 0.05)):
            tooth = f.lump(mirrored(side, (0.06 + 2.1 * grinder[0] * number, 0.065, height)), grinder, enamel)
            bodies += hollow(f, rng, rough(tooth, f.noise(rng, 0.015, 0.03), 0.004 * f.long_mm), 0.5 * float(grinder[1]))
    return bodies


def neck(f: Frame, rng: Rng) -> list[Body]:
    """Some vertebrae behind the head: a ring, a spongy body below it, and rods that stand out."""
    bodies, place = [], np.array([-0.36, 0.0, float(rng.uniform(-0.1, 0.05))])
    step, thin = rng.uniform((-0.11, -0.04, -0.06), (-0.06, 0.04, 0.02)), max(0.01 * f.long_mm, f.thin_mm)
    for _ in range(int(rng.integers(0, 5))):
        size = float(rng.uniform(0.7, 1.2))
        ring = f.lump(place, size * np.array([0.045, 0.075, 0.06]), 0.0, rng.uniform(-0.2, 0.2, 3), 3.0)
        bodies += case(f, rng, ring, log_uniform(rng, 0.01, 0.025), f.soft, f.dense(rng, 0.6, 1.0))
        below = f.lump(place - np.array([0, 0, 0.06 * size]), size * np.array([0.04, 0.04, 0.03]), f.dense(rng, 0.6, 1.0))
        bodies += hollow(f, rng, below, 0.01)
        for out in np.array([(0, 0.12, -0.02), (0, -0.12, -0.02), (-0.03, 0, 0.12)]):
            bodies.append(rod(f.point(place + 0.4 * out), f.point(place + size * out), thin, 0.8 * f.bone))
        place = place + step
    return bodies


def small_bones(f: Frame, rng: Rng) -> list[Body]:
    """Thin plates in pairs, as at the base of a skull, and short bent rods, as those under a tongue."""
    bodies = []
    for _ in range(int(rng.integers(2, 9))):
        at, tilt = rng.uniform((-0.4, 0.02, -0.15), (0.25, 0.22, 0.1)), rng.uniform(-1.5, 1.5, 3)
        half, mu, waves = rng.uniform((0.03, 0.003, 0.015), (0.11, 0.012, 0.05)), f.dense(rng, 0.5, 1.1), f.noise(rng, 0.04, 0.12)
        for side in (-1, 1):
            plate = rough(f.lump(mirrored(side, at), half, mu, tilted(side, tilt)), waves, f.long_mm * float(half[1]) * 0.8)
            bodies += [plate] if rng.random() < 0.7 else hollow(f, rng, plate, 0.004)
    for _ in range(int(rng.integers(0, 6))):
        at, first, second = rng.uniform((-0.4, -0.15, -0.25), (0.2, 0.15, 0.1)), *(0.1 * rng.standard_normal((2, 3)))
        bodies += arc(f, at, first, second, (0, float(rng.uniform(0.5, 2.5))), log_uniform(rng, 0.004, 0.014), f.dense(rng, 0.5, 1.1))
    return bodies


def limb_beside(f: Frame, rng: Rng) -> list[Body]:
    """A leg that lies beside the head: flesh, and one or two hollow bones with wide ends."""
    along, away = rng.standard_normal(3), rng.standard_normal(3) * (0.5, 1, 1)
    along, place = along / np.linalg.norm(along), 0.42 * away / np.linalg.norm(away) * rng.uniform(0.8, 1.3)
    reach, thick, cortex = float(rng.uniform(0.12, 0.35)), log_uniform(rng, 0.012, 0.04), float(rng.uniform(0.25, 0.6))
    turn = Rotation.align_vectors([along], [[1, 0, 0]])[0].as_rotvec()
    bodies = [f.lump(place, (1.1 * reach, *(thick * rng.uniform(2, 6, 2))), f.soft * float(rng.uniform(0.8, 1.1)), turn)]
    for number in range(int(rng.integers(1, 3))):
        middle = place + 1.7 * number * thick * rng.standard_normal(3)
        radius = max(f.long_mm * thick * (float(rng.uniform(0.3, 0.9)) if number else 1), f.thin_mm)
        start, end, mu = f.point(middle - reach * along), f.point(middle + reach * along), f.dense(rng, 0.8, 1.15)
        bodies.append(rod(start, end, radius, mu))
        for knob in (start, end):
            bodies += hollow(f, rng, ellipsoid(knob, radius * rng.uniform(1.0, 2.0, 3), mu, f.axes), 0.4 * cortex * thick)
        bodies.append(rod(start, end, radius * (1 - cortex), f.spongy(rng)))
    return bodies
