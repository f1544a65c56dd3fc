"""How much of a correction the scan itself supports: views are held out, and asked whether they agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.fft import dctn, idctn

from ....base.shapes import LineIntegrals, NewVolume, Volume
from ....data import Projections
from ....data.multiresolution import bin_projections, coarsening
from ....geometry import Grid
from ...projector.operator import Operator
from ..solving import dot
from ..solving.cosine_transform import cosines
from .held_out import LEAST_VIEWS, held_out

FULL = 0.8  # a best share above this is taken as all of the correction: with a few held-out views it is not known better
# With fewer held-out views a part of the answer is taken: the two of a 13-view scan called corrections right that were not (teeth, chests).
ENOUGH = 4
Corrected = Callable[[Projections, Grid], tuple[Volume, Volume]]


@dataclass(frozen=True)
class Support:
    """``share``: what part of the correction to take, 0 to 1. ``best`` is the part with which the held-out views are predicted best, before
    it was rounded; ``gain`` is the squared error that the whole correction takes away from the prediction, as a share (negative: adds to).
    """

    share: float
    best: float
    gain: float
    described: str


def support(projections: Projections, grid: Grid, corrected: Corrected) -> Support:
    """The part of a correction that held-out views support; ``corrected`` gives the volumes without and with it, from the other views.

    The squared error of a prediction is weighted with the ramp, so that it ranks volumes as their own squared error does (see
    `held_out`), and is a parabola in the part that is taken: it is taken at the lowest point. On heads, legs and
    teeth (26 views) that was 0 to 0.3 below the part that is best against the truth. A large scan is asked on a smaller copy.
    """
    if len(projections) < LEAST_VIEWS:
        return Support(0.0, 0.0, 0.0, f"{len(projections)} views are too few to hold any out")
    factor = coarsening(projections, grid)
    small, box = bin_projections(projections, factor), grid.coarser(factor)
    out = held_out(len(projections))
    stay = np.setdiff1d(np.arange(len(projections)), out)
    before, after = corrected(small[stay], box)
    return supported_by(small[out], box, before, after, f"{len(out)} of {len(projections)} views held out, grid coarser by {factor}")


def supported_by(held: Projections, grid: Grid, before: Volume, after: Volume, described: str) -> Support:
    """The same from the volumes [z, y, x] in 1/mm without and with the correction, made from other views than those ``held``."""
    A = Operator(held.scan, grid)
    missing, change = as_voxels_show(held, grid.voxel_mm) - A(before), A(after - before)
    towards, length, left = _product(missing, change), _product(change, change), _product(missing, missing)
    best = towards / length if length > 0 else 0.0
    gain = (2 * towards - length) / left if left > 0 else 0.0
    share = min(1.0, len(held) / ENOUGH) * (1.0 if best >= FULL else max(0.0, best))
    return Support(share, best, gain, described)


def as_voxels_show(views: Projections, voxel_mm: float) -> LineIntegrals:
    """The views as sharp as the projections of voxel averages are.

    Voxels that are interpolated linearly show themselves with the spectrum sinc^2 of a voxel, and pixels with sinc of their own size.
    Without this the sharper of two volumes wins, though voxel averages cannot be as sharp as the views.
    """
    share = views.scan.field_of_view_mm.pixel_mm / voxel_mm
    spectrum: Any = dctn(views.values, axes=(1, 2), norm="ortho")
    for axis, count in ((1, views.values.shape[1]), (2, views.values.shape[2])):
        f = np.arange(count) / (2 * count * share)  # cycles a voxel
        pixels = np.maximum(np.sinc(f * share), 0.3)
        response = np.where(f < 1, np.minimum(np.sinc(f) ** 2 / pixels, 1), 0).astype(np.float32)
        spectrum *= response[:, None] if axis == 1 else response
    return np.asarray(idctn(spectrum, axes=(1, 2), norm="ortho"), np.float32)


def _product(a: np.ndarray, b: np.ndarray) -> float:
    """The inner product of views filtered by |f|^(1/2) each."""
    ramp = np.arange(a.shape[-1], dtype=np.float32) / a.shape[-1]
    return dot(cosines(a), cosines(b) * ramp) / math.prod(a.shape)


def mixed(before: Volume, after: Volume, share: float) -> NewVolume:
    """The volume with a part of the correction, never below zero."""
    return np.maximum(before + np.float32(share) * (after - before), 0)
