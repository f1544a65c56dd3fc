"""The scan: where the source and the detector were in every view. No other part of the toolkit assumes a geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import InputError
from ..base.shapes import Angles, Vector, Vectors, ViewIndices
from .axis import Axis, rotation_axis
from .circular import MOST_DEG, Circular, angles_text, circular_vectors
from .field_of_view import FieldOfView

FARTHEST_MM = 1e12  # a source this far away is as good as at infinity, and squares of lengths still fit a float
_VECTORS = ("source", "detector", "u", "v")
_SCREEN = 1000  # characters that a screen shows at a glance


@dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """The geometry of every view of a flat-panel scan, in mm and degrees. It is frozen, and its arrays are read-only.

    ``shape`` is (rows, cols). ``source``, ``detector`` (the centre of the panel), ``u`` (the step from one column to the next) and ``v``
    (the step from one row to the next) are float64 arrays (n, 3) of (x, y, z). The centre of pixel ``[view, row, col]`` is ``detector +
    (col - (cols - 1) / 2) u + (row - (rows - 1) / 2) v``. ``angles_deg`` is a label of each view; only the vectors decide where the rays
    run.

    >>> scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=4, cols=6, pixel_mm=0.5, angles_deg=[0, 90])
    >>> scan.source.round(6).tolist()
    [[0.0, -100.0, 0.0], [100.0, -0.0, 0.0]]
    >>> eval(repr(scan[1:])) == scan[[1]]
    True
    """

    shape: tuple[int, int]
    source: Vectors
    detector: Vectors
    u: Vectors
    v: Vectors
    angles_deg: Angles
    _circular: Circular | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in np.atleast_1d(self.shape))
        if len(shape) != 2 or min(shape) < 1:
            raise InputError(f"Scan shape is {self.shape}", expected="two positive whole numbers (rows, cols)")
        object.__setattr__(self, "shape", shape)
        angles = _frozen(np.atleast_1d(np.asarray(self.angles_deg, dtype=np.float64)))
        if angles.ndim != 1 or angles.size == 0:
            raise InputError(f"angles_deg has shape {angles.shape}", expected="one angle for each view, and at least one view")
        if not np.isfinite(angles).all():
            raise InputError("angles_deg holds NaN or Inf", expected="finite angles in degrees")
        object.__setattr__(self, "angles_deg", angles)
        for name in _VECTORS:
            object.__setattr__(self, name, _vectors(name, getattr(self, name), angles.size))
            far = float(np.abs(getattr(self, name)).max())
            if far > FARTHEST_MM:
                raise InputError(f"Scan {name} holds {far:g} mm", expected=f"lengths up to {FARTHEST_MM:g} mm")
        normal = np.cross(self.u, self.v)
        height = np.abs(np.einsum("ij,ij->i", normal, self.source - self.detector))
        if (height <= 1e-12 * (np.linalg.norm(normal, axis=1) + 1e-300)).any():
            raise InputError(
                "a view's source lies in the plane of its detector, or its u and v are parallel", expected="a source off the panel"
            )

    @classmethod
    def circular(
        cls,
        *,
        dso_mm: float,
        dsd_mm: float,
        rows: int,
        cols: int,
        pixel_mm: float,
        angles_deg: ArrayLike,
        axis_shift_mm: float = 0.0,
        row_shift_mm: float = 0.0,
        roll_deg: float = 0.0,
    ) -> Scan:
        """A circular cone-beam scan about the z axis. With one row it is a fan beam, and with a large ``dso_mm`` a parallel beam.

        The source of view angle b is at ``dso_mm (sin b, -cos b, 0)``, counter-clockwise positive, and rows increase with +z. The central
        ray (from the source through the axis, in the plane z = 0) meets the panel at column ``(cols - 1) / 2 + axis_shift_mm / pixel_mm``
        and row ``(rows - 1) / 2 + row_shift_mm / pixel_mm``. The panel is turned about that ray by ``roll_deg`` (u towards v). Shifts are
        measured on the panel, along its own u and v. ``angles_deg`` is an array (n,).
        """
        for name, count in (("rows", rows), ("cols", cols)):
            if not np.isfinite(count) or int(count) != count:
                raise InputError(f"{name} is {count}", expected="a whole number of pixels")
        recipe = Circular(
            float(dso_mm), float(dsd_mm), int(rows), int(cols), float(pixel_mm), float(axis_shift_mm), float(row_shift_mm), float(roll_deg)
        )
        angles = np.atleast_1d(np.asarray(angles_deg, dtype=np.float64))
        if not np.isfinite(angles).all():
            raise InputError("angles_deg holds NaN or Inf", expected="finite angles in degrees")
        if angles.size and np.abs(angles).max() > MOST_DEG:
            raise InputError(f"angles_deg goes up to {np.abs(angles).max():g} deg", expected=f"at most {MOST_DEG:g} deg of travel")
        source, detector, u, v = circular_vectors(recipe, angles)
        scan = cls((recipe.rows, recipe.cols), source, detector, u, v, angles)
        object.__setattr__(scan, "_circular", recipe)
        return scan

    def __len__(self) -> int:
        return int(self.angles_deg.size)

    def __getitem__(self, index: slice | int | ArrayLike) -> Scan:
        """Some of the views, each with its own vectors and angle. The index is a slice, a list of indices, one index, or a mask."""
        keep = view_indices(len(self), index)
        part = Scan(self.shape, self.source[keep], self.detector[keep], self.u[keep], self.v[keep], self.angles_deg[keep])
        object.__setattr__(part, "_circular", self._circular)
        return part

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scan):
            return NotImplemented
        same = self.shape == other.shape and len(self) == len(other)
        return same and all(np.array_equal(getattr(self, n), getattr(other, n)) for n in (*_VECTORS, "angles_deg"))

    def __hash__(self) -> int:
        return hash((self.shape, *(getattr(self, n).tobytes() for n in (*_VECTORS, "angles_deg"))))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.shape, *(getattr(self, name) for name in (*_VECTORS, "angles_deg")), self._circular)

    def expression(self) -> str:
        """Python text that makes this scan again bit for bit, however long it is."""
        angles = angles_text(self.angles_deg)
        if self._circular is not None:
            return f"Scan.circular({self._circular.arguments()}, angles_deg={angles})"
        rows = ", ".join(f"{name}={getattr(self, name).tolist()}" for name in _VECTORS)
        return f"Scan(shape={self.shape}, {rows}, angles_deg={angles})"

    def __repr__(self) -> str:
        """The `expression` where it fits on a screen, otherwise a description in one line."""
        text = self.expression()
        return text if len(text) <= _SCREEN else f"<Scan: {self}; expression() is the text that makes it again>"

    def __str__(self) -> str:
        a, (wide, high) = self.angles_deg, self.cone_angles_deg
        radius, half_height, pixel = self.field_of_view_mm
        return (
            f"{len(self)} views of {self.shape[0]} x {self.shape[1]} pixels, {a[0]:g} to {a[-1]:g} deg, "
            f"cone {wide:.6f} x {high:.6f} deg, field of view {2 * radius:.4g} mm wide and {2 * half_height:.4g} mm high, "
            f"{pixel * 1000:.4g} um a pixel at the axis"
        )

    def _repr_html_(self) -> str:
        from ..base.notebook import card
        from .draw import draw_svg

        across, up = self.cone_angles_deg
        facts = {
            "views": f"{len(self)}, {self.angles_deg[0]:g} to {self.angles_deg[-1]:g} deg",
            "detector": f"{self.shape[1]} columns x {self.shape[0]} rows",
            "cone": f"{across:.4f} x {up:.4f} deg",
            "source to axis": f"{self.dso_mm:.6g} mm",
        }
        return card("Scan", facts, svg=draw_svg(self))

    @cached_property
    def axis(self) -> Axis:
        """The axis of rotation, found from the vectors (see `rotation_axis`)."""
        return rotation_axis(self.source, self.u, self.v)

    @property
    def axis_point_mm(self) -> Vector:
        """The point (x, y, z) of the rotation axis in the plane of the sources, in mm."""
        return self.axis.point_mm

    @property
    def dso_mm(self) -> float:
        """The distance from the source to the rotation axis, averaged over the views."""
        return float(np.linalg.norm(self.source - self.axis_point_mm, axis=1).mean())

    @property
    def dsd_mm(self) -> float:
        """The distance from the source to the detector along the normal of the panel, averaged over the views."""
        return float(np.abs(np.einsum("ij,ij->i", self.detector - self.source, self.normal)).mean())

    @property
    def normal(self) -> Vectors:
        """The unit normal (direction) of the panel in each view, pointing away from the source."""
        n = np.cross(self.u, self.v)
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        return n * np.sign(np.einsum("ij,ij->i", n, self.detector - self.source))[:, None]

    @property
    def first_pixel(self) -> Vectors:
        """The centre of pixel [row 0, col 0] in each view, in mm; pixel [row, col] is ``col u + row v`` further."""
        rows, cols = self.shape
        return self.detector - (cols - 1) / 2 * self.u - (rows - 1) / 2 * self.v

    @property
    def cone_angles_deg(self) -> tuple[float, float]:
        """The full opening angles (across the columns, across the rows) of a centred panel, as NRecon prints them."""
        (rows, cols), dsd = self.shape, self.dsd_mm
        half = [n * np.linalg.norm(step, axis=1).mean() / 2 / dsd for n, step in ((cols, self.u), (rows, self.v))]
        return float(2 * np.degrees(np.arctan(half[0]))), float(2 * np.degrees(np.arctan(half[1])))

    @property
    def field_of_view_mm(self) -> FieldOfView:
        """The cylinder that the scan sees: ``radius_mm`` and ``half_height_mm`` at the rotation axis, and ``pixel_mm``, the size of a pixel
        there.

        A panel that is shifted to one side sees more on that side; over a full turn it sees the larger radius everywhere, which is the one
        returned.
        """
        dso, dsd, (rows, cols) = self.dso_mm, self.dsd_mm, self.shape
        off = self._off_center()
        pu, pv = np.linalg.norm(self.u, axis=1), np.linalg.norm(self.v, axis=1)
        off_u = np.abs(np.einsum("ij,ij->i", off, self.u) / pu).mean()
        half_u, half_v = cols * pu.mean() / 2 + off_u, rows * pv.mean() / 2
        return FieldOfView(float(dso * np.sin(np.arctan(half_u / dsd))), float(half_v * dso / dsd), float(pu.mean() * dso / dsd))

    @property
    def field_of_view_height_mm(self) -> float:
        """How far along the axis the middle of the field of view lies from ``axis_point_mm``; not zero for a panel that is not centred in
        height.
        """
        height = float(-(self._off_center() @ self.axis.direction).mean() * self.dso_mm / self.dsd_mm)
        return 0.0 if abs(height) < 1e-9 * self.dso_mm else height

    def _off_center(self) -> Vectors:
        """The way in mm from the panel's centre to the point at which the ray through ``axis_point_mm`` meets its plane, for each view."""
        to_axis = self.axis_point_mm - self.source
        reach = np.einsum("ij,ij->i", self.detector - self.source, self.normal) / np.einsum("ij,ij->i", to_axis, self.normal)
        return self.source + to_axis * reach[:, None] - self.detector


def _restored(shape: tuple[int, int], *arrays: Any) -> Scan:
    """A scan from what `Scan.__reduce__` kept, with read-only arrays again."""
    *vectors, circular = arrays
    scan = Scan(shape, *vectors)
    object.__setattr__(scan, "_circular", circular)
    return scan


def view_indices(count: int, index: slice | int | ArrayLike) -> ViewIndices:
    """Indices of ``count`` views from a slice, an integer, a list or a boolean mask (count,); anything else is an InputError."""
    if isinstance(index, slice):
        keep = np.arange(count)[index]
    else:
        given = np.atleast_1d(np.asarray(index))
        if given.dtype == bool:
            if given.shape != (count,):
                raise InputError(f"a view mask of shape {given.shape}", expected=f"one flag for each of the {count} views")
            keep = np.flatnonzero(given)
        elif np.issubdtype(given.dtype, np.integer) and given.ndim == 1:
            if given.size and (given.min() < -count or given.max() >= count):
                raise IndexError(f"view index {int(given.max())} (least {int(given.min())}) is outside the scan's {count} views")
            keep = np.arange(count)[given]
        else:
            raise InputError(f"a view index of type {given.dtype}", expected="a slice, whole numbers, or a boolean mask")
    if keep.size == 0:
        raise InputError("the selection keeps no view", expected="at least one view")
    return keep


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array = np.array(array, dtype=np.float64)
    array.setflags(write=False)
    return array


def _vectors(name: str, given: ArrayLike | Sequence[Any], count: int) -> Vectors:
    array = np.asarray(given, dtype=np.float64)
    if array.shape != (count, 3):
        raise InputError(f"Scan {name} has shape {array.shape}", expected=f"({count}, 3): one (x, y, z) in mm for each angle")
    if not np.isfinite(array).all():
        raise InputError(f"Scan {name} holds NaN or Inf", expected="finite lengths in mm")
    return _frozen(array)
