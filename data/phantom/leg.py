"""The leg of one animal: bones in muscle, fat and skin, inside a tube; and the material at any point of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from ...base.shapes import Float, Points, UInt8, Vector
from .bones import CARTILAGE, FEMUR, FIBULA, MARROW, NOTHING, PATELLA, TIBIA, TRABECULAE, Bone, grow_bone, smooth_min
from .smooth_noise import Noise

MATERIALS: Mapping[str, float] = {
    "air": 0.0,
    "holder": 0.0245,
    "fat": 0.0290,
    "marrow": 0.0330,
    "muscle": 0.0398,
    "skin": 0.0410,
    "cartilage": 0.0440,
    "lytic lesion": 0.0390,
    "tibia cortex": 0.2000,
    "tibia trabeculae": 0.1700,
    "fibula": 0.1950,
    "femur cortex": 0.2000,
    "femur trabeculae": 0.1700,
    "patella": 0.1850,
    "sclerotic lesion": 0.1900,
}
"""Attenuation in 1/mm at 30 keV, the effective energy of 50 kVp behind 0.5 mm Al and a mouse leg: tissues from the NIST/ICRU-44
tables (muscle 0.398/cm), polypropylene for the holder, and bone as far mineralised as a mouse's (ICRU cortical bone would be 0.256)."""

NAMES = tuple(MATERIALS)
INDEX = {name: np.uint8(i) for i, name in enumerate(NAMES)}

# The outline of the leg at stations along z (mm; the knee is at 0), for an adult mouse.
_Z = (-17.2, -15.5, -12.0, -8.0, -4.0, 0.0, 3.0, 6.0, 9.4)
_HALF_X = (1.7, 1.9, 2.5, 3.6, 4.3, 4.3, 4.7, 5.3, 5.8)
_HALF_Y = (1.6, 1.8, 2.5, 3.6, 4.2, 4.2, 4.9, 5.7, 6.2)
_CENTER_Y = (0.4, 0.2, -0.5, -1.2, -1.4, -0.6, -0.8, -1.4, -2.2)
_STATIONS = np.linspace(_Z[0], _Z[-1], 256)
_OUTLINE = tuple(PchipInterpolator(_Z, column)(_STATIONS) for column in (_HALF_X, _HALF_Y, _CENTER_Y))
_MIDDLE = np.array([0.0, 0.9, 3.9])  # mm: from the middle of the leg to its knee
_TUBE_INNER, _TUBE_WALL = 10.6, 0.9


@dataclass(frozen=True, eq=False)
class Leg:
    """The leg of an animal at a week, in its pose: scene = rotation @ (scale * leg) + shift, mirrored for a left leg; ``tube_mm`` is (x,
    y, scale).
    """

    bones: tuple[Bone, ...]
    rotation: Float[NDArray[np.float64], "3 3"]
    shift_mm: Vector
    scale: float
    mirrored: bool
    tube_mm: tuple[float, float, float] | None
    girth: float
    surface: Noise
    fat: Noise
    septa: Noise

    def bone(self, name: str) -> Bone:
        """The bone with this name."""
        return next(bone for bone in self.bones if bone.anatomy.name == name)

    def to_scene(self, point: Vector) -> Vector:
        """A point (x, y, z) of the leg as a point of the scene, in mm."""
        flip = np.array([-1.0 if self.mirrored else 1.0, 1.0, 1.0])
        return self.rotation @ (self.scale * flip * point) + self.shift_mm

    def posed(self, rotation: Float[NDArray[np.float64], "3 3"], middle_mm: Vector) -> Leg:
        """The same leg upright, turned by ``rotation`` about its middle, which comes to lie at ``middle_mm`` (x, y, z); without a tube."""
        shift = rotation @ (_MIDDLE * self.scale) + middle_mm
        return replace(self, rotation=rotation, shift_mm=shift, tube_mm=None)

    def to_leg(self, points: Points) -> Points:
        """Points of the scene in mm as points of the frame of the leg, in mm of an adult mouse."""
        q = self.rotation.T @ (points - self.shift_mm[:, None]) / self.scale
        if self.mirrored:
            q[0] *= -1
        return q.astype(np.float32)

    def tube(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The material at scene positions in mm (two arrays that broadcast to any shape): a plastic tube along z, a little off the axis, or
        air.
        """
        wall = np.zeros(np.broadcast_shapes(x_mm.shape, y_mm.shape), dtype=bool)
        if self.tube_mm is not None:
            x, y, scale = self.tube_mm
            rho = np.hypot(x_mm - x, y_mm - y) / scale
            wall = (rho >= _TUBE_INNER) & (rho <= _TUBE_INNER + _TUBE_WALL)
        return np.where(wall, INDEX["holder"], INDEX["air"]).astype(np.uint8)

    def tissue(self, points: Points) -> UInt8[NDArray, "point"]:
        """The index into NAMES of the material at each point of the leg; air outside the skin."""
        found = np.zeros(points.shape[1], np.uint8)
        depth = self.outline_depth(points)
        inside = np.flatnonzero(depth > -0.9)
        if inside.size == 0:
            return found
        q = points[:, inside]
        depth = depth[inside] + 0.22 * self.surface(q)
        tissue = np.full(depth.size, INDEX["muscle"])
        deep = np.flatnonzero(depth > 0.3)
        tissue[deep[np.abs(self.septa(q[:, deep])) < 0.07]] = INDEX["fat"]
        outer = np.flatnonzero(depth < 1.2)
        tissue[outer[depth[outer] < 0.28 + np.clip(0.22 + 0.25 * self.fat(q[:, outer]), 0.03, 0.9)]] = INDEX["fat"]
        tissue[depth < 0.28] = INDEX["skin"]
        joint = (np.abs(q[2]) < 0.75) & ((q[0] / 1.75) ** 2 + ((q[1] - 0.05) / 1.45) ** 2 < 1)
        tissue[joint] = INDEX["cartilage"]
        tissue[depth <= 0] = INDEX["air"]
        for bone in reversed(self.bones):  # the first bone of the list wins where two touch
            part = bone.part(q)
            here = (part != NOTHING) & (depth > 0)
            tissue[here] = _look_up(bone.anatomy.name)[part[here]]
        found[inside] = tissue
        return found

    def outline_depth(self, q: Points) -> Float[NDArray[np.float32], "point"]:
        """The depth below the skin of the smooth outline in mm (negative outside) at points of the leg; it is close to a distance."""
        z = q[2]
        half_x, half_y, center_y = (self.girth * _outline(z, column) for column in _OUTLINE)
        radial = (1 - np.hypot(q[0] / half_x, (q[1] - center_y) / half_y)) * np.minimum(half_x, half_y)
        return smooth_min(radial, np.minimum(z - _Z[0], _Z[-1] - z), 1.5)


def _outline(z: NDArray[np.float32], column: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.interp(z, _STATIONS, column).astype(np.float32)


def _look_up(name: str) -> NDArray[np.uint8]:
    """Part of a bone -> index into NAMES. Fibula and patella are of one material."""
    solid = INDEX[name] if name in INDEX else INDEX[f"{name} cortex"]
    table = np.full(5, solid, np.uint8)
    table[NOTHING], table[MARROW], table[CARTILAGE] = INDEX["air"], INDEX["marrow"], INDEX["cartilage"]
    table[TRABECULAE] = INDEX.get(f"{name} trabeculae", solid)
    return table


def grow_leg(seed: int, week: int, scale: float, *, mirrored: bool, holder: bool) -> Leg:
    """The leg of animal ``seed`` at ``week``. Anatomy and pose are drawn from different streams of random numbers."""
    rng = np.random.default_rng([seed, 1])
    size = scale * float(rng.normal(1.0, 0.015))
    girth = float(rng.normal(1.0, 0.05))
    knee = float(rng.normal(20.0, 4.0))
    age = 1.0 + 0.004 * week
    tibia_tilt = (float(rng.normal(0.0, 1.0)), 5.0)
    bones = (
        grow_bone(FEMUR, (0.0, -0.1, 0.24), (float(rng.normal(2.0, 1.0)), knee), True, rng, age),
        grow_bone(TIBIA, (0.0, 0.0, -0.22), tibia_tilt, False, rng, age),
        grow_bone(FIBULA, (0.0, 0.0, -0.22), tibia_tilt, False, rng, age),
        grow_bone(PATELLA, (0.0, 0.0, 0.0), (0.0, knee / 2), True, rng, age),
    )
    surface, fat, septa = Noise.seeded(rng, 2.5), Noise.seeded(rng, 1.8), Noise.seeded(rng, (1.3, 1.3, 4.5))
    pose = np.random.default_rng([seed, 2, week])
    yaw = float(rng.uniform(-180, 180)) + float(pose.normal(0, 4))
    tilt = pose.normal(0, 1.5, 2)
    rotation = turn(2, yaw) @ turn(0, tilt[0]) @ turn(1, tilt[1])
    drift = np.array([*pose.normal(0, 0.35, 2), pose.normal(0, 0.15)]) * scale
    side = float(pose.uniform(-np.pi, np.pi))
    tube = (0.4 * scale * float(np.cos(side)), 0.4 * scale * float(np.sin(side)), scale) if holder else None
    return Leg(bones, rotation, rotation @ (_MIDDLE * size) + drift, size, mirrored, tube, girth, surface, fat, septa)


def turn(axis: int, degrees: float) -> NDArray[np.float64]:
    """The rotation (3, 3) about x, y or z, for columns of (x, y, z) in mm."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    i, j = [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = (-s, s) if axis != 1 else (s, -s)
    return matrix
