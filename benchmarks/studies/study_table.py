"""The studies of `fewview bench`. A new study is a file with a `Study`, and a line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...base import InputError, UnknownNameError

if TYPE_CHECKING:
    from ..sweeps.study import Study


@dataclass(frozen=True)
class Place:
    """Where a study is (``module:attribute`` in this folder, imported when it is asked for), and the question it answers, in one line."""

    place: str
    summary: str


STUDIES = {
    "table2": Place("table2:TABLE2", "the paper's Table 2 beside ours, per protocol"),
    "views": Place("table2:VIEWS", "quality against number of views and dose"),
    "classical": Place("classical:STUDY", "classical methods, tuned from the data alone, on simulated scans of real volumes"),
    "calibration": Place("calibration:STUDY", "how well self-calibration finds a known misalignment"),
    "self_check": Place("self_check:STUDY", "which faults the self-check finds, and whether it leaves sound scans alone"),
    "intervals": Place("intervals:STUDY", "what the standard deviations are worth where the truth is known"),
    "time": Place("time_to_quality:STUDY", "how long a method takes to come close to where it converges"),
    "bone_poses": Place("bone_poses:STUDY", "whether bones, motions and landmarks are found however an animal lies"),
    "bone_views": Place("bone_views:STUDY", "how many views a quantity of bone needs"),
    "rtk": Place("rtk:STUDY", "itk-rtk beside fewview: quality against seconds"),
}


def find_study(name: str) -> Study:
    """The study with this name; UnknownNameError with the nearest names."""
    if name not in STUDIES:
        raise UnknownNameError("study", name, STUDIES)
    module, _, attribute = STUDIES[name].place.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), attribute)


def write_page(results: str | Path, out: str | Path | None = None, *, force: bool = False) -> Path:
    """Write the page of a results folder, by default as ``report.html`` in it, for any study."""
    from ..pages.report import write_report
    from ..pages.study_page import write_study_page
    from ..sweeps.results import STATE, read_state

    name = read_state(results).study
    if name not in STUDIES:
        raise InputError(f"{Path(results) / STATE}: study is {name!r}", expected=f"one of {', '.join(STUDIES)}")
    if name in ("table2", "views"):
        return write_report(results, out, force=force)
    return write_study_page(find_study(name), results, out, force=force)
