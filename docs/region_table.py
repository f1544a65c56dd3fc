"""The table of docs/regions.md: a knee of 4 mm at 20 um in a limb scan, reconstructed as a region, alone, and cut out of the whole.

    python docs/region_table.py --folder knee --make            (the scan, some 450 s of one processor)
    python docs/region_table.py --folder knee --run region      (or: ignore, whole; each in a process of its own, for its memory)
    python docs/region_table.py --folder knee --compare

The phantom's leg without its holder, 0.75 times its size, is simulated with all effects on voxels of 16 um, and seen by 52 of the
SkyScan's 260 views on 240 x 480 pixels of 20 um. Percentages are of the root mean square of the knee's own values in the whole.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from pathlib import Path

import numpy as np
from fewview.data import read, write_projections
from fewview.data.phantom.limb import hind_limb
from fewview.geometry import Grid, Scan, skyscan_1276, views
from fewview.recon import reconstruct, simulate

SCALE, VOXEL_MM, ROWS, COLS, VIEWS, SIDE = 0.75, 0.02, 240, 480, 52, 200
LEG_X_MM, LEG_Y_MM, KNEE_Z_MM = -0.25, 0.875, 4.163461538461538  # the middle of the leg's box at the height of its patella
RIM = 10  # voxels


def knee_scan() -> Scan:
    """The middle of the panel, in 52 views."""
    full = skyscan_1276(rows=1344, cols=2016, voxel_mm=VOXEL_MM)
    s = full[views.evenly(full, VIEWS)]
    return Scan((ROWS, COLS), s.source, s.detector, s.u, s.v, s.angles_deg)


def knee(scan: Scan) -> tuple[Grid, Grid, tuple[slice, ...]]:
    """The whole grid, that of the knee, and where the knee is in it."""
    whole = Grid.fit(scan, VOXEL_MM)
    z, y, x = ((n - SIDE) // 2 for n in whole.shape)
    y -= 38  # the bones are off the middle of the leg
    cx, cy, cz = (float(c) for c in whole.origin_mm + (np.array((x, y, z)) + (SIDE - 1) / 2) * VOXEL_MM)
    return whole, Grid((SIDE, SIDE, SIDE), VOXEL_MM, (cx, cy, cz)), tuple(slice(a, a + SIDE) for a in (z, y, x))


def make(folder: Path) -> None:
    """Write the scan and the truth in the knee."""
    scan = knee_scan()
    _, box, _ = knee(scan)
    fine = Grid((328, 600, 600), 0.016, (LEG_X_MM, LEG_Y_MM, KNEE_Z_MM))
    leg = hind_limb(fine, seed=1, scale=SCALE, holder=False, supersample=2).volume
    write_projections(simulate(leg, Grid(fine.shape, fine.voxel_mm), scan, seed=0, refine=1), folder / "knee.h5", force=True)
    x, y, z = box.center_mm
    there = Grid(box.shape, VOXEL_MM, (x + LEG_X_MM, y + LEG_Y_MM, z + KNEE_Z_MM))
    np.save(folder / "truth.npy", hind_limb(there, seed=1, scale=SCALE, holder=False, supersample=2).volume)


def run(folder: Path, what: str, iterations: int | None) -> None:
    """Reconstruct one of the three, keep the knee, and say what it cost."""
    scan = read(folder / "knee.h5")
    whole, box, cut = knee(scan.scan)
    begin = time.process_time()
    outside = "ignore" if what == "ignore" else "auto"
    rec = reconstruct(scan, "pdhg_tv", whole if what == "whole" else box, check=False, iterations=iterations, outside=outside)
    cpu, peak = time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    np.save(folder / f"{what}.npy", rec.volume[cut] if what == "whole" else rec.volume)
    told = {name: rec.settings.get(name) for name in ("lambda_", "lambda_unit", "iterations", "outside")}
    print(f"{what}: {cpu:.0f} s of the processor, {peak:.2f} GiB at most, {told}")


def compare(folder: Path) -> None:
    """Print how far the region and the knee alone are from the whole, and all from the truth."""
    whole, truth = (np.load(folder / f"{name}.npy").astype(np.float64) for name in ("whole", "truth"))
    inner = np.zeros(whole.shape, bool)
    inner[RIM:-RIM, RIM:-RIM, RIM:-RIM] = True

    def rms(values: np.ndarray) -> float:
        return 100 * float(np.sqrt((values**2).mean() / (whole**2).mean()))

    print(f"whole: {rms(whole - truth):.1f} % from the phantom; 100 % is {np.sqrt((whole**2).mean()):.4f} 1/mm")
    for name in ("region", "ignore"):
        if (folder / f"{name}.npy").exists():
            volume = np.load(folder / f"{name}.npy").astype(np.float64)
            away = volume - whole
            print(
                f"{name}: {rms(away):.2f} % from the whole (rim {rms(away[~inner]):.2f}, inside {rms(away[inner]):.2f}),"
                f" {rms(volume - truth):.1f} % from the phantom"
            )


def main() -> None:
    """Do what is asked for."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--folder", type=Path, required=True)
    ask.add_argument("--make", action="store_true")
    ask.add_argument("--run", choices=("region", "ignore", "whole"))
    ask.add_argument("--iterations", type=int)
    ask.add_argument("--compare", action="store_true")
    asked = ask.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    if asked.make:
        make(asked.folder)
    if asked.run:
        run(asked.folder, asked.run, asked.iterations)
    if asked.compare:
        compare(asked.folder)


if __name__ == "__main__":
    main()
