"""The grey value of air in each view, from the columns at the border of the panel."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base import InputError
from ...base.shapes import Float, PerView

BORDER = 0.02  # share of the columns, on each side
BLOCK_PIXELS = 64  # so many that the mean of a block is an eighth as noisy as a pixel
COVERED = 0.02  # a view whose border is darker than its neighbours' by this share has the object there, not air
TRUNCATED = 0.9  # if all views are below this share of the known level, no border shows air
FLICKER = 0.3  # a lamp may fall to this share of its level; below it the beam failed
PARTS = 64  # parts of each side of the border, to tell a weaker lamp from the object
EVEN = 0.01  # a weaker lamp makes all parts of a border darker by the same factor, within this share and the noise


@dataclass(frozen=True)
class BorderAir:
    """The air that the border of one view shows: ``level`` (intensity) and its standard error.

    ``parts`` are means of up to 64 groups of rows of each side (0 where nothing is positive), and ``whole`` is the mean intensity of the
    view.
    """

    level: float
    error: float
    parts: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
    whole: float = 0.0


def border_air(intensity: Float[NDArray, "row col"]) -> BorderAir:
    """The level of the brightest part of the left and right border of one view.

    Air is the brightest thing in a view, but the brightest pixel is noise. So the border is cut into blocks of at least 64 pixels, the 90th
    percentile of their means finds air, and all blocks that differ from it by noise alone are averaged. Pixels that are not positive are
    left out; a border without a positive pixel has level 0.
    """
    rows, cols = intensity.shape
    width = min(max(2, round(BORDER * cols)), max(1, cols // 2))
    high = min(rows, -(-BLOCK_PIXELS // width))
    starts = np.arange(0, rows - high + 1, high)
    groups = np.arange(0, rows, max(1, -(-rows // PARTS)))
    whole = float(intensity[:: max(1, rows // 32)].mean())
    count, total, square, parts = [], [], [], []
    for band in (intensity[:, :width], intensity[:, cols - width :]):
        good = np.where(band > 0, band, 0).astype(np.float64)
        by_row = [values.sum(axis=1, dtype=np.float64) for values in (band > 0, good, good * good)]
        for sums, values in zip((count, total, square), by_row, strict=True):
            sums.append(np.add.reduceat(values, starts))
        parts.append(np.add.reduceat(by_row[1], groups) / np.maximum(np.add.reduceat(by_row[0], groups), 1))
    n, s, q = (np.concatenate(x) for x in (count, total, square))
    sides = np.concatenate(parts).astype(np.float32)
    n, s, q = n[n > 0], s[n > 0], q[n > 0]
    if n.size == 0:
        return BorderAir(0.0, 0.0, sides, whole)
    mean = s / n
    error = np.sqrt(np.maximum(q / n - mean**2, 0) / n)
    top = np.percentile(mean, 90)
    air = mean >= top - 4 * np.median(error[mean >= top]) - 1e-3 * top
    spread = np.sqrt((n[air] ** 2 * error[air] ** 2).sum()) / n[air].sum()
    return BorderAir(float(np.average(mean[air], weights=n[air])), float(spread), sides, whole)


def consistent_levels(border: list[BorderAir], reference: float | None = None) -> tuple[PerView, int, str]:
    """The air level of every view, the number of views whose border the object covers, and how the levels were found, from all borders
    together.

    Views more than 2 % below the upper envelope of their neighbours have the object at both borders and take the level interpolated from
    the views beside them. An exception are borders that are darker by one factor throughout: there the lamp was weaker. Levels are drawn
    towards their mean as far as their own noise requires (James-Stein), so that a short border does not add noise to the scan. Where
    ``reference`` (a known level) is more than 10 % above what the borders say, the object covers the border in all views; then the
    reference is used, with a warning that states both numbers.
    """
    from scipy.ndimage import percentile_filter

    level, error = np.array([b.level for b in border]), np.array([b.error for b in border])
    if reference is not None and np.percentile(level, 75) < TRUNCATED * reference:
        warnings.warn(
            f"the border of the images is at {np.percentile(level, 75):.6g}, air should be near {reference:.6g}: the object covers "
            "the border in all views, it seems, so the known level is used; give air=... to decide otherwise",
            stacklevel=3,
        )
        return np.full(level.size, float(reference)), level.size, "reference"
    envelope = percentile_filter(level, 75, size=min(level.size, 61), mode="nearest")
    seen = (level >= (1 - COVERED) * envelope) & (level > 0)
    if not seen.any():
        raise InputError("no view has a positive pixel at its border", expected="air beside the object", remedy="give the level: air=...")
    for view in np.flatnonzero(~seen & (level > 0)):
        seen[view] = _is_flicker(border, int(view), np.flatnonzero((level >= (1 - COVERED) * envelope) & (level > 0)))
    index = np.arange(level.size)
    scatter = level[seen].var()
    keep = max(0.0, 1 - (error[seen] ** 2).mean() / scatter) if scatter > 0 else 1.0
    calm = level[seen].mean() + keep * (level[seen] - level[seen].mean())
    return np.interp(index, index[seen], calm), int((~seen).sum()), "border"


def _is_flicker(border: list[BorderAir], view: int, seen: NDArray[np.intp]) -> bool:
    """Whether a view differs from the nearest views with air only by one factor: in each part of the border, and in the mean of the whole
    image.

    An object that comes to lie at the border darkens it unevenly, and leaves the rest of the image as bright as before.
    """
    near = seen[np.argsort(np.abs(seen - view), kind="stable")[:2]]
    ratio = _ratios(border[view].parts, border[near[0]].parts)
    if ratio.size < 8 or border[near[0]].whole <= 0 or border[view].whole <= 0:
        return False
    usual = _ratios(border[near[-1]].parts, border[near[0]].parts)
    low, middle, high = np.percentile(ratio, (5, 50, 95))
    calm = np.diff(np.percentile(usual, (5, 95)))[0] if usual.size else 0.0
    fall, whole = np.log(middle), np.log(border[view].whole / border[near[0]].whole)
    even = (high - low) / middle <= EVEN + 1.5 * calm / np.sqrt(middle)
    return bool(middle > FLICKER and even and abs(whole - fall) < 0.25 * abs(fall) + EVEN)


def _ratios(parts: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    good = (parts > 0) & (others > 0)
    return parts[good] / others[good]


def given_levels(air: ArrayLike, views: int) -> PerView:
    """The air level (view,) that the caller gives as one number for all views or one for each; InputError unless all are positive and
    finite.
    """
    levels = np.asarray(air, dtype=np.float64)
    if levels.shape not in ((), (views,)) or not (np.isfinite(levels).all() and (levels > 0).all()):
        raise InputError(f"air is {air!r}"[:120], expected=f"'auto', one positive number, or {views} of them (one for each view)")
    return np.broadcast_to(levels, (views,)).copy()
