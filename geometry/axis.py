"""The axis of rotation of a scan, found from where the sources and the panels were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..base.shapes import Vector, Vectors


@dataclass(frozen=True)
class Axis:
    """The rotation axis: its point in the plane of the sources (mm), and its unit direction (+z for a scan that was not moved)."""

    point_mm: Vector
    direction: Vector


@dataclass(frozen=True)
class _Fit:
    point: Vector
    direction: Vector
    uncertainty: float
    """Standard error of the point that the scatter about the fit implies, mm."""


def rotation_axis(source: Vectors, u: Vectors, v: Vectors) -> Axis:
    """The axis of rotation from the vectors ``source``, ``u`` and ``v`` in mm, also for a scan that was moved rigidly.

    Two fits are made, and the one with the smaller standard error is taken. One is the circle through the sources: it is best for long arcs
    and does not depend on how the panels were turned. The other is the rigid rotation that carries panel and source from view to view: it
    works from two views on, and stays accurate for short arcs with jitter, where a circle is hardly curved. One view, or views between
    which nothing turns, define no axis; it is then taken as z through the origin, as for every scan that was not moved. The direction has a
    non-negative z (or y, or x) component.
    """
    fits = [fit for fit in (_circle(source), _rigid(source, u, v)) if fit is not None]
    if not fits:
        return _frozen(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    best = min(fits, key=lambda fit: fit.uncertainty)
    point = np.where(np.abs(best.point) < 1e-12 * np.abs(source).max(), 0.0, best.point)  # rounding noise of a scan about the origin
    direction = np.where(np.abs(best.direction) < 1e-12, 0.0, best.direction)
    lead = next(component for component in direction[::-1] if abs(component) > 1e-9)
    return _frozen(point, direction * np.sign(lead) + 0.0)


def _frozen(point: Vector, direction: Vector) -> Axis:
    for array in (point, direction):
        array.setflags(write=False)
    return Axis(point, direction)


def _error(residual: NDArray[np.float64], design: NDArray[np.float64], unknowns: int, size: float) -> float:
    """The standard error of the first ``unknowns`` columns of a least-squares fit, with rounding errors counted as scatter."""
    freedom = max(1, residual.size - np.linalg.matrix_rank(design))
    variance = float((residual**2).sum()) / freedom + (1e-15 * size) ** 2
    covariance = np.linalg.pinv(design.T @ design, rcond=1e-13, hermitian=True)
    return float(np.sqrt(variance * np.trace(covariance[:unknowns, :unknowns])))


def _circle(source: Vectors) -> _Fit | None:
    """The circle through three or more sources: its centre and normal (algebraic fit, Kasa 1976)."""
    if len(source) < 3:
        return None
    mean = source.mean(axis=0)
    centred = source - mean
    _, spread, basis = np.linalg.svd(centred, full_matrices=False)
    if spread[1] <= 1e-6 * spread[0] or spread[0] == 0:
        return None
    plane, direction = basis[:2], np.cross(basis[0], basis[1])
    xy = centred @ plane.T
    scale = float(spread[0]) / np.sqrt(len(source))
    design = np.column_stack([2 * xy / scale, np.ones(len(xy))])
    right = (xy**2).sum(axis=1) / scale
    center, *_ = np.linalg.lstsq(design, right, rcond=None)
    size = float(np.abs(source).max()) * max(1.0, float(np.linalg.norm(center[:2])) / scale)
    return _Fit(mean + center[:2] @ plane, direction, _error(right - design @ center, design, 2, size))


def _rigid(source: Vectors, u: Vectors, v: Vectors) -> _Fit | None:
    """The axis from ``source i = point + F_i w``, with F_i the frame of panel i and w constant: it is the
    direction that all frames share.
    """
    frames = _frames(u, v)
    left, shared, _ = np.linalg.svd(frames.mean(axis=0))
    if shared[1] > 1 - 1e-10:  # arcs below a thousandth of a degree
        return None
    direction = left[:, 0]
    n = len(source)
    design = np.concatenate([np.broadcast_to(np.eye(3), (n, 3, 3)), frames], axis=2).reshape(3 * n, 6)
    mean = source.mean(axis=0)
    right = (source - mean).ravel()
    found, *_ = np.linalg.lstsq(design, right, rcond=1e-9)
    point = found[:3] - direction * (direction @ found[:3])
    return _Fit(mean + point, direction, _error(right - design @ found, design, 3, float(np.abs(source).max())))


def _frames(u: Vectors, v: Vectors) -> NDArray[np.float64]:
    """Orthonormal frames of the panels (n, 3, 3) with the columns u, v, normal."""
    first = u / np.linalg.norm(u, axis=1, keepdims=True)
    normal = np.cross(first, v)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.stack([first, np.cross(normal, first), normal], axis=-1)
