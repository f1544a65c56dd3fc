"""A made-up BoneMet as a download looks: no dataset.json, no log, every spelling, Recon-CT on a grid of its own and in grey levels.

`python tests/benchmarks/made_up_bonemet.py OUT VOLUME...` makes one of volumes, for a trial by hand.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fewview.benchmarks.datasets.build import build_bonemet
from fewview.data.images.bonemet_folders import find_bonemet
from fewview.data.images.image_files import read_image, write_image
from fewview.data.volumes.slices import read_slices
from fewview.geometry import Grid, skyscan_1276
from fewview.geometry.transform import rotation_matrix
from fewview.recon.physics.effects import Physics
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

CROP = (slice(2, -3), slice(5, -6), slice(4, -7))  # z, y, x of the default grid, of which NRecon keeps a region
SHIFT_VOXELS, TURN_DEG = np.array([3.0, -2.0, 1.5]), 2.0  # x, y, z
WINDOW = (-0.02, 0.26)  # 1/mm: what nobody tells
# Ways to spell the folder of an animal and week; (component, rest).
SPELLINGS = (
    ("1. Rotation-X-ray", "2. Recon-CT", "{id:0>3}/week {week}"),
    ("rotation-x-ray", "2 RECON-CT", "Week {week}/{id}"),
    ("1 Rotation-X-Ray", "Recon-CT", "{id} week {week}"),
)


@dataclass(frozen=True)
class Placed:
    """Where the voxels of a made-up Recon-CT are: index (z, y, x) of the default grid = ``matrix`` @ index + ``offset``."""

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    grid: Grid

    def points_mm(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """(x, y, z) in mm of voxels (z, y, x)."""
        there = index @ self.matrix.T + self.offset
        return there[:, ::-1] * self.grid.voxel_mm + self.grid.origin_mm


def make_download(
    sources: Sequence[str | Path | int],
    out: Path,
    *,
    rows: int = 64,
    cols: int = 96,
    weeks: Sequence[int] = (0,),
    bits: Sequence[int] = (16, 8),
    flip: Sequence[int] = (2,),
    order: Sequence[int] = (0, 1, 2),
    **settings: object,
) -> Placed:
    """Scan the sources and store them as a download: X-rays with ``bits`` in turn, Recon-CT mirrored along ``flip`` and with its axes in
    ``order``.
    """
    built = out.parent / f"{out.name}_built"
    scan = skyscan_1276(rows=rows, cols=cols, voxel_mm=0.0106 * 4032 / cols)
    build_bonemet(sources, built, scan=scan, physics=replace(Physics(), bits=16), weeks=weeks, **settings)  # type: ignore[arg-type]
    grid = Grid.fit(scan)
    placed = _placed(grid, flip, order)
    window = json.loads((built / "dataset.json").read_text())["window"]
    for place, found in enumerate(find_bonemet(built, component="Rotation-X-ray")):
        rays, recon, rest = SPELLINGS[place % len(SPELLINGS)]
        rest = rest.format(id=found.animal, week=found.week)
        target = out / "Imagery_Dataset"
        _copy_xrays(found.path, target / rays / rest, bits[place % len(bits)])
        slices = Path(str(found.path).replace("1. Rotation-X-ray", "2. Recon-CT"))
        volume, _, _ = read_slices(slices, voxel_mm=1.0, window=tuple(window))
        _write_recon(volume, placed, target / recon / rest)
    shutil.rmtree(built)
    return placed


def _placed(grid: Grid, flip: Sequence[int], order: Sequence[int]) -> Placed:
    shape = np.array([len(range(n)[s]) for n, s in zip(grid.shape, CROP, strict=True)])
    turn = rotation_matrix((0.2, -0.1, 1.0), TURN_DEG)[::-1, ::-1]  # acts on (z, y, x)
    swap = np.eye(3)[:, np.argsort(order)] @ np.diag([-1.0 if axis in flip else 1.0 for axis in range(3)])
    matrix = turn @ swap
    own = shape[list(order)]
    middle = (np.array(grid.shape) - 1) / 2 + SHIFT_VOXELS[::-1]
    return Placed(matrix, middle - matrix @ ((own - 1) / 2), grid)


def shape_of(placed: Placed, order: Sequence[int] = (0, 1, 2)) -> tuple[int, ...]:
    """The shape of the made-up Recon-CT."""
    shape = [len(range(n)[s]) for n, s in zip(placed.grid.shape, CROP, strict=True)]
    return tuple(shape[axis] for axis in order)


def _write_recon(volume: NDArray[np.float32], placed: Placed, folder: Path) -> None:
    own = np.abs(np.round(np.linalg.inv(placed.matrix))) @ np.array([len(range(n)[s]) for n, s in zip(volume.shape, CROP, strict=True)])
    shape = tuple(int(n) for n in own)
    seen = affine_transform(volume, placed.matrix, placed.offset.tolist(), output_shape=shape, order=3, mode="nearest")  # type: ignore[arg-type]
    low, high = WINDOW
    grey = np.clip(np.round((seen - low) / (high - low) * 255), 0, 255).astype(np.uint8)
    folder.mkdir(parents=True)
    for k, plane in enumerate(grey, 1):
        write_image(folder / f"ct_slice_{k:03d}.png", plane)


def _copy_xrays(source: Path, target: Path, bits: int) -> None:
    """The counts on a scale that nobody tells."""
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        counts = read_image(path).astype(np.float64)
        image = np.round(counts / 65535 * 251).clip(1, 255).astype(np.uint8) if bits == 8 else np.round(0.71 * counts).astype(np.uint16)
        write_image(target / path.name, image)


if __name__ == "__main__":
    make_download(sys.argv[2:], Path(sys.argv[1]))
