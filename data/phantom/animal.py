"""The hind quarters of a mouse: two legs and the end of the spine, in a pose that is drawn and known, with a label for each bone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import Bool, Float, UInt8, Volume, VolumeMask
from ...geometry import Grid
from .bones import NOTHING
from .leg import INDEX, MATERIALS, NAMES, Leg, grow_leg, turn
from .limb import Lesion, place_lesions, points_of, tissue_at

BONES = ("spine", "left femur", "right femur", "left tibia", "right tibia", "left fibula", "right fibula")
_KINDS = {"femur": ("femur", "patella"), "tibia": ("tibia",), "fibula": ("fibula",)}
_VERTEBRA_MM, _DISC_MM, _RADIUS_MM, _SHELL_MM = 2.3, 0.45, 1.05, 0.22


@dataclass(frozen=True)
class Pose:
    """How the animal lies: turned about z by ``yaw_deg``; each leg by its own ``leg_yaw_deg`` and ``leg_tilt_deg`` (about y, about x);
    ``apart_mm`` between the middles of the legs, and ``lift_mm`` of each along z. The left leg first.
    """

    yaw_deg: float = 0.0
    leg_yaw_deg: tuple[float, float] = (0.0, 0.0)
    leg_tilt_deg: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    lift_mm: tuple[float, float] = (0.0, 0.0)
    apart_mm: float = 13.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, apart_mm: float = 13.0) -> Pose:
        """Any direction, legs turned and tilted by some degrees as an animal on a table has them."""
        yaw, own = float(rng.uniform(-180, 180)), rng.uniform(-12, 12, 2)
        (a, b), (c, d) = rng.uniform(-7, 7, (2, 2))
        low, high = rng.uniform(-0.8, 0.8, 2)
        return cls(yaw, (float(own[0]), float(own[1])), ((float(a), float(b)), (float(c), float(d))), (float(low), float(high)), apart_mm)


@dataclass(frozen=True, eq=False)
class Animal:
    """``volume`` [z, y, x] in 1/mm and ``labels`` [z, y, x]: 0 for no bone, k for ``BONES[k - 1]`` (marrow and growth plates of it, too).

    ``legs``: name of the side -> the leg in its pose.
    """

    volume: Volume
    grid: Grid
    labels: UInt8[NDArray, "z y x"]
    legs: Mapping[str, Leg]

    def mask(self, *names: str) -> VolumeMask:
        """The voxels [z, y, x] of some of ``BONES``."""
        return np.isin(self.labels, [BONES.index(name) + 1 for name in names])


def hind_quarters(
    grid: Grid, pose: Pose | None = None, *, seed: int = 0, week: int = 0, lesions: Sequence[Lesion] = (), spine: bool = True
) -> Animal:
    """Both hind legs of animal ``seed`` at ``week``, lesions in both tibiae or femora alike, and vertebrae between the thighs.

    One sample a voxel. Where the legs' flesh overlaps they touch.
    """
    pose = pose or Pose()
    whole = turn(2, pose.yaw_deg)
    legs = {}
    for n, (side, sign) in enumerate((("left", -1), ("right", 1))):
        across, back = pose.leg_tilt_deg[n]
        rotation = whole @ turn(2, pose.leg_yaw_deg[n]) @ turn(0, back) @ turn(1, across)
        leg = grow_leg(seed, week, 1.0, mirrored=side == "left", holder=False)
        legs[side] = leg.posed(rotation, whole @ np.array([sign * pose.apart_mm / 2, 0.0, pose.lift_mm[n]]))
    mu = np.array([MATERIALS[name] for name in NAMES], dtype=np.float32)
    volume, labels = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.uint8)
    placed = {side: place_lesions(leg, tuple(lesions), week) for side, leg in legs.items()}
    ys, xs = (a.ravel() for a in np.indices(grid.shape[1:]))
    for z in range(grid.shape[0]):
        points = points_of(grid, z, ys, xs, 1)[:, 0]
        values, names = np.zeros(xs.size, np.float32), np.zeros(xs.size, np.uint8)
        for side, leg in legs.items():
            near = np.flatnonzero(leg.outline_depth(leg.to_leg(points)) > -0.9)
            found = tissue_at(leg, placed[side], points[:, near])
            values[near] = np.maximum(values[near], mu[found])
            own = _labels(leg, side, points[:, near])
            names[near] = np.where(own > 0, own, names[near])
        if spine:
            shell, core = _vertebrae(whole, points)
            values = np.where(shell, mu[INDEX["femur cortex"]], np.where(core, mu[INDEX["marrow"]], values))
            names = np.where(shell | core, 1, names)
        volume[z], labels[z] = values.reshape(grid.shape[1:]), names.reshape(grid.shape[1:])
    return Animal(volume, grid, labels, legs)


def _labels(leg: Leg, side: str, points: Float[NDArray[np.float64], "3 point"]) -> UInt8[NDArray, "point"]:
    """The bone of a leg at points of the scene, as a row of ``BONES`` from 1; 0 for none. A lesion's place is its bone's."""
    q = leg.to_leg(points)
    inside = leg.outline_depth(q) > -0.4
    found = np.zeros(points.shape[1], np.uint8)
    for kind, members in _KINDS.items():
        for name in members:
            here = (leg.bone(name).part(q) != NOTHING) & (found == 0) & inside
            found[here] = BONES.index(f"{side} {kind}") + 1
    return found


def _vertebrae(
    whole: Float[NDArray[np.float64], "3 3"], points: Float[NDArray[np.float64], "3 point"]
) -> tuple[Bool[NDArray[np.bool_], "point"], Bool[NDArray[np.bool_], "point"]]:
    """(shell, core) of the vertebrae at points of the scene: short drums with a process to each side, from 5.5 mm above the middle."""
    x, y, z = whole.T @ points
    step = _VERTEBRA_MM + _DISC_MM
    t = (z - 5.5) % step - _VERTEBRA_MM / 2
    above = (z > 5.5) & (np.abs(t) < _VERTEBRA_MM / 2)
    drum = np.minimum(_RADIUS_MM - np.hypot(x, y + 1.0), _VERTEBRA_MM / 2 - np.abs(t))
    process = np.minimum(np.minimum(0.25 - np.abs(y + 1.0), 1.9 - np.abs(x)), 0.6 - np.abs(t))
    depth = np.where(above, np.maximum(drum, process), -1.0)
    return (depth > 0) & (depth < _SHELL_MM), depth >= _SHELL_MM
