"""`fewview demo`: simulate a scan, write it as the scanner would, read it back, reconstruct it from fewer and fewer views, and report."""

from __future__ import annotations

import time
from pathlib import Path

from ..base.files import refuse_existing
from ..base.settings import Seed
from .options import NO_SCALE, Grey, MaybeMm, MaybeVolume, Pairs, Pixels, settings
from .progress import progress_bar, step


def demo(
    *,
    out: Path = Path("fewview_demo"),
    volume: MaybeVolume = None,
    volume_voxel_mm: MaybeMm = None,
    grey: Grey = NO_SCALE,
    read_as: Pairs = (),
    rows: Pixels = 128,
    cols: Pixels = 192,
    voxel_mm: MaybeMm = None,
    seed: Seed = 0,
    fdk_only: bool = False,
    force: bool = False,
) -> None:
    """Simulate a scan, reconstruct it from 260, 52 and 26 views, and write one page that shows how good each is.

    A mouse hind limb (or a volume of yours) is scanned in software by a SkyScan 1276, written as a scan folder, read back like any
    scan, and reconstructed by FDK and, from 26 views, also by total variation. The folder then holds scan, volumes and report.html.

    Examples:
      fewview demo
      fewview demo --out leg_demo --seed 3
      fewview demo --volume head.nii.gz --out head_demo

    Args:
        out: the folder to write; it appears when everything is done.
        volume_voxel_mm: edge of a voxel of that volume, where its file does not state it or is wrong.
        grey: what the numbers of that volume mean.
        read_as: options of the volume reader, such as dataset=recon/mu for an .h5 file of others.
        rows: number of detector rows.
        cols: number of detector columns; 3/2 of the number of rows is the whole panel.
        voxel_mm: size of a pixel at the rotation axis and of a voxel of the volumes; by default the object fills the field of view.
        seed: seed of the phantom and of the noise.
        fdk_only: leave out the reconstruction by total variation.
        force: replace the folder if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    from ..benchmarks.demo.make import Wanted, make_demo

    refuse_existing(out, force, [volume] if volume else [])
    start = time.perf_counter()
    parts = ["fewview demo", f"--out {out}", f"--volume {volume}" if volume else "", f"--seed {seed}" if seed else ""]
    command = " ".join(part for part in parts if part)
    make_demo(
        Wanted(out, command, volume, grey, volume_voxel_mm, settings(read_as), rows, cols, voxel_mm, seed, fdk_only, force),
        step,
        progress_bar,
    )
    print(f"open {out / 'report.html'}  ({time.perf_counter() - start:.0f} s in all)")
