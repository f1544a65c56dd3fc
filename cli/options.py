"""The small languages of the command line: ``--views``, ``--set``, ``--grid`` and ``--box``."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from ..base import InputError, UnknownNameError
from ..geometry import Grid, Scan, views

MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
MaybeCount = Annotated[int | None, tyro.conf.arg(metavar="N")]
MaybeMm = Annotated[float | None, tyro.conf.arg(metavar="MM")]
Pairs = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="KEY=VALUE [KEY=VALUE ...]")]

VIEWS_HELP = "26 (evenly spread), every:10, random:26[:SEED], wedge:90[:START_DEG], or all"
_VIEWS = {"evenly": (1, 1), "every": (1, 1), "random": (1, 2), "wedge": (1, 2)}


def select_views(scan: Scan, text: str) -> NDArray[np.intp]:
    """The view indices that ``--views`` asks for.

    >>> from fewview.geometry import skyscan_1276
    >>> select_views(skyscan_1276(rows=2, cols=3, voxel_mm=1.0), "every:100").tolist()
    [0, 100, 200]
    """
    kind, *numbers = text.strip().lower().split(":")
    if kind in ("", "all") and not numbers:
        return np.arange(len(scan))
    if kind not in _VIEWS:
        if kind.isalpha():
            raise UnknownNameError("view selection", kind, ["all", *_VIEWS])
        kind, numbers = "evenly", [kind, *numbers]
    least, most = _VIEWS[kind]
    if not least <= len(numbers) <= most:
        raise InputError(f"--views {text}", expected=VIEWS_HELP)
    whole = [number(item, f"--views {text}", VIEWS_HELP) for item in numbers]
    if kind == "random":
        return views.random(scan, *(_whole(n, text) for n in whole))
    if kind == "wedge":
        return views.wedge(scan, *whole)
    return (views.evenly if kind == "evenly" else views.every)(scan, _whole(whole[0], text))


def _whole(value: float, text: str) -> int:
    if value != int(value):
        raise InputError(f"--views {text}", expected=f"a whole number in {VIEWS_HELP}")
    return int(value)


def number(text: str, argument: str, expected: str) -> float:
    """A finite number, or an InputError that names the argument."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{argument}: {text!r} is not a number", expected=expected)
    return value


def settings(pairs: Iterable[Iterable[str]]) -> dict[str, Any]:
    """``--set iterations=50 weight=1e-3`` to a mapping; values are numbers, true/false/none, lists, or text.

    >>> settings([["iterations=50", "filter=hann"], ["weight=1e-3", "positive=true"]])
    {'iterations': 50, 'filter': 'hann', 'weight': 0.001, 'positive': True}
    """
    result: dict[str, Any] = {}
    for pair in (item for group in pairs for item in group):
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InputError(f"--set {pair}", expected="key=value", remedy="give SCAN before --set")
        result[key.strip().replace("-", "_")] = _value(text.strip())
    return result


def _value(text: str) -> Any:
    if text.lower() in ("true", "false", "none", "null"):
        return {"true": True, "false": False}.get(text.lower())
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return text


def make_grid(scan: Scan, voxel_mm: float | None, shape: str, box: str) -> Grid:
    """The grid of ``--voxel-mm``, ``--grid NZ,NY,NX`` and ``--box X0:X1,Y0:Y1,Z0:Z1`` (mm); without them the scan's field of view."""
    if shape and box:
        raise InputError("--grid and --box together", expected="one of them")
    fit = Grid.fit(scan, voxel_mm)
    if shape:
        expected = "three whole numbers NZ,NY,NX such as 128,192,192"
        sizes = [number(item, f"--grid {shape}", expected) for item in shape.split(",")]
        if len(sizes) != 3 or any(n != int(n) for n in sizes):
            raise InputError(f"--grid {shape}", expected=expected)
        nz, ny, nx = (int(n) for n in sizes)
        return Grid((nz, ny, nx), fit.voxel_mm, fit.center_mm)
    if box:
        return _box_grid(box, fit.voxel_mm)
    return fit


def _box_grid(box: str, voxel_mm: float) -> Grid:
    expected = "X0:X1,Y0:Y1,Z0:Z1 in mm with X0 < X1, such as -5:5,-5:5,0:8"
    spans = [[number(end, f"--box {box}", expected) for end in span.split(":")] for span in box.split(",")]
    if len(spans) != 3 or any(len(span) != 2 or span[0] >= span[1] for span in spans):
        raise InputError(f"--box {box}", expected=expected)
    nx, ny, nz = (max(1, round((high - low) / voxel_mm)) for low, high in spans)
    x, y, z = ((low + high) / 2 for low, high in spans)
    return Grid((nz, ny, nx), voxel_mm, (x, y, z))
