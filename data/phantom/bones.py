"""Bones as implicit shapes: a tapered tube along an axis, with cortex, marrow, trabecular network and growth plates.

Lengths are in mm for an adult mouse, in the frame of the bone: t runs along the axis from the knee (t = 0), x is lateral, y anterior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from ...base.shapes import Float, Points, UInt8, Vector
from .smooth_noise import Noise

NOTHING, CORTEX, TRABECULAE, MARROW, CARTILAGE = range(5)
_SAMPLES = 512


@dataclass(frozen=True)
class Anatomy:
    """The profile of a bone at stations ``t`` along its axis (mm): centre line, half-widths, cortical thickness, trabecular share.

    ``crest`` is the anterior bulge (tibial tuberosity) as a share of the radius, ``plates`` are the positions t of the growth plates, and
    ``balls`` are ellipsoids joined to the shaft (the condyles): (x, y, t, radius x, radius y, radius t).
    """

    name: str
    t: Sequence[float]
    half_x: Sequence[float]
    half_y: Sequence[float]
    cortex: Sequence[float]
    trabecular: Sequence[float]
    center_x: Sequence[float]
    center_y: Sequence[float]
    crest: Sequence[float]
    plates: Sequence[float] = ()
    balls: Sequence[tuple[float, float, float, float, float, float]] = ()


TIBIA = Anatomy(
    "tibia",
    t=[0.0, 0.35, 1.0, 1.6, 2.6, 4.5, 7.0, 9.5, 12.0, 14.5, 15.8, 16.5],
    half_x=[1.45, 1.80, 1.82, 1.62, 1.28, 0.92, 0.72, 0.66, 0.62, 0.70, 0.92, 0.80],
    half_y=[1.10, 1.38, 1.45, 1.38, 1.22, 0.98, 0.78, 0.68, 0.62, 0.66, 0.80, 0.70],
    cortex=[0.13, 0.14, 0.15, 0.17, 0.22, 0.27, 0.29, 0.29, 0.28, 0.24, 0.18, 0.16],
    trabecular=[0.44, 0.42, 0.40, 0.38, 0.30, 0.10, 0.0, 0.0, 0.0, 0.12, 0.34, 0.36],
    center_x=[0.0, 0.0, 0.0, 0.0, 0.05, 0.10, 0.05, -0.05, -0.12, -0.10, -0.05, 0.0],
    center_y=[0.0, 0.0, 0.05, 0.12, 0.25, 0.40, 0.42, 0.32, 0.15, 0.0, 0.0, 0.0],
    crest=[0.0, 0.0, 0.08, 0.25, 0.42, 0.40, 0.16, 0.05, 0.0, 0.0, 0.0, 0.0],
    plates=(1.25, 15.5),
)
FEMUR = Anatomy(
    "femur",
    t=[0.0, 0.5, 1.2, 2.2, 3.2, 4.6, 6.5, 9.0, 12.0],
    half_x=[0.95, 1.45, 1.70, 1.62, 1.35, 1.06, 0.92, 0.90, 0.98],
    half_y=[0.75, 1.15, 1.35, 1.35, 1.18, 0.98, 0.82, 0.78, 0.82],
    cortex=[0.14, 0.14, 0.15, 0.16, 0.20, 0.25, 0.28, 0.28, 0.27],
    trabecular=[0.44, 0.44, 0.42, 0.40, 0.36, 0.18, 0.0, 0.0, 0.0],
    center_x=[0.0] * 9,
    center_y=[0.0, 0.05, 0.10, 0.15, 0.20, 0.30, 0.38, 0.36, 0.25],
    crest=[0.0] * 9,
    plates=(2.2,),
    balls=((1.02, -0.65, 0.95, 0.82, 1.25, 0.98), (-1.02, -0.65, 0.95, 0.82, 1.25, 0.98)),
)
FIBULA = Anatomy(  # touches the tibia below its plateau, bows outwards, and fuses with the tibia at about 60 % of its length
    "fibula",
    t=[1.0, 1.5, 2.5, 4.0, 6.0, 8.0, 9.3, 10.2],
    half_x=[0.22, 0.40, 0.34, 0.26, 0.23, 0.24, 0.26, 0.20],
    half_y=[0.25, 0.48, 0.36, 0.28, 0.25, 0.26, 0.28, 0.22],
    cortex=[0.10, 0.11, 0.13, 0.13, 0.13, 0.13, 0.12, 0.10],
    trabecular=[0.4, 0.4, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0],
    center_x=[1.72, 1.78, 1.95, 2.10, 1.95, 1.40, 0.88, 0.50],
    center_y=[-0.55, -0.62, -0.80, -1.00, -1.00, -0.70, -0.38, -0.15],
    crest=[0.0] * 8,
)
PATELLA = Anatomy(
    "patella",
    t=[0.55, 0.9, 1.4, 1.9, 2.25],
    half_x=[0.35, 0.60, 0.68, 0.58, 0.32],
    half_y=[0.20, 0.32, 0.36, 0.30, 0.18],
    cortex=[0.12] * 5,
    trabecular=[0.5] * 5,
    center_x=[0.0] * 5,
    center_y=[1.86, 1.98, 2.05, 2.06, 2.02],
    crest=[0.0] * 5,
)


@dataclass(frozen=True, eq=False)
class Bone:
    """The bone of one animal: an `Anatomy` placed in the leg. The rows of ``frame`` are its axes x, y and t, and ``stretch`` scales its
    length.
    """

    anatomy: Anatomy
    origin_mm: Vector
    frame: Float[NDArray[np.float64], "3 3"]
    stretch: float
    stout: float
    cortex_factor: float
    trabecular_factor: float
    network: Noise
    holes: Noise
    roughness: Noise

    def local(self, points: Points) -> Points:
        """Points of the leg in the frame of the bone (x, y, t), in mm of the unstretched anatomy along t."""
        q = (self.frame @ (points - self.origin_mm[:, None])).astype(np.float32)
        q[2] /= self.stretch
        return q

    def to_leg(self, local: Sequence[float]) -> Vector:
        """A point of the frame of the bone as a point (x, y, z) of the leg, in mm."""
        x, y, t = local
        return self.frame.T @ np.array([x, y, t * self.stretch]) + self.origin_mm

    def part(self, points: Points) -> UInt8[NDArray, "point"]:
        """The part of the bone at each point of the leg: NOTHING, CORTEX, TRABECULAE, MARROW or CARTILAGE (the growth plates)."""
        a = self.anatomy
        found = np.zeros(points.shape[1], np.uint8)
        x, y, t = self.local(points)
        reach = (max(*a.half_x, *a.half_y) * 1.6 + 1.0) * self.stout
        near = np.flatnonzero(
            (t > a.t[0] - 0.6) & (t < a.t[-1] + 0.05) & (np.hypot(x, y) < reach + max(map(abs, (*a.center_x, *a.center_y))))
        )
        if near.size:
            found[near] = self._near(np.stack([x[near], y[near], t[near]]))
        return found

    @cached_property
    def _tables(self) -> dict[str, NDArray[np.float32]]:
        """The values at the stations joined by shape-preserving cubics, as tables."""
        a = self.anatomy
        stations = np.linspace(a.t[0], a.t[-1], _SAMPLES)
        columns = ("half_x", "half_y", "cortex", "trabecular", "center_x", "center_y", "crest")
        return {name: PchipInterpolator(a.t, getattr(a, name))(stations).astype(np.float32) for name in columns}

    def _profile(self, t: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        a = self.anatomy
        place = (t - a.t[0]) * ((_SAMPLES - 1) / (a.t[-1] - a.t[0]))
        return np.interp(place, np.arange(_SAMPLES), self._tables[name]).astype(np.float32)

    def surface_point(self, t: float, angle_deg: float, off_axis: float) -> tuple[float, float, float]:
        """The local point at ``t`` that lies ``off_axis`` of the way from the centre line (0) to the surface (1) in the direction
        ``angle_deg``.
        """
        at = np.array([t], np.float32)
        center_x, center_y, half_x, half_y = (float(self._profile(at, n)[0]) for n in ("center_x", "center_y", "half_x", "half_y"))
        angle = np.deg2rad(angle_deg)
        return center_x + off_axis * half_x * self.stout * np.cos(angle), center_y + off_axis * half_y * self.stout * np.sin(angle), t

    def depth(self, q: Points) -> Float[NDArray[np.float32], "point"]:
        """The depth below the outer surface in mm (negative outside) at local points; it is close to a distance."""
        a = self.anatomy
        x, y, t = q
        dx, dy = x - self._profile(t, "center_x"), y - self._profile(t, "center_y")
        hx, hy = self._profile(t, "half_x") * self.stout, self._profile(t, "half_y") * self.stout
        theta = np.arctan2(dy / hy, dx / hx)
        radius = hx * hy / np.hypot(hy * np.cos(theta), hx * np.sin(theta))
        radius *= 1 + self._profile(t, "crest") * np.exp(-(((theta - np.pi / 2) / 0.45) ** 2))
        shaft = radius - np.hypot(dx, dy)
        # The ends are rounded: the depth below the end plane is blended in over a third of a millimetre.
        end = np.minimum(t - a.t[0], a.t[-1] - t) * self.stretch
        deep = smooth_min(shaft, end, 0.15)
        for cx, cy, ct, rx, ry, rt in a.balls:
            size = self.stout * min(rx, ry, rt)
            inside = 1 - np.sqrt(((x - cx) / (rx * self.stout)) ** 2 + ((y - cy) / (ry * self.stout)) ** 2 + ((t - ct) / rt) ** 2)
            deep = -smooth_min(-deep, -inside * size, 0.15)
        return (deep + 0.03 * self.roughness(q)).astype(np.float32)

    def _near(self, q: Points) -> UInt8[NDArray, "point"]:
        a = self.anatomy
        t = q[2]
        deep = self.depth(q)
        cortex = self._profile(t, "cortex") * self.cortex_factor
        part = np.full(t.size, MARROW, np.uint8)
        share = self._profile(t, "trabecular") * self.trabecular_factor
        spongy = np.flatnonzero((deep > cortex) & (share > 0.01))
        if spongy.size:
            # Curved plates (the zero level of one field) with windows cut by another: connected, like a trabecular network.
            at = q[:, spongy]
            plate = np.abs(self.network(at)) < 0.85 * share[spongy]
            part[spongy[plate & (self.holes(at) > -0.75)]] = TRABECULAE
        part[deep <= cortex] = CORTEX
        for plate_t in a.plates:
            wave = 0.10 * self.roughness(np.stack([q[0] / 2, q[1] / 2, np.full_like(t, plate_t)]))
            part[np.abs(t + wave - plate_t) < 0.11] = CARTILAGE
        part[deep <= 0] = NOTHING
        return part


def smooth_min(a: Float[NDArray, "point"], b: Float[NDArray, "point"], width: float) -> Float[NDArray[np.float32], "point"]:
    """The smaller of two depths in mm, rounded where they meet (polynomial smooth minimum)."""
    h = np.clip(0.5 + 0.5 * (b - a) / width, 0, 1)
    return (b + (a - b) * h - width * h * (1 - h)).astype(np.float32)


def grow_bone(
    anatomy: Anatomy, origin_mm: Sequence[float], tilt_deg: tuple[float, float], up: bool, rng: np.random.Generator, age: float
) -> Bone:
    """A bone of one animal. Sizes and trabecular pattern are drawn from ``rng``, and the length is multiplied by ``age`` (1 at week 0).

    ``tilt_deg`` tilts the axis sideways (about y) and backwards (about x). ``up`` says whether t runs along +z or against it.
    """
    side, back = np.deg2rad(tilt_deg)
    sign = 1.0 if up else -1.0
    along = np.array([np.sin(side), -np.sin(back), sign * np.cos(side) * np.cos(back)])
    along /= np.linalg.norm(along)
    across = np.array([1.0, 0.0, 0.0]) - along[0] * along
    across /= np.linalg.norm(across)
    front = np.cross(along, across) * sign
    stretch, stout, cortex, trabecular = rng.normal([1.0, 1.0, 1.0, 1.0], [0.02, 0.035, 0.07, 0.10])
    spacing = 0.20 * float(rng.normal(1.0, 0.06))
    network = Noise.seeded(rng, (spacing, spacing, 1.5 * spacing))
    return Bone(
        anatomy, np.asarray(origin_mm, dtype=np.float64), np.stack([across, front, along]),
        float(stretch) * age, float(stout) * age, float(np.clip(cortex, 0.8, 1.2)), float(np.clip(trabecular, 0.7, 1.3)),
        network, Noise.seeded(rng, 2 * spacing), Noise.seeded(rng, 0.8),
    )  # fmt: skip
