"""The page of a measurement: every quantity, the compartments and the maps of thickness and separation as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..measures.measured import Measured
from ..measures.quantities import QUANTITIES
from .html_page import Page, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = {"thickness": "viridis", "separation": "magma"}
_DIFFERENCES = (
    "Programs differ. Over 701 samples BV/TV of two programs differed by 0.15 points and Tb.Th and Tb.Sp by up to 12 % (Steiner 2020): "
    "thickness from a mask depends on how a program counts voxels. Here the surface lies where the grey values say.",
    "Tb.N is (BV/TV)/Tb.Th, as CTAn defines it. Scanco's is 1 / (mean distance of ridges): near 1/(Tb.Th + Tb.Sp), Tb.N.sp.",
    "Ct.Po is the share of the cortical compartment, a voxel from its surface inwards, that is not bone.",
)


def measure_page(m: Measured, volume: NDArray[Any], title: str, command: str = "") -> Page:
    """The page of a measurement of ``volume`` [z, y, x], in its unit."""
    lines = [[QUANTITIES[n].symbol, m.shown(n), QUANTITIES[n].unit, m.notes.get(n) or QUANTITIES[n].means] for n in m]
    level, how = m.settings["threshold"], m.settings["threshold_found"]
    size = " x ".join(map(str, m.grid.shape))
    about = f"Threshold {level:g} ({how}), region {m.settings['region']}, voxel {m.grid.voxel_mm:g} mm, {size} voxels."
    pictures = [Picture.of("What was taken for bone", "Three cuts through the middle of the bone; bone is outlined.", _cuts(m, volume))]
    for name, caption in (("thickness", "Local thickness of bone in mm."), ("separation", "Local thickness of the spaces in mm.")):
        if (m.maps[name] > 0).any():
            pictures.append(Picture.of(name.capitalize(), caption, _map(m, name)))
    if len(m.slices) > 1:
        pictures.append(Picture.of("Along the bone", "Quantities slice by slice.", _profile(m)))
    return Page(title, about, ("quantity", "value", "unit", "what it is"), lines, pictures, _DIFFERENCES, (1,), command)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _middle(m: Measured) -> tuple[int, int, int]:
    """The middle of what is bone, [z, y, x]."""
    bone = m.maps["thickness"] > 0
    places = [np.flatnonzero(bone.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    z, y, x = (int(p[len(p) // 2]) if p.size else n // 2 for p, n in zip(places, bone.shape, strict=True))
    return z, y, x


def _planes(array: NDArray[Any], at: tuple[int, int, int]) -> list[tuple[str, NDArray[Any]]]:
    z, y, x = at
    return [("axial (x right, y up)", array[z]), ("coronal (x right, z up)", array[:, y]), ("sagittal (y right, z up)", array[:, :, x])]


def _cuts(m: Measured, volume: NDArray[Any]) -> Figure:
    figure, at = _figure(10, 4), _middle(m)
    axes = figure.subplots(1, 3)
    low, high = np.percentile(volume[:: max(1, len(volume) // 32)], [0.5, 99.8])
    bone = m.maps["thickness"] > 0
    for ax, (name, plane), (_, mask) in zip(axes, _planes(volume, at), _planes(bone, at), strict=True):
        ax.imshow(plane, cmap="gray", origin="lower", vmin=low, vmax=high, interpolation="nearest")
        if mask.any() and not mask.all():
            ax.contour(mask, [0.5], colors=["#e69f00"], linewidths=0.6)
        ax.set_title(name, fontsize=9)
        ax.set_axis_off()
    if "compartments" in m.maps:
        for ax, (_, plane) in zip(axes, _planes(m.maps["compartments"], at), strict=True):
            shown = np.ma.masked_equal(plane, 0)
            ax.imshow(shown, cmap="cool", origin="lower", alpha=0.35, vmin=1, vmax=2, interpolation="nearest")
    return figure


def _map(m: Measured, name: str) -> Figure:
    figure, at = _figure(10, 4), _middle(m)
    axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.2])
    values = m.maps[name]
    high = float(np.percentile(values[values > 0], 99.5))
    image = None
    for ax, (title, plane) in zip(axes[:3], _planes(values, at), strict=True):
        ax.set_facecolor("black")
        image = ax.imshow(np.ma.masked_equal(plane, 0), cmap=_COLORS[name], origin="lower", vmin=0, vmax=high, interpolation="nearest")
        ax.set_title(title, fontsize=9)
        ax.set_xticks([])
        ax.set_yticks([])
    if image is not None:
        figure.colorbar(image, ax=axes[:3], location="bottom", shrink=0.6, label="mm")
    axes[3].hist(values[values > 0], bins=40, range=(0, high), color="#4477aa")
    axes[3].set_xlabel("mm")
    axes[3].set_yticks([])
    axes[3].set_title("by volume", fontsize=9)
    return figure


def _profile(m: Measured) -> Figure:
    names = [n for n in m.slices[0] if n in QUANTITIES]
    figure = _figure(10, 1.6 * len(names) + 0.6)
    for ax, name in zip(np.atleast_1d(figure.subplots(len(names), 1, sharex=True)), names, strict=True):
        ax.plot([row["z_mm"] for row in m.slices], [row[name] for row in m.slices], color="#4477aa")
        ax.set_ylabel(f"{QUANTITIES[name].symbol}\n{QUANTITIES[name].unit}", fontsize=9)
        ax.grid(alpha=0.3)
    figure.axes[-1].set_xlabel("z in mm")
    return figure
