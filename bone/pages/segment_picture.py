"""What a segmentation decided, drawn: bones in colours from two sides, the knees, and the bone along each leg."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from ..segmentation.segmenting import Segmented

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ("#999999", "#0072b2", "#56b4e9", "#d55e00", "#e69f00")


def segment_picture(found: Segmented) -> Figure:
    """A figure for a file: the labels seen along y and along x, and the profile by which each knee was looked for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(1, 3)
    x, y, z = found.grid.x_mm, found.grid.y_mm, found.grid.z_mm
    for ax, axis, across, name in ((axes[0], 1, x, "x"), (axes[1], 2, y, "y")):
        seen = np.zeros((found.labels.shape[0], len(across), 3))
        for k, color in enumerate(_COLORS, 1):
            thick = (found.labels == k).sum(axis=axis)
            if thick.any():
                strength = np.clip(thick / np.percentile(thick[thick > 0], 95), 0, 1)[..., None]
                seen = np.maximum(seen, strength * np.array(to_rgb(color)))
        ax.imshow(seen, origin="lower", extent=(across[0], across[-1], z[0], z[-1]), interpolation="nearest")
        for side, knee in found.knees_mm.items():
            ax.plot(knee[0] if name == "x" else knee[1], knee[2], "w+", markersize=12)
            ax.annotate(f"{side} knee", (knee[0] if name == "x" else knee[1], knee[2]), color="white", fontsize=8)
        ax.set(xlabel=f"{name} in mm", ylabel="z in mm")
    axes[0].set_title(f"threshold {found.threshold:g}", fontsize=9)
    for k, name in enumerate(found.names, 1):
        if name in found.found:
            axes[1].plot([], [], "s", color=_COLORS[k - 1], label=f"{name} ({found.confidence.get(name, 0):.2f})")
    axes[1].legend(fontsize=7, loc="upper right")
    for parts in found.legs:
        axes[2].plot(parts.area[:, 0], parts.area[:, 1], label=parts.side or "leg")
    axes[2].set(xlabel="along the leg, coarse voxels", ylabel="bone, coarse voxels", title="bone along each leg")
    axes[2].legend(fontsize=8)
    return figure
