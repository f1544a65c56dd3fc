"""The stages of a run. Each is a function that returns projections (or a volume) and what the record says about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..data import Projections, Reconstruction
from ..geometry import Grid
from ..geometry.transform import shift_views
from ..recon import reconstruct
from ..recon.method import Callback, Progress
from .plan import ReconPlan

Tell = Callable[[str], object]


def counted(callback: Callback) -> Callable[[int, int], object]:
    """A callback for the progress of a method, turned into one for the number of things done, and of how many."""
    return lambda done, total: callback(Progress(done, total))


def calibrated(projections: Projections, tell: Tell, callbacks: Sequence[Callback] = ()) -> tuple[Projections, dict[str, Any]]:
    """The projections with the geometry that was found from them, and what was changed."""
    from ..recon import calibrate

    found = calibrate(projections, callbacks=callbacks)
    for line in found.lines:
        tell(f"calibration: {line}")
    return Projections(projections.values, found.scan, projections.meta), found.changes


def without_drift(projections: Projections, tell: Tell) -> tuple[Projections, dict[str, list[float]]]:
    """The projections with each view's own shift taken into the scan, and the shifts."""
    from ..recon.calibration.drift import view_drift

    found = view_drift(projections)
    cols, rows = found.cols_px, found.rows_px
    tell(f"drift of the views: {cols.std():.3f} px along columns, {rows.std():.3f} px along rows (standard deviation)")
    scan = shift_views(projections.scan, cols, rows)
    return Projections(projections.values, scan, projections.meta), {"cols_px": cols.round(4).tolist(), "rows_px": rows.round(4).tolist()}


def reconstructed(
    part: Projections, plan: ReconPlan, grid: Grid, callbacks: Sequence[Callback], extra: Mapping[str, Any] | None = None
) -> Reconstruction:
    """The reconstruction, with its standard deviation where the plan asks for it. ``extra`` are settings that the
    plan's own take precedence over.
    """
    spread, method, settings = plan.spread, plan.reconstructor, {**(extra or {}), **plan.settings}
    if not spread.replicas:
        return reconstruct(part, method, grid, callbacks, **settings)
    if spread.kind == "members":
        from ..nerf.training.ensemble import ensemble_std

        return ensemble_std(part, method, grid, members=spread.replicas, callbacks=callbacks, **settings)
    if spread.kind == "conformal":
        from ..nerf.spread.std import conformal_std

        return conformal_std(part, method, grid, scale=spread.scale, callbacks=callbacks, **settings)
    from ..recon.uncertainty import resampled_std

    return resampled_std(
        part, method, grid, kind=spread.kind, replicas=spread.replicas, scale=spread.scale, callbacks=callbacks, **settings
    )
