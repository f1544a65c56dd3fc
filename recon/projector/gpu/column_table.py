"""Of an upright scan: for each detector column of each view the path that its rays share in (x, y), as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..joseph_rays import TIE, Rays

FIELDS = 12  # a column: first and last slice, a0, a1, b0, b1, d0, d1, kind; and three that are not used
Array = NDArray[np.float64]


@dataclass(frozen=True)
class ColumnTable:
    """``fields`` (view, col, 12): in slice k across the main axis a ray of the column is at a0 + k a1 on the other axis of the plane, and
    the ray of detector row r at z = b0 + k b1 + (r - (rows - 1) / 2) (d0 + k d1), all in voxels.

    ``kind`` 0: the main axis is x, 1: it is y. Slices count from ``first`` to before ``last``: inside the box and in front of the source.
    ``crossing`` (view, 6): the column through (x, y) is (n0 + n1 x + n2 y) / (m0 + m1 x + m2 y). At most ``cols`` columns of a view,
    within ``reach`` of their crossings, touch some of four voxels in a row across the slices, and at most ``rows`` rows of a column each.
    """

    fields: Array
    crossing: Array
    cols: int
    rows: int
    reach: float

    @classmethod
    def of(cls, rays: Rays) -> ColumnTable:
        """From rays that are `Rays.upright`."""
        fields = _fields(rays)
        da, db = _least_steps(fields)
        kept = np.zeros((*fields.shape[1:], FIELDS))
        kept[..., : len(fields)] = fields.transpose(1, 2, 0)
        reach = 1 / da + 2e-3  # the kernels know the crossing to a thousandth of a column
        return cls(kept, _crossing(rays), _count(reach + 1.5 / da), _count(1 / db + 2e-3), reach)


def _count(reach: float) -> int:
    """How many whole numbers an open interval of half width ``reach`` holds at most."""
    return int(np.floor(2 * min(reach, 1e6))) + 1


def _fields(rays: Rays) -> Array:
    """(9, view, col)."""
    col = np.arange(rays.cols)
    _, ny, nx = rays.grid_shape
    dx, dy = (rays.first[:, i, None] + col * rays.u[:, i, None] for i in (0, 1))
    along_y = np.abs(dx) * TIE < np.abs(dy)
    dm, da = np.where(along_y, dy, dx), np.where(along_y, dx, dy)
    sx, sy, sz = (rays.source[:, i, None] for i in range(3))
    sm, sa = np.where(along_y, sy, sx), np.where(along_y, sx, sy)
    size_m, size_a = np.where(along_y, ny, nx), np.where(along_y, nx, ny)
    a1 = da / dm
    a0 = sa - sm * a1
    with np.errstate(divide="ignore", invalid="ignore"):
        enters, leaves = (-1 - a0) / a1, (size_a - a0) / a1
    low, high = np.fmin(enters, leaves), np.fmax(enters, leaves)
    first = np.where(dm > 0, np.fmax(low, np.floor(sm) + 1), low)
    last = np.where(dm > 0, high + 1, np.fmin(high + 1, np.ceil(sm)))
    first, last = (np.ceil(np.clip(np.nan_to_num(v, nan=0.0), 0, size_m)) for v in (np.floor(first), last))
    middle = rays.first[:, 2, None] + (rays.rows - 1) / 2 * rays.v[:, 2, None]
    b1, d1 = middle / dm, rays.v[:, 2, None] / dm
    return np.stack([first, np.maximum(first, last), a0, a1, sz - sm * b1, b1, -sm * d1, d1, along_y.astype(np.float64)])


def _least_steps(fields: Array) -> tuple[float, float]:
    """The least distance, in voxels, between the points of neighbouring columns, and of neighbouring rows, within one slice of the box."""
    first, last, a0, a1, _, _, d0, d1, kind = fields
    seen = last > first
    ends = (np.where(seen, first, 0.0), np.where(seen, last - 1, 0.0))
    db = min((float(np.abs(d0 + k * d1)[seen].min()) for k in ends), default=1.0) if seen.any() else 1.0
    both = (kind[:, 1:] == kind[:, :-1]) & seen[:, 1:] & seen[:, :-1]
    begin, end = np.maximum(first[:, 1:], first[:, :-1]), np.minimum(last[:, 1:], last[:, :-1]) - 1
    both &= end >= begin
    if not both.any():
        return 1.0, db
    step, slope = np.diff(a0, axis=1), np.diff(a1, axis=1)
    return min(float(np.abs(step + k * slope)[both].min()) for k in (begin, end)), db


def _crossing(rays: Rays) -> Array:
    """Where the line from the source through (x, y) meets the columns: (x - s) x (first + c u) = 0; scaled to 1 in the box's middle."""
    (fx, fy), (ux, uy), (sx, sy) = rays.first[:, :2].T, rays.u[:, :2].T, rays.source[:, :2].T
    _, ny, nx = rays.grid_shape
    upper = np.stack([sx * fy - sy * fx, -fy, fx], axis=1)
    lower = np.stack([-(sx * uy - sy * ux), uy, -ux], axis=1)
    scale = lower @ np.array([1.0, (nx - 1) / 2, (ny - 1) / 2])
    return np.concatenate([upper, lower], axis=1) / np.where(np.abs(scale) > 1e-12 * np.abs(lower).max(), scale, 1.0)[:, None]
