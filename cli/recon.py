"""`fewview recon`: a scan, or some of its views, to a volume."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from ..base.settings import Count
from ..pipeline import ReconPlan, Spread, run, run_joined, run_slabs, slabs_advised
from ..pipeline import estimate as estimated
from .options import (
    NO_CORRECTION,
    CorrectionFlags,
    MaybeCount,
    MaybeMm,
    MaybeOutput,
    MaybePath,
    MaybeStep,
    Pairs,
    Replicas,
    explained_by,
    settings,
)
from .outputs import command_line
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
    out: MaybeOutput = None,
    calibrate: bool = False,
    drift: bool = False,
    corrections: CorrectionFlags = NO_CORRECTION,
    correct: Pairs = (),
    std: Replicas = 0,
    std_kind: str = "views",
    std_scale: float = 1.0,
    binning: Count = 1,
    read_as: Pairs = (),
    slab: MaybeCount = None,
    cluster: str = "",
    parts_step_mm: MaybeStep = None,
    estimate: bool = False,
    prior: MaybePath = None,
    force: bool = False,
) -> int:
    """Reconstruct a volume in 1/mm from a scan, or from some of its views.

    Beside the volume lies a run record: settings, what was corrected, versions, hash of the input, seconds, memory. Ctrl-C in an
    iterative method keeps the volume of the last whole step. FDK of a scan or volume that is large for the memory goes slab by slab, with
    the same numbers; the same command then continues a run that was stopped (docs/large_volumes.md).

    Examples:
      fewview recon my_scan --out full.ome.tif
      fewview recon my_scan --method fista_tv --views 26 --set iterations=80 --out few.ome.tif
      fewview recon my_scan --method tvnet --views 26 --set adapt=12 --std 1 --std-kind conformal --out few.ome.tif
      fewview recon my_scan --calibrate --rings 5 --beam-hardening 30 --median 1 --out clean.nii.gz
      fewview recon my_scan --views random:52:1 --set filter=hann --box -3:3,-3:3,0:5 --voxel-mm 0.02 --out knee.h5
      fewview recon week2 --method pdhg_tv --views 26 --prior week0.ome.tif --out week2.ome.tif
      fewview recon my_scan --method my_file.py:my_function --views every:10 --out mine.ome.tif
      fewview recon my_scan --slab 96 --out large.ome.zarr

    Args:
        scan: a SkyScan folder, a BoneMet folder, or an .h5 file.
        method: a name (`fewview methods` lists them), or my_file.py:my_function with my_function(projections, grid) -> volume.
        views: 26 (evenly spread), every:10, random:26:SEED, wedge:90, or all; only these are read.
        set: settings of the method (fewview methods NAME lists them); may be given several times.
        voxel_mm: edge of a voxel; by default the detector pixel scaled to the axis.
        grid: NZ,NY,NX voxels about the axis, instead of the whole field of view.
        box: X0:X1,Y0:Y1,Z0:Z1 in mm, instead of the whole field of view.
        calibrate: find axis shift, optical row, roll and sense of rotation from the views first, and use them.
        drift: find how far each single view is off, and use it (after calibrate, where both are asked for).
        correct: the same settings of the corrections as NAME=VALUE (fewview methods corrections lists them).
        std: also estimate each voxel's standard deviation, from this many replicas (8 is usual, 1 for conformal); 0 is off.
        std_kind: what the replicas differ in: views (groups left out in turn), rays (noise), or members (seeds of naf, dropout of unet);
            or conformal: errors learned where the truth is known (pdhg_tv and tvnet), scaled so that volume +- 1.645 std holds 90 %.
        std_scale: factor on that, such as `fewview bench intervals` finds for the method and the number of views; it is recorded.
        binning: first average blocks of this many detector pixels each way.
        read_as: options of the reader, such as direction=CW, part=1, or air=57000 (the grey value of air).
        slab: reconstruct (fdk) in slabs of this many slices, each written as it is made; by default only where memory demands it.
        cluster: HOST:PORT of a dask scheduler whose workers make the slabs; they must share the disk of the output.
        parts_step_mm: join the parts (~00, ~01, ...) of an oversize scan, each this far along z from the one before (downwards: negative).
        estimate: print the memory, the disk and the time that slabs will take, and do nothing else.
        prior: an earlier volume of the same animal, in 1/mm: it is registered, and pdhg_tv and fista_tv use it as far as held-out views
            say that it helps (docs/regions.md).
        force: replace the output if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    with explained_by("corrections"):
        corrections = corrections.changed(**settings(correct))
    plan = ReconPlan(
        scan=scan,
        method=method,
        views=views,
        settings=settings(set),
        voxel_mm=voxel_mm,
        grid=grid,
        box=box,
        out=out,
        calibrate=calibrate,
        drift=drift,
        corrections=corrections,
        spread=Spread(std, std_kind, std_scale),
        binning=binning,
        read_as=settings(read_as),
        prior=prior,
        force=force,
    )
    if estimate:
        estimated(plan, slab=slab, tell=print)
        return 0
    if parts_step_mm is not None:
        run_joined(plan, parts_step_mm, slab=slab, cluster=cluster, tell=print, watch=progress_bar, command=command_line())
        return 0
    if slab is not None or cluster or slabs_advised(plan):
        run_slabs(plan, slab=slab, cluster=cluster, tell=print, watch=progress_bar, command=command_line())
        return 0
    done = run(plan, tell=print, watch=progress_bar, command=command_line())
    if done.interrupted_at is not None:
        said = f"{done.path} holds the volume of step {done.interrupted_at}, the last whole one"
        print(f"fewview: interrupted; {said}", file=sys.stderr)
        return 130
    return 0
