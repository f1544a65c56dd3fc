"""How well `fewview.recon.calibrate` finds a known misalignment: simulated scans of real volumes, several numbers of views.

``python -m fewview.benchmarks.studies.calibration_table --data FOLDER --views 260 52 26 --keep runs.jsonl --out docs/calibration_table.md``

A scan whose line is in ``--keep`` already is not made again: kill it at any time and start it again. One file a table: the lines do not
say which code made them.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...base import InputError
from ...base.files import atomic_path, refuse_existing
from ...base.plain import from_json, to_json
from ...data import Projections
from ...geometry import Grid, Scan, skyscan_1276, views
from ...geometry.transform import correct, reverse_rotation
from ...recon import calibrate, simulate
from ..datasets.subjects import scene_of_volume

MU_MAX, ROWS, COLS, PIXEL_MM = 0.20, 128, 192, 0.2226
SHIFT_PX, ROLL_DEG, OFF_CENTER_MM = 4.0, 0.8, 1.0  # of either sign, drawn evenly
LIMITS = {260: (0.1, 0.3, 0.03), 52: (0.1, 0.3, 0.03), 26: (0.2, np.inf, np.inf)}  # axis px, row px, roll deg
_NAMES = ("axis_px", "row_px", "roll_deg")


@dataclass(frozen=True)
class Trial:
    """One volume and the misalignment it is scanned with; ``off_center_mm`` is how far off the axis (x, y) and the middle (z) it lies."""

    volume: str
    axis_px: float
    row_px: float
    roll_deg: float
    reversed: bool
    off_center_mm: tuple[float, float, float]
    seed: int

    @classmethod
    def draw(cls, volume: str, seed: int, place: int) -> Trial:
        """The misalignment of volume number ``place`` of a table with this seed."""
        rng = np.random.default_rng([seed, place])
        axis, row, roll = (float(x) for x in rng.uniform(-1, 1, 3) * (SHIFT_PX, SHIFT_PX, ROLL_DEG))
        x, y, z = (float(x) for x in rng.uniform(-OFF_CENTER_MM, OFF_CENTER_MM, 3))
        return cls(volume, axis, row, roll, bool(rng.random() < 0.5), (x, y, z), int(rng.integers(2**31)))


@dataclass(frozen=True)
class Run:
    """What calibration made of a scan: error = found - true, and its own estimate of the error; pixels and degrees."""

    volume: str
    views: int
    axis_px: float
    row_px: float
    roll_deg: float
    axis_se_px: float
    row_se_px: float
    roll_se_deg: float
    sense_right: bool
    true: tuple[float, float, float]
    cpu_seconds: float

    @property
    def within(self) -> bool:
        """Whether the limits for this number of views are kept."""
        limits = LIMITS.get(self.views, LIMITS[26])
        return self.sense_right and all(abs(getattr(self, name)) <= limit for name, limit in zip(_NAMES, limits, strict=True))


def nominal_scan() -> Scan:
    """The 1276 of BoneMet, binned to 128 x 192 pixels: 260 views, 208 deg."""
    return skyscan_1276(rows=ROWS, cols=COLS, voxel_mm=PIXEL_MM)


def misaligned(path: Path, trial: Trial) -> Projections:
    """The volume's scan under the trial's misalignment with the simulator's default physics and noise, in the nominal geometry."""
    nominal = nominal_scan()
    scene = scene_of_volume(path, nominal, MU_MAX)
    x, y, z = (c + o for c, o in zip(scene.grid.center_mm, trial.off_center_mm, strict=True))
    base = reverse_rotation(nominal) if trial.reversed else nominal
    true = correct(base, trial.axis_px * PIXEL_MM, trial.row_px * PIXEL_MM, trial.roll_deg)
    p = simulate(scene.volume, Grid(scene.grid.shape, scene.grid.voxel_mm, (x, y, z)), true, seed=trial.seed)
    return Projections(p.values, nominal)


def run(p: Projections, trial: Trial, count: int) -> Run:
    """Calibrate from ``count`` even views."""
    start = time.process_time()
    found = calibrate(p[views.evenly(p.scan, count)])
    seconds = time.process_time() - start
    got = np.array([found.axis_shift_mm / PIXEL_MM, found.row_shift_mm / PIXEL_MM, found.roll_deg])
    true = (trial.axis_px, trial.row_px, trial.roll_deg)
    errors = [found.errors[name] for name in ("axis_shift_mm", "row_shift_mm", "roll_deg")]
    own = np.array(errors) / (PIXEL_MM, PIXEL_MM, 1.0)
    axis, row, roll, *se = (float(x) for x in (*(got - true), *own))
    return Run(trial.volume, count, axis, row, roll, se[0], se[1], se[2], found.reversed == trial.reversed, true, seconds)


def runs_of(paths: Sequence[Path], counts: Sequence[int], seed: int, keep: Path) -> list[Run]:
    """All runs, those of ``keep`` and those that were missing there; each is written down as soon as it is done."""
    done = [from_json(line) for line in keep.read_text(encoding="utf-8").splitlines()] if keep.exists() else []
    known = {(d["volume"], d["views"]): Run(**{**d, "true": tuple(d["true"])}) for d in done}
    out = []
    for place, path in enumerate(paths):
        name = path.name.split(".nii")[0]
        p = None
        for count in counts:
            found = known.get((name, count))
            if found is None:
                trial = Trial.draw(name, seed, place)
                p = misaligned(path, trial) if p is None else p
                found = run(p, trial, count)
                with keep.open("a", encoding="utf-8") as file:
                    file.write(to_json(found) + "\n")
                print(found, file=sys.stderr, flush=True)
            out.append(found)
    return out


def summary(runs: Sequence[Run]) -> str:
    """One line a number of views: largest and root-mean-square errors."""
    lines = ["| views | scans | axis px: max (rms) | row px: max (rms) | roll deg: max (rms) | sense right | within | CPU s |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for count in dict.fromkeys(r.views for r in runs):
        some = [r for r in runs if r.views == count]
        cells = []
        for name in _NAMES:
            x = np.array([getattr(r, name) for r in some])
            cells.append(f"{np.abs(x).max():.3f} ({np.sqrt((x**2).mean()):.3f})")
        right, within = sum(r.sense_right for r in some), sum(r.within for r in some)
        seconds = float(np.median([r.cpu_seconds for r in some]))
        lines.append(f"| {count} | {len(some)} | {' | '.join(cells)} | {right} of {len(some)} | {within} of {len(some)} | {seconds:.1f} |")
    return "\n".join(lines)


def details(runs: Sequence[Run]) -> str:
    """One line a scan: the true values, and error ± calibration's own standard error."""
    lines = ["| volume | views | true axis, row px, roll deg | axis px | row px | roll deg | sense |", "|---|---|---|---|---|---|---|"]
    for r in sorted(runs, key=lambda r: (-r.views, r.volume)):
        true = "{:+.2f}, {:+.2f}, {:+.2f}".format(*r.true)
        cells = [f"{e:+.3f} ± {s:.3f}" for e, s in ((r.axis_px, r.axis_se_px), (r.row_px, r.row_se_px), (r.roll_deg, r.roll_se_deg))]
        lines.append(f"| {r.volume} | {r.views} | {true} | {' | '.join(cells)} | {'right' if r.sense_right else 'WRONG'} |")
    return "\n".join(lines)


def page(runs: Sequence[Run], command: str) -> str:
    """The kept page."""
    limits = "axis 0.1 px, row 0.3 px, roll 0.03 deg from 260 and from 52 views, axis 0.2 px from 26, and the sense of rotation"
    return f"""# Self-calibration on simulated scans of real volumes

`{command}`

{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, {os.environ.get("NUMBA_NUM_THREADS", "all")} thread(s).
Real mouse heads (one animal a strain; grey/255 x {MU_MAX:g} 1/mm), scanned by `fewview.recon.simulate` with its default physics (50 kVp
spectrum, soft tissue and bone, 20 000 photons, electronic noise, blur, gain errors, dead pixels, scatter, drift of the tube) on a
SkyScan 1276 of {ROWS} x {COLS} pixels of {PIXEL_MM:g} mm at the axis, 260 views over 208 deg. Axis and row shift (up to
{SHIFT_PX:g} px), roll (up to {ROLL_DEG:g} deg), sense of rotation and position (up to {OFF_CENTER_MM:g} mm off) are drawn at random, and
unknown to `calibrate`. Error = found - true; ± is what calibration itself says. Limits: {limits}.

{summary(runs)}

## Each scan

{details(runs)}
"""


def main(words: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of volumes, *.nii.gz")
    parser.add_argument("--volumes", nargs="*", help="names without .nii.gz; default: 20, evenly over the sorted folder")
    parser.add_argument("--views", nargs="+", type=int, default=[260, 52, 26])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, required=True, help="JSON lines, one a scan; those that are there are not made again")
    parser.add_argument("--out", type=Path, help="write the page here; it must not be there yet")
    args = parser.parse_args(words)
    paths = sorted(args.data.glob("*.nii.gz"))
    if args.volumes:
        paths = [args.data / f"{name}.nii.gz" for name in args.volumes]
    elif len(paths) > 20:
        paths = [paths[i * len(paths) // 20] for i in range(20)]
    if not paths:
        raise InputError(f"{args.data} holds no *.nii.gz", expected="a folder of volumes")
    if args.out:
        refuse_existing(args.out, force=False)
    runs = runs_of(paths, args.views, args.seed, args.keep)
    print(summary(runs))
    if args.out:
        command = f"python -m fewview.benchmarks.studies.calibration_table {shlex.join(sys.argv[1:] if words is None else words)}"
        with atomic_path(args.out) as temporary:
            temporary.write_text(page(runs, command), encoding="utf-8")


if __name__ == "__main__":
    main()
