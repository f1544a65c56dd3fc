"""Views and grids in a few words of text, as plans and the command line state them: "26", "every:10", "NZ,NY,NX", a box in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base import InputError, UnknownNameError
from ..base.shapes import ViewIndices
from ..geometry import Grid, Scan, views

VIEWS_HELP = "26 (evenly spread), every:10, random:26[:SEED], wedge:90[:START_DEG], or all"
_VIEWS = {"all": (0, 0), "evenly": (1, 1), "every": (1, 1), "random": (1, 2), "wedge": (1, 2)}
_SHAPE_HELP = "three whole numbers NZ,NY,NX such as 128,192,192"
_BOX_HELP = "X0:X1,Y0:Y1,Z0:Z1 in mm with X0 < X1, such as -5:5,-5:5,0:8"


@dataclass(frozen=True)
class ViewChoice:
    """A choice of views: ``kind`` is all, evenly, every, random or wedge, and ``numbers`` is what follows it. `parse_views` makes it from
    text.
    """

    kind: str
    numbers: tuple[float, ...] = ()

    def of(self, scan: Scan) -> ViewIndices:
        """The indices of the chosen views of this scan; InputError where it does not have so many."""
        try:
            return self._of(scan)
        except InputError as error:
            raise InputError(f"--views {self}: {error.given}", expected=error.expected, remedy=error.remedy) from None

    def __str__(self) -> str:
        words = [f"{n:g}".replace("e+0", "e") for n in self.numbers]
        return ":".join(words if self.kind == "evenly" else [self.kind, *words])

    def _of(self, scan: Scan) -> ViewIndices:
        if self.kind == "all":
            return np.arange(len(scan))
        if self.kind == "wedge":
            return views.wedge(scan, *self.numbers)
        choose = {"evenly": views.evenly, "every": views.every, "random": views.random}[self.kind]
        return choose(scan, *map(int, self.numbers))


def parse_views(text: str) -> ViewChoice:
    """The choice that the text of ``--views`` states, before there is a scan.

    >>> parse_views("random:26:7")
    ViewChoice(kind='random', numbers=(26.0, 7.0))
    """
    kind, *numbers = text.strip().lower().split(":")
    if kind in ("", "all") and not numbers:
        return ViewChoice("all")
    if kind not in _VIEWS:
        if kind.isalpha():
            raise UnknownNameError("view selection of --views", kind, _VIEWS)
        kind, numbers = "evenly", [kind, *numbers]
    least, most = _VIEWS[kind]
    if not least <= len(numbers) <= most:
        raise InputError(f"--views {text}", expected=VIEWS_HELP)
    found = tuple(number(item, f"--views {text}", VIEWS_HELP) for item in numbers)
    if kind != "wedge" and any(n != int(n) for n in found):
        raise InputError(f"--views {text}", expected=f"a whole number in {VIEWS_HELP}")
    if (found and found[0] <= 0) or (kind == "random" and min(found) < 0):
        raise InputError(f"--views {text}", expected=f"counts, steps and degrees above 0, and seeds from 0, in {VIEWS_HELP}")
    return ViewChoice(kind, found)


def select_views(scan: Scan, text: str) -> ViewIndices:
    """The indices of the views that ``--views`` asks for.

    >>> from fewview.geometry import skyscan_1276
    >>> select_views(skyscan_1276(rows=2, cols=3, voxel_mm=1.0), "every:100").tolist()
    [0, 100, 200]
    """
    return parse_views(text).of(scan)


@dataclass(frozen=True)
class GridChoice:
    """A choice of voxels: ``shape`` (nz, ny, nx) about the axis, or ``box_mm`` ((x0, x1), (y0, y1), (z0, z1)), or
    the scan's field of view.
    """

    voxel_mm: float | None = None
    shape: tuple[int, int, int] | None = None
    box_mm: tuple[tuple[float, float], ...] | None = None

    def of(self, scan: Scan) -> Grid:
        """The grid for this scan. The edge of a voxel defaults to the detector pixel scaled to the axis."""
        fit = Grid.fit(scan, self.voxel_mm)
        if self.shape is not None:
            return Grid(self.shape, fit.voxel_mm, fit.center_mm)
        if self.box_mm is None:
            return fit
        nx, ny, nz = (max(1, round((high - low) / fit.voxel_mm)) for low, high in self.box_mm)
        x, y, z = ((low + high) / 2 for low, high in self.box_mm)
        return Grid((nz, ny, nx), fit.voxel_mm, (x, y, z))


def parse_grid(voxel_mm: float | None = None, shape: str = "", box: str = "") -> GridChoice:
    """The choice that ``--voxel-mm``, ``--grid NZ,NY,NX`` and ``--box X0:X1,Y0:Y1,Z0:Z1`` (mm) state, before there is a scan.

    >>> parse_grid(0.5, shape="4,5,6")
    GridChoice(voxel_mm=0.5, shape=(4, 5, 6), box_mm=None)
    """
    if shape and box:
        raise InputError("--grid and --box together", expected="one of them")
    if voxel_mm is not None and not (np.isfinite(voxel_mm) and voxel_mm > 0):
        raise InputError(f"voxel_mm is {voxel_mm}", expected="a positive length in mm")
    return GridChoice(voxel_mm, _shape(shape) if shape else None, _box(box) if box else None)


def make_grid(scan: Scan, voxel_mm: float | None, shape: str, box: str) -> Grid:
    """The grid that `parse_grid` and this scan give."""
    return parse_grid(voxel_mm, shape, box).of(scan)


def _shape(text: str) -> tuple[int, int, int]:
    sizes = [number(item, f"--grid {text}", _SHAPE_HELP) for item in text.split(",")]
    if len(sizes) != 3 or any(n != int(n) for n in sizes):
        raise InputError(f"--grid {text}", expected=_SHAPE_HELP)
    if min(sizes) < 1:
        raise InputError(f"--grid {text}", expected="three positive whole numbers NZ,NY,NX")
    nz, ny, nx = map(int, sizes)
    return nz, ny, nx


def _box(text: str) -> tuple[tuple[float, float], ...]:
    spans = [[number(end, f"--box {text}", _BOX_HELP) for end in span.split(":")] for span in text.split(",")]
    if len(spans) != 3 or any(len(span) != 2 or span[0] >= span[1] for span in spans):
        raise InputError(f"--box {text}", expected=_BOX_HELP)
    return tuple((low, high) for low, high in spans)


def number(text: str, argument: str, expected: str) -> float:
    """A finite number, or an InputError that names the argument."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{argument}: {text!r} is not a number", expected=expected)
    return value
