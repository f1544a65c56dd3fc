"""`fewview report`: the results of a benchmark as one page."""

from __future__ import annotations

from pathlib import Path

import tyro

from ..benchmarks.studies.study_table import write_page
from .options import MaybePath


def report(results: tyro.conf.Positional[Path], *, out: MaybePath = None, force: bool = False) -> None:
    """Make one self-contained page from the records of a benchmark.

    Examples:
      fewview report results
      fewview report results --out table2.html --force

    Args:
        results: the folder that `fewview bench` wrote to.
        out: the page; by default RESULTS/report.html.
        force: replace the page if it exists, but only one that fewview wrote (docs/outputs.md).
    """
    print(f"wrote {write_page(results, out, force=force)}")
