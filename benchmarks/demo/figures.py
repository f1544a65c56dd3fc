"""The pictures of the demo's report, each as the bytes of a PNG: slices, differences, profiles, radiographs."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...base.shapes import Angles, AnyVolume, Image, LineIntegrals, Volume
from ...geometry import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLANES = ("axial", "coronal", "sagittal")
_PANEL_PX = 340  # wide enough for a phone at double density, small enough for thirty of them in one page
_COLOURS = ("#0b7285", "#e8590c", "#9c36b5", "#2f9e44", "#c92a2a")


@dataclass(frozen=True)
class Cut:
    """The voxel (z, y, x) through which the three orthogonal slices run, and the box of voxels around the object that is shown."""

    at: tuple[int, int, int]
    box: tuple[slice, slice, slice]

    def take(self, volume: AnyVolume, plane: str) -> Image:
        """The slice along one plane: axial (y up, x right), coronal (z up, x right) or sagittal (z up, y right)."""
        axis = PLANES.index(plane)
        index = tuple(self.at[i] if i == axis else self.box[i] for i in range(3))
        return volume[index]


def choose_cut(reference: Volume, background: float, dense: float) -> Cut:
    """Slices through the largest amounts of what is above ``dense``, cropped to what is above ``background`` and a margin of air."""
    at, box = [], []
    for axis in range(3):
        others = tuple(i for i in range(3) if i != axis)
        at.append(int((reference > dense).sum(axis=others).argmax()))
        filled = np.flatnonzero((reference > background).any(axis=others))
        margin = max(2, reference.shape[axis] // 40)
        low, high = (int(filled[0]), int(filled[-1])) if filled.size else (0, reference.shape[axis] - 1)
        box.append(slice(max(0, low - margin), min(reference.shape[axis], high + 1 + margin)))
    return Cut((at[0], at[1], at[2]), (box[0], box[1], box[2]))


def panel(image: Image, voxel_mm: float, window: tuple[float, float], colours: str = "gray") -> bytes:
    """One slice with a scale bar, in the stated window; every pixel is one voxel."""
    from matplotlib.figure import Figure

    rows, cols = image.shape
    figure = Figure(figsize=(_PANEL_PX / 100, _PANEL_PX / 100 * rows / cols), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(image, cmap=colours, vmin=window[0], vmax=window[1], origin="lower", interpolation="nearest", aspect="auto")
    ink = "white" if colours == "gray" else "black"
    bar_mm = round_number(cols * voxel_mm / 4)
    left, low = cols * 0.05, rows * 0.05
    axes.plot([left, left + bar_mm / voxel_mm], [low, low], color=ink, linewidth=3, solid_capstyle="butt")
    axes.text(left, low + rows * 0.02 + 1, f"{bar_mm:g} mm", color=ink, fontsize=11, va="bottom")
    axes.set_xlim(-0.5, cols - 0.5)
    axes.set_ylim(-0.5, rows - 0.5)
    axes.axis("off")
    return _png(figure)


def strip(images: Mapping[str, Image], voxel_mm: float, window: tuple[float, float]) -> bytes:
    """The same slice of several volumes side by side, in one window, as a picture to show elsewhere."""
    from matplotlib.figure import Figure

    rows, cols = next(iter(images.values())).shape
    width = 2.1
    figure = Figure(figsize=(width * len(images), width * rows / cols + 0.35), dpi=90, facecolor="black")
    for i, (label, image) in enumerate(images.items()):
        axes = figure.add_axes((i / len(images), 0, 0.985 / len(images), 1 - 0.35 / figure.get_figheight()))
        axes.imshow(image, cmap="gray", vmin=window[0], vmax=window[1], origin="lower", interpolation="nearest", aspect="auto")
        axes.set_title(label, color="white", fontsize=10, pad=5)
        axes.axis("off")
        if i == 0:
            bar_mm = round_number(cols * voxel_mm / 4)
            axes.plot([cols * 0.06, cols * 0.06 + bar_mm / voxel_mm], [rows * 0.03] * 2, color="white", linewidth=3, solid_capstyle="butt")
            axes.text(cols * 0.06, rows * 0.045, f"{bar_mm:g} mm", color="white", fontsize=9, va="bottom")
            axes.set_xlim(-0.5, cols - 0.5)
            axes.set_ylim(-0.5, rows - 0.5)
    return _png(figure)


def colour_bar(window: tuple[float, float], colours: str, label: str) -> bytes:
    """The colour bar of a window."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(3.4, 0.62), dpi=160)
    axes = figure.add_axes((0.06, 0.62, 0.88, 0.3))
    bar = figure.colorbar(ScalarMappable(Normalize(*window), colours), cax=axes, orientation="horizontal")
    bar.set_label(label, fontsize=8, labelpad=2)
    bar.locator = MaxNLocator(5)
    bar.ax.tick_params(labelsize=8, length=2, pad=1)
    return _png(figure)


def profile(volumes: Mapping[str, Volume], grid: Grid, cut: Cut) -> bytes:
    """The attenuation in 1/mm along x through the cut. The first volume is the truth and is drawn as a filled step."""
    from matplotlib.figure import Figure

    z, y, _ = cut.at
    figure = Figure(figsize=(7.2, 3.6), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    x_mm = grid.x_mm[cut.box[2]]
    for i, (name, volume) in enumerate(volumes.items()):
        line = volume[z, y, cut.box[2]]
        if i == 0:
            axes.fill_between(x_mm, line, step="mid", color="#dee2e6", label=name)
        else:
            axes.plot(x_mm, line, linewidth=1.3, color=_COLOURS[(i - 1) % len(_COLOURS)], label=name)
    axes.set_xlabel(f"x in mm, at y = {grid.y_mm[y]:.2f} mm, z = {grid.z_mm[z]:.2f} mm")
    axes.set_ylabel("attenuation in 1/mm")
    axes.margins(x=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return _png(figure)


def radiographs(values: LineIntegrals, angles_deg: Angles, picks: Sequence[int]) -> bytes:
    """Some of the projections as line integrals, in one common window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 7.2 / len(picks) * values.shape[1] / values.shape[2] + 0.95), dpi=140, layout="constrained")
    top = float(np.percentile(values[list(picks)], 99.9))
    shown = None
    axes = figure.subplots(1, len(picks), squeeze=False)[0]
    for ax, view in zip(axes, picks, strict=True):
        shown = ax.imshow(values[view], cmap="gray_r", vmin=0, vmax=top, origin="lower", interpolation="nearest")
        ax.set_title(f"view {view}, {angles_deg[view]:.1f}°", fontsize=9)
        ax.axis("off")
    assert shown is not None
    bar = figure.colorbar(shown, ax=list(axes), orientation="horizontal", fraction=0.04, pad=0.02, aspect=60)
    bar.set_label("line integral −ln(I/I₀)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return _png(figure)


def round_number(value: float) -> float:
    """The largest of 1, 1.5, 2, 3, 5 times a power of ten that is not above a positive value.

    >>> round_number(0.199), round_number(42.0)
    (0.15, 30.0)
    """
    power = math.floor(math.log10(value))
    return max(float(f"{step}e{power}") for step in (1, 1.5, 2, 3, 5) if float(f"{step}e{power}") <= value * (1 + 1e-9))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
