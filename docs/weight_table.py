"""The table of docs/classical_table.md about pixels and the weight of total variation: the same views, binned to pixels of several sizes.

python docs/weight_table.py --heads FOLDER
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fewview.data import Projections
from fewview.data.multiresolution import bin_projections
from fewview.data.volumes.resample import resample
from fewview.geometry import Grid, views
from fewview.recon import Physics, reconstruct, simulate
from fewview.recon.iterative.tuning.prior_weight import LADDER
from tvnet_table import Case, decibel, scene, skyscan


def cases(heads: Path, size: int) -> Iterator[Case]:
    """A head and a bone from 13 and 26 views, with 1/3 to 4/3 voxels across a pixel; 20 000 photons in the finest."""
    for kind, name in (("head", "C57BL6_J"), ("bone", "1001")):
        volume, grid = scene(kind, name, heads, size)
        whole = skyscan(grid, size)
        to = Grid.across(whole, size)
        truth = resample(volume, grid, to)
        air = 0.15 * float(np.quantile(truth[truth > 0.02 * truth.max()], 0.5))
        for count in (13, 26):
            scan = whole[views.evenly(whole, count)]
            fine = simulate(volume, grid, scan, Physics.ideal(photons=20_000.0, electronic_noise=10.0, blur_px=0.4), seed=1)
            for binned in (1, 2, 3, 4):
                given: Projections = bin_projections(fine, binned)
                yield Case(f"{kind} {name}, {count} views", given, to, truth, to.seen_by_all(scan) & (truth > air))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| scan | pixel, voxels | best `lambda_` of the ladder | dB | chosen | dB |\n|---|---|---|---|---|---|", flush=True)
    for c in cases(chosen.heads, chosen.size):
        found = [decibel(reconstruct(c.given, "pdhg_tv", c.grid, check=False, lambda_=v).volume, c) for v in LADDER[:9]]
        rec = reconstruct(c.given, "pdhg_tv", c.grid, check=False)
        best, pixel = int(np.argmax(found)), c.given.scan.field_of_view_mm.pixel_mm / c.grid.voxel_mm
        numbers = f"{LADDER[best]:.4f} | {found[best]:.2f} | {rec.settings['lambda_']:.4f} | {decibel(rec.volume, c):.2f}"
        print(f"| {c.name} | {pixel:.2f} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
