"""Pairs of the X-rays of an animal in one week and the CT volume that goes with them, in a folder with the layout of BoneMet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..base import InputError
from ..base.shapes import FloatVolume, VolumeMask
from ..geometry import Grid, Scan
from .catalogue.known_hashes import known_sha256
from .images.bonemet_folders import find_bonemet
from .placement import Placement, read_placement
from .projections import Projections
from .scans.reader import open_scan, read
from .volumes.resample import resample
from .volumes.slices import read_slices

USUAL_WINDOW = (0.0, 0.30)  # 1/mm, from air to the densest bone at 50 kV: the data range where nobody states another
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class AsRead:
    """How a data set is read, where its files do not say it: the same for training and for scoring.

    ``window`` (low, high) in 1/mm is the meaning of the grey levels 0 and 255 of the slices. ``voxel_mm`` is the pixel of the X-ray images
    at the axis as they are on disk, ``recon_voxel_mm`` the voxel of Recon-CT (default: the same). ``binning`` averages blocks of that many
    pixels as the images are read (default: `Pair.binning_for`). ``placements`` is the folder with the files of `data.placement` (default:
    ``registration`` in the data set).
    """

    window: tuple[float, float] | None = None
    voxel_mm: float | None = None
    recon_voxel_mm: float | None = None
    binning: int | None = None
    placements: Path | None = None


AS_STATED = AsRead()


@dataclass(frozen=True)
class Pair:
    """One scan of one animal: the folders of its X-rays and of its Recon-CT slices, and the grey window of the data set in 1/mm.

    ``truth`` is the volume from which a simulated scan was made, where the builder kept it. ``photons`` is the mean count of an
    unattenuated pixel, where a record states it, and ``corrections`` are those that made Recon-CT from the X-rays, where the data set
    states them. A ``foreign`` pair is of a data set that fewview did not build: its Recon-CT has a grid of its own, and can be used once
    ``placement`` says where that lies. ``as_read`` are the options of its data set.
    """

    animal: str
    week: int
    xrays: Path
    recon: Path
    window: tuple[float, float]
    truth: Path | None = None
    photons: float | None = None
    corrections: Mapping[str, Any] | None = field(default=None, hash=False)
    foreign: bool = False
    placement: Placement | None = None
    as_read: AsRead = AS_STATED

    @property
    def name(self) -> str:
        """The name of the pair, such as ``851 week 0``."""
        return f"{self.animal} week {self.week}"

    def scan(self) -> Scan:
        """The geometry of the X-rays as they are on disk; no image is read."""
        return open_scan(self.xrays, voxel_mm=self.as_read.voxel_mm).scan

    def binning_for(self, size: int) -> int:
        """The binning as the images are read for volumes with ``size`` voxels across: what was asked for, or as much as leaves four pixels
        to a voxel, so that a panel of 4032 x 2688 is never in memory as a whole.
        """
        return self.as_read.binning or max(1, self.scan().shape[1] // (4 * size))

    def projections(self, size: int | None = None, **options: Any) -> Projections:
        """The line integrals of all views, from the raw counts, binned as they are read for volumes of ``size`` voxels across (None: as
        they are, or as was asked for). ``options`` are those of `read`.
        """
        binning = self.as_read.binning or 1 if size is None else self.binning_for(size)
        p = read(self.xrays, **{"voxel_mm": self.as_read.voxel_mm, "binning": binning, **options})
        photons = None if self.photons is None else self.photons * binning**2
        return p if photons is None else Projections(p.values, p.scan, {**p.meta, "photons": photons})

    def reference_on(self, grid: Grid) -> tuple[FloatVolume, VolumeMask | None]:
        """Recon-CT in 1/mm on ``grid``, and the voxels that it covers (None: all). InputError for a foreign one without a trusted place."""
        if not self.foreign:
            volume, own = self.reference()
            return resample(volume, own, grid), None
        if self.placement is None or self.placement.doubts:
            why = "was not registered to its X-rays" if self.placement is None else self.placement.in_words()
            raise InputError(
                f"Recon-CT of {self.name} in {self.recon}: {why}", expected="a registration without doubt", remedy="see docs/bonemet.md"
            )
        volume, known = self.placement.on(grid, self.recon)
        if self.as_read.window is not None:  # somebody knows what the levels mean: the fitted map is undone
            (low, high), placed = self.as_read.window, self.placement
            volume = np.where(known, low + (volume - placed.offset) / placed.gain * ((high - low) / 255), 0).astype(np.float32)
        return volume, known

    def reference(self, whole: Grid | None = None) -> tuple[FloatVolume, Grid]:
        """The Recon-CT volume in 1/mm of a data set that fewview built. It covers ``whole``, the ``Grid.fit`` of its scan, if it has that
        many voxels; otherwise InputError.
        """
        if self.foreign:
            raise InputError(f"{self.recon} is on a grid of its own", expected="a data set that fewview built", remedy="see reference_on")
        volume, _, _ = read_slices(self.recon, voxel_mm=1.0, window=self.window)
        if volume.min() == volume.max():
            told = f"the Recon-CT in {self.recon} is constant"
            raise InputError(told, expected="slices with structure", remedy="fetch or reconstruct it again")
        grid = Grid.fit(self.scan()) if whole is None else whole
        if volume.shape != grid.shape:
            raise InputError(
                f"Recon-CT in {self.recon} has {volume.shape} voxels",
                expected=f"{grid.shape}, the field of view of its X-rays in their own resolution",
                remedy="complete the slices, or reconstruct the reference again (fewview recon, then write_bonemet_slices)",
            )
        return volume, grid

    def fingerprint(self) -> str:
        """SHA-256 of all X-rays, of all slices, and of what else results depend on. Files that did not change are not read again."""
        read_as = [self.as_read.voxel_mm, self.as_read.binning, self.placement]
        facts = " ".join([known_sha256(self.xrays), known_sha256(self.recon), str(self.window), *map(repr, read_as)])
        return hashlib.sha256(facts.encode()).hexdigest()


def find_pairs(root: str | Path, *, window: tuple[float, float] | None = None, as_read: AsRead | None = None) -> list[Pair]:
    """All scans below ``root`` that have both X-rays and Recon-CT, sorted by animal and week.

    ``as_read`` are options for what the files do not say (``window`` is a short way to its own). A data set that fewview built states its
    grey window. Of any other, Recon-CT has a grid and grey levels of its own: `benchmarks.datasets.registration` finds both, and until then
    the pairs have no placement. Their window is `USUAL_WINDOW` unless it is given.

    Raises FileNotFoundError where there is no folder, and InputError where there is no pair, or for a window that is none.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; expected a data set in the BoneMet layout (fewview simulate --layout bonemet)")
    options = as_read or AS_STATED
    options = options if window is None else replace(options, window=window)
    facts = dataset_facts(root)
    stated, corrections, foreign = facts.get("window"), facts.get("corrections"), not facts
    chosen = options.window or (tuple(stated) if stated else USUAL_WINDOW if foreign else None)
    rays, slices = (_scans(root, component) for component in ("Rotation-X-ray", "Recon-CT"))
    both = sorted(rays.keys() & slices.keys(), key=lambda k: (int(k[0]), k[1]))
    if not both:
        raise InputError(
            f"{root} has {len(rays)} X-ray scans and {len(slices)} Recon-CT, but no pair",
            expected="pairs in the BoneMet layout",
        )
    if chosen is None or len(chosen) != 2 or not chosen[0] < chosen[1]:
        raise InputError(
            f"the grey window of Recon-CT in {root} is {chosen or 'not stated'}",
            expected="(low, high) in 1/mm that 0 and 255 stand for",
            remedy="give --window LOW HIGH, such as 0 0.25",
        )
    truth = {key: root / "truth" / f"{key[0]} week {key[1]} volume.nii.gz" for key in both}
    records = {key: {} if foreign else _record(root, *key) for key in both}
    truth = {key: path if path.exists() else None for key, path in truth.items()}
    low, high = (float(edge) for edge in chosen)
    return [
        Pair(
            *key, rays[key], slices[key], (low, high), truth[key], records[key].get("photons"), corrections, foreign,
            read_placement(placement_path(root, options, *key)) if foreign else None, _with_voxel(options, records[key]),
        )
        for key in both
    ]  # fmt: skip


def placement_path(root: Path, as_read: AsRead, animal: str, week: int) -> Path:
    """The file that keeps where a Recon-CT lies."""
    return (as_read.placements or root / "registration") / f"{animal} week {week}.json"


def lonely(root: str | Path) -> dict[str, str]:
    """Scan -> what it lacks to be compared, such as ``{"851 week 2": "no Recon-CT"}``: also weeks that other animals have."""
    rays, slices = (_scans(Path(root), component) for component in ("Rotation-X-ray", "Recon-CT"))
    found = dict.fromkeys(rays.keys() - slices.keys(), "no Recon-CT") | dict.fromkeys(slices.keys() - rays.keys(), "no X-rays")
    there = rays.keys() | slices.keys()
    weeks = sorted({week for _, week in there})
    found |= {(animal, week): "missing" for animal in {animal for animal, _ in there} for week in weeks if (animal, week) not in there}
    return {f"{animal} week {week}": found[animal, week] for animal, week in sorted(found, key=lambda k: (int(k[0]), k[1]))}


def _scans(root: Path, component: str) -> dict[tuple[str, int], Path]:
    return {(f.animal, f.week): f.path for f in find_bonemet(root, component=component) if not f.part}


def _record(root: Path, animal: str, week: int) -> Mapping[str, Any]:
    """What the builder of a simulated data set wrote about one scan; empty where there is nothing."""
    path = root / "records" / f"{animal} week {week}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _with_voxel(options: AsRead, record: Mapping[str, Any]) -> AsRead:
    """The options with the voxel that the record states, unless they have one: X-rays in this layout do not say how large a pixel is."""
    stated = record.get("recon_ct", {}).get("voxel_mm")
    return options if options.voxel_mm or not stated else replace(options, voxel_mm=float(stated))


def dataset_facts(root: str | Path) -> Mapping[str, Any]:
    """The contents of ``dataset.json`` of a data set that fewview built; empty for others."""
    path = Path(root) / "dataset.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _stated_split(path: Path) -> dict[str, list[str]]:
    """Part -> animals, as a split.json file says."""
    expected = f'a JSON object such as {{"train": ["851"], "test": ["852"]}} with the parts {", ".join(PARTS)}'
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})", expected=expected) from error
    parts = {part: stated.get(part, []) for part in PARTS} if isinstance(stated, dict) else None
    if parts is None or any(not isinstance(names, list) for names in parts.values()):
        raise InputError(f"{path} holds {str(stated)[:60]}", expected=expected)
    return {part: [str(name) for name in names] for part, names in parts.items()}


def split_pairs(root: str | Path, pairs: list[Pair], seed: int = 0) -> dict[str, list[Pair]]:
    """Part -> pairs, split by animal: as ``split.json`` says, or otherwise drawn with ``seed`` (70, 15, 15 % of the animals).

    Raises InputError for fewer than two animals, because none could be held out, and for an animal that the split does not name.
    """
    animals = sorted({pair.animal for pair in pairs}, key=int)
    if len(animals) < 2:
        raise InputError(f"{root} has one animal, {animals[0]}", expected="at least two: one to train or tune on, one to test on")
    path = Path(root) / "split.json"
    if path.exists():
        part_of = {animal: part for part, names in _stated_split(path).items() for animal in names}
    else:
        drawn = [animals[i] for i in np.random.default_rng(seed).permutation(len(animals))]
        held = max(1, round(0.15 * len(animals)))
        checked = held if len(animals) > 2 * held else 0
        cut = dict.fromkeys(drawn[:held], "test") | dict.fromkeys(drawn[held : held + checked], "validation")
        part_of = {animal: cut.get(animal, "train") for animal in animals}
    missing = [animal for animal in animals if animal not in part_of]
    if missing:
        raise InputError(f"{path} does not name animal {', '.join(missing)}", expected="every animal in one of " + ", ".join(PARTS))
    return {part: [pair for pair in pairs if part_of[pair.animal] == part] for part in PARTS}
