"""What a public board is: scenes of a data set, a measure that others use too, published rows, and the page that shows ours beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...base import InputError
from ...recon import load_method
from .published import PublishedRow

Say = Callable[[str], object]
TUNED = "its strength chosen from the views alone"
SELF_TUNED = ("fista_tv", "pdhg_tv", "wcrr")


class Result(NamedTuple):
    """One score of a method on a scene: in which case (views, degrees, voxels), how good, in how many seconds, and a remark."""

    case: int
    value: float
    seconds: float
    remark: str = ""


@dataclass(frozen=True)
class Score:
    """A `Result` with its scene and method; ``failed`` says why there is none."""

    scene: str
    method: str
    case: int = 0
    value: float = float("nan")
    seconds: float = float("nan")
    remark: str = ""
    failed: str = ""


@dataclass(frozen=True)
class Board:
    """A public data set as a board.

    ``scenes(folder)`` are its scenes, and ``score(scene, method)`` yields the results of one method on one of them. ``measure`` says in a
    sentence what is measured, and ``column`` heads it (more is better); ``cases`` is the heading of a table with {} for the case.
    ``methods`` are those shown unless others are asked for, ``known(name)`` refuses a name that is none. ``published`` has the rows of
    others, and ``unpublished`` is said where there is none.
    """

    name: str
    measure: str
    column: str
    cases: str
    scenes: Callable[[Path], list[Path]]
    score: Callable[[Path, str], Iterator[Result]]
    methods: tuple[str, ...]
    published: tuple[PublishedRow, ...] = ()
    unpublished: str = "No published row is known for {}."
    known: Callable[[str], object] = load_method


def score_scenes(board: Board, root: str | Path, methods: Sequence[str] = (), say: Say = print) -> list[Score]:
    """Every method on every scene. What fails on a scene is named in its score; the others are made all the same.

    FileNotFoundError for no folder, InputError for one without a scene.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; expected scenes of the board {board.name}")
    scores = []
    for scene in board.scenes(root):
        for method in methods or board.methods:
            say(f"{scene.name}: {method}")
            this = Score(scene.name, method)
            try:
                for result in board.score(scene, method):
                    scores.append(replace(this, **result._asdict()))
            except (InputError, FileNotFoundError) as error:
                scores.append(replace(this, failed=str(error)))
    return scores


def board_page(board: Board, scores: Sequence[Score]) -> str:
    """Published rows and ours as Markdown, best first in each case, and what failed."""
    good = [s for s in scores if not s.failed]
    lines = [f"# Board {board.name}", "", board.measure]
    for case in sorted({s.case for s in good}, reverse=True):
        lines += _table(board, case, [s for s in good if s.case == case])
    failed = [f"* {s.scene}, {s.method}: {s.failed}" for s in scores if s.failed]
    return "\n".join([*lines, *(["", "## What failed", "", *failed] if failed else [])]) + "\n"


def _table(board: Board, case: int, scores: Sequence[Score]) -> list[str]:
    theirs = [(row.values[case], row.method, f"published: {row.of}", "", row.source) for row in board.published if case in row.values]
    ours = []
    for method in dict.fromkeys(s.method for s in scores):
        mine = [s for s in scores if s.method == method]
        value, seconds = (float(np.mean([getattr(s, key) for s in mine])) for key in ("value", "seconds"))
        remarks = dict.fromkeys([TUNED] if method in SELF_TUNED else [s.remark for s in mine if s.remark])
        ours.append((value, method, f"{len(mine)} scenes here", f"{seconds:.3g}", "; ".join(remarks)))
    head = board.cases.format(case)
    lines = ["", f"## {head}", "", f"| method | {board.column} | of | s | remark |", "|---|---|---|---|---|"]
    ranked = sorted([*theirs, *ours], key=lambda row: -np.inf if np.isnan(row[0]) else row[0], reverse=True)
    lines += [f"| {method} | {_number(value)} | {of} | {seconds} | {remark} |" for value, method, of, seconds, remark in ranked]
    return lines if theirs else [*lines, "", board.unpublished.format(head)]


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) > 1.5 else f"{value:.4f}"


def scenes_where(folder: Path, is_scene: Callable[[Path], bool], expected: str) -> list[Path]:
    """The scenes of a folder: the folder itself, or those in it. InputError for one without a scene."""
    found = [folder] if is_scene(folder) else sorted(p for p in folder.iterdir() if is_scene(p))
    if not found:
        raise InputError(f"{folder} holds no scene", expected=expected)
    return found


def checked_methods(board: Board, methods: Sequence[str]) -> Mapping[str, object]:
    """What the names of methods stand for on this board; the error of the first that it does not know."""
    return {name: board.known(name) for name in methods or board.methods}
