"""A drawing of a scan from above and from the side, to scale, as SVG text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from ..base.outputs.ownership import SIGNATURE
from .grid import Grid

if TYPE_CHECKING:
    from .scan import Scan

_SIZE, _MARGIN = 420, 32
_SOURCE, _PANEL, _GRID, _RAY = "#c2410c", "#1d4ed8", "#15803d", "#94a3b8"


def draw_svg(scan: Scan, grid: Grid | None = None, *, title: str = "") -> str:
    """The drawing as SVG text; no file is written. The left half looks along -z, the right half along +y.

    It shows sources, panels, the fan of the first view and the box of the grid. At most about 60 panels are drawn, and those of the first
    view are thick. Each half is to scale and has a scale bar; a legend explains the marks.
    """
    grid = Grid.fit(scan) if grid is None else grid
    corners = _panel_corners(scan)
    shown = np.unique(np.linspace(0, len(scan) - 1, min(len(scan), 60)).round().astype(int))
    wide, high = 2 * _SIZE, _SIZE + 84
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" font-family="sans-serif" '
        'font-size="12">',
        f"<title>{escape(title or 'scan geometry')}</title>",
        f"<desc>{SIGNATURE}</desc>",
        f'<rect width="{wide}" height="{high}" fill="white"/>',
        _plane(scan, grid, corners, shown, (0, 1), "from above (x right, y up)", 0),
        _plane(scan, grid, corners, shown, (0, 2), "from the side (x right, z up)", _SIZE),
        _legend(_SIZE + 12, many=len(scan) > 1),
        f'<text x="{_MARGIN}" y="{_SIZE + 48}">{escape(title)}</text>' if title else "",
        f'<text x="{_MARGIN}" y="{_SIZE + 68}" font-size="10">{escape(str(scan))}</text>',
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _legend(y: int, many: bool) -> str:
    """One line with the marks and their meanings."""
    first = " (first view: large)" if many else ""
    thick = " (first view: thick)" if many else ""
    marks = [
        (f'<ellipse cx="{{x}}" cy="{y}" rx="4" ry="4" fill="{_SOURCE}"/>', f"source{first}"),
        (f'<path d="M{{left}} {y} h16" stroke="{_PANEL}" stroke-width="2"/>', f"detector{thick}"),
        (f'<path d="M{{left}} {y} h16" stroke="{_RAY}"/>', "rays to the corners of its detector" if not many else "rays of the first view"),
        (
            f'<rect x="{{left}}" y="{y - 6}" width="16" height="12" fill="{_GRID}" fill-opacity="0.15" stroke="{_GRID}"/>',
            "volume to reconstruct",
        ),
    ]
    parts, left = [], float(_MARGIN)
    for mark, text in marks:
        parts.append(mark.format(x=left + 8, left=left) + f'<text x="{left + 22:g}" y="{y + 4}" font-size="11">{escape(text)}</text>')
        left += 46 + 5.4 * len(text)
    return "\n".join(parts)


def _scale_bar(mm_to_px: float, left: float) -> str:
    """A scale bar of a round length, at most a quarter of the plane, in its lower left corner."""
    length_mm = _round_length(_SIZE / 4 / mm_to_px)
    x, y, long = left + _MARGIN, _SIZE - 10, length_mm * mm_to_px
    bar = f'<path d="M{x:g} {y - 4} v8 m0 -4 h{long:.2f} m0 -4 v8" fill="none" stroke="black" stroke-width="1.5"/>'
    return f'{bar}\n<text x="{x + long + 6:.2f}" y="{y + 4}">{length_mm:g} mm</text>'


def _round_length(most_mm: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50 ... that does not exceed the given length.

    >>> [_round_length(x) for x in (0.3, 7.0, 49.0)]
    [0.2, 5.0, 20.0]
    """
    ten = 10.0 ** math.floor(math.log10(most_mm))
    return max(step * ten for step in (1.0, 2.0, 5.0) if step * ten <= most_mm)


def _panel_corners(scan: Scan) -> NDArray[np.float64]:
    """The corners of each panel in order around it, (n, 4, 3) in mm."""
    rows, cols = scan.shape
    across, up = scan.u * cols / 2, scan.v * rows / 2
    return np.stack([scan.detector + a * across + b * up for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))], axis=1)


def _box(grid: Grid) -> NDArray[np.float64]:
    half, center = np.array(grid.size_mm) / 2, np.array(grid.center_mm)
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    return center + signs * half


def _plane(
    scan: Scan, grid: Grid, corners: NDArray[np.float64], shown: NDArray[np.intp], axes: tuple[int, int], label: str, left: int
) -> str:
    pick = list(axes)
    every = np.concatenate([scan.source[:, pick], corners[..., pick].reshape(-1, 2), _box(grid)[:, pick]])
    low, high = every.min(axis=0), every.max(axis=0)
    scale = (_SIZE - 2 * _MARGIN) / max(float((high - low).max()), 1e-9)
    middle = (low + high) / 2

    def at(points: NDArray[np.float64]) -> str:
        xy = (np.atleast_2d(points)[:, pick] - middle) * scale
        return " ".join(f"{left + _SIZE / 2 + x:.2f},{_SIZE / 2 - y:.2f}" for x, y in xy)

    low_box, high_box = _box(grid)[0], _box(grid)[7]
    box = np.array([low_box, low_box, high_box, high_box])
    box[1, axes[0]], box[3, axes[0]] = high_box[axes[0]], low_box[axes[0]]
    box[1, axes[1]], box[3, axes[1]] = low_box[axes[1]], high_box[axes[1]]
    lines = [f'<polyline points="{at(np.stack([scan.source[0], corner]))}" fill="none" stroke="{_RAY}"/>' for corner in corners[0]]
    lines += [f'<polygon points="{at(corners[i])}" fill="none" stroke="{_PANEL}" stroke-width="0.5" opacity="0.5"/>' for i in shown]
    lines.append(f'<polygon points="{at(corners[0])}" fill="none" stroke="{_PANEL}" stroke-width="2"/>')
    lines.append(f'<polygon points="{at(box)}" fill="{_GRID}" fill-opacity="0.15" stroke="{_GRID}"/>')
    for i in shown:
        x, y = at(scan.source[i]).split(",")
        lines.append(f'<circle cx="{x}" cy="{y}" r="{4 if i == 0 else 1.5}" fill="{_SOURCE}"/>')
    lines.append(f'<text x="{left + _MARGIN}" y="18">{escape(label)}</text>')
    lines.append(_scale_bar(scale, left))
    return "\n".join(lines)


def save_svg(path: str | Path, scan: Scan, grid: Grid | None = None, *, title: str = "") -> Path:
    """Write `draw_svg` to a new file; FileExistsError where the file exists already."""
    path = Path(path)
    with path.open("x", encoding="utf-8") as stream:
        stream.write(draw_svg(scan, grid, title=title))
    return path
