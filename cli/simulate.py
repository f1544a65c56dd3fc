"""`fewview simulate`: from volumes to the scan folders that a scanner would have written."""

from __future__ import annotations

import time
from pathlib import Path

from ..base import InputError, UnknownNameError
from ..base.files import atomic_path, refuse_existing
from ..base.record import kept_warnings, make_record, record_path, record_text
from ..base.settings import Seed
from ..benchmarks.datasets.build import build_bonemet
from ..data import write_skyscan
from ..geometry import skyscan_1276
from ..pipeline.plausible_plan import warn_of_outside
from ..pipeline.subjects import fitting_scan, read_sample, scene
from ..recon import Progress
from ..recon.physics.effects import Physics
from ..recon.physics.simulator import simulate_raw
from .options import NO_SCALE, Grey, MaybeMm, Pairs, Pixels, Volumes, explained_by, settings
from .outputs import command_line
from .progress import progress_bar

SCANNERS = {"skyscan_1276": fitting_scan}
LAYOUTS = ("skyscan", "bonemet")


def simulate(
    volumes: Volumes = (),
    *,
    out: Path,
    phantom: tuple[Seed, ...] = (),
    layout: str = "skyscan",
    scanner: str = "skyscan_1276",
    rows: Pixels = 128,
    cols: Pixels = 192,
    voxel_mm: MaybeMm = None,
    volume_voxel_mm: MaybeMm = None,
    grey: Grey = NO_SCALE,
    read_as: Pairs = (),
    seed: Seed = 0,
    weeks: tuple[Seed, ...] = (0,),
    physics: Pairs = (),
    force: bool = False,
) -> None:
    """Scan volumes in software, with spectrum, noise, blur, rings, dead pixels and scatter, each of which can be set.

    A volume holds attenuation in 1/mm at 30 keV, or whole numbers as grey levels. It should be finer than the scan's pixel at the axis.

    Examples:
      fewview simulate head.nii.gz --out head_scan
      fewview simulate --phantom 1 --out leg --rows 256 --cols 384
      fewview simulate head.nii.gz --out ideal --physics polychromatic=false photons=0 scatter=0
      fewview simulate a.nii.gz b.nii.gz --layout bonemet --out paired

    Args:
        out: the folder to write; with several volumes a folder with one scan each.
        phantom: seeds of mouse-hind-limb phantoms to scan, beside or instead of volumes.
        layout: skyscan (16-bit TIFFs and a log), or bonemet (Imagery_Dataset/ with X-rays and the CT made from them).
        scanner: skyscan_1276.
        rows: number of detector rows.
        cols: number of detector columns.
        voxel_mm: size of a pixel at the rotation axis (the voxel of a reconstruction); by default the volume fills the field of view
            (layout bonemet: 0.2226 mm at 192 columns).
        volume_voxel_mm: edge of a voxel of the volumes, where their files do not state it or are wrong.
        grey: what the numbers of the volumes mean.
        read_as: options of the volume reader, such as dataset=recon/mu for an .h5 file of others.
        seed: seed of the noise.
        weeks: weeks in which each phantom is scanned (layout bonemet).
        physics: settings of the simulated physics (fewview methods physics lists them).
        force: replace the output if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    if layout not in LAYOUTS:
        raise UnknownNameError("layout", layout, LAYOUTS)
    if scanner not in SCANNERS:
        raise UnknownNameError("scanner", scanner, SCANNERS)
    if not volumes and not phantom:
        raise InputError("no volume", expected="at least one VOLUME, or --phantom SEED")
    with explained_by("physics"):
        chosen = Physics().changed(**settings(physics))
    chosen_reading = settings(read_as)
    if layout == "bonemet":
        scan = skyscan_1276(rows, cols, voxel_mm or 0.2226 * 192 / cols)
        with progress_bar("scans") as bar:
            report = build_bonemet(
                [*volumes, *phantom],
                out,
                scan=scan,
                physics=chosen,
                weeks=weeks,
                force=force,
                progress=lambda done, total, what: bar(Progress(done, total)),
                seed=seed,
                grey=grey,
                volume_voxel_mm=volume_voxel_mm,
                read_as=chosen_reading,
            )
        print(report)
        return
    jobs: dict[str, Path | int] = {path.name.split(".")[0]: path for path in volumes} | {f"phantom_{n}": n for n in phantom}
    if len(jobs) < len(volumes) + len(phantom):
        raise InputError("two volumes have the same name", expected="one name each", remedy="rename one: scans are named after volumes")
    folders = {name: out if len(jobs) == 1 else out / name for name in jobs}
    if not force:
        refuse_existing(out, force, volumes)
    for folder in folders.values():
        refuse_existing(folder, force, volumes)
        refuse_existing(record_path(folder), True)
    for name, thing in jobs.items():
        start = time.perf_counter()
        with kept_warnings() as warned:
            if isinstance(thing, Path):
                subject = read_sample(thing, grey, volume_voxel_mm, **chosen_reading)
                scan = SCANNERS[scanner](subject.grid, rows, cols, voxel_mm)
                warn_of_outside(subject.volume, subject.grid, scan, str(thing))
            else:
                subject, scan = scene(thing, rows, cols, voxel_mm)
            with progress_bar(f"simulating {name}"):
                raw = simulate_raw(subject.volume, subject.grid, scan, chosen, seed=seed)
        inputs, seconds = [thing] if isinstance(thing, Path) else [], time.perf_counter() - start
        used = {"physics": chosen, "seed": seed, "grey": grey, "volume_voxel_mm": volume_voxel_mm, "read_as": chosen_reading}
        extra = {"scan": str(scan), "attenuation": subject.why, "volume_grid": subject.grid, "warnings": list(warned)}
        record = make_record(command_line(), used, inputs, [folders[name]], seconds, extra)
        with atomic_path(record_path(folders[name]), force=True) as note:  # written first, and named last
            note.write_text(record_text(record), encoding="utf-8")
            write_skyscan(raw, folders[name], force=force)
        print(f"wrote {folders[name]}: {scan} ({time.perf_counter() - start:.1f} s); {subject.why}")
