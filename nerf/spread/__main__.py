"""Make the spreads again: ``python -m fewview.nerf.spread --out spreads.json``, for the weights that are shipped now."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ...base.files import atomic_path, refuse_existing
from ...base.settings import Count, run_program
from ...geometry import views
from ...recon import reconstruct
from ..procedural.example import procedural_example
from ..training.bank import Bank
from ..weights import SHA256
from .fitted import Errors, errors_of, fitted
from .learned import written

METHODS = ("pdhg_tv", "tvnet")
SEEDS_FROM = 200_000  # no weights were trained on these scans
COUNTS = (13, 18, 26, 36, 52)


def main(out: Path, scans: Count = 34, weights: Path | None = None, bank: Path | None = None, force: bool = False) -> None:
    """Learn the errors of each method on half of some procedural scans, scale them on the other half, and write both.

    Args:
        out: the .json file to write.
        scans: number of procedural scans, each with two numbers of views.
        weights: weights of tvnet as they are to be shipped, by default those that are.
        bank: folder where the scans are kept.
        force: replace the output if fewview wrote it.
    """
    refuse_existing(out, force)
    kept = Bank(folder=bank)
    own: dict[str, dict[str, Any]] = {"tvnet": {"checkpoint": weights}} if weights else {}
    hashes = {**SHA256, **({"tvnet": hashlib.sha256(weights.read_bytes()).hexdigest()} if weights else {})}
    halves: dict[str, tuple[list[Errors], list[Errors]]] = {name: ([], []) for name in METHODS}
    for number in range(scans):
        example = procedural_example(SEEDS_FROM + number, kept)
        for count in (COUNTS[2 * number % 5], COUNTS[(2 * number + 1) % 5]):
            given = example.projections[views.evenly(example.projections.scan, count)]
            seen = example.grid.seen_by_all(given.scan)
            for name in METHODS:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    volume = reconstruct(given, name, example.grid, check=False, **own.get(name, {})).volume
                found = errors_of(given, example.grid, volume, example.reference, seen, np.random.default_rng([number, count]))
                halves[name][number % 2].extend([found] if found else [])
        print(f"scan {number + 1} of {scans}", flush=True)
    made = {name: fitted(teachers, judges, hashes.get(name, "")) for name, (teachers, judges) in halves.items()}
    with atomic_path(out, force=force) as temporary:
        temporary.write_text(written(made))
    print(f"wrote {out}")


if __name__ == "__main__":
    run_program(main)
