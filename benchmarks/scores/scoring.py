"""Scores of one reconstruction under the three protocols, which are always labelled and never mixed.

* ``volume``: the volume against its reference, inside what every view sees.
* ``heldout-views``: rendered projections at measured angles that were not given to the method, in a fixed window.
* ``table2-compat``: the fit to the view that *was* given, as the published code scores it. It says nothing about the volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import FloatVolume, ViewIndices, VolumeMask
from ...data import Projections
from ...geometry import Grid
from ...recon import Operator
from .alignment import fit_grey, register
from .compared import ViewPair, VolumePair, Yardstick
from .metric_table import scores_of

Scores = dict[str, float]


def heldout_views(total: int, given: ViewIndices, most: int) -> NDArray[np.intp]:
    """At most ``most`` indices (k,) of views, evenly chosen among those that were not given; empty where all were given."""
    rest = np.setdiff1d(np.arange(total), given)
    if len(rest) <= most:
        return rest
    return rest[np.floor(np.linspace(0, len(rest) - 1, most) + 0.5).astype(np.intp)]


def rendered(volume: FloatVolume, grid: Grid, measured: Projections, yardstick: Yardstick) -> ViewPair:
    """The projections of the volume beside the measured ones, both clipped to the fixed window."""
    seen = Operator(measured.scan, grid)(np.ascontiguousarray(volume, dtype=np.float32))
    low, high = yardstick.line_window
    return ViewPair(np.clip(seen, low, high), np.clip(measured.values, low, high), high - low)


def published_scale(pair: ViewPair, line_window: tuple[float, float]) -> ViewPair:
    """The views scaled to -1..1 with data range 2, as the published code scores them."""
    low, high = line_window
    seen, target = (2 * (images - low) / (high - low) - 1 for images in (pair.rendered, pair.measured))
    return ViewPair(seen, target, 2.0)


@dataclass(frozen=True)
class Compared:
    """The scores of each protocol, the volume as it was compared, how it was brought to the reference, and images
    for FID, KID and LPIPS.
    """

    scores: Mapping[str, Scores]
    volume: FloatVolume
    alignment: Mapping[str, Any]
    images: Mapping[str, NDArray[np.float32]]


def aligned(
    volume: FloatVolume, reference: FloatVolume, grid: Grid, mask: VolumeMask, yardstick: Yardstick
) -> tuple[FloatVolume, dict[str, Any]]:
    """The volume after registration (``register``) and a grey map (``grey_fit``), as far as the yardstick asks for them, and both maps."""
    how: dict[str, Any] = {}
    if yardstick.register:
        volume, motion = register(volume, reference, grid)
        how["motion"] = asdict(motion)
    if yardstick.grey_fit:
        grey = fit_grey(volume, reference, mask)
        volume, how["grey_map"] = grey(volume), asdict(grey)
    return volume, how


def all_scores(
    volume: FloatVolume, grid: Grid, reference: FloatVolume, whole: Projections, given: ViewIndices, yardstick: Yardstick
) -> Compared:
    """The scores of each protocol, and the image pairs that FID, KID and LPIPS need: axial slices, and rendered held-out views.

    Views are always rendered from the volume as it is; alignment is for the ``volume`` protocol alone.
    """
    mask = grid.seen_by_all(whole.scan)
    pair = VolumePair(volume, reference, grid, mask, yardstick)  # bad shapes are refused before anything is aligned
    moved, how = aligned(volume, reference, grid, mask, yardstick)
    pair = replace(pair, volume=moved)
    first = published_scale(rendered(volume, grid, whole[given][:1], yardstick), yardstick.line_window)
    scores = {"volume": scores_of("volume", "volume", pair), "table2-compat": scores_of("table2-compat", "views", first)}
    images = {"slices": pair.inside, "slices_reference": pair.target}
    unseen = heldout_views(len(whole), given, yardstick.heldout)
    if unseen.size:
        views = rendered(volume, grid, whole[unseen], yardstick)
        scores["heldout-views"] = scores_of("heldout-views", "views", views)
        images |= {"views": views.rendered, "views_reference": views.measured}
    return Compared(scores, moved, how, images)
