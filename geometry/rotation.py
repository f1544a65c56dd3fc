"""How the source went round the object: view angles and fan angles, taken from the vectors of a scan and not from its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base import InputError
from ..base.shapes import PerView, Vector, Vectors
from . import Scan


@dataclass(frozen=True)
class Orbit:
    """The position of the source about the rotation axis in each view.

    ``angle`` is in radians from 0 to 2 pi, counter-clockwise about ``axis``; ``outward`` is the unit vector from the axis to the source;
    ``tangent`` is the unit vector ``axis x outward``; ``dso_mm`` is the distance of the source from the axis, and ``height_mm`` its height
    along the axis. For a scan that was not moved, outward is (sin b, -cos b, 0) and tangent (cos b, sin b, 0).
    """

    axis: Vector
    angle: PerView
    outward: Vectors
    tangent: Vectors
    dso_mm: PerView
    height_mm: PerView

    @classmethod
    def of(cls, scan: Scan) -> Orbit:
        """The orbit of a scan about its own axis; InputError where a source lies on the axis."""
        found = scan.axis
        axis, radial = found.direction, scan.source - found.point_mm
        height = radial @ axis
        radial = radial - height[:, None] * axis
        dso = np.linalg.norm(radial, axis=1)
        if (dso <= 1e-9 * (np.abs(scan.source - scan.detector).max())).any():
            view = int(dso.argmin())
            raise InputError(f"the source of view {view} lies on the rotation axis", expected="a source that circles the object")
        outward: Vectors = radial / dso[:, None]
        first = np.eye(3)[np.argmin(np.abs(axis) > 0.9)]  # x, or y for an axis along x
        first = first - (first @ axis) * axis
        first /= np.linalg.norm(first)
        second = np.cross(axis, first)
        angle = np.arctan2(outward @ first, -(outward @ second)) % (2 * np.pi)
        return cls(axis, angle, outward, np.cross(axis, outward).astype(np.float64), dso, height)


def pixel_directions(scan: Scan, orbit: Orbit, views: slice) -> tuple[Vectors, Vectors, Vectors]:
    """The vectors from the source to the pixels, as coefficients (depth, across, along) in mm.

    The coordinate of a pixel is ``c[:, 0] + col c[:, 1] + row c[:, 2]``. Depth points from the source to the axis, across along the tangent
    of the orbit, and along follows the axis.
    """
    steps = np.stack([scan.first_pixel[views] - scan.source[views], scan.u[views], scan.v[views]], axis=1)
    depth = -np.einsum("vij,vj->vi", steps, orbit.outward[views])
    across = np.einsum("vij,vj->vi", steps, orbit.tangent[views])
    along = steps @ orbit.axis
    return depth, across, along
