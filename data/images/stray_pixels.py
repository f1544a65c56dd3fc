"""Stray pixels, which stick out in one view and not in its neighbours: damaged files or stray counts, since no object looks like that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import FloatImage, LineIntegrals, StoredViews

LEAST = 0.5  # in line integral; a pixel that is off by less hardly shows in the volume
SIGMAS = 12.0  # standard deviations of the noise at the brightness of the surroundings
AROUND = 2  # pixels in each direction that form the surroundings
MOST = 2_000  # candidates in a view; where there are more, they are edges of an object
OFTEN = 0.25  # share of the views; what sticks out in so many belongs to the object or the detector


def stray_warnings(values: LineIntegrals | StoredViews, source: str) -> list[str]:
    """A warning about pixels of line integrals that stick out of their surroundings and of both neighbouring views; empty without any."""
    if len(values) < 3:
        return []
    all_views = {view: _strays(values, view) for view in range(len(values))}
    usual = float(np.median([strays.size for strays in all_views.values()]))  # beads and dead pixels stick out in every view
    found = {view: strays for view, strays in all_views.items() if strays.size > 2 * usual}
    if not found or len(found) > max(1, OFTEN * len(values)):
        return []
    worst = max(found, key=lambda view: float(np.abs(found[view]).max()))
    pixels, off = sum(strays.size for strays in found.values()), float(np.abs(found[worst]).max())
    where = f"view {worst}" if len(found) == 1 else f"views {', '.join(map(str, list(found)[:8]))}{' ...' if len(found) > 8 else ''}"
    count = f"{pixels} pixel{'s' if pixels > 1 else ''}"
    return [
        f"{source}: {count} of {where} stick out by up to {off:.2g} in line integral, and not in the next view: "
        "a damaged file, or a stray count; copy the images again, or leave these views out"
    ]


def _strays(values: LineIntegrals | StoredViews, view: int) -> NDArray[np.float32]:
    """By how much the stray pixels of a view deviate from their surroundings."""
    image = values[view]
    jump = np.abs(np.diff(image, axis=1))
    high = jump > LEAST
    if not high.any():
        return np.empty(0, np.float32)
    candidates = np.zeros(image.shape, bool)
    for step in range(AROUND):  # pixels near a jump, on either side: a run of a few may be off together
        candidates[:, 1 + step :] |= high[:, : high.shape[1] - step]
        candidates[:, : high.shape[1] - step] |= high[:, step:]
    rows, cols = np.nonzero(candidates)
    if rows.size > MOST:
        return np.empty(0, np.float32)
    middle = _surroundings(image, rows, cols)
    noise = float(np.median(jump[:: max(1, len(jump) // 64)])) / (0.6745 * np.sqrt(2))
    limit = np.maximum(LEAST, SIGMAS * noise * np.exp(np.clip(middle, 0, 12) / 2))
    off = image[rows, cols] - middle
    alone = np.abs(off) > limit
    for other in (values[view - 1], values[(view + 1) % len(values)]):
        alone &= np.abs(image[rows, cols] - other[rows, cols]) > limit
    return off[alone]


def _surroundings(image: FloatImage, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float32]:
    """The median of the pixels around each of the given ones."""
    padded = np.pad(image, AROUND, mode="reflect") if min(image.shape) > AROUND else np.pad(image, AROUND, mode="edge")
    span = range(2 * AROUND + 1)
    return np.median(np.stack([padded[rows + dy, cols + dx] for dy in span for dx in span]), axis=0)
