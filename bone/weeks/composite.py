"""`RoICompositeCropper`: what was bone in the first scan and is in the later one, in a stretch below the tibia-fibula junction.

The tool of the paper: bone in both 180, new bone 240, lost bone 60, neither 0; the landmark is where the fibula parts from the tibia; 300
slices below it; the fibula removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from ...base.settings import Count, Mm, checked
from ...geometry import Grid
from ..masks import Mask, closed, filled, grown, pieces
from ..measures.asked import checked_volume, found_threshold, require_bone
from .junction import find_junction

NEITHER, LOST, BOTH, NEW = 0, 60, 180, 240
_BROKEN = 1.5  # voxels: breaks of a cortex that are bridged


@dataclass(frozen=True, eq=False)
class RoIComposite:
    """``composite`` [z, y, x] uint8 (0, 60, 180, 240), the first slice next to the junction's side; ``grid``: where it is in the scan.

    ``junction``: the slice of the whole volume. ``lost_mm3`` and ``new_mm3``: resorption and formation. ``counts``: contours in each slice,
    0 for no bone, 1 for the tibia or both bones in one, 2 where the fibula is apart.
    """

    composite: NDArray[np.uint8]
    grid: Grid
    junction: int
    proximal: Literal["top", "bottom"]
    lost_mm3: float
    new_mm3: float
    kept_mm3: float
    confidence: float
    doubts: tuple[str, ...]
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@checked(of="RoICompositeCropper")
class RoICompositeCropper:
    """``RoICompositeCropper(threshold=75)(baseline, follow_up, grid)``: both volumes registered, z along the tibia.

    Args:
        threshold: what is above it is bone, in the unit of the volumes; None for Otsu's of the baseline.
        slices: how many below the junction are kept.
        length_mm: the same in mm, where it is given.
        proximal: which end of z is the knee's; "auto" takes the one with the wider bone.
        keep_fibula: do not remove it.
    """

    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    slices: Count = 300
    length_mm: Mm | None = None
    proximal: Literal["auto", "top", "bottom"] = "auto"
    keep_fibula: bool = False

    def __call__(self, baseline: NDArray[Any], follow_up: NDArray[Any], grid: Grid) -> RoIComposite:
        """The composite. Raises InputError for volumes of other shapes than the grid's, no bone, or no fibula beside a tibia."""
        first, second = checked_volume(baseline, grid), checked_volume(follow_up, grid)
        level, _ = found_threshold(first, self.threshold)
        before, after = first > level, second > level
        require_bone(before, level)
        require_bone(after, level)
        top = _wider_top(before) if self.proximal == "auto" else self.proximal == "top"
        order = slice(None, None, -1) if top else slice(None)
        junction, counts, confidence, doubts = find_junction(first[order], level, grid.voxel_mm)
        before, after = before[order], after[order]  # from the knee downwards
        wanted = self.slices if self.length_mm is None else max(1, round(self.length_mm / grid.voxel_mm))
        stop = min(junction + wanted, len(before))
        if stop - junction < wanted:
            doubts.append(f"{stop - junction} of {wanted} slices lie in the volume below the junction")
            confidence *= 0.6
        before, after = before[junction:stop], after[junction:stop]
        if not self.keep_fibula:
            tibia = only_tibia(before | after)
            before, after = before & tibia, after & tibia
        composite = np.where(before & after, BOTH, np.where(after, NEW, np.where(before, LOST, NEITHER))).astype(np.uint8)
        lost, new, kept = (float(np.count_nonzero(composite == value)) * grid.voxel_mm**3 for value in (LOST, NEW, BOTH))
        place = len(first) - 1 - junction if top else junction
        own = _part(grid, len(first) - stop if top else junction, stop - junction)
        side = "top" if top else "bottom"
        return RoIComposite(composite[order], own, place, side, lost, new, kept, confidence, tuple(doubts), counts[order])


def _part(grid: Grid, start: int, count: int) -> Grid:
    """The grid of ``count`` slices from ``start`` on."""
    x, y, _ = grid.center_mm
    z = float(grid.z_mm[start] + (count - 1) / 2 * grid.voxel_mm)
    return Grid((count, *grid.shape[1:]), grid.voxel_mm, (x, y, z))


def _wider_top(bone: Mask) -> bool:
    """Whether the end at large z is the wider: bone spreads out towards the knee."""
    used = np.flatnonzero(bone.any(axis=(1, 2)))
    third = max(1, len(used) // 4)

    def spread(slices: NDArray[np.intp]) -> float:
        places = np.argwhere(bone[slices].any(axis=0))
        return float(np.prod(np.ptp(places, axis=0) + 1))

    return spread(used[-third:]) > spread(used[:third])


def only_tibia(bone: Mask) -> Mask:
    """The tibia's bone in slices from the junction downwards: in each, the pieces that go on from the tibia of the slice before.

    A piece that touches neither belongs to the nearer one.
    """
    out = np.zeros_like(bone)
    tibia = fibula = np.zeros(bone.shape[1:], bool)
    for z, plane in enumerate(bone):
        labels, sizes = pieces(filled(closed(np.pad(plane, 2), _BROKEN)[2:-2, 2:-2]))
        if not sizes.size:
            continue
        if not tibia.any():
            tibia = labels == 1 + int(np.argmax(sizes))
            fibula = (labels > 0) & ~tibia
        else:
            tibia, fibula = _followed(labels, tibia, fibula)
        out[z] = plane & tibia
    return out


def _followed(labels: NDArray[np.integer], tibia: Mask, fibula: Mask) -> tuple[Mask, Mask]:
    """Tibia and fibula of a slice by those of the slice before."""
    to_tibia, to_fibula = _away(tibia), _away(fibula)
    own = np.zeros(tibia.shape, bool)
    for n in range(1, int(labels.max()) + 1):
        here = labels == n
        if (here & tibia).any() and (here & fibula).any():  # fused: each voxel to the nearer one
            own |= here & (to_tibia <= to_fibula)
        elif to_tibia[here].min() <= to_fibula[here].min():
            own |= here
    rest = (labels > 0) & ~own
    return (own if own.any() else tibia), (rest if rest.any() else fibula & ~grown(own))


def _away(mask: Mask) -> NDArray[np.float64]:
    """Distance to a mask; far everywhere where it is empty."""
    return np.asarray(ndimage.distance_transform_edt(~mask)) if mask.any() else np.full(mask.shape, 1e9)
