"""`self_check`: after a reconstruction, do the volume and its views agree, and the views among themselves?"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ...base.shapes import Volume
from ...data import Projections
from ...data.self_check import DOUBTFUL, OK, UNSEEN, WRONG, SelfCheck, Suspicion
from ...data.volumes.resample import thumbnail
from ...geometry import Grid
from ..physics.noise import ripple
from .borders import borders
from .geometry_suspicions import GeometryFindings, judge_planes, judge_rays
from .image_suspicions import judge_borders, judge_repeats, judge_volume
from .opposite_rays import OppositeRays
from .projected_back import ProjectedBack, project_back
from .repeated_views import repeated_views
from .shared_planes import plane_agreement
from .small_views import CheckViews, SmallViews

COARSE = 96  # voxels a side of the copy that is projected back, at most
_RANK = {OK: 0, DOUBTFUL: 1, WRONG: 2}
_CAUSES = ("inverted", "repeated", "sense", "axis", "step", "roll")  # these explain the others, so they are named first
_SMOOTHING_GAIN = 0.16  # of white noise's variance by the smoothing of `OppositeRays`


def self_check(projections: Projections, volume: Volume, grid: Grid) -> SelfCheck:
    """Check ``volume`` [z, y, x] in 1/mm on ``grid`` against the views [view, row, col] that it was made from.

    Four small tests: rays that were measured from both sides (`opposite_rays`; where there are none, planes that views share,
    `shared_planes`) for axis, step, roll and sense of rotation; the borders of the views (`borders`) for inverted counts and a cut
    object; neighbouring views (`repeated_views`); and the volume projected back into eight views (`projected_back`). Costs a few
    per cent of a filtered back-projection of all views, and at least a tenth of a second.
    """
    start = time.perf_counter()
    found = check_small(CheckViews.of(projections), *thumbnail(volume, grid, COARSE), grid)
    return replace(found, seconds=time.perf_counter() - start)


def check_small(views: CheckViews, coarse: Volume, coarse_grid: Grid, grid: Grid) -> SelfCheck:
    """`self_check` of a volume on ``grid`` of which a ``coarse`` copy [z, y, x] in 1/mm on ``coarse_grid`` is at hand, as `thumbnail` makes
    it.
    """
    start = time.perf_counter()
    back, small = project_back(views, coarse, coarse_grid, grid), views.middle
    rays = OppositeRays(small)
    repeats = repeated_views(rays.values, rays.travelled)
    geometry = _geometry(views, rays)
    turn = np.sort(rays.travelled)
    gap = float(np.median(np.diff(turn))) if turn.size > 1 else 360.0
    full_turn = bool(turn[-1] - turn[0] + gap > 340)
    found = [*judge_borders(borders(back.views, full_turn)), *judge_repeats(repeats), *geometry.suspicions, *judge_volume(back, gap)]
    if any(s.name in (*_CAUSES, "truncation") for s in found):  # they explain what the volume and the rays suffer from
        found = [s for s in found if s.name in (*_CAUSES, "truncation")]
    found.sort(key=lambda s: (-_RANK[s.level], _CAUSES.index(s.name) if s.name in _CAUSES else len(_CAUSES)))
    level = max((s.level for s in found), key=_RANK.__getitem__, default=OK)
    message = _message(level, found, back, geometry)
    unseen = UNSEEN if rays.tells_sense else (*UNSEEN, "the sense of rotation, and flipped columns: the beam is parallel")
    return SelfCheck(
        back.error if back.whole else np.nan, message, level, tuple(found), back.errors if back.whole else {}, back.scale,
        geometry.contradiction, geometry.test, {**geometry.facts, "least_change": repeats.least}, unseen, time.perf_counter() - start,
    )  # fmt: skip


def _geometry(views: CheckViews, rays: OppositeRays) -> GeometryFindings:
    scan, small, wide = views.scan, views.middle, views.wide
    found = judge_rays(rays, small.factor, scan, _noise_energy(small, rays))
    if found is None and wide is not None:
        planes = plane_agreement(wide)
        found = judge_planes(planes, wide.factor, scan) if planes is not None else None
    return found or GeometryFindings((), np.nan, "none: no ray was measured twice, and the views share no planes", {})


def _noise_energy(small: SmallViews, rays: OppositeRays) -> float:
    """What noise alone would leave of `OppositeRays.energy`."""
    spread = rays.spread
    if not spread > 0 or small.values.shape[2] < 3:
        return 0.0
    return 2 * _SMOOTHING_GAIN * ripple(small.values[:: max(1, len(small.values) // 24)]) ** 2 / spread


def _message(level: str, found: list[Suspicion], back: ProjectedBack, geometry: GeometryFindings) -> str:
    if back.whole:
        figures = [f"projected back, the volume misses the views by {100 * back.error:.1f} %"]
    else:
        figures = ["the grid holds a part of what the views see, and cannot be projected back"]
    if np.isfinite(geometry.contradiction):
        figures.append(f"{geometry.test} differ by {100 * geometry.contradiction:.1f} %")
    else:
        figures.append("the views share nothing that would test axis, step and sense of rotation")
    told = ", ".join(figures) + " (a mirror image along the axis or an overall scale would not show)"
    return f"ok: {told}" if level == OK else f"{level.upper()}: {'; '.join(s.text for s in found)}; {told}"
