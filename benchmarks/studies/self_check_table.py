"""Which faults does the self-check find, and does it leave sound scans alone? Simulated scans of real volumes with known faults.

``python -m fewview.benchmarks.studies.self_check_table --data FOLDER --cache FOLDER --views 260 26``

Each volume is simulated once (default physics) and kept in ``--cache``; a fault is then put into geometry or values of the scan, the scan
is reconstructed by FDK, and what `fewview.recon.selfcheck` says of it is compared with what was done.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...base import InputError
from ...base.files import atomic_path
from ...data import Projections
from ...data.self_check import WRONG
from ...data.volumes.attenuation import GreyScale
from ...geometry import Grid, skyscan_1276, views
from ...geometry.transform import correct, turn_views
from ...recon import fdk, simulate
from ...recon.selfcheck.check import self_check
from ...recon.selfcheck.opposite_rays import travelled_deg
from ..datasets.subjects import scene_of_volume

MU_MAX, OFF_CENTER_MM = 0.20, 1.0
_AXIS_PX, _STEP_PERCENT, _ROLL_DEG, _REPEATED = 2.0, 2.0, 1.0, 10


@dataclass(frozen=True)
class Result:
    """What the check said of one scan: ``expected`` the suspicion that it should have had ("" for a sound scan), ``found`` those it had."""

    volume: str
    views: int
    fault: str
    expected: str
    level: str
    found: tuple[str, ...]
    error: float
    contradiction: float
    cpu_seconds: float
    fdk_cpu_seconds: float

    @property
    def warned(self) -> bool:
        """Whether a warning was given."""
        return self.level == WRONG

    @property
    def named(self) -> bool:
        """Whether the fault that was put in is what the check names first."""
        return self.warned and self.found[:1] == (self.expected,)


@dataclass(frozen=True, eq=False)
class Simulated:
    """A sound scan of 260 views, and ``still``: images of a stage that stands still from view ``stopped`` on, each with its own noise."""

    sound: Projections
    stopped: int
    still: np.ndarray


def simulated(path: Path, cache: Path, cols: int, voxel_mm: float, photons: float, seed: int) -> Simulated:
    """The simulated scan of a volume, from ``cache`` where it is there."""
    scan = skyscan_1276(cols * 2 // 3, cols, voxel_mm)
    file = cache / f"{path.name.split('.nii')[0]}_{cols}_{voxel_mm:g}_{photons:g}_{seed}.npz"
    rng = np.random.default_rng(seed)
    stopped = int(rng.integers(20, len(scan) - 20 - _REPEATED))
    if not file.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that voxels are not quite cubes is no news for each of 41 volumes
            scene = scene_of_volume(path, scan, GreyScale(mu_max=MU_MAX))
        x, y, z = (c + o for c, o in zip(scene.grid.center_mm, rng.uniform(-1, 1, 3) * OFF_CENTER_MM * voxel_mm / 0.2226, strict=True))
        grid = Grid(scene.grid.shape, scene.grid.voxel_mm, (x, y, z))
        sound = simulate(scene.volume, grid, scan, seed=seed, photons=photons)
        still = simulate(scene.volume, grid, scan[[stopped] * _REPEATED], seed=seed + 1, photons=photons)
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, sound=sound.values, still=still.values)
    with np.load(file) as arrays:
        return Simulated(Projections(arrays["sound"], scan), stopped, arrays["still"])


def faulty(given: Simulated, count: int) -> Iterator[tuple[str, str, Projections]]:
    """(fault, the suspicion that it should raise, the scan) for ``count`` even views."""
    scan, index = given.sound.scan, views.evenly(given.sound.scan, count)
    part = given.sound[index]
    values, small = part.values, part.scan
    pixel = float(np.linalg.norm(scan.u, axis=1).mean())
    yield "none", "", part
    for sign in (1, -1):
        yield f"axis {sign * _AXIS_PX:+g} px", "axis", Projections(values, correct(small, sign * _AXIS_PX * pixel))
        further = travelled_deg(small) * sign * _STEP_PERCENT / 100
        yield f"step {sign * _STEP_PERCENT:+g} %", "step", Projections(values, turn_views(small, further))
    yield f"roll {_ROLL_DEG:g} deg", "roll", Projections(values, correct(small, 0, 0, _ROLL_DEG))
    yield "columns flipped", "sense", Projections(values[:, :, ::-1], small)
    yield "counts inverted", "inverted", Projections(inverted(values), small)
    start = given.stopped * count // len(scan)
    start = min(start, count - _REPEATED - 1)
    repeated = values.copy()
    repeated[start : start + _REPEATED] = values[start]
    yield f"{_REPEATED} views repeat", "repeated", Projections(repeated, small)
    whole = given.sound.values.copy()
    whole[given.stopped : given.stopped + _REPEATED] = given.still
    name = f"stage still for {_REPEATED} of {len(scan)}"
    yield name, "repeated", Projections(whole[index], small)


def inverted(values: np.ndarray) -> np.ndarray:
    """Line integrals of a scan whose 16-bit counts were inverted (air at 57 000 of 65 535)."""
    counts = 65535.0 - np.clip(57000.0 * np.exp(-values.astype(np.float64)), 0, 65534)
    return np.log(np.percentile(counts, 99.9) / counts).astype(np.float32)


def judged(name: str, count: int, given: Simulated, pixels: int) -> Iterator[Result]:
    """The results of all faults of one volume, reconstructed on voxels of so many detector pixels."""
    grid = Grid.fit(given.sound.scan)
    grid = grid.coarser(pixels) if pixels > 1 else grid
    for fault, expected, projections in faulty(given, count):
        start = time.process_time()
        volume = fdk(projections, grid)
        middle = time.process_time()
        check = self_check(projections, volume, grid)
        end = time.process_time()
        names = tuple(s.name for s in check.suspicions)
        yield Result(name, count, fault, expected, check.level, names, check.error, check.contradiction, end - middle, middle - start)


def table(results: Sequence[Result]) -> str:
    """One line a fault and number of views: warned, and named rightly, of how many; least and largest figures; median seconds."""
    lines = ["| views | fault | warned | named first | contradiction % | error % | check (FDK) CPU s |", "|---|---|---|---|---|---|---|"]
    groups: dict[tuple[int, str], list[Result]] = {}
    for r in results:
        groups.setdefault((r.views, r.fault), []).append(r)
    for (count, fault), some in groups.items():
        warned, named = (f"{n} of {len(some)}" for n in (sum(r.warned for r in some), sum(r.named for r in some)))
        spans = " | ".join(_span([getattr(r, name) for r in some]) for name in ("contradiction", "error"))
        seconds = f"{np.median([r.cpu_seconds for r in some]):.2f} ({np.median([r.fdk_cpu_seconds for r in some]):.2f})"
        lines.append(f"| {count} | {fault} | {warned} | {named if fault != 'none' else ''} | {spans} | {seconds} |")
    return "\n".join(lines)


def _span(shares: Sequence[float]) -> str:
    low, high = (100 * float(x) for x in np.nanpercentile(shares, (0, 100)))
    return f"{low:.1f} to {high:.1f}"


def main(words: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of volumes, *.nii.gz")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for the simulated scans")
    parser.add_argument("--volumes", nargs="*", help="names without .nii.gz; default: all")
    parser.add_argument("--views", nargs="+", type=int, default=[260, 26])
    parser.add_argument("--cols", type=int, default=192)
    parser.add_argument("--voxel-mm", type=float, help="pixel at the axis; default: 0.2226 mm at 192 columns")
    parser.add_argument("--photons", type=float, default=20_000.0)
    parser.add_argument("--voxel-pixels", type=int, default=2, help="voxel edge of FDK in detector pixels; 1 to see what the check costs")
    args = parser.parse_args(words)
    paths = sorted(args.data.glob("*.nii.gz"))
    if args.volumes:
        paths = [args.data / f"{name}.nii.gz" for name in args.volumes]
    if not paths:
        raise InputError(f"{args.data} holds no *.nii.gz", expected="a folder of volumes")
    args.cache.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    results: list[Result] = []
    for seed, path in enumerate(paths):
        given = simulated(path, args.cache, args.cols, args.voxel_mm or 0.2226 * 192 / args.cols, args.photons, seed)
        for count in args.views:
            for result in judged(path.name.split(".nii")[0], count, given, args.voxel_pixels):
                results.append(result)
                if result.warned != bool(result.expected) or (result.expected and not result.named):
                    print(result, file=sys.stderr, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
