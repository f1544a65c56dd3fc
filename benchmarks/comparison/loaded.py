"""What tasks read again and again, kept in memory: the pairs of a data folder, prepared views, references, and where the object is.

Prepared views are also kept in files, on a shelf in the results folder, so that each worker does not prepare them anew.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...base import InputError
from ...base.outputs.one_at_a_time import one_at_a_time
from ...base.shapes import FloatVolume, VolumeMask
from ...data import Projections, read_volume
from ...data.pairs import AsRead, Pair, find_pairs
from ...data.scans.projections_file import read_projections, write_projections
from ...data.volumes.resample import resample
from ...geometry import Grid, Scan
from ...recon.corrections.prepared import prepared
from ..scores.against.references import RECON_CT, TRUTH, Reference, bone_threshold, judged_by, object_mask
from ..sweeps.provenance import this_code
from .given_views import thinned

SHELF = ".fewview-prepared"  # in the results folder


@dataclass(frozen=True)
class Subject:
    """One scan of one animal, as it is scored: its references on ``grid``, by name, and where the object is (``body``)."""

    grid: Grid
    references: Mapping[str, Reference]
    body: VolumeMask


def pairs_in(data: Path, as_read: AsRead) -> list[Pair]:
    """All pairs of a data folder that can be used; of a download those whose Recon-CT was registered without doubt."""
    return [pair for pair in _pairs(str(data), as_read) if not pair.foreign or (pair.placement is not None and not pair.placement.doubts)]


def views_of(pair: Pair, size: int, prepare: bool, photons: float | None = None, seed: int = 0, shelf: Path | None = None) -> Projections:
    """All views of a pair, read for volumes of ``size`` voxels across: at ``photons`` if given, then corrected as its reference was
    (``prepare``). At the dose of the scan they come from the ``shelf``, where some worker has put them there.
    """
    if prepare and photons is None:
        return _prepared(pair, size, shelf, _state(pair.xrays))
    raw = _read_views(pair, size, _state(pair.xrays))
    raw = raw if photons is None else thinned(raw, photons, seed)
    return prepared(raw, pair.corrections)[0] if prepare else raw


def subject_of(pair: Pair, size: int, bones: Mapping[str, float], scan: Scan) -> Subject:
    """The references of a pair with ``size`` voxels across, the bone threshold of each, and the object as the first of them shows it.
    ``scan`` is that of its views.
    """
    grid = Grid.across(scan, size)
    found = _references(pair, grid, _state(pair.recon))
    references = {name: Reference(v, bones.get(name, float("nan")), known) for name, (v, known) in found.items()}
    return Subject(grid, references, _body(pair, scan, grid, _state(pair.recon)))


def thresholds(pairs: Sequence[Pair], size: int, most: int = 3) -> dict[str, float]:
    """The bone threshold of each reference in 1/mm, from the first ``most`` of these (training) scans."""
    subjects = [subject_of(pair, size, {}, views_of(pair, size, prepare=False).scan) for pair in pairs[:most]]
    names = dict.fromkeys(name for subject in subjects for name in subject.references)
    chosen = {name: [s for s in subjects if name in s.references] for name in names}
    return {name: bone_threshold([s.references[name].volume for s in part], [s.body for s in part]) for name, part in chosen.items()}


def mean_references(pairs: Sequence[Pair], grid: Grid) -> list[FloatVolume]:
    """The references by which volumes are judged, of all these pairs, on one grid: what the mean-volume control may see."""
    found = [_references(pair, grid, _state(pair.recon)) for pair in pairs]
    return [volumes[judged_by(volumes)][0] for volumes in found]


def _state(folder: Path) -> tuple[int, int]:
    """A value that changes when a file of the folder changes, so that what is kept in memory is read again."""
    times = [entry.stat().st_mtime_ns for entry in os.scandir(folder)]
    return len(times), max(times, default=0)


@lru_cache(maxsize=8)
def _pairs(data: str, as_read: AsRead) -> tuple[Pair, ...]:
    return tuple(find_pairs(data, as_read=as_read))


@lru_cache(maxsize=2)
def _read_views(pair: Pair, size: int, state: tuple[int, int]) -> Projections:
    return pair.projections(size)


@lru_cache(maxsize=2)
def _prepared(pair: Pair, size: int, shelf: Path | None, state: tuple[int, int]) -> Projections:
    if shelf is None or not pair.corrections:
        return prepared(_read_views(pair, size, state), pair.corrections)[0]
    facts = (str(pair.xrays.resolve()), state, size, pair.as_read, pair.photons, sorted(pair.corrections.items()), this_code().name)
    place = shelf / hashlib.sha256(repr(facts).encode()).hexdigest()[:20]
    file = place / "views.h5"
    while not file.exists():
        place.mkdir(parents=True, exist_ok=True)
        try:
            with one_at_a_time(place):
                if not file.exists():
                    write_projections(prepared(_read_views(pair, size, state), pair.corrections)[0], file)
        except FileExistsError:
            time.sleep(0.1)  # another worker is at it
    return read_projections(file)


@lru_cache(maxsize=64)
def _references(pair: Pair, grid: Grid, state: tuple[int, int]) -> dict[str, tuple[FloatVolume, VolumeMask | None]]:
    """Truth and Recon-CT on ``grid``, each with the voxels that it covers (None: all): each voxel gets the mean of what it covers."""
    found: dict[str, tuple[FloatVolume, VolumeMask | None]] = {}
    if pair.truth is not None:
        volume, own, _ = read_volume(pair.truth)
        found[TRUTH] = resample(volume, own, grid), None
    volume, known = pair.reference_on(grid)
    covered = volume if known is None else volume[known]
    if not covered.size or covered.min() == covered.max():
        raise InputError(
            f"the Recon-CT in {pair.recon} is constant", expected="slices with structure", remedy="fetch or reconstruct it again"
        )
    found[RECON_CT] = volume, known
    return found


@lru_cache(maxsize=64)
def _body(pair: Pair, scan: Scan, grid: Grid, state: tuple[int, int]) -> VolumeMask:
    found = _references(pair, grid, state)
    volume, known = found[judged_by(found)]
    seen = grid.seen_by_all(scan)
    return object_mask(volume, seen if known is None else seen & known)
