"""Lessons of `tvnet`: a scan from some of its views, with what total variation got wrong of it, made before a training (`learning`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...base.shapes import Bool, Float, Int, ViewIndices, Volume
from ...geometry import Scan
from ..training.examples import draw_views
from ..training.learner import Example
from ..training.state import step_generator
from .learner import ALIKE, OUTSIDE, Network, prepared

AIR = 0.3  # weight of voxels where total variation sees next to nothing


@dataclass(frozen=True, eq=False)
class Lesson:
    """One scan from some of its views: the volumes that the network sees, the first of which it corrects, and the correction that it should
    find, in units of the object's grey scale, the weight of each voxel, and the facts about the scan. ``error`` is the weighted mean square
    of the correction in the object, and ``columns`` are the places (y, x) of the columns of voxels that hold some of it.
    """

    volumes: Float[Tensor, "volume z y x"]
    wanted: Float[Tensor, "z y x"]
    weight: Float[Tensor, "z y x"]
    facts: Float[Tensor, "facts"]
    error: float
    columns: Int[NDArray[np.intp], "column 2"]


def lesson_arrays(example: Example, number: int, counts: Sequence[int] = ALIKE["views"]) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """What is kept of lesson ``number``: (two volumes, correction, weight) in half precision, dimensionless [4, z, y, x], and the facts.

    Each number has views of its own (`views_of_lesson`); how many is one of ``counts``.
    """
    scan = example.projections.scan
    given = views_of_lesson(scan, number, counts)
    volume, rest, numbers = prepared(example.projections[given], example.grid, given)
    scale = np.float32(numbers[0])
    first = np.asarray(volume / scale, np.float32)
    kept = np.stack([first, rest / scale, example.reference / scale - first, lesson_weight(first, example.grid.seen_by_all(scan))])
    return kept.clip(-6e4, 6e4).astype(np.float16), numbers[1:].astype(np.float32)


def views_of_lesson(scan: Scan, number: int, counts: Sequence[int]) -> ViewIndices:
    """The views of lesson ``number``, drawn as `fewview train tvnet` draws them; how many is one of ``counts``."""
    return draw_views(scan, counts, ALIKE["selections"], step_generator(0, 2**42 + number))


def lesson_weight(volume: Volume, seen: Bool[NDArray[np.bool_], "z y x"]) -> Float[NDArray[np.float32], "z y x"]:
    """1 in the object, `AIR` beside it, and `OUTSIDE` of either where not all views see the voxel.

    The volume is in units of its grey scale, and the weight dimensionless.
    """
    return (np.where(seen, 1, OUTSIDE) * np.where(volume > 0.05, 1, AIR)).astype(np.float32)


def lesson(kept: NDArray[np.float16], facts: NDArray[np.float32], device: torch.device) -> Lesson:
    """The lesson on the device; ``kept`` [channel, z, y, x] (volumes, correction, weight) is dimensionless, as `lesson_arrays` gives it."""
    whole, told = torch.from_numpy(kept).to(device), torch.from_numpy(facts).to(device)
    inside = kept[-1] > AIR
    counted = inside if inside.any() else ~inside  # of an empty volume, all
    size = _mean_square(whole[-2].float(), whole[-1].float() * torch.from_numpy(counted).to(device))
    return Lesson(whole[:-2], whole[-2], whole[-1], told, max(size, 1e-6), np.argwhere(inside.any(axis=0)))


def error_left(module: Network, given: Lesson) -> float:
    """The weighted squared error with the network's correction, as a share of that of the volume that it corrects."""
    with torch.no_grad():
        found = module.net(given.volumes.float(), given.facts).float()
    weight = given.weight.float()
    return _mean_square(found - given.wanted.float(), weight) / max(_mean_square(given.wanted.float(), weight), 1e-6)


def _mean_square(x: Float[Tensor, "z y x"], weight: Float[Tensor, "z y x"]) -> float:
    return float((weight * x**2).sum() / weight.sum())
