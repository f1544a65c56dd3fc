"""The table of docs/model_cards.md: `tvnet` against self-tuned total variation on objects and geometries that its weights never saw.

    python docs/tvnet_table.py --heads FOLDER_OF_NIFTI            (without --heads: phantoms only)
    python docs/tvnet_table.py --heads FOLDER --animals LG.J PERC.EiJ --phantoms --checkpoint own.pt --views 13 26 52
    python docs/tvnet_table.py --phantoms bone --seeds 1001 1002 1003 1004 1005 1006 1007 1008 1009 1010 1011 1012 --no-others
    python docs/tvnet_table.py --method wcrr

Each object is scanned by software from a volume at least twice as fine as the grid, in one energy, with photon noise and blur. Errors are
against the scanned volume, averaged over the voxels of the grid, inside the object and inside what all views see. The columns "mapped" are
the same two volumes after a linear map that was fitted to other animals, or other phantoms of the kind: 5 x 5 x 5 weights for the volume
and as many for the back-projection of what it leaves of the views, and a constant. Bone Dice is the overlap of what is above 0.1 1/mm.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fewview.data import Projections, Reconstruction, read_volume
from fewview.data.phantom.limb import hind_limb
from fewview.data.phantom.procedural.unseen import chest, tooth
from fewview.data.volumes.resample import resample
from fewview.geometry import Grid, Scan, skyscan_1276, views
from fewview.nerf.field.naf import binned
from fewview.nerf.patchwise.inputs import left_over
from fewview.recon import Physics, reconstruct, simulate

HEADS = ("C57BL6_J", "BALB_CBYJ", "NU_J", "LG.J")
FITTED: dict[str, tuple[str, ...]] = {"head": ("A_J", "C57BL_10J", "C3H_HEJ", "SWR.J")}
FITTED |= dict.fromkeys(("bone", "tooth", "chest"), ("3001", "3002", "3003", "3004"))
OTHERS = ("fan beam", "full circle", "parallel", "wide cone")
BONE = 0.1  # 1/mm


@dataclass(frozen=True)
class Case:
    """A scan and what is to be found."""

    name: str
    given: Projections
    grid: Grid
    truth: np.ndarray
    inside: np.ndarray


def case(name: str, volume: np.ndarray, grid: Grid, scan: Scan, size: int, photons: float = 20_000.0) -> Case:
    """The views of ``scan``, on pixels about as large as the voxels of a grid of ``size`` across."""
    to = Grid.across(scan, size)
    p = simulate(volume, grid, scan, Physics.ideal(photons=photons, electronic_noise=10.0, blur_px=0.4), seed=1)
    truth = resample(volume, grid, to)
    air = 0.15 * float(np.quantile(truth[truth > 0.02 * truth.max()], 0.5))
    return Case(name, binned(p, to.voxel_mm), to, truth, to.seen_by_all(scan) & (truth > air))


def skyscan(grid: Grid, size: int) -> Scan:
    """The SkyScan 1276 around an object, with three pixels a voxel as in the benchmarks, of which two are binned."""
    cols = 3 * size
    return skyscan_1276(rows=2 * size, cols=cols, voxel_mm=1.08 * max(grid.size_mm[:2]) / cols)


def other_geometry(kind: str, grid: Grid, size: int, count: int) -> Scan:
    """The same object in a full circle of cone beams or of one fan, in a parallel beam, or in a wide cone."""
    width = 1.08 * max(grid.size_mm[:2])
    far = {"parallel": 400.0, "full circle": 3.0, "fan beam": 3.0, "wide cone": 1.6}[kind] * width
    angles = np.arange(count) * {"parallel": 180, "full circle": 360, "fan beam": 360, "wide cone": 230}[kind] / count
    rows = 2 if kind == "fan beam" else 2 * size  # two are binned to one
    return Scan.circular(dso_mm=far, dsd_mm=far, rows=rows, cols=3 * size, pixel_mm=width / (3 * size) * 1.1, angles_deg=angles)


def head(folder: Path, name: str) -> tuple[np.ndarray, Grid]:
    """A head on its own voxels, in 1/mm."""
    path = next(p for p in sorted(folder.glob("*.nii.gz")) if p.name.startswith(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grey, grid, _ = read_volume(path)
    return (grey * np.float32(0.2 / 255)).astype(np.float32), Grid(grid.shape, grid.voxel_mm)


def phantom(make, size: int, seed: int) -> tuple[np.ndarray, Grid]:
    """A phantom on voxels twice as fine as a grid of ``size``."""
    shape = (size + size // 2, 2 * size, 2 * size)
    grid = Grid(shape, 20.0 / shape[1])
    return make(shape, grid.voxel_mm, seed), grid


def bone(shape: tuple[int, int, int], voxel_mm: float, seed: int) -> np.ndarray:
    """A hind limb that fills the field of view, as the bone phantoms of the benchmarks."""
    return hind_limb(shape, voxel_mm, seed=seed, scale=1.1, holder=False, supersample=2).volume


def scene(kind: str, name: str, heads: Path | None, size: int) -> tuple[np.ndarray, Grid]:
    """The volume of a head by its name, or of a phantom by its seed."""
    if kind == "head":
        assert heads is not None
        return head(heads, name)
    return phantom({"bone": bone, "tooth": tooth, "chest": chest}[kind], size, int(name))


def cases(heads: Path | None, rows: Sequence[tuple[str, str]], size: int, counts: Sequence[int], others: bool) -> Iterator[Case]:
    """All rows (kind, name) of the table; with ``others`` the first of each kind also in other geometries and with more noise."""
    for kind, name in rows:
        volume, grid = scene(kind, name, heads, size)
        scan = skyscan(grid, size)
        for count in counts:
            yield case(f"{kind} {name}, {count} views", volume, grid, scan[views.evenly(scan, count)], size)
        if others and 26 in counts and name == next(first for of, first in rows if of == kind):
            few = scan[views.evenly(scan, 26)]
            yield case(f"{kind} {name}, 26 views, 3 x the noise", volume, grid, few, size, photons=20_000.0 / 9)
            for geometry in OTHERS:
                scanned = other_geometry(geometry, grid, size, 26)
                yield case(f"{kind} {name}, {geometry}, 26 views", volume, grid, scanned, size)


def decibel(volume: np.ndarray, c: Case) -> float:
    """PSNR inside the object for a range of 0.2 1/mm."""
    return float(10 * np.log10(0.2**2 / np.mean((volume - c.truth)[c.inside] ** 2)))


def features(c: Case, volume: np.ndarray) -> np.ndarray:
    """The neighbours of each voxel in a volume and in the back-projection of what it leaves, and a constant."""
    found = []
    for v in (volume, left_over(c.given, c.grid, volume)):
        nz, ny, nx = v.shape
        wide = np.pad(v, 2, mode="edge")
        found += [wide[k : k + nz, j : j + ny, i : i + nx] for k in range(5) for j in range(5) for i in range(5)]
    return np.stack([*found, np.full(volume.shape, 0.03, np.float32)], axis=-1)


def dice(volume: np.ndarray, c: Case) -> float:
    """The overlap of bone inside the object."""
    a, b = (volume > BONE)[c.inside], (c.truth > BONE)[c.inside]
    return 2 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1.0)


def linear_map(run: Callable[[Case], Reconstruction], kind: str, heads: Path | None, size: int, count: int) -> np.ndarray:
    """The least-squares weights of `features` on heads, or phantoms of a kind, that the table does not show."""
    normal, right = np.zeros((251, 251)), np.zeros(251)
    for c in cases(heads, [(kind, name) for name in FITTED[kind]], size, [count], others=False):
        x = features(c, run(c).volume)[c.inside].astype(np.float64)
        normal += x.T @ x
        right += x.T @ c.truth[c.inside]
    return np.linalg.solve(normal + 1e-8 * np.trace(normal) / 251 * np.eye(251), right)


def quietly(method: str, c: Case, **settings: Any) -> Reconstruction:
    """The reconstruction, without the warnings that say how much of a correction was taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reconstruct(c.given, method, c.grid, check=False, **settings)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=Path)
    parser.add_argument("--animals", nargs="+", default=list(HEADS))
    parser.add_argument("--phantoms", nargs="*", default=["bone", "tooth", "chest"], choices=("bone", "tooth", "chest"))
    parser.add_argument("--seeds", nargs="+", default=["1001", "1002"], help="of the phantoms")
    parser.add_argument("--no-others", action="store_true", help="no other geometries, and no more noise")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--views", type=int, nargs="+", default=[26, 13])
    parser.add_argument(
        "--mapped", type=int, nargs="*", default=[26, 13, 52], help="numbers of views for which the mapped columns are made"
    )
    parser.add_argument("--method", default="tvnet", choices=("tvnet", "wcrr"))
    parser.add_argument("--checkpoint")
    chosen = parser.parse_args()
    own = {"checkpoint": chosen.checkpoint} if chosen.method == "tvnet" else {}
    runs = {"TV": partial(quietly, "pdhg_tv"), chosen.method: partial(quietly, chosen.method, **own)}
    print(f"| scan | TV, dB (Dice) | {chosen.method} | gain, dB | share | TV mapped | {chosen.method} mapped | seconds |", flush=True)
    print("|---|---|---|---|---|---|---|---|", flush=True)
    maps: dict[tuple[str, str, int], np.ndarray] = {}
    rows = [("head", name) for name in chosen.animals] if chosen.heads else []
    rows += [(kind, seed) for kind in chosen.phantoms for seed in chosen.seeds]
    for c in cases(chosen.heads, rows, chosen.size, chosen.views, not chosen.no_others):
        kind = c.name.split()[0]
        begin = time.perf_counter()
        found = {name: run(c) for name, run in runs.items()}
        seconds = time.perf_counter() - begin
        scores = [decibel(rec.volume, c) for rec in found.values()]
        cells = [f"{decibel(rec.volume, c):.2f} ({dice(rec.volume, c):.3f})" for rec in found.values()]
        cells += [f"{scores[1] - scores[0]:+.2f}", f"{found[chosen.method].settings['share']:.2f}"]
        for name, rec in found.items():
            if c.name.count(",") == 1 and (count := len(c.given)) in chosen.mapped:
                if (name, kind, count) not in maps:
                    maps[name, kind, count] = linear_map(runs[name], kind, chosen.heads, chosen.size, count)
                mapped = np.maximum(features(c, rec.volume) @ maps[name, kind, count], 0)
                cells.append(f"{decibel(mapped, c):.2f} ({dice(mapped, c):.3f})")
            else:
                cells.append("")
        print(f"| {' | '.join([c.name, *cells, f'{seconds:.0f}'])} |", flush=True)


if __name__ == "__main__":
    main()
