"""What tasks read again and again, kept in memory: the pairs of a data folder, prepared views, references, and where the object is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...base import InputError
from ...base.shapes import Volume, VolumeMask
from ...data import Projections, read_volume
from ...data.pairs import Pair, find_pairs
from ...data.volumes.resample import resample
from ...geometry import Grid
from ...recon.corrections.prepared import prepared
from ..scores.against.references import RECON_CT, TRUTH, Reference, bone_threshold, judged_by, object_mask
from .given_views import thinned


@dataclass(frozen=True)
class Subject:
    """One scan of one animal, as it is scored: its references on ``grid``, by name, and where the object is (``body``)."""

    grid: Grid
    references: Mapping[str, Reference]
    body: VolumeMask


def pairs_in(data: Path, window: tuple[float, float] | None) -> list[Pair]:
    """All pairs of a data folder."""
    return list(_pairs(str(data), window))


def views_of(pair: Pair, prepare: bool, photons: float | None = None, seed: int = 0) -> Projections:
    """All views of a pair, in their own resolution: at ``photons`` if given, then corrected as its reference was (``prepare``)."""
    raw = _read_views(pair, _state(pair.xrays))
    raw = raw if photons is None else thinned(raw, photons, seed)
    if not prepare:
        return raw
    return prepared(raw, pair.corrections)[0] if photons is not None else _prepared(pair, _state(pair.xrays))


def subject_of(pair: Pair, size: int, bones: Mapping[str, float]) -> Subject:
    """The references of a pair with ``size`` voxels across, the bone threshold of each, and the object as the first of them shows it."""
    scan = _read_views(pair, _state(pair.xrays)).scan
    grid = Grid.across(scan, size)
    found = _references(pair, grid, _state(pair.recon))
    return Subject(
        grid, {name: Reference(v, bones.get(name, float("nan"))) for name, v in found.items()}, _body(pair, grid, _state(pair.recon))
    )


def thresholds(pairs: Sequence[Pair], size: int, most: int = 3) -> dict[str, float]:
    """The bone threshold of each reference in 1/mm, from the first ``most`` of these (training) scans."""
    subjects = [subject_of(pair, size, {}) for pair in pairs[:most]]
    names = dict.fromkeys(name for subject in subjects for name in subject.references)
    chosen = {name: [s for s in subjects if name in s.references] for name in names}
    return {name: bone_threshold([s.references[name].volume for s in part], [s.body for s in part]) for name, part in chosen.items()}


def mean_references(pairs: Sequence[Pair], grid: Grid) -> list[Volume]:
    """The references by which volumes are judged, of all these pairs, on one grid: what the mean-volume control may see."""
    found = [_references(pair, grid, _state(pair.recon)) for pair in pairs]
    return [volumes[judged_by(volumes)] for volumes in found]


def _state(folder: Path) -> tuple[int, int]:
    """A value that changes when a file of the folder changes, so that what is kept in memory is read again."""
    times = [entry.stat().st_mtime_ns for entry in os.scandir(folder)]
    return len(times), max(times, default=0)


@lru_cache(maxsize=8)
def _pairs(data: str, window: tuple[float, float] | None) -> tuple[Pair, ...]:
    return tuple(find_pairs(data, window=window))


@lru_cache(maxsize=2)
def _read_views(pair: Pair, state: tuple[int, int]) -> Projections:
    return pair.projections()


@lru_cache(maxsize=2)
def _prepared(pair: Pair, state: tuple[int, int]) -> Projections:
    return prepared(_read_views(pair, state), pair.corrections)[0]


@lru_cache(maxsize=64)
def _references(pair: Pair, grid: Grid, state: tuple[int, int]) -> dict[str, Volume]:
    """Truth and Recon-CT on ``grid``: each of its voxels gets the mean of what it covers."""
    found = {}
    if pair.truth is not None:
        volume, own, _ = read_volume(pair.truth)
        found[TRUTH] = resample(volume, own, grid)
    volume, own = pair.reference(Grid.fit(_read_views(pair, _state(pair.xrays)).scan))
    if volume.min() == volume.max():
        raise InputError(
            f"the Recon-CT in {pair.recon} is constant", expected="slices with structure", remedy="fetch or reconstruct it again"
        )
    found[RECON_CT] = resample(volume, own, grid)
    return found


@lru_cache(maxsize=64)
def _body(pair: Pair, grid: Grid, state: tuple[int, int]) -> VolumeMask:
    found = _references(pair, grid, state)
    return object_mask(found[judged_by(found)], grid.seen_by_all(_read_views(pair, _state(pair.xrays)).scan))
