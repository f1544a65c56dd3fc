"""The proximal tibia-fibula junction: going down from the knee, the first slice from which tibia and fibula are two contours.

The fibula is followed upwards from where it is plainly a bone of its own. Thin cortex is broken where a growth plate, a pore or noise
opens it, and slices near the knee then fall into many pieces: these are inside the tibia, and not what is followed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ..masks import Mask, closed, filled, grown, pieces, within
from .gap_opening import Pair, gap_opening

_GAP_MM, _ON_MM = 0.3, 1.5  # a stretch in which the bones seem to touch is passed over, if they lie apart for so long beyond it
_LEAST_SHARE, _LEAST_MM2 = 0.03, 0.008  # of a slice's bone, and in itself: a piece that counts
_BROKEN = 2.0  # voxels: half the width of breaks of a cortex that are bridged to find what it encloses
_STEP = 2  # voxels that the fibula may move from slice to slice, beyond its own outline
_LEAST_RUN = 0.1  # of the length: how long two bones must lie side by side
_AROUND = 4.0  # voxels of soft tissue around bone, whose grey value is the lower plateau
_SLOW = 12  # slices from the gap's beginning to where it is plain: a line is drawn on by two thirds of that, which is right to a few
_BROKEN_RUN = 0.25  # of that stretch: slices in which they seem to touch, beyond which it is doubtful


def plateaus(values: NDArray[np.float32], bone: Mask) -> tuple[float, float]:
    """The grey values of soft tissue beside bone and of bright bone, of grey ``values`` [z, y, x] and a mask ``bone`` of the same shape."""
    around = within(bone, _AROUND) & ~bone
    soft = float(np.median(values[around])) if around.any() else float(values.min())
    return soft, float(np.percentile(values[bone], 90))


def solid(plane: Mask) -> Mask:
    """A slice's bones with what they enclose, also where a cortex is broken; bones that are apart stay apart."""
    whole = filled(plane)
    if not plane.any():
        return whole
    pad = int(_BROKEN) + 2
    bridged = np.pad(filled(closed(np.pad(plane, pad), _BROKEN)), 1)
    return whole | ~within(~bridged, _BROKEN + 1)[pad + 1 : -pad - 1, pad + 1 : -pad - 1]


def outlines(plane: Mask, voxel_mm: float) -> list[Mask]:
    """The bones that a slice cuts, the largest first: pieces of a size that counts."""
    labels, sizes = pieces(solid(plane))
    kept = np.flatnonzero((sizes >= _LEAST_SHARE * sizes.sum()) & (sizes * voxel_mm**2 >= _LEAST_MM2)) + 1
    return [labels == n for n in sorted(kept, key=lambda n: -sizes[n - 1])]


def find_junction(values: NDArray[np.float32], level: float, voxel_mm: float) -> tuple[int, NDArray[np.int64], float, list[str]]:
    """(slice from which on, away from the knee, tibia and fibula are two contours; bones in each slice; confidence; doubts).

    ``values`` [z, y, x]: the knee at the first slice; bone is above ``level``. Where contours are two is asked at the level, where blur may
    close a narrow gap, and halfway between soft tissue and bright bone, where blur leaves edges in their place but a thin fibula may be
    missing: they are apart where either shows it. Where the gap between them begins is then told by how deep it is (`gap_opening`). Raises
    InputError where no slice cuts two.
    """
    bone = values > level
    soft, high = plateaus(values, bone)
    slices = [outlines(plane, voxel_mm) for plane in bone]
    sharp = [outlines(plane, voxel_mm) for plane in values > max(level, (soft + high) / 2)]
    counts = np.array([len(found) for found in slices], dtype=np.int64)
    length, start = _longest_run(counts >= 2)
    if not length:
        raise InputError(
            "no slice cuts two bones", expected="a tibia with its fibula", remedy="check the threshold and that z runs along the tibia"
        )
    begin = start + int(np.argmax([found[1].sum() for found in slices[start : start + length]])) if length < 8 else start + length // 2
    gap, on = (max(1, round(size / voxel_mm)) for size in (_GAP_MM, _ON_MM))
    pairs, vanished = _followed_up(slices, sharp, begin, gap)
    apart = np.isin(np.arange(len(slices)), list(pairs))
    apart[begin : start + length] = True
    junction = _start_of_run(apart, begin, gap, on)
    doubts, confidence = [], 1.0
    if junction < begin and (opening := gap_opening(values, soft, pairs, junction)) is not None:
        counted, junction = junction, max(int(np.floor(opening.begin)) + 1, 0)
        apart[:junction], apart[junction : counted + 1] = False, True
        if not junction - gap - 1 <= counted <= opening.plain + gap + 1:
            doubts.append(f"contours are two from slice {counted} on, the gap between the bones seems to begin at {junction}")
            confidence *= 0.45
        elif opening.plain - opening.begin > _SLOW:
            doubts.append(
                f"the gap between the bones opens slowly, over {opening.plain - opening.begin:.0f} slices: its beginning is unsure"
            )
            confidence *= 0.45
    if vanished:
        doubts.append("the fibula ends before it joins the tibia: it is too faint there to be followed")
        confidence *= 0.4
    used = np.flatnonzero(counts)
    if start + length - junction < _LEAST_RUN * len(used):
        doubts.append(f"two bones lie side by side in {start + length - junction} of {len(used)} slices only")
        confidence *= 0.4
    if junction <= int(used[0]) + 1:
        doubts.append("the two bones are apart at the end of the volume: the junction is not in it")
        confidence *= 0.3
    if (closed_share := 1 - float(apart[junction:begin].mean()) if junction < begin else 0.0) > _BROKEN_RUN:
        doubts.append(f"the two bones seem to touch in {closed_share:.0%} of the slices below the junction")
        confidence *= 0.45
    return junction, np.minimum(counts, 1) + apart, confidence, doubts


def _longest_run(two: NDArray[np.bool_]) -> tuple[int, int]:
    """(length, start) of the longest run; (0, 0) where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], two.astype(int), [0]])))
    runs = [(int(b - a), int(a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return max(runs, key=lambda run: (run[0], -run[1]), default=(0, 0))


def _followed_up(slices: list[list[Mask]], sharp: list[list[Mask]], begin: int, gap: int) -> tuple[dict[int, Pair], bool]:
    """Tibia and fibula of the slices from ``begin`` up to the knee in which they are apart, and whether the fibula ends where there is no
    tibia.
    """
    pairs: dict[int, Pair] = {}
    tibia, fibula = slices[begin][0], slices[begin][1]
    lost = alone = 0
    for z in range(begin, -1, -1):
        if not slices[z]:
            break
        near = grown(fibula, _STEP)
        beside = [(own, rest) for own, rest in (_told_apart(found, tibia, near) for found in (slices[z], sharp[z]) if found) if rest]
        lost = 0 if beside else lost + 1
        alone += not beside and not any((piece & near).any() for piece in slices[z])
        if lost > gap:
            break
        if beside:
            tibia, rest = beside[0]
            fibula, alone = np.logical_or.reduce(rest), 0
            pairs[z] = tibia, fibula
    return pairs, alone >= gap


def _told_apart(found: list[Mask], tibia: Mask, near: Mask) -> tuple[Mask, list[Mask]]:
    """The piece that goes on from the tibia, and the others that go on from the fibula."""
    own = max(found, key=lambda piece: np.count_nonzero(piece & tibia))
    return own, [piece for piece in found if piece is not own and (piece & near).any()]


def _start_of_run(apart: NDArray[np.bool_], begin: int, gap: int, on: int) -> int:
    """The first slice of the stretch that reaches to ``begin``; it goes on beyond a break of up to ``gap`` slices for ``on`` or more."""
    start, run, missing = begin, 0, 0
    for z in range(begin, -1, -1):
        run, missing = (run + 1, 0) if apart[z] else (0, missing + 1)
        if missing > gap:
            break
        if run >= on or (run and z >= start - 1):
            start = z
    return start
