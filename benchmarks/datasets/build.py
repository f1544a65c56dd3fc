"""A data set of pairs in the layout of BoneMet (X-rays and the CT made from them), built from any volumes or from phantoms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...base.outputs.one_at_a_time import one_at_a_time
from ...base.record import kept_warnings
from ...base.shapes import Volume
from ...data import RawScan, write_bonemet_slices, write_bonemet_xray, write_volume
from ...data.volumes.resample import resample
from ...geometry import Grid, Scan, skyscan_1276
from ...recon import fdk
from ...recon.corrections import correct, correct_volume
from ...recon.physics.effects import Physics
from ...recon.physics.simulator import simulate_raw
from .plan import RECORDS, TRUTH, Animal, BuildSettings, Source, begin, finish, list_animals, require_place, write_whole
from .relatives import FRACTIONS, split_by_family
from .subjects import Scene, scene_of_phantom, scene_of_volume


@dataclass
class BuildReport:
    """What `build_bonemet` did: the seconds of each animal and week that was made, those that existed already, and the split."""

    out: Path
    made: dict[str, float] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    split: dict[str, list[str]] = field(default_factory=dict)
    above_window: float = 0.0

    def __str__(self) -> str:
        parts = ", ".join(f"{len(ids)} {part}" for part, ids in self.split.items())
        seconds = f", {np.mean(list(self.made.values())):.1f} s each" if self.made else ""
        return (
            f"{self.out}: {len(self.made)} scans made{seconds}, {len(self.kept)} were there; split by family: {parts}; "
            f"at most {self.above_window:.3%} of a volume's voxels lie above the grey window"
        )


def build_bonemet(
    sources: Sequence[Source],
    out: str | Path,
    *,
    scan: Scan | None = None,
    physics: Physics | None = None,
    weeks: Sequence[int] = (0,),
    first_id: int = 851,
    fractions: Mapping[str, float] = FRACTIONS,
    force: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    **settings: Any,
) -> BuildReport:
    """Scan each source by software and write the pair as BoneMet does: ``Imagery_Dataset/1. Rotation-X-ray/851/week 0/xray_1.PNG``, ...

    ``sources`` are volume files (attenuation in 1/mm, or grey levels as ``grey`` says) and whole numbers, the seeds of `hind_limb`
    phantoms. Animals are numbered from ``first_id`` in that order. Phantoms are scanned in every one of ``weeks``, volumes in week 0. The
    X-rays are 16-bit counts of ``scan`` (default 260 views of 128 x 192 pixels) under ``physics``; Recon-CT is the FDK of all views,
    corrected as `corrected` says, in 8-bit slices of one fixed grey window. ``settings`` are those of `BuildSettings`.

    Beside the tree there are ``dataset.json`` (what is built), ``split.json`` (parts by family, see `split_by_family`), ``records/`` (one
    file for each scan: source, placement, physics, truth) and ``truth/`` with the volumes that were scanned, averaged over the voxels of
    the scan's own grid (``truth=False`` leaves them out).

    A build that was cut off resumes where it stopped, and ends with the same files, because an animal depends only on its source, ``seed``
    and id, and its record is written last. Sources may be added at the end of the list. ``progress(done, total, what)`` is called before
    each scan.

    Raises FileNotFoundError for a missing volume, FileExistsError where ``out`` holds something else or was built with other settings (with
    ``force`` the earlier build is deleted), and InputError for no source or a source given twice.
    """
    plan = BuildSettings.of(scan or skyscan_1276(rows=128, cols=192, voxel_mm=0.2226), physics or Physics(), settings)
    animals = list_animals(sources, weeks, first_id)
    out = Path(out)
    require_place(out)
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with one_at_a_time(out):
            begin(out, plan, animals, force)
            return _build_all(out, plan, animals, fractions, progress)
    finally:
        if made:
            with suppress(OSError):  # it is not empty any more
                out.rmdir()


def _build_all(
    out: Path,
    plan: BuildSettings,
    animals: Sequence[Animal],
    fractions: Mapping[str, float],
    progress: Callable[[int, int, str], None] | None,
) -> BuildReport:
    """Make whatever does not exist yet, then the split and the page."""
    report = BuildReport(out)
    jobs = [(animal, week) for animal in animals for week in animal.weeks]
    for done, (animal, week) in enumerate(jobs):
        what = f"{animal.id} week {week} ({animal.name})"
        if progress:
            progress(done, len(jobs), what)
        record = out / RECORDS / f"{animal.id} week {week}.json"
        if record.exists():
            report.kept.append(what)
        else:
            start = time.perf_counter()
            _build(animal, week, plan, out, record)
            report.made[what] = time.perf_counter() - start
        report.above_window = max(report.above_window, json.loads(record.read_text())["recon_ct"]["above_window"])
    names = {animal.name: str(animal.id) for animal in animals}
    report.split = {part: [names[name] for name in found] for part, found in split_by_family(list(names), plan.seed, fractions).items()}
    finish(out, plan, animals, report.split, fractions)
    if progress:
        progress(len(jobs), len(jobs), "done")
    return report


def _build(animal: Animal, week: int, settings: BuildSettings, out: Path, record: Path) -> None:
    """Write X-rays, slices and truth, and last the record, which says that the others are complete."""
    with kept_warnings() as warned:
        scene = _scene(animal, week, settings)
    seed = int(np.random.default_rng([settings.seed, animal.id, week]).integers(2**31))
    raw = simulate_raw(scene.volume, scene.grid, settings.scan, settings.physics, seed=seed)
    volume, steps = corrected(raw, settings)
    write_bonemet_xray(raw, out, str(animal.id), week, force=True)
    write_bonemet_slices(volume, out, "Recon-CT", str(animal.id), week, settings.window, force=True)
    if settings.truth:
        own = Grid.fit(settings.scan)  # the natural resolution of the scan: each of its voxels gets the mean of what it covers
        kept = {"volume": (resample(scene.volume, scene.grid, own), own), "labels": (scene.labels, scene.grid)}
        for name, (array, where) in kept.items():
            if array is not None:
                write_volume(array, out / TRUTH / f"{animal.id} week {week} {name}.nii.gz", grid=where, force=True)
    write_whole(
        record,
        {
            "animal": animal.facts(), "week": week, "noise_seed": seed, "scene": scene.facts, "scan": str(settings.scan), "steps": steps,
            "photons": raw.meta.get("photons"), "warnings": list(warned), "truth": _truth(raw),
            "recon_ct": {
                "window_per_mm": settings.window, "voxel_mm": Grid.fit(settings.scan).voxel_mm, "shape": volume.shape,
                "above_window": float((volume > settings.window[1]).mean()),
            },
        },
    )  # fmt: skip


def _scene(animal: Animal, week: int, settings: BuildSettings) -> Scene:
    if isinstance(animal.source, int):
        return scene_of_phantom(animal.source, week, settings.scan, settings.lesions)
    return scene_of_volume(animal.source, settings.scan, settings.grey, settings.volume_voxel_mm, **(settings.read_as or {}))


def corrected(raw: RawScan, settings: BuildSettings) -> tuple[Volume, list[dict[str, Any]]]:
    """The volume in 1/mm on ``Grid.fit(scan)`` that NRecon would make of a raw scan (the Recon-CT of the data set), and the steps taken."""
    p, account = correct(raw, settings.corrections)
    volume, after = correct_volume(fdk(p, filter=settings.filter), settings.corrections)
    return volume, [*account, {"step": "fdk", "filter": settings.filter, "views": len(p)}, *after]


def _truth(raw: RawScan) -> dict[str, Any]:
    """The numbers in the truth about a simulated scan; masks become counts."""
    truth = dict(raw.meta["truth"])
    dead, gain = truth.pop("dead"), truth.pop("gain")
    truth["scan"] = truth["scan"].expression() if truth["scan"] != raw.scan else "nominal"
    return {**truth, "dead_pixels": np.argwhere(dead), "gain_sd": float(gain.std()), "per_view": raw.meta["per_view"]}
