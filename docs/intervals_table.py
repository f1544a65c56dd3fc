"""The table of docs/intervals.md: how often the conformal intervals of voxels hold, on objects that took no part in making them.

    python docs/intervals_table.py --heads FOLDER_OF_NIFTI

The scans are those of tvnet_table.py. "Half width" is 1.645 std, its mean over the object, divided by the root mean square error there.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from fewview.nerf.spread.std import conformal_std

SHOWN = ("head LG.J", "head NU_J", "bone 1002")
METHODS = ("pdhg_tv", "tvnet")


def scans() -> Any:
    """The module tvnet_table.py, which lies beside this file."""
    spec = importlib.util.spec_from_file_location("tvnet_table", Path(__file__).with_name("tvnet_table.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)

    sys.modules["tvnet_table"] = module
    spec.loader.exec_module(module)
    return module


def row(case: Any, method: str) -> tuple[float, float, float]:
    """The share of the object's voxels inside their intervals, that of all voxels that all views see, and the half width."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rec = conformal_std(case.given, method, case.grid, check=False)
    half, error = 1.645 * np.asarray(rec.std), np.abs(rec.volume - case.truth)
    seen = case.grid.seen_by_all(case.given.scan)
    wide = float(half[case.inside].mean() / np.sqrt((error[case.inside] ** 2).mean()))
    return float((error <= half)[case.inside].mean()), float((error <= half)[seen].mean()), wide


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--views", type=int, nargs="+", default=[13, 26, 52])
    chosen, table = parser.parse_args(), scans()
    print("| scan | " + " | ".join(f"{m}: inside, object | seen by all | half width" for m in METHODS) + " |", flush=True)
    print("|---" * (1 + 3 * len(METHODS)) + "|", flush=True)
    rows = [tuple(name.split()) for name in SHOWN]
    for case in table.cases(chosen.heads, rows, chosen.size, chosen.views, others=False):
        cells = [f"{inside:.3f} | {all_seen:.3f} | {wide:.1f}" for inside, all_seen, wide in (row(case, m) for m in METHODS)]
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
