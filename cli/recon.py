"""`fewview recon`: a scan, or some of its views, to a volume."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import tyro

from ..data import Projections, read
from ..data.memory import require_memory
from ..data.write import check_output
from ..geometry import Grid
from ..recon import Method, load_method, reconstruct
from .options import MaybeMm, MaybePath, Pairs, make_grid, select_views, settings
from .outputs import command_line, save
from .progress import progress_bar


def recon(
    scan: tyro.conf.Positional[Path],
    /,
    *,
    method: str = "fdk",
    views: str = "all",
    set: Pairs = (),
    voxel_mm: MaybeMm = None,
    grid: str = "",
    box: str = "",
    out: MaybePath = None,
    calibrate: bool = False,
    read_as: Pairs = (),
    force: bool = False,
) -> int:
    """Reconstruct a volume in 1/mm from a scan, or from some of its views.

    Beside the volume lies a run record: settings, versions, hash of the input, seconds, memory. Ctrl-C in an iterative method keeps the
    volume of the last complete step.

    Examples:
      fewview recon my_scan --out full.ome.tif
      fewview recon my_scan --method fista_tv --views 26 --set iterations=80 --out few.ome.tif
      fewview recon my_scan --views random:52:1 --set filter=hann --box -3:3,-3:3,0:5 --voxel-mm 0.02 --out knee.nii.gz
      fewview recon my_scan --method my_file.py:my_function --views every:10 --out mine.h5

    Args:
        scan: a SkyScan folder, a BoneMet folder, or an .h5 file.
        method: a name (`fewview doctor` lists them), or my_file.py:my_function with my_function(projections, grid) -> volume.
        views: 26 (evenly spread), every:10, random:26:SEED, wedge:90, or all.
        set: settings of the method; may be given several times.
        voxel_mm: voxel edge; by default the detector pixel scaled to the axis.
        grid: NZ,NY,NX voxels about the axis, instead of the whole field of view.
        box: X0:X1,Y0:Y1,Z0:Z1 in mm, instead of the whole field of view.
        out: .ome.tif, .nii.gz, .ome.zarr, .h5, or a folder name for 16-bit slices; by default SCAN_METHOD_VIEWS.ome.tif here.
        calibrate: find axis shift, optical row and roll from the projections first, and use them.
        read_as: options of the reader, such as direction=CW or part=1.
        force: replace the output if it exists.
    """
    chosen = load_method(method)
    given = settings(set)
    chosen.settings(**given)  # an unknown name is an error before an hour of reading
    out = out or Path(f"{_stem(scan)}_{chosen.name}_{re.sub(r'[^0-9a-z]+', '-', views.lower())}.ome.tif")
    check_output(out, force)
    start = time.perf_counter()
    projections = read(scan, progress=sys.stderr.isatty(), **settings(read_as))
    notes: dict[str, Any] = {"reader": projections.meta.get("assumptions", ()), "prepare": projections.meta.get("prepare")}
    if calibrate:
        projections, notes["calibration"] = _calibrated(projections)
    part = projections[select_views(projections.scan, views)]
    where = make_grid(projections.scan, voxel_mm, grid, box)
    _announce(chosen, part, projections, where)
    with progress_bar(chosen.name) as bar:
        rec = reconstruct(part, chosen, where, (bar,), **given)
    save(rec, out, command=command_line(), inputs=[scan], force=force, extra={"notes": notes})
    low, high = float(rec.volume.min()), float(rec.volume.max())
    print(f"wrote {out}: {low:.4g} to {high:.4g} 1/mm, {rec.seconds:.1f} s ({time.perf_counter() - start:.1f} s with reading)")
    if "interrupted" in rec.settings:
        print(f"fewview: interrupted; {out} holds the volume of step {rec.settings['interrupted']}, the last whole one", file=sys.stderr)
        return 130
    return 0


def _stem(scan: Path) -> str:
    return scan.resolve().name.split(".")[0] or "scan"


def _announce(method: Method, part: Projections, whole: Projections, grid: Grid) -> None:
    nz, ny, nx = grid.shape
    print(f"{method.name}: {len(part)} of {len(whole)} views to {nx} x {ny} x {nz} voxels of {grid.voxel_mm:.6g} mm")
    require_memory(4 * nx * ny * nz, f"the {nx} x {ny} x {nz} voxels", "use a larger --voxel-mm, or a smaller --grid or --box")


def _calibrated(projections: Projections) -> tuple[Projections, dict[str, float]]:
    from ..recon import calibrate

    found = calibrate(projections)
    numbers = {name: float(getattr(found, name)) for name in ("axis_shift_mm", "row_shift_mm", "roll_deg", "score")}
    print("calibration: " + ", ".join(f"{name} {value:.5g}" for name, value in numbers.items()))
    return Projections(projections.values, found.scan, projections.meta), numbers
