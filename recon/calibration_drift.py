"""Per-view drift: how far the content of each view lies from where the volume of all views puts it."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..data import Projections
from ..geometry import Grid, InputError, Scan
from ..geometry.skyscan_shifts import ViewShifts
from ..geometry.transform import shift_views
from .calibration_search import binned
from .feldkamp import fdk
from .operator import Operator

Array = NDArray[np.float64]


def view_drift(projections: Projections, *, iterations: int = 10, cols: int = 96) -> ViewShifts:
    """Shifts (columns and rows, detector pixels, one pair a view) that `geometry.transform.shift_views` corrects the scan with.

    Reprojection matching: an FDK volume of all views, binned to about ``cols`` columns, is projected back, each view is registered to
    its reprojection by least squares on the gradient (Lucas & Kanade 1981), and both steps are repeated while the residual falls. What
    a motion of the whole object would do as well is taken out: the mean of either shift (calibrate's axis and row shift) and the first
    harmonic of the columns'. Jitter from view to view is found well; of slow drift along the columns a part always remains, since a
    short scan can bend the volume to it.

    Raises InputError for fewer than 12 views, and for views that go less than half way around (no trustworthy volume).
    """
    scan = projections.scan
    span = float(np.ptp(scan.angles_deg)) * len(scan) / max(1, len(scan) - 1)
    if len(scan) < 12 or span < 179:
        raise InputError(f"{len(scan)} views over {span:.0f} deg", expected="12 or more views over half a turn to estimate drift from")
    factor = max(1, scan.shape[1] // cols)
    values, small = binned(projections.values, scan, factor)
    smooth = np.asarray(gaussian_filter(values, (0, 1.0, 1.0)), dtype=np.float32)
    gauge = _gauge(scan)
    total = best = np.zeros((2, len(scan)))
    lowest = np.inf
    for _ in range(iterations + 1):
        model = _reprojected(smooth, shift_views(small, *total))
        residual = float(((smooth - model) ** 2).sum())
        if residual > lowest:
            break
        lowest, best = residual, total
        total = total + 1.5 * _registered(smooth, model)
        total[0] -= gauge @ np.linalg.lstsq(gauge, total[0], rcond=None)[0]
        total[1] -= total[1].mean()
    return ViewShifts(best[0] * factor, best[1] * factor)


def _gauge(scan: Scan) -> Array:
    """(view, 3): constant, and the column shifts that moving the object would give."""
    axis = scan.axis
    arm = scan.source - axis.point_mm
    columns = scan.u / np.linalg.norm(scan.u, axis=1, keepdims=True)
    across = np.linalg.svd(arm - np.outer(arm @ axis.direction, axis.direction), full_matrices=False)[2][:2]
    return np.column_stack([np.ones(len(scan)), columns @ across.T])


def _reprojected(values: NDArray[np.float32], scan: Scan) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a range too short for the grid is no news at each iteration
        grid = Grid.fit(scan)
        volume = fdk(Projections(values, scan), grid, filter="hann")
    return Operator(scan, grid)(volume)


def _registered(measured: NDArray[np.float32], model: NDArray[np.float32]) -> Array:
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
