"""Truncation: how much of the object is cut off at the left or right border of the views, and what that does to the volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....base.shapes import Float

EDGE = 0.1  # attenuation at the border as a share of the largest; heads inside the field reach 0.03, foam and tubes stay below that
SLOPE = 0.015  # slope over the outermost two blocks of columns as a share of the largest attenuation; beside an object the border is flat


def truncation(line: Float[NDArray[np.float32], "view row block"], noise: float, level_known: bool) -> list[str]:
    """Warnings about truncation, from line integrals with ``noise``; ``level_known`` says whether the level of air is known."""
    top = float(np.percentile(line, 99))
    left, right = (np.percentile(line[:, :, side], 90, axis=1) for side in (0, -1))
    edge = np.maximum(left, right)
    covered = np.flatnonzero(edge > max(EDGE * top, 6 * noise))
    if not level_known and _no_air(line.mean(axis=1), top, noise / np.sqrt(line.shape[1])):
        return [
            "the object covers the border in all views, it seems (the images get darker inwards from the very edge): part of it is cut "
            "off, and the level of air was taken where the object is. All grey values are too low: give the level, air=..."
        ]
    if not covered.size:
        return []
    most = float(np.median(edge[covered]))
    outside = _share_outside(line[covered].mean(axis=1))
    size = f"roughly {outside:.0%} of it" if outside is not None else "an unknown part of it"
    return [
        f"the object covers the border in {covered.size} of {len(line)} views (attenuation there {most:.2g}, at most {top:.2g}): "
        f"{size} is cut off. The volume gets a bright rim and grey values that are too high near it; what lies outside is not reconstructed"
    ]


def long_object(line: Float[NDArray[np.float32], "view row block"]) -> list[str]:
    """A note about an object that leaves the panel at its first or last row in these line integrals, as long bones do. It is no fault of
    the scan.
    """
    top = float(np.percentile(line, 99))
    ends = [name for name, row in (("first", 0), ("last", -1)) if line.shape[1] > 1 and np.percentile(line[:, row], 90) > EDGE * top > 0]
    if not ends:
        return []
    return [
        f"the object goes on beyond the {' and the '.join(ends)} row of the images, in the direction of the axis: slices near there are "
        "seen by part of the views only, and what lies beyond is not reconstructed"
    ]


def _no_air(profiles: Float[NDArray[np.float32], "view block"], top: float, noise: float) -> bool:
    """Whether the profiles rise from the outermost block on, at both sides of nearly all views."""
    if profiles.shape[1] < 8:
        return False
    rise = np.minimum(profiles[:, 2] - profiles[:, 0], profiles[:, -3] - profiles[:, -1])
    return bool(np.mean(rise > max(SLOPE * top, 5 * noise)) > 0.9)


def _share_outside(profiles: Float[NDArray[np.float32], "view block"]) -> float | None:
    """The share of the object's attenuation that lies beyond the panel, estimated from the profiles of cut views (their median).

    Each side is continued by the ellipse about the centroid of the profile that has the value and the slope of the last sixth of the
    columns.
    """
    x = np.linspace(-1, 1, profiles.shape[1])
    shares = []
    for profile in profiles.astype(np.float64)[:: max(1, len(profiles) // 16)]:
        inside = float(np.maximum(profile, 0).sum()) * (x[1] - x[0])
        if inside <= 0:
            continue
        middle = float(np.clip((np.maximum(profile, 0) * x).sum() * (x[1] - x[0]) / inside, -0.8, 0.8))
        outside = _beyond(x - middle, profile) + _beyond(middle - x[::-1], profile[::-1])
        shares.append(outside / (inside + outside))
    return float(np.median(shares)) if shares else None


def _beyond(x: NDArray[np.float64], profile: NDArray[np.float64]) -> float:
    """The area of the ellipse p^2 = a - b x^2 beyond the last x, or 0 where the profile has come down to air."""
    last = slice(-max(3, len(x) // 6), None)
    slope, offset = np.polyfit(x[last], profile[last], 1)
    at = float(x[last].mean())  # where the chord has the slope of the curve
    value = slope * at + offset
    if slope * x[-1] + offset <= 0.02 * profile.max():
        return 0.0
    b = max(-value * slope / at, 0.02 * value**2)  # hardly falling: an object of seven times the panel's width
    half = np.sqrt(at**2 + value**2 / b)
    ratio = min(1.0, x[-1] / half)
    return float(np.sqrt(b) * half**2 / 2 * (np.arccos(ratio) - ratio * np.sqrt(1 - ratio**2)))
