"""Which views a task gives to its method, and at which dose."""

from __future__ import annotations

import numpy as np

from ...base import InputError, UnknownNameError
from ...base.shapes import ViewIndices
from ...data import Projections
from ...geometry import views
from .pair_task import PairTask

SELECTIONS = ("evenly", "random", "wedge")


def choose_views(whole: Projections, task: PairTask) -> ViewIndices:
    """The indices of the views that the task gives to its method."""
    if task.selection == "evenly":
        return views.evenly(whole.scan, task.views)
    if task.selection == "random":
        return views.random(whole.scan, task.views, seed=task.seed)
    if task.selection == "wedge":
        return np.arange(len(whole))[: task.views]
    raise UnknownNameError("selection of views", task.selection, SELECTIONS)


def thinned(projections: Projections, photons: float, seed: int) -> Projections:
    """The scan as it would have been with ``photons`` in an unattenuated pixel: each counted photon is kept by chance (binomial, exact).

    This needs ``meta["photons"]``, the count with which the scan was made, and ``photons`` must not exceed it.
    """
    had = projections.meta.get("photons")
    if had is None:
        raise InputError("the scan does not say how many photons made it", expected="meta['photons']", remedy="leave the dose as it is")
    if not 0 < photons <= had:
        raise InputError(f"{photons:g} photons in a pixel", expected=f"more than 0 and at most {had:g}, those of the scan")
    counts = np.rint(had * np.exp(-projections.values.astype(np.float64))).astype(np.int64)
    kept = np.random.default_rng(seed).binomial(np.maximum(counts, 0), photons / had)
    values = -np.log(np.maximum(kept, 0.5) / photons)
    return Projections(values.astype(np.float32), projections.scan, {**projections.meta, "photons": photons})
