"""`correct`: the corrections of a scan in memory, and an account of what each of them changed."""

from __future__ import annotations

import numpy as np

from ...base.shapes import Volume
from ...data import Projections, RawScan
from ...geometry import Grid
from .by_view import change_of, corrected
from .settings import Account, Corrections
from .smoothing import median_volume


def correct(
    scan: RawScan | Projections, corrections: Corrections | None = None, *, grid: Grid | None = None
) -> tuple[Projections, Account]:
    """(corrected projections, account): every step that is switched on, in order, with its settings and what it changed.

    Detector counts (`RawScan`) go through `fewview.data.prepare` first: flat and dark field, air level of each view, logarithm. Each entry
    of the account has ``step``, the settings, and the mean and root-mean-square change of the line integrals; it is also kept in
    ``meta["corrections"]``, and so goes into the run record. ``bone_hardening`` looks for bone on ``grid`` if that holds the whole field of
    view, else on a grid of its own, see `search_grid`.
    """
    account: Account = []
    if isinstance(scan, RawScan):
        from ...data.scans.preparation import prepare

        projections = prepare(scan)
        account.append({"step": "prepare", **projections.meta.get("prepare", {})})
    else:
        projections = scan
    before = list(projections.meta.get("corrections", ()))
    settings = Corrections() if corrections is None else corrections
    values, done = corrected(projections.values, projections.scan, settings, projections.meta, grid)
    assert isinstance(values, np.ndarray)
    account += done
    return Projections(values, projections.scan, {**projections.meta, "corrections": [*before, *account]}), account


def correct_volume(volume: Volume, corrections: Corrections) -> tuple[Volume, Account]:
    """(volume, account) after the steps that work on the reconstruction: the median."""
    if not corrections.median:
        return volume, []
    out = median_volume(volume, corrections.median)
    return out, [{"step": "median", "radius": corrections.median, **change_of(volume, out)}]
