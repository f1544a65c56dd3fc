"""`prepare` turns detector counts into line integrals: flat and dark field, air level, logarithm, dead pixels, and
an account of all of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...base import InputError
from ...base.memory import require_memory
from ...base.shapes import Image, PerView, PixelMask
from ...geometry import Scan
from ..images.pixel_filling import mend_dead, mend_isolated, stuck_pixels
from ..images.stack import ArrayStack, ImageStack, Shown, shown
from ..projections import Projections
from .air_level import BorderAir, border_air, consistent_levels, given_levels
from .flat_and_dark import flat_field
from .plausible.samples import Sampler
from .plausible.views import judge_views
from .raw import RawScan

MOST_INTEGRAL = 30.0  # -ln of one count in 10^13; real numbers up to this may be line integrals


def prepare(raw: RawScan, *, air: ArrayLike = "auto", max_bad: float = 0.05, progress: bool = False) -> Projections:
    """Line integrals ``p = -ln(I / I_air)`` (float32, dimensionless) of detector counts, with ``I = (count - dark) / (flat - dark)``.

    ``air`` is the intensity of an unattenuated pixel, as one number or one for each view (after flat-field correction, where there is a
    flat). With ``"auto"`` it is found in every view at the left and right border, and the views are checked against each other. Where the
    object covers the border in all views, a known level is used: ``meta["air_level"]``, the *Reference Intensity* of the log, or 1 with a
    flat. Air is near 57 000 of 65 535 on a SkyScan, so the largest number of the type is never taken for it.

    Pixels with zero or negative intensity are mended from good neighbours, or clipped to the least positive intensity of the view where the
    neighbours are black too. Pixels that are dead in all views (flat <= dark, or stuck) are mended. All of them are counted in
    ``meta["prepare"]``, and ``meta["per_view"]["air_level"]`` has the levels. Each thing that may be wrong with the scan is a warning, and
    is kept in ``meta["warnings"]``.

    Raises InputError naming the view (and file) for NaN or Inf, a constant image, or more than ``max_bad`` (a fraction) of non-positive
    pixels.

    >>> counts = np.full((4, 8, 100), 50_000, dtype=np.uint16)
    >>> counts[:, 2:6, 40:60] = 25_000
    >>> scan = Scan.circular(dso_mm=100, dsd_mm=200, rows=8, cols=100, pixel_mm=0.1, angles_deg=[0, 90, 180, 270])
    >>> round(float(prepare(RawScan(counts, scan)).values[0, 3, 50]), 3)  # ln 2
    0.693
    """
    views = ArrayStack(raw.intensity, str(raw.meta.get("source", "")))
    return prepare_views(views, raw.scan, raw.flat, raw.dark, raw.meta, air=air, max_bad=max_bad, progress=progress)


def prepare_views(
    views: ImageStack,
    scan: Scan,
    flat: NDArray[Any] | None,
    dark: NDArray[Any] | None,
    meta: Mapping[str, Any],
    *,
    air: ArrayLike = "auto",
    max_bad: float = 0.05,
    progress: Shown = False,
) -> Projections:
    """The same as `prepare`, for images [row, col] that are read one after the other, so that only one view of counts is in memory at a
    time.
    """
    require_memory(4 * len(scan) * scan.shape[0] * scan.shape[1], f"the line integrals of {len(scan)} views")
    values = np.zeros((len(scan), *scan.shape), dtype=np.float32)
    everything = slice(0, scan.shape[0])
    facts = prepare_into(
        values, everything, everything, views, scan, flat, dark, meta, air=air, max_bad=max_bad, progress=progress, stacklevel=3
    )
    return Projections(values, scan, facts)


class TooFewRowsError(ValueError):
    """Unusable pixels are filled from further away than the rows that were kept; ``margin`` rows are needed on either side."""

    def __init__(self, margin: int) -> None:
        super().__init__(f"a margin of {margin} rows is needed")
        self.margin = margin


def prepare_into(
    values: Any,
    kept: slice,
    sure: slice,
    views: ImageStack,
    scan: Scan,
    flat: NDArray[Any] | None,
    dark: NDArray[Any] | None,
    meta: Mapping[str, Any],
    *,
    air: ArrayLike = "auto",
    max_bad: float = 0.05,
    progress: Shown = False,
    stacklevel: int = 2,
) -> dict[str, Any]:
    """`prepare_views` into ``values``, an array [view, row, col] or what is indexed like one, of the rows ``kept`` of the panel; returns
    the ``meta`` that goes with them.

    Air, dead pixels and doubts are judged on whole views. TooFewRowsError where the rows ``sure`` among those kept would come out otherwise
    than in the whole views, because unusable pixels are filled from beyond the rows that are kept.
    """
    count = len(scan)
    if not 0 <= max_bad < 1:
        raise InputError(f"max_bad is {max_bad}", expected="a fraction of the pixels, from 0 to below 1")
    correct, dead = flat_field(flat, dark, scan.shape)
    tally = _Tally(views.dtype, scan.shape)
    for view in shown(range(count), "line integrals", progress):
        image = np.asarray(views[view])
        intensity = correct(image)
        tally.add(image, intensity, dead, max_bad, _place(views, view))
        part = intensity[kept]
        values[view] = np.log(part, out=np.zeros_like(part), where=part > 0)  # pixels without a logarithm stay 0 until `_mend` fills them
    known, doubts = _known_level(flat, meta, tally.top)
    levels, covered, method = _levels(air, tally.border, known, count)
    border = np.array([b.level for b in tally.border])
    given_air = not isinstance(air, str)
    told, facts = judge_views(tally.sampler.finish(), levels, border, known, scan.angles_deg, given_air, partial(_place, views))
    stuck = tally.stuck() & ~dead
    _require_margin(dead | stuck, kept, sure)
    mended, clipped = _finish(values, kept, tally, dead | stuck, levels)
    report = {
        "air": method, "air_level": float(np.median(levels)), "air_covered_views": covered,
        "flat": flat is not None, "dark": dark is not None,
        "dead": int(dead.sum()), "stuck": int(stuck.sum()), "zero_or_negative": int(sum(black.size for black in tally.black)),
        "mended": mended, "clipped": clipped, "saturated": tally.saturated,
    }  # fmt: skip
    doubts = [*meta.get("warnings", ()), *doubts, *told, *_doubts(report, count * scan.shape[0] * scan.shape[1])]
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=stacklevel + 1)
    known_now = {"per_view": {**meta.get("per_view", {}), "air_level": levels}, "prepare": report, "warnings": doubts}
    return {**meta, **known_now, "assumptions": [*meta.get("assumptions", ()), *facts]}


class _Tally:
    """What is collected while the views are read: borders, non-positive pixels, and the extremes of each pixel."""

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
        self.top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else None
        self.may_be_integrals = self.top is None
        self.sampler = Sampler(shape)
        self.border: list[BorderAir] = []
        self.black: list[NDArray[np.intp]] = []  # flat indices of the non-positive pixels of each view
        self.floor: list[float] = []  # least positive intensity of each view
        self.saturated = 0
        self.least = self.most = np.empty(0)

    def add(self, image: NDArray[Any], intensity: NDArray[np.float32], dead: NDArray[np.bool_], max_bad: float, where: str) -> None:
        low, high = check_image(image, where)
        if self.may_be_integrals:
            _refuse_line_integrals(image, high, where)
        black = np.flatnonzero((intensity <= 0) & ~dead)
        if black.size > max_bad * intensity.size or black.size == intensity.size:
            raise InputError(
                f"{where}: {black.size} of {intensity.size} pixels have zero or negative intensity (counts {low:g} to {high:g})",
                expected=f"at most {max_bad:.0%}",
                remedy="check exposure and flat field, leave the view out, or raise max_bad",
            )
        self.saturated += int(np.count_nonzero(image == self.top)) if high == self.top else 0
        first = not self.border
        self.least = image.copy() if first else np.minimum(self.least, image)
        self.most = image.copy() if first else np.maximum(self.most, image)
        self.floor.append(float(intensity[intensity > 0].min()) if black.size else 1.0)
        self.border.append(border_air(intensity))
        self.sampler.add(image, intensity)
        self.black.append(black)

    def stuck(self) -> NDArray[np.bool_]:
        return stuck_pixels(self.least, self.most, len(self.border))


def _finish(values: Any, kept: slice, tally: _Tally, unusable: PixelMask, levels: PerView) -> tuple[int, int]:
    """Turn logarithms into line integrals, and fill unusable and non-positive pixels, view by view; returns how many of the latter were
    mended from neighbours and how many were clipped.
    """
    mended = clipped = 0
    cols, unusable = unusable.shape[1], unusable[kept]
    air = np.log(levels).astype(np.float32)
    for view, black in enumerate(tally.black):
        image = air[view] - values[view]
        inside = black[(black >= kept.start * cols) & (black < kept.stop * cols)] - kept.start * cols
        isolated = inside[~unusable.flat[inside]]
        if isolated.size:
            good = mend_isolated(image, isolated, unusable, float(np.log(levels[view] / tally.floor[view])))
            mended, clipped = mended + good, clipped + isolated.size - good
        mend_dead(image, unusable)
        values[view] = image
    return mended, clipped


def _require_margin(unusable: PixelMask, kept: slice, sure: slice) -> None:
    """A pixel is filled from neighbours that may have been filled themselves: from as far as the largest hole is deep, and one further."""
    from scipy.ndimage import distance_transform_cdt

    deep = int(np.max(np.asarray(distance_transform_cdt(unusable, "chessboard")))) if unusable.any() and not unusable.all() else 0
    below, above = sure.start - kept.start, kept.stop - sure.stop
    if (kept.start > 0 and below < deep + 1) or (kept.stop < unusable.shape[0] and above < deep + 1):
        raise TooFewRowsError(deep + 1)


def check_image(image: Image, where: str) -> tuple[float, float]:
    """The least and the largest count of one view; InputError for NaN, Inf or a constant image."""
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        row, col = (int(i[0]) for i in np.nonzero(~np.isfinite(image)))
        raise InputError(
            f"{where}: {int(np.count_nonzero(~np.isfinite(image)))} pixels are NaN or Inf, the first at row {row}, col {col}",
            expected="finite detector counts",
            remedy="read the images again from their source, or leave this view out",
        )
    if low == high and image.size > 1:
        top = np.issubdtype(image.dtype, np.integer) and high == np.iinfo(image.dtype).max
        raise InputError(
            f"{where}: all pixels are {low:g}{', saturated' if top else ''}",
            expected="an X-ray image",
            remedy="leave this view out, or scan again",
        )
    return low, high


def _place(views: ImageStack, view: int) -> str:
    """The view in words: ``view 3 (scan/x_0003.tif)``."""
    name = views.name(view)
    return f"view {view} ({name})" if name else f"view {view}"


def _refuse_line_integrals(image: Image, high: float, where: str) -> None:
    """InputError for real numbers of the size of line integrals that are near 0 at the border: neither counts nor transmission (1 in air)
    are.
    """
    border = float(np.median(image[:, [0, -1]]))
    if not 0 < high < MOST_INTEGRAL or abs(border) > 0.25 * high or image.min() < -high:
        return
    if border < 0.25 * float(np.percentile(image[:: max(1, len(image) // 32)], 99)):
        raise InputError(
            f"{where}: real numbers from {image.min():.4g} to {high:.4g}, {border:.4g} at the border: these are line integrals, not counts",
            expected="detector counts, or transmission (1 in air)",
            remedy="write line integrals with write_projections, or turn them into transmission: exp(-p)",
        )


def _known_level(flat: NDArray[Any] | None, meta: Mapping[str, Any], top: int | None) -> tuple[float | None, list[str]]:
    """The level that air should have, and warnings: 1 after a flat field, otherwise the *Reference Intensity* of the log if images can
    reach it.
    """
    if flat is not None:
        return 1.0, []
    level = None if meta.get("air_level") is None else float(meta["air_level"])
    if level is None or top is None or 0 < level <= top:
        return level, []
    bits = round(np.log2(top))
    return None, [f"the log's 'Reference Intensity' is {level:g}, images of {bits} bits hold at most {top}: it is not used"]


def _levels(air: ArrayLike, border: list[BorderAir], known: float | None, count: int) -> tuple[PerView, int, str]:
    if isinstance(air, str):
        if air != "auto":
            raise InputError(f"air is {air!r}", expected="'auto' or the intensity of air as a number")
        return consistent_levels(border, known)
    return given_levels(air, count), 0, "given"


def _doubts(report: Mapping[str, Any], pixels: int) -> list[str]:
    """Warnings that follow from the account of the preparation."""
    found = []
    if report["saturated"] > 1e-3 * pixels:
        found.append(f"{report['saturated']} of {pixels} pixels are saturated: their attenuation is underestimated")
    if report["clipped"]:
        found.append(f"{report['clipped']} pixels without a count were clipped to the view's least intensity")
    return found
