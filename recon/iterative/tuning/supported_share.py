"""How much of a correction the scan itself supports: views are held out, and asked whether they agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from ....base.shapes import Float, LineIntegrals, NewVolume, ViewIndices, Volume
from ....data import Projections
from ....data.multiresolution import bin_projections, coarsening
from ....geometry import Grid
from ...projector.operator import Operator
from ..region.beside import covers_what_is_seen
from ..region.shadow import in_shadow
from .held_out import LEAST_VIEWS, held_out

# A best share above this is taken as all of the correction, as a few held-out views do not know it better. On 45 scans of heads, legs,
# teeth and chests it was 0.68 to 1.9 where 0.80 to 1.34 was best against the truth, and on fan beams 0.01 to 0.06 (best: 0.09 to 0.14).
FULL = 0.7
ENOUGH = 4  # views held out, in turn where they are few: the two of a 13-view scan called corrections right that were not (teeth, chests)
Corrected = Callable[[Projections, Grid], tuple[Volume, Volume]]
Answers = Float[NDArray[np.float64], "3 3"]  # products of the views and of what the volumes without and with the correction predict
Judge = Callable[[Answers], tuple[float, float]]  # the best share, and the gain of all of the correction


@dataclass(frozen=True)
class Support:
    """``share``: what part of the correction to take, 0 to 1. ``best`` is the part with which the held-out views are predicted best, before
    it was rounded; ``gain`` is the squared error that the whole correction takes away from the prediction, as a share (negative: adds to).
    """

    share: float
    best: float
    gain: float
    described: str


def support(projections: Projections, grid: Grid, corrected: Corrected, judge: Judge) -> Support:
    """The part of a correction that held-out views support; ``corrected`` gives the volumes without and with it, from the other views, and
    ``judge`` is `as_bright_as_the_views` or `in_its_own_grey_scale`.

    The squared error of a prediction is weighted with the ramp, so that it ranks volumes as their own squared error does (see
    `held_out`), and is a parabola in the part that is taken: it is taken at the lowest point. A large scan is asked on a smaller copy.
    Where one in seven views are fewer than `ENOUGH`, that many are asked, a part of them at a time, and their answers added.
    """
    count = len(projections)
    if count < LEAST_VIEWS:
        return Support(0.0, 0.0, 0.0, f"{count} views are too few to hold any out")
    factor = coarsening(projections, grid)
    small, box = bin_projections(projections, factor), grid.coarser(factor)
    answers, turns = np.zeros((3, 3)), held_out_in_turn(count)
    for out in turns:
        before, after = corrected(small[np.setdiff1d(np.arange(count), out)], box)
        held = small[out] if covers_what_is_seen(small, box) else in_shadow(small[out], box)  # other rays say nothing about the box
        answers += answers_of(held, box, before, after)
    asked, how = sum(len(out) for out in turns), f" in {len(turns)} turns" if len(turns) > 1 else ""
    return supported(answers, judge, asked, f"{asked} of {count} views held out{how}, grid coarser by {factor}")


def held_out_in_turn(views: int) -> list[NDArray[np.intp]]:
    """The numbers (n,) of the views to hold out in each turn: those of `held_out` where they are `ENOUGH`, or so many in several turns.

    >>> [out.tolist() for out in held_out_in_turn(13)], [out.tolist() for out in held_out_in_turn(5)]
    ([[1, 8], [4, 11]], [[1], [2], [3]])
    """
    each = len(held_out(views))
    turns = -(-ENOUGH // each)
    if turns == 1:
        return [held_out(views)]
    numbers = np.unique(np.round(np.linspace(1, views - 2, turns * each)).astype(np.intp))
    return [numbers[k::turns] for k in range(turns) if len(numbers[k::turns])]


def answers_of(held: Projections, grid: Grid, before: Volume, after: Volume) -> Answers:
    """What held-out views say of a correction: the products of three with one another, to be added up and given to `supported`.

    The three are the views (as sharp as voxels show them) and what the volumes [z, y, x] in 1/mm without and with the correction predict,
    which were made from other views than those ``held``. The products are dimensionless, and weighted with the ramp.
    """
    A = Operator(held.scan, grid)
    spectra = [_spectrum_as_voxels_show(held, grid.voxel_mm), *(np.asarray(dctn(A(v), axes=(1, 2), norm="ortho")) for v in (before, after))]
    weight = ramp_of_voxels(held, grid.voxel_mm)
    return np.array([[float((weight * a * b).sum(dtype=np.float64)) for a in spectra] for b in spectra]) / weight.size


def as_bright_as_the_views(answers: Answers) -> tuple[float, float]:
    """The share (dimensionless) of a correction with which the views are predicted best, and the part of the squared error that all of it
    takes away (negative: adds).
    """
    (views, towards_before, towards_after), (_, before, both), (_, _, after) = answers.tolist()
    length, left = after - 2 * both + before, views - 2 * towards_before + before
    towards = towards_after - towards_before - both + before
    return towards / length if length > 0 else 0.0, (2 * towards - length) / left if left > 0 else 0.0


def in_its_own_grey_scale(answers: Answers) -> tuple[float, float]:
    """The same (dimensionless) for a correction that brings a grey scale of its own: the volumes may be brighter or darker than the views
    say, and what counts is how much of the prediction each has where both are fitted to the views together.
    """
    (views, *towards), (_, before, both), (_, _, after) = answers.tolist()
    if before * after - both**2 <= 1e-12 * before * after:  # one is a multiple of the other, or empty
        return 0.0, 0.0
    first, second = np.linalg.solve([[before, both], [both, after]], towards)
    left = views - towards[0] ** 2 / before
    gain = 1 - (views - towards[1] ** 2 / after) / left if left > 0 else 0.0
    return float(second / (first + second)) if first + second > 0 else 0.0, float(gain)


def supported(answers: Answers, judge: Judge, asked: int, described: str) -> Support:
    """The part of a correction that the answers (dimensionless) of so many views support; less of it where they are fewer than `ENOUGH`."""
    best, gain = judge(answers)
    share = min(1.0, asked / ENOUGH) * (1.0 if best >= FULL else max(0.0, best))
    return Support(share, best, gain, described)


def as_voxels_show(views: Projections, voxel_mm: float) -> LineIntegrals:
    """The views as sharp as the projections of voxel averages are.

    The average over a voxel has lost sinc of its size along each axis, and linear interpolation between voxels takes sinc^2 more along two
    of them (Joseph 1982); pixels have lost sinc of their own size. Without this the sharper of two volumes wins, though voxel averages
    cannot be as sharp as the views: of what `tvnet` corrects in heads from 52 views, sinc^2 alone called 0.7 right where all of it was.
    """
    return np.asarray(idctn(_spectrum_as_voxels_show(views, voxel_mm), axes=(1, 2), norm="ortho"), np.float32)


def _spectrum_as_voxels_show(views: Projections, voxel_mm: float) -> Float[NDArray[np.float32], "view row col"]:
    """The cosine coefficients of `as_voxels_show`."""
    spectrum: Any = dctn(views.values, axes=(1, 2), norm="ortho")
    row, col = _cycles_a_voxel(views, voxel_mm)
    voxels = views.scan.field_of_view_mm.pixel_mm / voxel_mm  # a pixel
    scan = views.scan
    crossed = np.abs(scan.detector - scan.source).argmax(1)  # the axis whose planes the rays cross, between which nothing is interpolated
    for axis, f, along in ((1, row, scan.v), (2, col, scan.u)):
        response = _response(f, along, crossed) / np.maximum(np.sinc(f * voxels), 0.3)
        spectrum *= np.expand_dims(np.minimum(response, 1).astype(np.float32), 3 - axis)
    return np.asarray(spectrum)


def ramp_of_voxels(views: Projections, voxel_mm: float, most: float = 0.5) -> Float[NDArray[np.float32], "row col"]:
    """The weight (dimensionless) of each cosine coefficient of a view: the ramp, up to ``most`` cycles a voxel, by default all that voxels
    can show. What projections of voxels have beyond those are images of lower ones.
    """
    row, col = _cycles_a_voxel(views, voxel_mm)
    return (np.arange(len(col)) / len(col) * (col <= most) * (row[:, None] <= most)).astype(np.float32)


def _response(f: NDArray[np.float64], along: Float[Any, "view 3"], crossed: ViewIndices) -> Float[NDArray[np.float64], "view f"]:
    """What projections of voxel averages keep of the frequencies ``f`` (cycles a voxel) in the directions ``along`` (dimensionless)."""
    power = np.where(np.arange(3) == crossed[:, None], 1, 3)[:, None]
    parts = np.sinc(f[:, None] * (along / np.linalg.norm(along, axis=1, keepdims=True))[:, None])
    return np.where(f < 1, (parts**power).prod(2), 0)


def _cycles_a_voxel(views: Projections, voxel_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The frequencies (rows,) and (cols,) of the cosine coefficients of a view; the voxels' own end at 0.5 (Nyquist)."""
    voxels = views.scan.field_of_view_mm.pixel_mm / voxel_mm  # a pixel
    rows, cols = (np.arange(count) / (2 * count * voxels) for count in views.values.shape[1:])
    return rows, cols


def mixed(before: Volume, after: Volume, share: float) -> NewVolume:
    """The volume with a part of the correction, never below zero."""
    return np.maximum(before + np.float32(share) * (after - before), 0)
