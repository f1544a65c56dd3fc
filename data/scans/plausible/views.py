"""Can these views be those of a CT scan? Checks of shutter, repeats, contrast, truncation and odd views, on the samples of `samples`.

What cannot be right raises InputError. What may be right, but spoils the volume if it is not, is a warning with numbers. The limits were
chosen on simulated scans of six real mouse heads (260 to 5 views, default physics) and on a measured tooth; the comment on each says what
those reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....base import InputError
from ....base.shapes import Angles, Float, PerView
from .samples import ViewSamples
from .truncation import long_object, truncation

DARK = 0.1  # a view whose brightest part is below this share of the other views' brightest part got no beam
CLOSED = 0.02  # share of the known level of air; if nothing in any view is brighter, the shutter was closed
FAINT = 0.02  # in line integral; with less contrast than this, and nothing that moves, there is no object
INVERTED = 0.05  # share of blocks that are brighter than the border by a quarter while hardly any are darker; 0.000 on every sound scan
NOISE_FREE = 2e-4  # relative noise below this may be rounding in a simulation of a round object, where equal images prove nothing
REPEATED = 0.1  # share of the views; with more repeats than this too little is left of the scan
STALLED, MOVING = 0.3, 0.7  # change from view to view as a share of the usual one: where the stage stands still, and (squared) around that
ODD, ODD_SIGMAS = (
    0.06,
    6.0,
)  # deviation of a view's total attenuation from its neighbours' (heads: 0.02), relative and in robust standard deviations
SLIGHT = 0.003  # error of the mean line integral of a view that the level of air alone may cause
EMPTY = 0.15  # share of its neighbours' total attenuation; below it the object is missing in this view


@dataclass(frozen=True)
class Judged:
    """What the rules look at: line integrals in ``line`` relative to the air ``levels``; ``known`` is the level that air should have."""

    samples: ViewSamples
    line: Float[NDArray[np.float32], "view row block"]
    levels: PerView
    border: PerView
    known: float | None
    angles_deg: Angles
    given_air: bool
    name: Callable[[int], str]


def judge_views(
    samples: ViewSamples,
    levels: PerView,
    border: PerView,
    known: float | None,
    angles_deg: Angles,
    given_air: bool,
    name: Callable[[int], str],
) -> tuple[list[str], list[str]]:
    """Warnings about the views of a scan, and notes; InputError for what cannot be right. ``border`` is the brightest part of the border of
    each view.
    """
    positive = np.maximum(samples.maps, 1e-12 * float(np.abs(samples.maps).max()) + 1e-30)
    line = (np.log(levels)[:, None, None] - np.log(positive)).astype(np.float32)
    scan = Judged(samples, line, levels, border, known, angles_deg, given_air, name)
    found = []
    for rule in (_closed, _empty, _inverted, _repeats, _stalled):
        told = rule(scan)
        found += told
        if told and rule is _empty:
            return found, []  # without an object the other rules judge noise
    cut = truncation(line, _noise(scan), known is not None or given_air)
    found += cut or _odd(scan)  # what is cut off has another total in every view
    return found, long_object(line)


def _listed(views: Sequence[int] | NDArray[np.intp], name: Callable[[int], str]) -> str:
    """The views as text: the first by its name, a few others by number."""
    first = name(int(views[0]))
    if len(views) == 1:
        return first
    more = ", ".join(str(int(v)) for v in views[1:6]) + (", ..." if len(views) > 6 else "")
    return f"{len(views)} views ({first}, then {more})"


def _brightest(scan: Judged) -> PerView:
    return np.percentile(scan.samples.maps, 95, axis=(1, 2)).astype(np.float64)


def _closed(scan: Judged) -> list[str]:
    """Rule: there is no beam in any view, or in some of them."""
    bright = _brightest(scan)
    if scan.known is not None and bright.max() < CLOSED * scan.known:
        raise InputError(
            f"{scan.name(0)} and all others: the brightest parts are at {bright.max():.4g}, {bright.max() / scan.known:.1%} of air "
            f"({scan.known:.6g}): dark images, as with a closed shutter",
            expected="an open beam beside the object",
            remedy="scan again with the shutter open; if the images are line integrals, not counts, write them with write_projections",
        )
    dark = np.flatnonzero(bright < DARK * np.median(np.sort(bright)[-max(1, len(bright) // 2) :]))
    if dark.size:
        raise InputError(
            f"{_listed(dark, scan.name)}: dark, the brightest part is at {bright[dark].max():.4g}, in the other views at "
            f"{bright.max():.4g}: the shutter was closed or the beam failed",
            expected="the same beam in all views",
            remedy="leave these views out (views=...), or scan again",
        )
    return []


def _empty(scan: Judged) -> list[str]:
    """Rule: there is no object in any view. The mean of the views has no contrast beyond noise, and nothing moves."""
    line = scan.line
    mean = line.mean(axis=0)
    spread = float(np.percentile(mean, 99) - np.percentile(mean, 1))
    moves = line.std(axis=0) if len(line) > 1 else np.zeros(mean.shape)
    noise = _noise(scan)
    if len(line) > 1:
        noise = min(noise, float(np.median(moves))) / np.sqrt(len(line))
    passing = float(np.abs(line - np.median(line, axis=0)).max()) if len(line) > 1 else 0.0
    if spread > max(FAINT, 8 * noise) or moves.max() > 3 * np.median(moves) + 0.01 or passing > 8 * _noise(scan) + 0.003:
        return []
    level = float(np.median(scan.samples.counts))
    return [
        f"no object is seen in any view: what varies from place to place, by {spread:.2g} in the mean of the views, is noise "
        f"(counts near {level:.6g}): nothing but air in the beam, or a closed shutter"
    ]


def _inverted(scan: Judged) -> list[str]:
    """Rule: the object is brighter than what is beside it."""
    share = float((scan.samples.maps > 1.25 * scan.border[:, None, None]).mean())
    darker = float((1.25 * scan.samples.maps < scan.border[:, None, None]).mean())
    if share <= INVERTED or darker > share / 4:
        return []
    told = (
        f"{scan.name(0)} and others: {share:.0%} of the images is brighter than their left and right borders by a quarter or more: "
        "the contrast is inverted (or these are line integrals, not counts)"
    )
    if scan.given_air:
        return [told]
    raise InputError(
        told,
        expected="counts: air bright, the object dark",
        remedy="invert the images; line integrals go into a file of write_projections; if they are right, give the level of air: air=...",
    )


def _repeats(scan: Judged) -> list[str]:
    """Rule: the counts of a view equal those of an earlier view, including the noise."""
    if np.median(scan.samples.noise) < NOISE_FREE:
        return []
    first: dict[int, int] = {}
    again = [(first[key], view) for view, key in enumerate(scan.samples.keys) if first.setdefault(key, view) != view]
    if not again:
        return []
    views = [view for _, view in again]
    told = f"{_listed(views, scan.name)}: identical to an earlier view (view {again[0][1]} repeats view {again[0][0]}), noise and all"
    if len(views) > REPEATED * len(scan.samples):
        raise InputError(
            told,
            expected="another image at every angle",
            remedy="the stage did not turn, or files were copied: complete the folder, or leave these views out (views=...)",
        )
    return [f"{told}: the stage stalled, or files were copied; leave them out (views=...)"]


def _stalled(scan: Judged) -> list[str]:
    """Rule: neighbouring views differ by noise alone where the views around them differ by more.

    Let D1 and D2 be the mean squares of the differences between views one and two apart, n^2 the noise and m^2 the motion. Then D1 = n^2 +
    m^2 and, for small steps, D2 = n^2 + 4 m^2. The noise is taken as the smaller of what the medians of D1 and D2 say and what the ripple
    of the images says.
    """
    line, count = scan.line, len(scan.line)
    if count < 8:  # steps above 30 deg: what moves along the beam in one pair moves across it in the next
        return []
    square, apart = _change(line, 1), float(np.median(_change(line, count // 2)))
    ripple = 2 * _noise(scan) ** 2  # of a difference
    scatter = float(np.sqrt(2 / line[0].size))  # of a mean of squares of noise, as a share of it
    if apart <= (1 + 4 * scatter) * ripple and ripple > NOISE_FREE**2:
        return [
            f"all views look alike: views half a scan apart differ by {np.sqrt(apart):.2g}, noise alone makes {np.sqrt(ripple):.2g}: "
            "the stage did not turn, or the object is round about the axis"
        ]
    noise = min(ripple, float(np.median(square) - max(0.0, np.median(_change(line, 2)) - np.median(square)) / 3))
    motion = square - noise
    usual = float(np.median(motion))
    sure = 12 * max(noise, 1e-12) * scatter
    steps = np.abs(np.diff(scan.angles_deg))
    low = (motion < STALLED**2 * usual) & (usual > sure) & (steps > 0.5 * np.median(steps))
    still = np.array([k for k in np.flatnonzero(low) if _abrupt(motion, low, int(k), MOVING * usual)], dtype=int)
    if not still.size:
        return []
    return [
        f"{_listed(still + 1, scan.name)}: alike to the view before but for noise, where the views around change: the stage stalled, or "
        "the angle is wrong; leave them out (views=...)"
    ]


def _abrupt(motion: NDArray[np.float64], low: NDArray[np.bool_], pair: int, moving: float) -> bool:
    """Whether the nearest pairs that are not low do move: an object seen along its motion hardly changes either,
    but slows down gradually.
    """
    before, after = np.flatnonzero(~low[:pair]), np.flatnonzero(~low[pair:])
    ends = [*motion[before[-1:]], *motion[pair + after[:1]]]
    return bool(ends) and min(ends) > (moving if len(ends) == 2 else 2 * moving)


def _noise(scan: Judged) -> float:
    """The standard deviation of the noise of the line integral of a block in air."""
    return float(np.median(scan.samples.noise)) / float(np.sqrt(scan.samples.pixels))


def _change(line: Float[NDArray[np.float32], "view row block"], lag: int) -> NDArray[np.float64]:
    """The mean square difference (n - lag,) of views ``lag`` apart, without their levels, weighted so that its noise is that of air."""
    step = line[lag:] - line[:-lag]
    step -= np.median(step, axis=(1, 2), keepdims=True)
    return (step**2 * np.exp(-np.clip(line[:-lag], 0, 5))).mean(axis=(1, 2), dtype=np.float64)


def _odd(scan: Judged) -> list[str]:
    """Rule: the total attenuation of a view is not that of its neighbours. A flickering lamp is part of the air
    level and does not count.
    """
    total = scan.line.mean(axis=(1, 2), dtype=np.float64)
    if len(total) < 5:
        return []
    around = np.array([np.median(total[max(0, k - 3) : k + 4]) for k in range(len(total))])
    off = total - around
    scatter = 1.4826 * float(np.median(np.abs(off)))
    sure = max(SLIGHT, 10 * _noise(scan) / np.sqrt(scan.line[0].size))
    missing = np.flatnonzero((total < EMPTY * around) & (around > 2 * sure))
    if missing.size:
        raise InputError(
            f"{_listed(missing, scan.name)}: nothing but air, where the views around show an object",
            expected="the object in every view",
            remedy="leave these views out (views=...), or scan again",
        )
    strange = np.flatnonzero((np.abs(off) > ODD * np.abs(around)) & (np.abs(off) > max(sure, ODD_SIGMAS * scatter)))
    if not strange.size:
        return []
    worst = int(strange[np.argmax(np.abs(off[strange]))])
    darker = "darker" if off[worst] > 0 else "brighter"
    return [
        f"{_listed(strange, scan.name)}: {darker} than the views around, the total attenuation is {off[worst] / around[worst]:+.0%} off, "
        "and the level of air does not explain it; leave them out (views=...)"
    ]
