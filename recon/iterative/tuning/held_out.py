"""Choosing a setting by views that are held out of a smaller copy of the scan: the value that predicts them best is taken.

The score of a volume is the energy of the ramp-filtered difference between the held-out views and its projections, ``sum |f| |P(f)|^2``. By
the central slice theorem that is, view by view, the squared error of the volume itself (Parseval, in polar coordinates); noise of the
held-out views adds the same constant for every volume. So the score ranks settings as the mean squared error would.

The search runs on a copy of the scan with a coarser grid and a binned detector.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....data import Projections
from ....data.multiresolution import bin_detector, bin_projections, coarsening
from ....data.volumes.resample import coarsen
from ....geometry import Grid
from ...projector.operator import Operator
from ...projector.view_blocks import Linear
from ..solving import DataTerm, IterativeSettings, Sinogram, Volume, beside, dot
from ..solving.cosine_transform import cosines
from ..solving.setup import check_views, data_term, start_volume

LEAST_VIEWS = 5


@dataclass(frozen=True)
class Split:
    """A smaller copy of a reconstruction whose views are divided into those that are fitted and those that are predicted."""

    kept: Projections
    held: Projections
    grid: Grid
    factor: int
    settings: IterativeSettings
    term: DataTerm
    held_operator: Linear

    def score(self, volume: Volume) -> float:
        """The ramp-weighted mean squared error with which a volume [z, y, x] in 1/mm predicts the held-out views."""
        return ramp_energy(self.held_operator(volume) - beside(self.held.values, volume))

    @property
    def described(self) -> str:
        """The split in words, for the record."""
        held = len(self.held)
        return f"{held} of {held + len(self.kept)} views held out, grid coarser by {self.factor}"

    def start(self) -> Volume:
        """The volume [z, y, x] in 1/mm that the settings begin with, on the smaller grid."""
        return start_volume(self.kept, self.grid, self.settings, self.term)


def ramp_energy(views: Sinogram) -> float:
    """The mean over rays of the energy of views [view, row, col] filtered by |f|^(1/2), f in units of the Nyquist frequency."""
    c = cosines(views)
    ramp = np.arange(views.shape[-1], dtype=np.float32) / views.shape[-1]
    return dot(c, c * beside(ramp, c)) / math.prod(views.shape)


def held_out(views: int) -> NDArray[np.intp]:
    """The numbers (n,) of the views to hold out: about one in seven, at most ten, evenly spread, never the first or the last.

    >>> held_out(26).tolist()
    [3, 9, 16, 22]
    """
    count = int(np.clip(round(views / 7), 1, 10))
    return np.unique(np.floor((np.arange(count) + 0.5) * views / count).astype(np.intp).clip(1, views - 2))


def split(projections: Projections, grid: Grid, settings: IterativeSettings, factor: int | None = None) -> Split:
    """The smaller copy with its views divided; InputError when there are too few views to hold any out."""
    check_views(projections, LEAST_VIEWS, "a choice by held-out views (or give lambda_ / iterations yourself)")
    factor = coarsening(projections, grid) if factor is None else factor
    small, box = bin_projections(projections, factor), grid.coarser(factor)
    out = held_out(len(projections))
    stay = np.setdiff1d(np.arange(len(projections)), out)
    changes: dict[str, Any] = {"iterations": None}
    for name in ("start", "mask", "reference"):
        value = getattr(settings, name, None)  # methods without a prior have no reference
        if isinstance(value, np.ndarray) and value.shape == grid.shape and factor > 1:
            coarse = coarsen(value, factor)
            changes[name] = coarse > 0.5 if name == "mask" else coarse
    if isinstance(settings.weights, np.ndarray) and settings.weights.shape == projections.values.shape:
        changes["weights"] = bin_detector(settings.weights, factor)[stay]
    reduced = dataclasses.replace(settings, **changes)
    kept, held = small[stay], small[out]
    return Split(kept, held, box, factor, reduced, data_term(kept, box, reduced), Operator(held.scan, box, backend=settings.backend))
