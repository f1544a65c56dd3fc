"""What `tvnet` sees of a scan: total variation, the back-projection of what it leaves of the views, and numbers about the scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.memory import require_memory
from ...base.shapes import Float, LineIntegrals, NewVolume, Volume
from ...data import Projections
from ...geometry import Grid
from ...recon import Operator
from ...recon.analytic.feldkamp import fdk, filtered_backprojection
from ...recon.iterative.arrays import as_numpy
from ...recon.iterative.pdhg_tv import PdhgTvSettings, minimised, pdhg_tv
from ...recon.iterative.region.shadow import in_shadow
from ...recon.iterative.solving.run import Run, whole_around, within_whole
from ...recon.iterative.solving.setup import data_term
from ...recon.iterative.tuning.prior_weight import FINER
from ...recon.method import Callback, Progress
from ...recon.physics.noise import ripple

FAMILIAR = 1.0  # how far, on a log scale, a fact about a scan may lie outside what training had before it is called unfamiliar
SIZE = "voxels across the field of view"  # of a larger volume the network sees no other pieces, so that this alone refuses nothing
NAMED = ("number of views", SIZE, "step between views", "noise", "weight of total variation", "size of a pixel in voxels")
COUNT, ACROSS, STEP, WEIGHT = (NAMED.index(name) for name in ("number of views", SIZE, "step between views", "weight of total variation"))


@dataclass(frozen=True)
class TvWeight:
    """The weight of total variation that was chosen for a scan.

    Of a part of an object, ``unit`` is what ``lambda_ = 1`` stands for, with as many ``views`` of it on voxels of ``voxel_mm``; of a whole
    object (None) the views say it.
    """

    lambda_: float
    unit: float | None = None
    views: int = 0
    voxel_mm: float = 0.0

    def volume(self, projections: Projections, grid: Grid) -> NewVolume:
        """Total variation [z, y, x] in 1/mm of this weight, from some of the views or a coarser copy of them."""
        if self.unit is None:
            return pdhg_tv(projections, grid, lambda_=self.lambda_, outside="ignore")
        seen = in_shadow(projections, grid)
        unit = self.unit * len(projections) / self.views * grid.voxel_mm / self.voxel_mm  # see tuning/prior_weight.py
        settings = PdhgTvSettings(outside="ignore", start=fdk(projections, grid))
        chosen = {"lambda_": self.lambda_, "lambda_unit": unit}
        return as_numpy(minimised(Run("pdhg_tv", seen, grid, settings, (), data_term(seen, grid, settings), whole=chosen)))


@dataclass(frozen=True, eq=False)
class FirstVolume:
    """Total variation at its own weight, and what it told.

    It was made from these ``projections`` on this ``grid``. Where a part of an object was asked for, what lies outside is taken away from
    them, the grid has a margin, and ``cut`` is the part that was asked for.
    """

    volume: NewVolume
    weight: TvWeight
    told: dict[str, Any]
    projections: Projections
    grid: Grid
    cut: tuple[slice, ...] = ()

    @property
    def lambda_(self) -> float:
        """The weight of total variation, dimensionless."""
        return self.weight.lambda_


def total_variation(
    projections: Projections, grid: Grid, callbacks: Sequence[Callback] = (), lambda_: float | None = None, backend: str = "auto"
) -> FirstVolume:
    """`pdhg_tv` as it is by default, with its weight chosen from the data unless it is given. Of a part of an object it is the same."""
    told: dict[str, Any] = {}

    def listen(p: Progress) -> None:
        told.update(p.resolved)

    settings, listeners = PdhgTvSettings(lambda_=lambda_, backend=backend), (listen, *callbacks)
    whole = whole_around("pdhg_tv", minimised, projections, grid, settings)
    if whole is None:
        volume = pdhg_tv(projections, grid, listeners, lambda_=lambda_, backend=backend, outside="ignore")
        return FirstVolume(volume, TvWeight(float(told["lambda_"])), told, projections, grid)
    require_memory(projections.values.nbytes, "the views without what lies outside the grid", "use fewer views, or bin their pixels")
    volume = within_whole("pdhg_tv", minimised, projections, whole, settings, listeners)
    weight = TvWeight(float(told["lambda_"]), float(told["lambda_unit"]), len(projections), grid.voxel_mm)
    views = whole.region.without_outside(projections, whole.volume)
    return FirstVolume(volume, weight, told, views, whole.region.grid, whole.region.cut)


def left_over(projections: Projections, grid: Grid, volume: Volume) -> NewVolume:
    """The ramp-filtered back-projection, in 1/mm, of what a volume leaves of the views."""
    rest: LineIntegrals = np.subtract(projections.values, Operator(projections.scan, grid)(volume), dtype=np.float32)
    return filtered_backprojection(Projections(rest, projections.scan), grid)


def grey_scale(volume: Volume) -> float:
    """What the network calls 1: the mean of the volume weighted by itself, so that the air around an object does not count; in 1/mm.

    It is zero for an empty volume.
    """
    positive = np.maximum(volume, 0)
    total = float(positive.sum(dtype=np.float64))
    return float(np.einsum("zyx,zyx->", positive, positive, dtype=np.float64)) / total if total > 0 else 0.0


def facts(projections: Projections, grid: Grid, scale: float, lambda_: float) -> Float[NDArray[np.float32], "facts"]:
    """Six numbers about the scan, each about zero in training: logarithms of the number of views, the voxels across the field of view, the
    step between views, the noise that the views bring into a voxel (in units of ``scale``), the weight of TV, and the pixel in voxels. The
    weight is in the unit that `weight_unit` had when the shipped weights were trained: the mean of A' b times the pixel in voxels.
    """
    scan, count = projections.scan, len(projections)
    view = scan.field_of_view_mm
    step = float(np.median(np.diff(np.sort(scan.angles_deg)))) if count > 1 else 180.0
    noise = max(ripple(projections.values), 1e-5) / (scale * grid.voxel_mm * math.sqrt(count))
    pixel = view.pixel_mm / grid.voxel_mm
    return np.array(
        [
            math.log(count / 26), math.log(2 * view.radius_mm / grid.voxel_mm / 64), math.log(max(step, 1e-3) / 8), math.log(noise) / 2 + 1,
            math.log(max(lambda_, 1e-6) / pixel ** (1 + FINER) / 0.006), math.log(pixel),
        ],
        np.float32,
    )  # fmt: skip


def as_learned(
    numbers: Float[NDArray[np.float32], "facts"], known: Float[NDArray[np.float32], "2 facts"]
) -> Float[NDArray[np.float32], "facts"]:
    """The facts that a network is told of a scan; ``known`` are the least and the greatest of each in its training.

    A scan of more views than the network can be told of is told as one of so many views over the same arc, which is a harder scan of the
    same object: the step between views grows as their number falls, so that what is no wider than a wedge stays one. A larger volume than
    any in training is told as the largest of those (and a smaller one as the smallest), because a network sees no other pieces in it: on
    heads of 128 voxels the correction was 0.2 dB better so, from 26 views, than with a size that it had not learned to answer to. The
    weight of TV, which is no property of the scan, is told as the nearest in training: 0.03 dB on a head with pixels of half a voxel.
    """
    told = numbers.copy()
    for fact in (ACROSS, WEIGHT):
        if np.isfinite(known[:, fact]).all():
            told[fact] = np.clip(told[fact], *known[:, fact])
    most = known[1, COUNT] + FAMILIAR
    if np.isfinite(most) and numbers[COUNT] > most:
        told[COUNT], told[STEP] = most, numbers[STEP] + numbers[COUNT] - most
    return told


def far_from_learned(numbers: Float[NDArray[np.float32], "facts"], known: Float[NDArray[np.float32], "2 facts"]) -> list[str]:
    """The names of those facts that are far from all that a network was trained on, even as it is told them (`as_learned`), but for the
    size of the volume, which is named as it is.

    Facts are logarithms, without a unit.
    """
    told = as_learned(numbers, known)
    told[ACROSS] = numbers[ACROSS]
    outside = (told < known[0] - FAMILIAR) | (told > known[1] + FAMILIAR)
    return [name for name, far in zip(NAMED, outside, strict=True) if far]
