"""Pairs of the X-rays of an animal in one week and the CT volume that goes with them, in a folder with the layout of BoneMet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..base import InputError
from ..base.record import sha256
from ..base.shapes import FloatVolume
from ..geometry import Grid
from .images.bonemet_folders import find_bonemet
from .projections import Projections
from .scans.reader import read
from .volumes.slices import read_slices

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Pair:
    """One scan of one animal: the folders of its X-rays and of its Recon-CT slices, and the grey window of the slices in 1/mm.

    ``truth`` is the volume from which a simulated scan was made, where the builder kept it. ``photons`` is the mean count of an
    unattenuated pixel, where a record states it, and ``corrections`` are those that made Recon-CT from the X-rays, where the data set
    states them.
    """

    animal: str
    week: int
    xrays: Path
    recon: Path
    window: tuple[float, float]
    truth: Path | None = None
    photons: float | None = None
    corrections: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def name(self) -> str:
        """The name of the pair, such as ``851 week 0``."""
        return f"{self.animal} week {self.week}"

    def projections(self, **options: Any) -> Projections:
        """The line integrals of all views, from the raw counts; ``options`` are those of `read`."""
        p = read(self.xrays, **options)
        return p if self.photons is None else Projections(p.values, p.scan, {**p.meta, "photons": self.photons})

    def reference(self, whole: Grid | None = None) -> tuple[FloatVolume, Grid]:
        """The Recon-CT volume in 1/mm. It covers ``whole``, the ``Grid.fit`` of its scan, if it has that many
        voxels; otherwise InputError.
        """
        volume, _, _ = read_slices(self.recon, voxel_mm=1.0, window=self.window)
        grid = Grid.fit(self.projections().scan) if whole is None else whole
        if volume.shape != grid.shape:
            raise InputError(
                f"Recon-CT in {self.recon} has {volume.shape} voxels",
                expected=f"{grid.shape}, the field of view of its X-rays in their own resolution",
                remedy="complete the slices, or reconstruct the reference again (fewview recon, then write_bonemet_slices)",
            )
        return volume, grid

    def fingerprint(self) -> str:
        """SHA-256 of all X-rays, of all slices and of the window, on which results depend."""
        import hashlib

        return hashlib.sha256(f"{sha256(self.xrays)} {sha256(self.recon)} {self.window}".encode()).hexdigest()


def find_pairs(root: str | Path, *, window: tuple[float, float] | None = None) -> list[Pair]:
    """All scans below ``root`` that have both X-rays and Recon-CT, sorted by animal and week.

    ``window`` (low, high) in 1/mm is the meaning of the grey levels 0 and 255 of the slices; a data set that fewview built states its own.
    Raises FileNotFoundError where there is no folder, and InputError where there is no pair or nobody states the window.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; expected a data set in the BoneMet layout (fewview simulate --layout bonemet)")
    facts = dataset_facts(root)
    stated, corrections = facts.get("window"), facts.get("corrections")
    chosen = window if window is not None else (tuple(stated) if stated else None)
    rays = {(f.animal, f.week): f.path for f in find_bonemet(root, component="Rotation-X-ray") if not f.part}
    slices = {(f.animal, f.week): f.path for f in find_bonemet(root, component="Recon-CT") if not f.part}
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
    low, high = (float(edge) for edge in chosen)
    return [
        Pair(*key, rays[key], slices[key], (low, high), truth[key] if truth[key].exists() else None, _photons(root, *key), corrections)
        for key in both
    ]


def _photons(root: Path, animal: str, week: int) -> float | None:
    path = root / "records" / f"{animal} week {week}.json"
    return json.loads(path.read_text(encoding="utf-8")).get("photons") if path.exists() else None


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
