"""The table of docs/model_cards.md: `tvnet` against self-tuned total variation on objects and geometries that its weights never saw.

    python docs/tvnet_table.py --heads FOLDER_OF_NIFTI            (without --heads: phantoms only)

Each object is scanned by software from a volume at least twice as fine as the grid, in one energy, with photon noise and blur. Errors are
against the scanned volume, averaged over the voxels of the grid, inside the object and inside what all views see. The last two columns are
the same two volumes after a linear map that was fitted to other animals: 5 x 5 x 5 weights for TV and as many for the back-projection of
what TV leaves of the views, and a constant.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from fewview.data import Projections, read_volume
from fewview.data.phantom.limb import hind_limb
from fewview.data.phantom.procedural.unseen import chest, tooth
from fewview.data.volumes.resample import resample
from fewview.geometry import Grid, Scan, skyscan_1276, views
from fewview.nerf.field.naf import binned
from fewview.nerf.patchwise.inputs import left_over
from fewview.recon import Physics, reconstruct, simulate

HEADS = ("C57BL6_J", "BALB_CBYJ", "NU_J", "LG.J")
FITTED = ("A_J", "PERC.EiJ", "C3H_HEJ", "SWR.J")


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
    """The same object in a full circle, a parallel beam, or a wide fan."""
    width = 1.08 * max(grid.size_mm[:2])
    far = {"parallel": 400.0, "full circle": 3.0, "wide cone": 1.6}[kind] * width
    angles = np.arange(count) * {"parallel": 180, "full circle": 360, "wide cone": 230}[kind] / count
    return Scan.circular(dso_mm=far, dsd_mm=far, rows=2 * size, cols=3 * size, pixel_mm=width / (3 * size) * 1.1, angles_deg=angles)


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


def cases(heads: Path | None, size: int, counts: tuple[int, ...]) -> Iterator[Case]:
    """All rows of the table."""
    makers = {f"head {name}": partial(head, heads, name) for name in HEADS} if heads else {}
    makers |= {f"{kind.__name__} {seed}": partial(phantom, kind, size, seed) for kind in (bone, tooth, chest) for seed in (1001, 1002)}
    for name, make in makers.items():
        volume, grid = make()
        scan = skyscan(grid, size)
        for count in counts:
            yield case(f"{name}, {count} views", volume, grid, scan[views.evenly(scan, count)], size)
        if name.endswith(("C57BL6_J", "1001")):
            few = scan[views.evenly(scan, 26)]
            yield case(f"{name}, 26 views, 3 x the noise", volume, grid, few, size, photons=20_000.0 / 9)
            for kind in ("full circle", "parallel", "wide cone"):
                yield case(f"{name}, {kind}, 26 views", volume, grid, other_geometry(kind, grid, size, 26), size)


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


def linear_map(method: str, heads: Path, size: int, count: int) -> np.ndarray:
    """The least-squares weights of `features` on the heads that the table does not show."""
    normal, right = np.zeros((251, 251)), np.zeros(251)
    for name in FITTED:
        volume, grid = head(heads, name)
        scan = skyscan(grid, size)
        c = case(name, volume, grid, scan[views.evenly(scan, count)], size)
        x = features(c, reconstruct(c.given, method, c.grid, check=False).volume)[c.inside].astype(np.float64)
        normal += x.T @ x
        right += x.T @ c.truth[c.inside]
    return np.linalg.solve(normal + 1e-8 * np.trace(normal) / 251 * np.eye(251), right)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--views", type=int, nargs="+", default=[26, 13])
    parser.add_argument("--checkpoint")
    chosen = parser.parse_args()
    maps: dict[tuple[str, int], np.ndarray] = {}
    print(
        "| scan | TV, dB | tvnet, dB | gain, dB | share | TV mapped, dB | tvnet mapped, dB | seconds |\n|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for c in cases(chosen.heads, chosen.size, tuple(chosen.views)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tv = reconstruct(c.given, "pdhg_tv", c.grid, check=False).volume
            begin = time.perf_counter()
            rec = reconstruct(c.given, "tvnet", c.grid, check=False, checkpoint=chosen.checkpoint)
            seconds = time.perf_counter() - begin
            row = [decibel(tv, c), decibel(rec.volume, c)]
            mapped = ["", ""]
            if c.name.startswith("head") and c.name.count(",") == 1:
                count = len(c.given)
                for place, (method, volume) in enumerate((("pdhg_tv", tv), ("tvnet", rec.volume))):
                    if (method, count) not in maps:
                        maps[method, count] = linear_map(method, chosen.heads, chosen.size, count)
                    mapped[place] = f"{decibel(np.maximum(features(c, volume) @ maps[method, count], 0), c):.2f}"
        cells = [
            c.name,
            f"{row[0]:.2f}",
            f"{row[1]:.2f}",
            f"{row[1] - row[0]:+.2f}",
            f"{rec.settings['share']:.2f}",
            *mapped,
            f"{seconds:.0f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
