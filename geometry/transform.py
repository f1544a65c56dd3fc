"""A scan after it was moved, binned, cropped, shifted, turned or flipped. Every function takes a scan of any geometry and returns a new
one.

Each function is the geometrical half of a change. Where the pixel values change too, the docstring says how.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import InputError
from ..base.shapes import Float, Vectors
from .scan import Scan


def _unit(a: NDArray[np.float64]) -> NDArray[np.float64]:
    return a / np.linalg.norm(a, axis=-1, keepdims=True)


def _turn(vectors: Vectors, about: Vectors, degrees: ArrayLike) -> Vectors:
    """Rodrigues' rotation of vectors (n, 3) about unit vectors, by one angle in degrees or one for each view."""
    angle = np.deg2rad(np.asarray(degrees, dtype=np.float64)).reshape(-1, 1)
    along = about * np.einsum("ij,ij->i", about, vectors)[:, None]
    return along + np.cos(angle) * (vectors - along) + np.sin(angle) * np.cross(about, vectors)


def rotation_matrix(axis: ArrayLike, degrees: float) -> Float[NDArray[np.float64], "3 3"]:
    """The matrix of the right-handed rotation by ``degrees`` about ``axis`` (x, y, z).

    >>> rotation_matrix((0, 0, 1), 90).round(6) @ [1, 0, 0]
    array([0., 1., 0.])
    """
    about = np.asarray(axis, dtype=np.float64)
    if about.shape != (3,) or not np.linalg.norm(about) > 0:
        raise InputError(f"rotation axis {axis}", expected="a direction (x, y, z) that is not zero")
    return _turn(np.eye(3), np.tile(_unit(about), (3, 1)), degrees).T


def move(scan: Scan, rotation: ArrayLike | None = None, translation_mm: ArrayLike = (0.0, 0.0, 0.0)) -> Scan:
    """The scan after the rigid motion ``x -> rotation x + translation_mm``, a (3, 3) matrix (see `rotation_matrix`) and (x, y, z) in mm.

    An object that is moved along with the scan looks the same, so the projections stay as they are. Raises InputError for a matrix that is
    not a rotation.
    """
    r = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
    t = np.asarray(translation_mm, dtype=np.float64)
    if r.shape != (3, 3) or not np.allclose(r @ r.T, np.eye(3), atol=1e-9) or np.linalg.det(r) < 0:
        raise InputError("the matrix of the motion is not a rotation", expected="an orthonormal (3, 3) matrix with determinant 1")
    if t.shape != (3,):
        raise InputError(f"translation_mm has shape {t.shape}", expected="(x, y, z) in mm")
    return Scan(scan.shape, scan.source @ r.T + t, scan.detector @ r.T + t, scan.u @ r.T, scan.v @ r.T, scan.angles_deg)


def whole_blocks(size: int, factor: int) -> slice:
    """The pixels along a side that whole blocks of ``factor`` fill, in the middle. The rest is dropped at both ends, an odd pixel at the
    last one.

    >>> whole_blocks(8, 3), whole_blocks(7, 2)
    (slice(1, 7, None), slice(0, 6, None))
    """
    first = size % factor // 2
    return slice(first, first + size // factor * factor)


def bin_pixels(scan: Scan, rows: int, cols: int | None = None) -> Scan:
    """The scan whose pixels are ``rows`` x ``cols`` old ones (``cols`` defaults to ``rows``), cropped in the middle as `whole_blocks` says.

    The values that go with it are the means of the blocks: `data.images.binning.bin_views`.
    """
    cols = rows if cols is None else cols
    for name, factor, size in (("rows", rows, scan.shape[0]), ("cols", cols, scan.shape[1])):
        if int(factor) != factor or not 1 <= factor <= size:
            raise InputError(f"binning of {factor} {name}", expected=f"a whole number from 1 to {size}")
    part = crop(scan, whole_blocks(scan.shape[0], rows), whole_blocks(scan.shape[1], cols))
    return Scan((part.shape[0] // rows, part.shape[1] // cols), part.source, part.detector, part.u * cols, part.v * rows, part.angles_deg)


def crop(scan: Scan, rows: slice = slice(None), cols: slice = slice(None)) -> Scan:
    """The scan of ``values[:, rows, cols]``: slices as numpy takes them, with any step (a step of -1 flips)."""
    picks = []
    for name, part, size in (("rows", rows, scan.shape[0]), ("cols", cols, scan.shape[1])):
        index = np.arange(size)[part]
        if index.size == 0:
            raise InputError(f"cropping to {name} {part} keeps nothing", expected=f"a part of the {size} {name}")
        first, step = float(index[0]), float(part.step or 1)
        picks.append((index.size, step, first + step * (index.size - 1) / 2 - (size - 1) / 2))
    (n_rows, row_step, row_center), (n_cols, col_step, col_center) = picks
    detector = scan.detector + col_center * scan.u + row_center * scan.v
    return Scan((n_rows, n_cols), scan.source, detector, scan.u * col_step, scan.v * row_step, scan.angles_deg)


def flip_rows(scan: Scan) -> Scan:
    """The scan of ``values[:, ::-1, :]``."""
    return crop(scan, rows=slice(None, None, -1))


def flip_cols(scan: Scan) -> Scan:
    """The scan of ``values[:, :, ::-1]``."""
    return crop(scan, cols=slice(None, None, -1))


def shift_views(scan: Scan, cols_px: ArrayLike = 0.0, rows_px: ArrayLike = 0.0) -> Scan:
    """The scan of images whose content lies ``cols_px`` columns and ``rows_px`` rows further along than ``scan`` says.

    Each is one number of pixels, or an array (n,) with one for each view. The values of the images stay as they are, and the panel is moved
    instead. Positive shifts have the sign of ``axis_shift_mm`` and ``row_shift_mm`` of `Scan.circular`.
    """
    shifts = []
    for name, given in (("cols_px", cols_px), ("rows_px", rows_px)):
        px = np.asarray(given, dtype=np.float64)
        if px.shape not in ((), (len(scan),)) or not np.isfinite(px).all():
            raise InputError(f"{name} has shape {px.shape}", expected=f"one finite number, or one for each of the {len(scan)} views")
        shifts.append(np.broadcast_to(px, (len(scan),))[:, None])
    return Scan(scan.shape, scan.source, scan.detector - shifts[0] * scan.u - shifts[1] * scan.v, scan.u, scan.v, scan.angles_deg)


def central_hit(scan: Scan) -> Vectors:
    """Where, in each view, the ray from the source that is perpendicular to the rotation axis meets the panel's plane, in mm."""
    axis = scan.axis
    point = axis.point_mm + np.outer((scan.source - axis.point_mm) @ axis.direction, axis.direction)
    ray = point - scan.source
    normal = scan.normal
    reach = np.einsum("ij,ij->i", scan.detector - scan.source, normal) / np.einsum("ij,ij->i", ray, normal)
    return scan.source + reach[:, None] * ray


def roll(scan: Scan, degrees: ArrayLike) -> Scan:
    """Each panel turned in its own plane by degrees (one number, or (n,)), u towards v, about the point where the central ray meets it."""
    return _turn_panel(scan, _unit(np.cross(scan.u, scan.v)), degrees)


def tilt(scan: Scan, about_u_deg: ArrayLike = 0.0, about_v_deg: ArrayLike = 0.0) -> Scan:
    """Each panel tipped by degrees (one number, or (n,)) about its row direction u, and then about its column direction v.

    Both axes go through the point where the central ray meets the panel.
    """
    tipped = _turn_panel(scan, _unit(scan.u), about_u_deg)
    return _turn_panel(tipped, _unit(tipped.v), about_v_deg)


def _turn_panel(scan: Scan, about: Vectors, degrees: ArrayLike) -> Scan:
    angle = np.asarray(degrees, dtype=np.float64)
    if angle.shape not in ((), (len(scan),)) or not np.isfinite(angle).all():
        raise InputError(f"an angle of shape {angle.shape}", expected=f"finite degrees, one or one for each of the {len(scan)} views")
    hit = central_hit(scan)
    detector = hit + _turn(scan.detector - hit, about, angle)
    return Scan(scan.shape, scan.source, detector, _turn(scan.u, about, angle), _turn(scan.v, about, angle), scan.angles_deg)


def correct(scan: Scan, axis_shift_mm: float = 0.0, row_shift_mm: float = 0.0, roll_deg: float = 0.0) -> Scan:
    """The scan with these amounts added to its axis shift, row shift and roll, each defined as in `Scan.circular`.

    >>> args = dict(dso_mm=90, dsd_mm=120, rows=4, cols=6, pixel_mm=0.5, angles_deg=[0, 120, 240])
    >>> whole = Scan.circular(axis_shift_mm=0.3, row_shift_mm=-0.2, roll_deg=1.0, **args)
    >>> bool(np.allclose(correct(Scan.circular(**args), 0.3, -0.2, 1.0).detector, whole.detector))
    True
    """
    turned = roll(scan, roll_deg) if roll_deg else scan
    detector = turned.detector - axis_shift_mm * _unit(turned.u) - row_shift_mm * _unit(turned.v)
    return Scan(turned.shape, turned.source, detector, turned.u, turned.v, turned.angles_deg)


def reverse_rotation(scan: Scan) -> Scan:
    """The scan to which the same images belong if the rotation ran the other way; the first view keeps its place."""
    axis = scan.axis
    arm = scan.source - axis.point_mm
    arm = arm - np.outer(arm @ axis.direction, axis.direction)
    sine, cosine = np.cross(arm[0], arm) @ axis.direction, arm @ arm[0]
    back = -2 * np.degrees(np.arctan2(sine, cosine))
    about = np.tile(axis.direction, (len(scan), 1))
    source, detector = (axis.point_mm + _turn(x - axis.point_mm, about, back) for x in (scan.source, scan.detector))
    first = scan.angles_deg[0]
    return Scan(scan.shape, source, detector, _turn(scan.u, about, back), _turn(scan.v, about, back), first - (scan.angles_deg - first))


def turn_views(scan: Scan, degrees: ArrayLike) -> Scan:
    """The scan of the same images if each view had been taken ``degrees`` (view,) further round the axis, right-handed."""
    angle = np.asarray(degrees, dtype=np.float64)
    if angle.shape != (len(scan),) or not np.isfinite(angle).all():
        raise InputError(f"degrees has shape {angle.shape}", expected=f"one finite number for each of the {len(scan)} views")
    axis = scan.axis
    about = np.tile(axis.direction, (len(scan), 1))
    source, detector = (axis.point_mm + _turn(x - axis.point_mm, about, angle) for x in (scan.source, scan.detector))
    return Scan(scan.shape, source, detector, _turn(scan.u, about, angle), _turn(scan.v, about, angle), scan.angles_deg + angle)


def pixel_centers(scan: Scan, view: int) -> Float[NDArray[np.float64], "row col 3"]:
    """The centre of every pixel of one view, as (x, y, z) in mm."""
    rows, cols = scan.shape
    row = (np.arange(rows) - (rows - 1) / 2)[:, None, None]
    col = (np.arange(cols) - (cols - 1) / 2)[None, :, None]
    return scan.detector[view] + col * scan.u[view] + row * scan.v[view]


def turn_count(scan: Scan) -> float:
    """How many turns the sources make about the axis (signed, right-handed about the direction of the axis)."""
    axis = scan.axis
    arm = scan.source - axis.point_mm
    step = np.arctan2(np.cross(arm[:-1], arm[1:]) @ axis.direction, np.einsum("ij,ij->i", arm[:-1], arm[1:]))
    return float(step.sum() / (2 * math.pi))
