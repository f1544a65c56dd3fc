"""`fewview simulate`: volumes to the scan folders that a scanner would have written."""

from __future__ import annotations

import time
from pathlib import Path

import tyro

from ..base import InputError, UnknownNameError
from ..base.files import refuse_existing
from ..base.record import make_record, write_record
from ..benchmarks.datasets.build import build_bonemet
from ..data import write_skyscan
from ..geometry import skyscan_1276
from ..pipeline.subjects import fitting_scan, read_attenuation, scene
from ..recon import Progress
from ..recon.physics.effects import Physics
from ..recon.physics.simulator import simulate_raw
from .options import MaybeMm, Pairs, settings
from .outputs import command_line
from .progress import progress_bar

SCANNERS = {"skyscan_1276": fitting_scan}
LAYOUTS = ("skyscan", "bonemet")


def simulate(
    volumes: tyro.conf.Positional[tuple[Path, ...]] = (),
    *,
    out: Path,
    phantom: tuple[int, ...] = (),
    layout: str = "skyscan",
    scanner: str = "skyscan_1276",
    rows: int = 128,
    cols: int = 192,
    voxel_mm: MaybeMm = None,
    mu_max: float = 0.20,
    seed: int = 0,
    weeks: tuple[int, ...] = (0,),
    physics: Pairs = (),
    force: bool = False,
) -> None:
    """Scan volumes in software: with spectrum, noise, blur, rings, dead pixels and scatter, each a setting.

    A volume holds attenuation in 1/mm at 30 keV, or whole numbers as grey levels. It should be finer than the scan's pixel at the axis.

    Examples:
      fewview simulate head.nii.gz --out head_scan
      fewview simulate --phantom 1 --out leg --rows 256 --cols 384
      fewview simulate head.nii.gz --out ideal --physics polychromatic=false photons=0 scatter=0
      fewview simulate a.nii.gz b.nii.gz --layout bonemet --out paired

    Args:
        volumes: .nii.gz, .ome.tif, .h5, or slice folders.
        out: the folder to write; with several volumes a folder with one scan each.
        phantom: seeds of mouse-hind-limb phantoms to scan, beside or instead of volumes.
        layout: skyscan (16-bit TIFFs and a log), or bonemet (Imagery_Dataset/ with X-rays and the CT made from them).
        scanner: skyscan_1276.
        rows: detector rows.
        cols: detector columns.
        voxel_mm: pixel at the rotation axis; by default the volume fills the field of view (layout bonemet: 0.2226 mm at 192 columns).
        mu_max: attenuation in 1/mm of the largest grey level, where a volume holds whole numbers.
        seed: of the noise.
        weeks: weeks in which each phantom is scanned (layout bonemet).
        physics: settings of the simulated physics, see fewview.recon.physics.effects.Physics.
        force: replace the output if it exists.
    """
    if layout not in LAYOUTS:
        raise UnknownNameError("layout", layout, LAYOUTS)
    if scanner not in SCANNERS:
        raise UnknownNameError("scanner", scanner, SCANNERS)
    if not volumes and not phantom:
        raise InputError("no volume", expected="at least one VOLUME, or --phantom SEED")
    chosen = Physics().changed(**settings(physics))
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
                mu_max=mu_max,
            )
        print(report)
        return
    jobs: dict[str, Path | int] = {path.name.split(".")[0]: path for path in volumes} | {f"phantom_{n}": n for n in phantom}
    if len(jobs) < len(volumes) + len(phantom):
        raise InputError("two volumes have the same name", expected="one name each", remedy="rename one: scans are named after volumes")
    refuse_existing(out, force)
    for name, thing in jobs.items():
        start = time.perf_counter()
        if isinstance(thing, Path):
            subject = read_attenuation(thing, mu_max)
            scan = SCANNERS[scanner](subject.grid, rows, cols, voxel_mm)
        else:
            subject, scan = scene(thing, rows, cols, voxel_mm)
        folder = out if len(jobs) == 1 else out / name
        write_skyscan(simulate_raw(subject.volume, subject.grid, scan, chosen, seed=seed), folder, force=force)
        seconds = time.perf_counter() - start
        inputs = [thing] if isinstance(thing, Path) else []
        write_record(make_record(command_line(), {"physics": chosen, "seed": seed}, inputs, [folder], seconds, {"scan": str(scan)}), folder)
        print(f"wrote {folder}: {scan} ({seconds:.1f} s)")
