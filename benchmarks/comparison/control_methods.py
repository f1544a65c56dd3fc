"""Controls: methods that know nothing of the scan, or only one view of it. They show what a meaningless method
scores under each protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...base import InputError, UnknownNameError
from ...base.shapes import FloatVolume, Volume
from ...data import Projections
from ...geometry import Grid
from ...nerf.mednerf.inversion import Inversion
from ...nerf.mednerf.method import LEARNER, MedNerf, inverted_volume
from ...recon import Operator
from ...recon.analytic.feldkamp import fdk
from ...recon.iterative.cgls import CglsSolver
from ...recon.iterative.pdhg_tv import pdhg_tv
from ...recon.iterative.solving.data_term import DataTerm

TV_FDK = "control-tv-fdk"  # what a linear map of classical volumes reaches: the row that a learned method has to beat
UNTRAINED = "control-untrained"
CONTROLS = {
    "control-mean": "mean reference volume of the training animals: sees no view of this animal",
    "control-one-view": "a blank volume fitted to the first given view alone, until its projection is that view",
    UNTRAINED: "a small MedNeRF generator with random weights, fitted to the one given view as published",
    TV_FDK: "TV + FDK, linear: a filter of 5 x 5 x 5 voxels on self-tuned total variation and on FDK, fitted on training animals",
}


ONLY_AT = {UNTRAINED: (1,)}  # numbers of views at which a method is asked for at all


def classical_channels(projections: Projections, grid: Grid) -> tuple[Volume, Volume]:
    """The two volumes of `TV_FDK`: total variation whose weight is chosen from the data, and FDK, both with their default settings."""
    return pdhg_tv(projections, grid), fdk(projections, grid)


def untrained_generator() -> MedNerf:
    """A generator that has seen no animal, with weights from a fixed seed."""
    return LEARNER.build(LEARNER.presets["small"], torch.Generator().manual_seed(0))


def control_volume(name: str, projections: Projections, grid: Grid, trained_on: Sequence[FloatVolume]) -> Volume:
    """The volume of a control; InputError where the mean has no training animal to be taken over."""
    if name == "control-mean":
        if not trained_on:
            raise InputError("no training animal for control-mean", expected="at least one animal in the training part of the split")
        return np.asarray(np.mean(np.stack(trained_on), axis=0), dtype=np.float32)
    if name == UNTRAINED:
        if len(projections) > 1:
            raise InputError(f"{len(projections)} views for {UNTRAINED}", expected="one, as in the published protocol")
        generator = torch.Generator().manual_seed(0)
        volume, _ = inverted_volume(untrained_generator(), projections, grid, Inversion.as_published(), generator)
        return volume.numpy().astype(np.float32)
    if name == "control-one-view":
        view = projections[:1]
        A: Any = Operator(view.scan, grid)
        solver = CglsSolver(DataTerm(A, view.values, grid.shape))
        state = solver.start(np.zeros(grid.shape, np.float32))
        for _ in range(40):
            solver.step(state)
        return state.x
    raise UnknownNameError("control", name, CONTROLS)
