"""`fewview recon`: a scan, or some of its views, to a volume."""

from __future__ import annotations

import dataclasses
import re
import sys
import time
from pathlib import Path
from typing import Any

import tyro

from ..base import InputError, UnknownNameError
from ..base.memory import require_memory
from ..data import Projections, Reconstruction, read
from ..data.volumes.writer import check_output
from ..geometry import Grid
from ..recon import Method, load_method, reconstruct
from ..recon.corrections import Corrections, correct_volume
from ..recon.corrections import correct as apply_corrections
from .calibrate import drift_of
from .options import MaybeMm, MaybePath, Pairs, make_grid, select_views, settings
from .outputs import command_line, save
from .progress import progress_bar


def recon(
    scan: tyro.conf.Positional[Path],
    *,
    method: str = "fdk",
    views: str = "all",
    set: Pairs = (),
    voxel_mm: MaybeMm = None,
    grid: str = "",
    box: str = "",
    out: MaybePath = None,
    calibrate: bool = False,
    drift: bool = False,
    rings: int = 0,
    scatter: float = 0.0,
    smoothing: int = 0,
    beam_hardening: float = 0.0,
    bone_hardening: int = 0,
    dead_pixels: float = 0.0,
    median: int = 0,
    correct: Pairs = (),
    std: int = 0,
    std_kind: str = "views",
    std_scale: float = 1.0,
    binning: int = 1,
    read_as: Pairs = (),
    force: bool = False,
) -> int:
    """Reconstruct a volume in 1/mm from a scan, or from some of its views.

    Beside the volume lies a run record: settings, what was corrected, versions, hash of the input, seconds, memory. Ctrl-C in an
    iterative method keeps the volume of the last whole step.

    Examples:
      fewview recon my_scan --out full.ome.tif
      fewview recon my_scan --method fista_tv --views 26 --set iterations=80 --out few.ome.tif
      fewview recon my_scan --calibrate --rings 5 --beam-hardening 30 --median 1 --out clean.nii.gz
      fewview recon my_scan --views random:52:1 --set filter=hann --box -3:3,-3:3,0:5 --voxel-mm 0.02 --out knee.h5
      fewview recon my_scan --method my_file.py:my_function --views every:10 --out mine.ome.tif

    Args:
        scan: a SkyScan folder, a BoneMet folder, or an .h5 file.
        method: a name (`fewview doctor` lists them), or my_file.py:my_function with my_function(projections, grid) -> volume.
        views: 26 (evenly spread), every:10, random:26:SEED, wedge:90, or all; only these are read.
        set: settings of the method; may be given several times.
        voxel_mm: voxel edge; by default the detector pixel scaled to the axis.
        grid: NZ,NY,NX voxels about the axis, instead of the whole field of view.
        box: X0:X1,Y0:Y1,Z0:Z1 in mm, instead of the whole field of view.
        out: .ome.tif, .nii.gz, .ome.zarr, .h5, or a folder name for 16-bit slices; by default SCAN_METHOD_VIEWS.ome.tif here.
        calibrate: find axis shift, optical row, roll and sense of rotation from the views first, and use them.
        drift: find how far each view is off by itself, and use it (after calibrate, where both are asked for).
        rings: ring reduction, 0 (off) to 20.
        scatter: the share of what the object takes out of the beam that comes back as a veil, such as 0.005; 0 is off.
        smoothing: smoothing of the projections, 0 (off) to 10.
        beam_hardening: polynomial correction in percent, 0 (off) to 100; 20 to 40 is usual for bone.
        bone_hardening: passes of the correction from the tube's spectrum, instead of beam_hardening; 0 is off.
        dead_pixels: mend pixels that stick out by this many standard deviations (10 is careful); 0 is off.
        median: radius in voxels of a median filter of the volume; 0 is off.
        correct: other settings of fewview.recon.corrections.Corrections, such as ring_method=sorting voltage_kv=50 filter_mm_al=0.5.
        std: also estimate each voxel's standard deviation, from this many replicas (8 is usual); 0 is off.
        std_kind: what the replicas differ in: views (groups left out in turn), rays (noise), or members (seeds of naf, dropout of unet).
        std_scale: factor on it, such as `fewview bench intervals` finds for the method and the number of views; it is recorded.
        binning: average blocks of this many detector pixels each way first.
        read_as: options of the reader, such as direction=CW or part=1.
        force: replace the output if it exists.
    """
    chosen = load_method(method)
    given = settings(set)
    chosen.settings(**given)  # an unknown name is an error before an hour of reading
    corrections = Corrections(
        dead_pixels=dead_pixels,
        rings=rings,
        scatter=scatter,
        smoothing=smoothing,
        beam_hardening=beam_hardening,
        bone_hardening=bone_hardening,
        median=median,
    ).changed(**settings(correct))
    if std and std_kind not in ("views", "rays", "members"):
        raise UnknownNameError("kind of std", std_kind, ("views", "rays", "members"))
    if std_scale != 1 and (not std or std_kind == "members"):
        raise InputError(f"--std-scale {std_scale:g}", expected="--std with --std-kind views or rays, whose deviations it scales")
    out = out or Path(f"{_stem(scan)}_{chosen.name}_{re.sub(r'[^0-9a-z]+', '-', views.lower())}.ome.tif")
    spread = _std_path(out) if std else None
    for path in filter(None, (out, spread)):
        check_output(path, force)
    start = time.perf_counter()
    part = read(scan, views=lambda s: select_views(s, views), binning=binning, progress=sys.stderr.isatty(), **settings(read_as))
    notes: dict[str, Any] = {
        "reader": part.meta.get("assumptions", ()),
        "prepare": part.meta.get("prepare"),
        "warnings": part.meta.get("warnings", ()),
    }
    where = make_grid(part.scan, voxel_mm, grid, box)
    _announce(chosen, part, where)
    if calibrate:
        part, notes["calibration"] = _calibrated(part)
    if drift:
        moved, notes["drift"] = drift_of(part)
        part = Projections(part.values, moved, part.meta)
    part, notes["corrections"] = apply_corrections(part, corrections, grid=where)  # last: looking for bone needs the right geometry
    rec = _reconstruct(part, chosen, where, given, std, std_kind, std_scale)
    volume, account = correct_volume(rec.volume, corrections)
    notes["corrections"] += account
    rec = dataclasses.replace(rec, volume=volume)
    save(rec, out, command=command_line(), inputs=[scan], force=force, extra={"notes": notes})
    low, high = float(volume.min()), float(volume.max())
    print(f"wrote {out}: {low:.4g} to {high:.4g} 1/mm, {rec.seconds:.1f} s ({time.perf_counter() - start:.1f} s with reading)")
    if spread is not None and rec.std is not None:
        save(dataclasses.replace(rec, volume=rec.std, std=None), spread, command=command_line(), inputs=[scan], force=force)
        print(f"wrote {spread}: the standard deviation of each voxel, {float(rec.std.mean()):.4g} 1/mm in the mean")
    if "interrupted" in rec.settings:
        print(f"fewview: interrupted; {out} holds the volume of step {rec.settings['interrupted']}, the last whole one", file=sys.stderr)
        return 130
    return 0


def _stem(path: Path) -> str:
    return path.resolve().name.split(".")[0] or "scan"


def _std_path(out: Path) -> Path:
    """``few.ome.tif`` -> ``few_std.ome.tif``."""
    stem, dot, ending = out.name.partition(".")
    return out.with_name(f"{stem}_std{dot}{ending}")


def _announce(method: Method, part: Projections, grid: Grid) -> None:
    nz, ny, nx = grid.shape
    print(f"{method.name}: {len(part)} views to {nx} x {ny} x {nz} voxels of {grid.voxel_mm:.6g} mm")
    require_memory(4 * nx * ny * nz, f"the {nx} x {ny} x {nz} voxels", "use a larger --voxel-mm, or a smaller --grid or --box")


def _calibrated(projections: Projections) -> tuple[Projections, dict[str, Any]]:
    from ..recon import calibrate

    found = calibrate(projections)
    print(f"calibration: {found}")
    return Projections(projections.values, found.scan, projections.meta), found.changes


def _reconstruct(part: Projections, method: Method, grid: Grid, given: dict[str, Any], std: int, kind: str, scale: float) -> Reconstruction:
    with progress_bar(method.name) as bar:
        if not std:
            return reconstruct(part, method, grid, (bar,), **given)
        if kind == "members":
            from ..nerf.training.ensemble import ensemble_std

            return ensemble_std(part, method, grid, members=std, callbacks=(bar,), **given)
        from ..recon.uncertainty import resampled_std

        return resampled_std(part, method, grid, kind=kind, replicas=std, scale=scale, callbacks=(bar,), **given)
