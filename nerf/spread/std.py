"""Standard deviations of voxels from one reconstruction: what was learned of errors where the truth is known."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ...base import InputError
from ...data import Projections, Reconstruction
from ...geometry import Grid
from ...recon import Method, load_method, reconstruct
from ...recon.iterative.region.beside import require_whole_object
from ...recon.method import Callback
from ..weights import SHA256
from .learned import LEVEL, spread_of


def conformal_std(
    projections: Projections,
    method: str | Method | Callable[..., Any] = "pdhg_tv",
    grid: Grid | None = None,
    *,
    scale: float = 1.0,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> Reconstruction:
    """One reconstruction with ``std`` [z, y, x] in 1/mm, such that ``volume +- 1.645 std`` holds 90 % of the voxels of the object, or more,
    in nine of ten scans of procedural volumes (docs/intervals.md says what it holds of others).

    The size of the error in a voxel was learned from the contrast around it and from what the volume leaves of the views there, and scaled
    for each number of views on scans that took no part in that (cross-conformal prediction). ``scale`` is one more factor, as for
    `fewview.recon.uncertainty.resampled_std`.

    Raises UnknownNameError for a method without learned errors, and InputError for a checkpoint of one's own or a part of the object.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}", expected="a positive factor")
    chosen = load_method(method)
    spread = spread_of(chosen.name)
    if settings.get("checkpoint") is not None:
        raise InputError(
            f"conformal intervals of {chosen.name} with the checkpoint {settings['checkpoint']}",
            expected="the weights that come with fewview, for which the intervals were scaled",
            remedy="use --std 8 --std-kind views",
        )
    require_whole_object(projections, Grid.fit(projections.scan) if grid is None else grid, "conformal intervals", "use --std-kind views")
    rec = reconstruct(projections, chosen, grid, callbacks, **settings)
    few, many = min(spread.factors), max(spread.factors)
    if not few <= len(projections) <= many:
        warnings.warn(
            f"conformal intervals were scaled for {few} to {many} views, not for {len(projections)}: they may not hold", stacklevel=3
        )
    if spread.made_for != SHA256.get(chosen.name, ""):
        warnings.warn(
            f"conformal intervals of {chosen.name} were scaled for other weights: make train-shipped makes them again", stacklevel=3
        )
    std = spread.std(projections, rec.grid, rec.volume)
    std *= scale
    factor = spread.factor(len(projections))
    record = {**rec.settings, "std_kind": "conformal", "std_level": LEVEL, "std_scale": float(scale), "std_factor": factor}
    return dataclasses.replace(rec, std=std, settings=record)
