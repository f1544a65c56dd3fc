"""How the source went round the object: view angles and fan angles, read from the vectors of a scan and not from its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base import InputError
from ..base.shapes import PerView, Vector, Vectors
from . import Scan


@dataclass(frozen=True)
class Orbit:
    """Source positions about the rotation axis, per view.

    ``angle`` (n,) radians in [0, 2 pi), counter-clockwise about ``axis`` (3,); ``outward`` (n, 3) unit vector from the axis to the source;
    ``tangent`` (n, 3) unit vector ``axis x outward``; ``dso_mm`` (n,) distance of the source from the axis; ``height_mm`` (n,) of the
    source along it. In the frame of an unmoved scan outward is (sin b, -cos b, 0) and tangent (cos b, sin b, 0).
    """

    axis: Vector
    angle: PerView
    outward: Vectors
    tangent: Vectors
    dso_mm: PerView
    height_mm: PerView

    @classmethod
    def of(cls, scan: Scan) -> Orbit:
        """The orbit of a scan about its own axis. InputError where a source lies on the axis."""
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
    """The vectors from source to pixel as (depth, across, along) coefficients, each (view, 3), in mm.

    A pixel's coordinate is ``c[:, 0] + col c[:, 1] + row c[:, 2]``; depth points from the source to the axis, across along the
    orbit's tangent, along the axis.
    """
    steps = np.stack([scan.first_pixel[views] - scan.source[views], scan.u[views], scan.v[views]], axis=1)
    depth = -np.einsum("vij,vj->vi", steps, orbit.outward[views])
    across = np.einsum("vij,vj->vi", steps, orbit.tangent[views])
    along = steps @ orbit.axis
    return depth, across, along
