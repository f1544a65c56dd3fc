"""Views that repeat: a stage that stood still, or images that were stored twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base.shapes import Angles, Floats, LineIntegrals

_APART_DEG = 4.5  # views this far apart differ by more than the noise, whatever the step
_STILL = 0.44  # of the usual difference
_WINDOW = 5  # pairs on either side from which the usual difference is taken
_SAME_ANGLE_DEG = 0.02


@dataclass(frozen=True)
class Repeats:
    """``views`` that show what an earlier view showed; ``least`` is the smallest change between views relative to the usual one."""

    views: tuple[int, ...]
    least: float
    all_alike: bool = False


def repeated_views(values: LineIntegrals, travelled_deg: Angles) -> Repeats:
    """Views [view, row, col] that hardly differ from one that was taken some degrees before, or that are the very same image as another."""
    count = len(values)
    if count < 3:
        return Repeats((), 1.0)
    same = _identical(values, travelled_deg)
    if len(same) >= 0.9 * (count - 1):  # except views a whole turn apart
        return Repeats((), 1.0, all_alike=True)
    gap = np.abs(np.diff(travelled_deg))
    usual_gap = float(np.median(gap))
    lag = int(np.clip(round(_APART_DEG / usual_gap) if usual_gap > 0 else 1, 1, max(1, count // 4)))
    apart = np.abs(travelled_deg[lag:] - travelled_deg[:-lag])
    change = np.sqrt(((values[lag:] - values[:-lag]) ** 2).mean(axis=(1, 2), dtype=np.float64))
    relative = change / np.maximum(_usual(change, lag) * np.minimum(1.0, apart / max(float(np.median(apart)), 1e-12)), 1e-30)
    relative = np.where((change > 0) | (apart > _SAME_ANGLE_DEG), relative, 1.0)
    still = {int(k) + j for k in np.flatnonzero(relative < _STILL) for j in range(1, lag + 1)}
    return Repeats(tuple(sorted(still | same)), float(relative.min()))


def _usual(change: Floats, lag: int) -> Floats:
    """The median change around each pair, and not less than 0.6 of that of all: a long stop must not become usual."""
    half = _WINDOW * lag
    padded = np.pad(change, half, mode="reflect") if change.size > half else np.pad(change, half, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    return np.maximum(around, 0.6 * float(np.median(change)))


def _identical(values: LineIntegrals, travelled_deg: Angles) -> set[int]:
    """Views that are, bit by bit, an earlier one taken at another angle."""
    first: dict[bytes, int] = {}
    found = set()
    for k, view in enumerate(values):
        earlier = first.setdefault(view.tobytes(), k)
        turn = abs(travelled_deg[k] - travelled_deg[earlier]) % 360
        if earlier != k and min(turn, 360 - turn) > _SAME_ANGLE_DEG:
            found.add(k)
    return found
