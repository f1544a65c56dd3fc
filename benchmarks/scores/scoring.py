"""Scores of one reconstruction, which are always labelled and never mixed.

* ``truth``, ``recon-ct``: the volume against a reference, inside the object and inside what every view sees.
* ``heldout-views``: rendered projections at measured angles that were not given to the method, in a fixed window.
* ``table2-compat``: the fit to the view that *was* given, as the published code scores it. It says nothing about the volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.shapes import AnyViews, FloatVolume, Image, ViewIndices, VolumeMask
from ...data import Projections
from ...geometry import Grid
from ...recon import Operator
from .against.alignment import fit_grey, register
from .against.linear_map import LinearMap
from .against.references import Reference, judged_by
from .compared import ViewPair, VolumePair, Yardstick
from .metric_table import Needs, scores_of
from .published import DATA_RANGE as PUBLISHED_RANGE

MAPPED: Mapping[str, Needs] = {"grey": "grey-mapped volume", "linear": "linearly mapped volume"}
Scores = dict[str, float]
Maps = Mapping[str, Mapping[str, LinearMap]]  # reference -> "grey" and "linear" -> the map to it


@dataclass(frozen=True)
class Made:
    """What a method made: its ``volume``, and the ``channels`` that a linear map takes (the volume itself, unless there are several).

    The scores of the volume as it is are left out where it is nothing without its map (``raw`` False). ``rendering`` is the one given view
    as the method itself renders it (line integrals), where it has optics of its own.
    """

    volume: FloatVolume
    channels: tuple[FloatVolume, ...]
    raw: bool = True
    rendering: Image | None = None

    @classmethod
    def of(cls, volume: FloatVolume, rendering: Image | None = None) -> Made:
        """A volume that stands for itself."""
        return cls(volume, (volume,), rendering=rendering)


def heldout_views(total: int, given: ViewIndices, most: int) -> NDArray[np.intp]:
    """At most ``most`` indices (k,) of views, evenly chosen among those that were not given; empty where all were given."""
    rest = np.setdiff1d(np.arange(total), given)
    if len(rest) <= most:
        return rest
    return rest[np.floor(np.linspace(0, len(rest) - 1, most) + 0.5).astype(np.intp)]


def projected(volume: FloatVolume, grid: Grid, like: Projections) -> AnyViews:
    """The line integrals of the volume in the views of ``like``."""
    return Operator(like.scan, grid)(np.ascontiguousarray(volume, dtype=np.float32))


def rendered(volume: FloatVolume, grid: Grid, measured: Projections, yardstick: Yardstick) -> ViewPair:
    """The projections of the volume beside the measured ones, both clipped to the fixed window."""
    seen = projected(volume, grid, measured)
    low, high = yardstick.line_window
    return ViewPair(np.clip(seen, low, high), np.clip(measured.values, low, high), high - low)


@dataclass(frozen=True)
class Compared:
    """The scores of each section, the volume as it was compared with the first reference, how it was brought there, and images for FID,
    KID and LPIPS.
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


def scores_against(
    reference: Reference,
    made: Made,
    grid: Grid,
    seen: VolumeMask,
    yardstick: Yardstick,
    body: VolumeMask | None = None,
    maps: Mapping[str, LinearMap] | None = None,
    names: Iterable[str] | None = None,
) -> tuple[Scores, VolumePair, dict[str, Any]]:
    """The scores of a volume against one reference (those of ``names``; None: all), as it is and after the ``maps`` to this reference.

    With them come the pair that was compared and how the volume was brought to the reference. ``seen`` are the voxels that all views see.
    """
    inside = seen if reference.known is None else seen & reference.known
    wanted = None if names is None else tuple(names)
    pair = VolumePair(made.volume, reference.volume, grid, inside, replace(yardstick, bone=reference.bone), body)  # bad shapes are refused
    moved, how = aligned(made.volume, reference.volume, grid, inside, yardstick)
    compared = replace(pair, volume=moved)
    scores = scores_of("volume", "volume", compared, wanted) if made.raw else {}
    for short, needs in MAPPED.items():
        if maps and short in maps:
            scores |= scores_of("volume", needs, replace(pair, volume=maps[short](made.channels)), wanted)
    return scores, compared, how


def all_scores(
    made: Made,
    grid: Grid,
    references: Mapping[str, Reference],
    whole: Projections,
    given: ViewIndices,
    yardstick: Yardstick,
    body: VolumeMask | None = None,
    maps: Maps | None = None,
) -> Compared:
    """The scores of each section, and the image pairs that FID, KID and LPIPS need: axial slices, and rendered held-out views.

    ``body`` is where the object is (default: all that every view sees). ``maps`` are those of this method and number of views, fitted on
    other animals; without them there are no scores after a map. Views are always rendered from the volume as it is; alignment is for the
    comparison with references alone.
    """
    volume = made.volume
    mask = grid.seen_by_all(whole.scan)
    scores: dict[str, Scores] = {}
    pairs, alignment = {}, {}
    for name, reference in references.items():
        scores[name], pairs[name], alignment[name] = scores_against(
            reference, made, grid, mask, yardstick, body, maps.get(name) if maps else None
        )
    if len(given) == 1:  # the published protocol has one input view
        own = projected(volume, grid, whole[given]) if made.rendering is None else made.rendering[None]
        scores["table2-compat"] = scores_of("table2-compat", "views", ViewPair(own, whole[given].values, PUBLISHED_RANGE))
    name = judged_by(references)
    pair = pairs[name]
    shown = [n for n in range(grid.shape[0]) if pair.object[n].any()]  # a slice without the object says nothing about a volume
    images = {"slices": pair.inside[shown], "slices_reference": pair.target[shown]}
    unseen = heldout_views(len(whole), given, yardstick.heldout)
    if unseen.size:
        views = rendered(volume, grid, whole[unseen], yardstick)
        scores["heldout-views"] = scores_of("heldout-views", "views", views)
        images |= {"views": views.rendered, "views_reference": views.measured}
    return Compared(scores, pair.volume, alignment[name], images)
