"""The work of the demo: simulate a scan, write it as the scanner would, read it back, reconstruct it from fewer and fewer views, and
report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base.files import atomic_path
from ...base.record import make_record
from ...base.shapes import Volume
from ...data import Projections, Reconstruction, read
from ...data.volumes.attenuation import GreyScale
from ...geometry import Grid, Scan, draw_svg
from ...pipeline import ReconPlan, run
from ...pipeline.outputs import save
from ...pipeline.run_plan import Watch
from ...pipeline.subjects import fitting_scan, read_sample, scene
from . import page

VIEW_COUNTS = (260, 52, 26)
SETTINGS = {"pdhg_tv": {"iterations": 50}}  # as good as 100 iterations of fista_tv in half the time
Step = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True)
class Wanted:
    """What the demo scans and how; `fewview demo --help` explains it. ``command`` is the command line for the records."""

    out: Path
    command: str
    volume: Path | None = None
    grey: GreyScale | None = None
    volume_voxel_mm: float | None = None
    read_as: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 128
    cols: int = 192
    voxel_mm: float | None = None
    seed: int = 0
    fdk_only: bool = False
    force: bool = False


@dataclass(frozen=True)
class Subject:
    """What is scanned: attenuation in 1/mm on a fine grid, the range of its values, and where it comes from."""

    volume: Volume
    grid: Grid
    data_range: float
    data_range_why: str
    title: str
    name: str


def make_demo(wanted: Wanted, step: Step, watch: Watch) -> None:
    """Write the folder ``wanted.out``, which appears when everything is done: the scan, volumes with records, and report.html.

    ``step`` makes a context that reports a stage and its seconds, and ``watch`` one with a callback for the progress of a method.
    """
    start = time.perf_counter()
    with atomic_path(wanted.out, force=wanted.force, inputs=[wanted.volume] if wanted.volume else []) as folder:
        folder.mkdir()
        subject, scan = _subject(wanted, step)
        projections = _scan_and_read(subject, scan, folder, wanted.seed, step)
        reconstructions = _reconstruct_all(wanted, folder, step, watch)
        with step("report"):
            _report(subject, projections, reconstructions, folder, wanted, start)


def _subject(wanted: Wanted, step: Step) -> tuple[Subject, Scan]:
    averaged, path = "averaged over the voxels of the reconstruction", wanted.volume
    if path is not None:
        with step(f"read {path}"):
            read_in = read_sample(path, wanted.grey, wanted.volume_voxel_mm, **wanted.read_as)
        scan = fitting_scan(read_in.grid, wanted.rows, wanted.cols, wanted.voxel_mm)
        return Subject(read_in.volume, read_in.grid, read_in.largest, read_in.why, path.name, f"{path.name}, {averaged}"), scan
    with step("phantom: a mouse hind limb"):
        leg, scan = scene(wanted.seed, wanted.rows, wanted.cols, wanted.voxel_mm)
    name = f"the phantom (seed {wanted.seed}), {averaged}"
    return Subject(leg.volume, leg.grid, leg.largest, leg.why, "A mouse hind limb", name), scan


def _scan_and_read(subject: Subject, scan: Scan, folder: Path, seed: int, step: Step) -> Projections:
    from ...data import write_skyscan
    from ...recon.physics.effects import Physics
    from ...recon.physics.simulator import simulate_raw

    # With one energy and no scatter the truth is a number in 1/mm. Noise, blur, gain errors and dead pixels are those of the scanner.
    physics = Physics(polychromatic=False, scatter=0)
    with step(f"simulate {len(scan)} views of {scan.shape[1]} x {scan.shape[0]} pixels"):
        raw = simulate_raw(subject.volume, subject.grid, scan, physics, seed=seed)
    with step("write the SkyScan folder and read it back"):
        write_skyscan(raw, folder / "scan")
        return read(folder / "scan")


def _reconstruct_all(wanted: Wanted, folder: Path, step: Step, watch: Watch) -> dict[str, Reconstruction]:
    """All reconstructions by their labels, made from the scan on disk as `fewview recon` makes them."""
    jobs = [("FDK", "fdk", n) for n in VIEW_COUNTS] + ([] if wanted.fdk_only else [("PDHG-TV", "pdhg_tv", VIEW_COUNTS[-1])])
    done = {}
    for title, method, count in jobs:
        plan = ReconPlan(folder / "scan", method, str(count), SETTINGS.get(method, {}), out=folder / f"{method}_{count}.ome.tif")
        with step(f"{title} from {count} views"):
            finished = run(plan, watch=watch, command=wanted.command, named=lambda path: wanted.out / path.relative_to(folder))
        done[f"{title}, {count} views"] = finished.reconstruction
    return done


def _report(
    subject: Subject, projections: Projections, reconstructions: dict[str, Reconstruction], folder: Path, wanted: Wanted, start: float
) -> None:
    from ...data.volumes.resample import resample

    scan, grid = projections.scan, next(iter(reconstructions.values())).grid
    truth = resample(subject.volume, subject.grid, grid)
    true = Reconstruction(truth, grid, scan, "truth", {"of": subject.name})
    save(true, folder / "truth.ome.tif", command=wanted.command, named=lambda path: wanted.out / path.relative_to(folder))
    shown = page.Shown(
        title=f"{subject.title} from {', '.join(map(str, VIEW_COUNTS[:-1]))} and {VIEW_COUNTS[-1]} X\u2011ray views",
        lead="A SkyScan 1276 scan made in software, written as a scan folder, read back and reconstructed. The truth is known, so "
        "every figure on this page is an error against it.",
        truth=truth,
        truth_name=subject.name,
        grid=grid,
        projections=projections,
        reconstructions=reconstructions,
        data_range=subject.data_range,
        data_range_why=subject.data_range_why,
        bone_threshold=page.otsu(truth, subject.data_range),
        commands=_commands(wanted, reconstructions),
        files=_files(reconstructions),
        limits=_limits(subject, grid),
        geometry_notes=_geometry_notes(scan, projections),
        record=make_record(command=wanted.command, settings={name: dict(rec.settings) for name, rec in reconstructions.items()}),
        seconds=time.perf_counter() - start,
    )
    html = page.render(shown, page.scores(shown), draw_svg(scan, grid))
    (folder / "report.html").write_text(html, encoding="utf-8")
    (folder / "overview.png").write_bytes(page.overview(shown))


def _commands(wanted: Wanted, reconstructions: dict[str, Reconstruction]) -> str:
    out = wanted.out
    lines = [wanted.command, "", "# each volume by itself, from the scan folder:"]
    for rec in reconstructions.values():
        n = len(rec.scan)
        given = " ".join(f"{name}={value}" for name, value in SETTINGS.get(rec.method, {}).items())
        chosen = f"--method {rec.method} --views {n}" + (f" --set {given}" if given else "")
        lines.append(f"fewview recon {out / 'scan'} {chosen} --out {rec.method}_{n}.ome.tif")
    n = len(next(reversed(reconstructions.values())).scan)
    lines += [
        "",
        "# the same in Python:",
        "import fewview as fv",
        f'p = fv.read("{out / "scan"}")',
        f'rec = fv.reconstruct(p[fv.views.evenly(p.scan, {n})], method="fdk")',
        f'rec.save("fdk_{n}.ome.tif")',
    ]
    return "\n".join(lines)


def _files(reconstructions: dict[str, Reconstruction]) -> list[tuple[str, str]]:
    volumes = [(f"{rec.method}_{len(rec.scan)}.ome.tif", f"{label}, float32 in 1/mm") for label, rec in reconstructions.items()]
    return [
        ("scan/", "260 16-bit TIFFs and a log file"),
        *volumes,
        ("truth.ome.tif", "the truth on the same grid"),
        ("overview.png", "the coronal slices"),
    ]


def _geometry_notes(scan: Scan, projections: Projections) -> list[str]:
    across, up = scan.cone_angles_deg
    radius, half, pixel = scan.field_of_view_mm
    lines = [
        f"Source to axis {scan.dso_mm:.3f} mm; cone {across:.4f}° × {up:.4f}°; pixel at the axis {pixel * 1000:.4g} µm.",
        f"Field of view: radius {radius:.2f} mm, height {2 * half:.2f} mm. A full short scan needs {180 + across:.2f}°.",
    ]
    return lines + [str(line) for line in projections.meta.get("assumptions", ())]


def _limits(subject: Subject, grid: Grid) -> list[str]:
    return [
        f"The scan is simulated, on voxels of {subject.grid.voxel_mm * 1000:.4g} µm, finer than the {grid.voxel_mm * 1000:.4g} µm of the "
        "reconstructions, with the noise and the detector effects that the run record lists. It is not a measured scan.",
        "One object, one noise seed: differences of a few tenths of a decibel mean nothing. `fewview bench` compares methods over animals.",
        "FDK is approximate away from the middle plane of a cone beam, whatever the number of views.",
        "PSNR and SSIM say how alike two arrays are, not whether a bone is measured correctly: total variation can win both while "
        "the finest trabeculae fade. Bone Dice is a first step towards what matters.",
    ]
