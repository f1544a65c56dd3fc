"""`fewview demo`: simulate a scan, write it as the scanner would, read it back, reconstruct it from fewer and fewer views, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.files import atomic_path, refuse_existing
from ..base.record import make_record
from ..data import Projections, Reconstruction, read
from ..geometry import Grid, Scan, draw_svg, views
from .options import MaybeMm, MaybePath
from .outputs import save
from .progress import progress_bar
from .volumes import fitting_scan, read_attenuation, scene

VIEW_COUNTS = (260, 52, 26)


@dataclass(frozen=True)
class Subject:
    """What is scanned: attenuation in 1/mm on a fine grid, the range that its values can take, and where it is from."""

    volume: NDArray[np.float32]
    grid: Grid
    data_range: float
    data_range_why: str
    title: str
    name: str


def demo(
    *,
    out: Path = Path("fewview_demo"),
    volume: MaybePath = None,
    mu_max: float = 0.20,
    rows: int = 128,
    cols: int = 192,
    voxel_mm: MaybeMm = None,
    seed: int = 0,
    fdk_only: bool = False,
    force: bool = False,
) -> None:
    """Simulate a scan, reconstruct it from 260, 52 and 26 views, and write one page that shows how good each is.

    A mouse hind limb (or a volume of yours) is scanned in software by a SkyScan 1276, written as a scan folder, read back like any
    scan, and reconstructed by FDK, and from 26 views by total variation too. The folder then holds the scan, the volumes, and report.html.

    Examples:
      fewview demo
      fewview demo --out demo_out --force
      fewview demo --volume head.nii.gz --out head_demo

    Args:
        out: the folder to write; it appears when everything is done.
        volume: scan this volume (.nii.gz, .ome.tif, .h5, a slice folder) instead of the phantom.
        mu_max: attenuation in 1/mm of the largest grey value, where the volume holds whole numbers (255 for 8 bit).
        rows: detector rows.
        cols: detector columns; 3/2 of the rows give the whole panel.
        voxel_mm: pixel at the rotation axis and voxel of the reconstructions; by default the object fills the field of view.
        seed: of the phantom and of the noise.
        fdk_only: leave the reconstruction by total variation out.
        force: replace the folder if it exists.
    """
    refuse_existing(out, force)
    command = _command(out, volume, seed)
    start = time.perf_counter()
    with atomic_path(out, force=force) as folder:
        folder.mkdir()
        subject, scan = _subject(volume, mu_max, rows, cols, voxel_mm, seed)
        projections = _scan_and_read(subject, scan, folder, seed)
        reconstructions = _reconstruct_all(projections, scan, folder, out, command, fdk_only)
        _report(subject, projections, reconstructions, folder, out, start, command)
    print(f"open {out / 'report.html'}  ({time.perf_counter() - start:.0f} s in all)")


def _command(out: Path, volume: Path | None, seed: int) -> str:
    parts = ["fewview demo", f"--out {out}", f"--volume {volume}" if volume else "", f"--seed {seed}" if seed else ""]
    return " ".join(part for part in parts if part)


@contextmanager
def _step(what: str) -> Iterator[None]:
    start = time.perf_counter()
    print(f"{what} ...", end=" ", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f"{time.perf_counter() - start:.1f} s", flush=True)


def _subject(path: Path | None, mu_max: float, rows: int, cols: int, voxel_mm: float | None, seed: int) -> tuple[Subject, Scan]:
    averaged = "averaged over the voxels of the reconstruction"
    if path is not None:
        with _step(f"read {path}"):
            read_in = read_attenuation(path, mu_max)
        scan = fitting_scan(read_in.grid, rows, cols, voxel_mm)
        return Subject(read_in.volume, read_in.grid, read_in.largest, read_in.why, path.name, f"{path.name}, {averaged}"), scan
    with _step("phantom: a mouse hind limb"):
        leg, scan = scene(seed, rows, cols, voxel_mm)
    return Subject(leg.volume, leg.grid, leg.largest, leg.why, "A mouse hind limb", f"the phantom (seed {seed}), {averaged}"), scan


def _scan_and_read(subject: Subject, scan: Scan, folder: Path, seed: int) -> Projections:
    from ..data import write_skyscan
    from ..recon.physics.effects import Physics
    from ..recon.physics.simulator import simulate_raw

    # One energy and no scatter: the truth is then a number in 1/mm. Noise, blur, gain errors and dead pixels are those of the scanner.
    physics = Physics(polychromatic=False, scatter=0)
    with _step(f"simulate {len(scan)} views of {scan.shape[1]} x {scan.shape[0]} pixels"):
        raw = simulate_raw(subject.volume, subject.grid, scan, physics, seed=seed)
    with _step("write the SkyScan folder and read it back"):
        write_skyscan(raw, folder / "scan")
        return read(folder / "scan")


def _reconstruct_all(
    projections: Projections, scan: Scan, folder: Path, out: Path, command: str, fdk_only: bool
) -> dict[str, Reconstruction]:
    from ..recon import METHODS, reconstruct

    grid = Grid.fit(scan)
    jobs: list[tuple[str, str, int, Mapping[str, Any]]] = [("FDK", "fdk", n, {}) for n in VIEW_COUNTS]
    if not fdk_only and "fista_tv" in METHODS:
        jobs.append(("FISTA-TV", "fista_tv", VIEW_COUNTS[-1], {}))
    done = {}
    for title, method, count, settings in jobs:
        part = projections[views.evenly(projections.scan, count)]
        with _step(f"{title} from {count} views"), progress_bar(title) as bar:
            rec = reconstruct(part, method, grid, callbacks=(bar,), **settings)
            name = f"{method}_{count}.ome.tif"
            save(rec, folder / name, command=command, inputs=[folder / "scan"], final=out / name)
        done[f"{title}, {count} views"] = rec
    return done


def _report(
    subject: Subject,
    projections: Projections,
    reconstructions: dict[str, Reconstruction],
    folder: Path,
    out: Path,
    start: float,
    command: str,
) -> None:
    from ..data.volumes.resample import resample
    from . import demo_page as page

    scan, grid = projections.scan, next(iter(reconstructions.values())).grid
    with _step("report"):
        truth = resample(subject.volume, subject.grid, grid)
        save(
            Reconstruction(truth, grid, scan, "truth", {"of": subject.name}),
            folder / "truth.ome.tif",
            command=command,
            final=out / "truth.ome.tif",
        )
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
            commands=_commands(command, out, reconstructions),
            files=_files(reconstructions),
            limits=_limits(subject, grid),
            geometry_notes=_geometry_notes(scan, projections),
            record=make_record(command=command, settings={name: dict(rec.settings) for name, rec in reconstructions.items()}),
            seconds=time.perf_counter() - start,
        )
        html = page.render(shown, page.scores(shown), draw_svg(scan, grid))
        (folder / "report.html").write_text(html, encoding="utf-8")
        (folder / "overview.png").write_bytes(page.overview(shown))


def _commands(command: str, out: Path, reconstructions: dict[str, Reconstruction]) -> str:
    lines = [command, "", "# each volume by itself, from the scan folder:"]
    for rec in reconstructions.values():
        n = len(rec.scan)
        lines.append(f"fewview recon {out / 'scan'} --method {rec.method} --views {n} --out {rec.method}_{n}.ome.tif")
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
