"""Drift: how far the content of each view lies from where the volume of all views puts it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...base import InputError
from ...base.shapes import Float, LineIntegrals
from ...data import Projections
from ...geometry import Grid, Scan
from ...geometry.skyscan.shifts import ViewShifts
from ...geometry.transform import shift_views
from ..analytic.feldkamp import filtered_backprojection
from ..corrections.beam_hardening import linearise
from ..projector.operator import Operator
from .epipolar import Epipolar, whitened
from .hardening import consistent_percent
from .search import binned

_DEGREE, _STEP_PX = 6, 0.5  # of the polynomials of slow drift; of the finite differences

Columns = Float[NDArray[np.float64], "n *columns"]  # one column of numbers, or several


def view_drift(projections: Projections, *, iterations: int = 10, cols: int = 96) -> ViewShifts:
    """Shifts (columns and rows, detector pixels, one pair a view) that `geometry.transform.shift_views` corrects the scan with.

    Slow drift, a polynomial of the view's number, is found by the epipolar test (see `slow_drift`). Jitter from view to view is found by
    reprojection matching: an FDK volume of all views, binned to about ``cols`` columns, is projected back, each view is registered to
    its reprojection by least squares on the gradient (Lucas & Kanade 1981), and both steps are repeated while the residual falls; a short
    scan can bend the volume to slow drift, which therefore is taken out of the registration. The line integrals are straightened first
    (see `calibration_hardening`).

    What a motion of the whole object would explain is left out: the mean of either shift (calibrate's axis and row shift) and the first
    harmonic of the columns'. On 60 views of 96 columns slow drift is found to 0.2 px along columns and 0.02 px along rows.

    Raises InputError for fewer than 12 views, and for views that go less than half way around (no trustworthy volume).
    """
    scan = projections.scan
    span = float(np.ptp(scan.angles_deg)) * len(scan) / max(1, len(scan) - 1)
    if len(scan) < 12 or span < 179:
        raise InputError(f"{len(scan)} views over {span:.0f} deg", expected="12 or more views over half a turn to estimate drift from")
    factor = max(1, scan.shape[1] // cols)
    values, small = binned(projections.values, scan, factor)
    values = linearise(values, consistent_percent(values, small))
    smooth = np.asarray(gaussian_filter(values, (0, 1.0, 1.0)), dtype=np.float32)
    total = best = slow_drift(values, small)
    held = [np.column_stack([_slow(small), _gauge(small)]), _slow(small)]
    lowest = np.inf
    for _ in range(iterations + 1):
        model = _reprojected(smooth, shift_views(small, *total))
        residual = float(((smooth - model) ** 2).sum())
        if residual > lowest:
            break
        lowest, best = residual, total
        move = 1.5 * _registered(smooth, model)
        total = total + np.array([without(basis, along) for basis, along in zip(held, move, strict=True)])
    return ViewShifts(best[0] * factor, best[1] * factor)


def slow_drift(values: LineIntegrals, scan: Scan, *, steps: int = 4) -> Float[NDArray[np.float64], "2 view"]:
    """Shifts of columns and rows (2, view) in pixels, polynomials of the view's number, that make views [view, row, col] agree best.

    Gauss-Newton on the differences of `epipolar`; an axis shift is fitted beside them, and not given back.
    """
    basis = _slow(scan)[:, 1:]
    bent, size, _ = np.linalg.svd(without(_gauge(scan), basis), full_matrices=False)
    columns = np.column_stack([np.ones(len(scan)), bent[:, size > 0.05 * size[0]] * np.sqrt(len(scan))])
    count = columns.shape[1]
    test = Epipolar(values, scan, 1.0, most_pairs=2000)
    x = np.zeros(count + basis.shape[1])
    for _ in range(steps):
        points = [x, *(x + _STEP_PX * np.eye(len(x)))]
        said = [test.sides(shift_views(scan, columns @ y[:count], basis @ y[count:])) for y in points]
        valid = np.all([np.isfinite(sides).all(axis=2) for sides in said], axis=0)
        here, *around = (whitened(sides[..., 0] - sides[..., 1], valid).ravel() for sides in said)
        slope = np.stack([(there - here) / _STEP_PX for there in around], axis=1)
        x = x - np.clip(np.linalg.lstsq(slope, here, rcond=1e-3)[0], -3, 3)
    return np.stack([columns[:, 1:] @ x[1:count], without(np.ones((len(scan), 1)), basis @ x[count:])])


def without(basis: Float[NDArray[np.float64], "n k"], values: Columns) -> Columns:
    """``values`` without their part in the span of the columns of ``basis``, in the unit of ``values``."""
    return np.asarray(values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0], dtype=np.float64)


def _slow(scan: Scan) -> Float[NDArray[np.float64], "view degree"]:
    """(view, degree): Legendre polynomials of the view's number."""
    terms = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(scan)), min(_DEGREE, len(scan) // 4))
    return np.asarray(terms, dtype=np.float64)


def _gauge(scan: Scan) -> Float[NDArray[np.float64], "view 3"]:
    """(view, 3): constant, and the column shifts that moving the object would give."""
    axis = scan.axis
    arm = scan.source - axis.point_mm
    columns = scan.u / np.linalg.norm(scan.u, axis=1, keepdims=True)
    across = np.linalg.svd(arm - np.outer(arm @ axis.direction, axis.direction), full_matrices=False)[2][:2]
    return np.column_stack([np.ones(len(scan)), columns @ across.T])


def _reprojected(values: LineIntegrals, scan: Scan) -> LineIntegrals:
    grid = Grid.fit(scan)
    volume = filtered_backprojection(Projections(values, scan), grid, filter="hann")
    return Operator(scan, grid)(volume)


def _registered(measured: LineIntegrals, model: LineIntegrals) -> Float[NDArray[np.float64], "2 view"]:
    """(2, view): pixels by which each measured view lies further along columns and rows than the model."""
    inner = (slice(None), slice(2, -2), slice(2, -2))
    across, along = (-np.gradient(model, axis=axis)[inner].reshape(len(model), -1).astype(np.float64) for axis in (2, 1))
    left = (measured - model)[inner].reshape(len(model), -1).astype(np.float64)
    scale = model[inner].reshape(len(model), -1).astype(np.float64)
    design = np.stack([across, along, scale], axis=-1)
    normal = np.einsum("vpi,vpj->vij", design, design)
    right = np.einsum("vpi,vp->vi", design, left)
    normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    return np.clip(np.linalg.solve(normal, right[..., None])[:, :2, 0].T, -2, 2)
