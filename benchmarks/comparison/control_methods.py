"""Controls: methods that know nothing of the scan, or only one view of it. They show what a meaningless method
scores under each protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...base import InputError, UnknownNameError
from ...base.shapes import Volume
from ...data import Projections
from ...geometry import Grid
from ...recon import Operator
from ...recon.iterative.cgls import CglsSolver
from ...recon.iterative.solving.data_term import DataTerm

CONTROLS = {
    "control-mean": "mean Recon-CT of the training animals: sees no view of this animal",
    "control-one-view": "a blank volume fitted to the first given view alone, until its projection is that view",
}


def control_volume(name: str, projections: Projections, grid: Grid, trained_on: Sequence[Volume]) -> Volume:
    """The volume of a control; InputError where the mean has no training animal to be taken over."""
    if name == "control-mean":
        if not trained_on:
            raise InputError("no training animal for control-mean", expected="at least one animal in the training part of the split")
        return np.asarray(np.mean(np.stack(trained_on), axis=0), dtype=np.float32)
    if name == "control-one-view":
        view = projections[:1]
        A: Any = Operator(view.scan, grid)
        solver = CglsSolver(DataTerm(A, view.values, grid.shape))
        state = solver.start(np.zeros(grid.shape, np.float32))
        for _ in range(40):
            solver.step(state)
        return state.x
    raise UnknownNameError("control", name, CONTROLS)
