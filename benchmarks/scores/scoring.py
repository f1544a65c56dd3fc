"""Scores of one reconstruction under the three protocols, which are always labelled and never mixed.

* ``volume``: the volume against its reference, inside what every view sees.
* ``heldout-views``: rendered projections at measured angles that were not given to the method, fixed window.
* ``table2-compat``: the fit to the view that *was* given, as the published code scores it. It says nothing about the volume.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from ...base import InputError
from ...data import Projections
from ...geometry import Grid
from ...recon import Operator
from .alignment import fit_grey, register
from .metrics import psnr, ssim
from .volume_metrics import dice, edge_error, fourier_shell_correlation, nrmse, surface_distance

Volume = Float[NDArray, "z y x"]
Scores = dict[str, float]


@dataclass(frozen=True)
class Yardstick:
    """What makes scores comparable, the same for every method: grey window (1/mm), bone threshold (1/mm), window of line integrals.

    ``heldout`` views at most are rendered. ``register`` and ``grey_fit`` bring a volume to its reference before the ``volume`` protocol.
    """

    window: tuple[float, float]
    bone: float
    line_window: tuple[float, float] = (0.0, 3.0)
    heldout: int = 26
    grey_fit: bool = False
    register: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in (("window", self.window), ("line_window", self.line_window)):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise InputError(f"the {name} is {(low, high)}", expected="(low, high) with low < high")

    @property
    def data_range(self) -> float:
        """Of PSNR and SSIM of volumes, in 1/mm."""
        return self.window[1] - self.window[0]


def volume_scores(volume: Volume, reference: Volume, grid: Grid, mask: Bool[NDArray, "z y x"], yardstick: Yardstick) -> Scores:
    """PSNR, SSIM (3-D and mean over slices), errors, bone overlap and surface, resolution; PSNR also after an affine grey fit."""
    for name, array in (("volume", volume), ("reference", reference)):
        if array.shape != grid.shape:
            raise InputError(f"the {name} has shape {array.shape}", expected=f"{grid.shape}, as the grid says")
    inside = np.where(mask, volume, 0).astype(np.float32)
    target = np.where(mask, reference, 0).astype(np.float32)
    if target[mask].std() == 0:
        raise InputError("the reference is constant", expected="a reference with structure inside the field of view")
    span = yardstick.data_range
    slices = [ssim(inside[k], target[k], data_range=span, mask=mask[k]) for k in range(len(mask)) if mask[k].any()]
    surface = surface_distance(inside, target, yardstick.bone, grid.voxel_mm)
    fitted = fit_grey(volume, reference, mask)
    return {
        "psnr": psnr(volume, reference, data_range=span, mask=mask),
        "psnr_grey_fit": psnr(fitted(volume), reference, data_range=span, mask=mask),
        "ssim": ssim(inside, target, data_range=span, mask=mask),
        "ssim_slices": float(np.mean(slices)),
        "nrmse": nrmse(volume, reference, mask),
        "edge_error": edge_error(inside, target, grid.voxel_mm, mask),
        "dice_bone": dice(inside, target, yardstick.bone),
        "surface_mm": surface.mean_mm,
        "surface_p95_mm": surface.p95_mm,
        "fsc_half_mm": fourier_shell_correlation(inside, target, grid.voxel_mm).resolution_mm,
    }


def heldout_views(total: int, given: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most ``most`` views, evenly chosen, of those that were not given; empty when all were."""
    rest = np.setdiff1d(np.arange(total), given)
    if len(rest) <= most:
        return rest
    return rest[np.floor(np.linspace(0, len(rest) - 1, most) + 0.5).astype(np.intp)]


def view_scores(
    volume: Volume, grid: Grid, measured: Projections, yardstick: Yardstick
) -> tuple[Scores, Float[NDArray, "view row col"], Float[NDArray, "view row col"]]:
    """PSNR and SSIM (mean over views) of the volume's projections against measured ones, both clipped to the fixed window; the images."""
    seen, target = _rendered(volume, grid, measured, yardstick)
    low, high = yardstick.line_window
    pairs = list(zip(seen, target, strict=True))
    big = min(target.shape[1:]) >= 7
    scores = {
        "psnr": float(np.mean([min(psnr(a, b, data_range=high - low), 100.0) for a, b in pairs])),
        "ssim": float(np.mean([ssim(a, b, data_range=high - low) for a, b in pairs])) if big else float("nan"),
        "residual": float(np.sqrt(np.mean((seen - target) ** 2))),
    }
    return scores, seen, target


def _rendered(volume: Volume, grid: Grid, measured: Projections, yardstick: Yardstick) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    seen = Operator(measured.scan, grid)(np.ascontiguousarray(volume, dtype=np.float32))
    return np.clip(seen, *yardstick.line_window), np.clip(measured.values, *yardstick.line_window)


def input_fit(volume: Volume, grid: Grid, given: Projections, yardstick: Yardstick) -> Scores:
    """PSNR and SSIM with data range 2 on images scaled to -1..1, at the first view that the method was given: the published measure."""
    low, high = yardstick.line_window
    seen, target = _rendered(volume, grid, given[:1], yardstick)
    a, b = (2 * (image[0] - low) / (high - low) - 1 for image in (seen, target))
    return {"psnr": min(psnr(a, b, data_range=2.0), 100.0), "ssim": ssim(a, b, data_range=2.0) if min(a.shape) >= 7 else float("nan")}


@dataclass(frozen=True)
class Compared:
    """Scores per protocol; the volume as it was compared, and how it was brought to the reference; images for FID, KID and LPIPS."""

    scores: Mapping[str, Scores]
    volume: Volume
    alignment: Mapping[str, Any]
    images: Mapping[str, NDArray[np.float32]]


def aligned(
    volume: Volume, reference: Volume, grid: Grid, mask: Bool[NDArray, "z y x"], yardstick: Yardstick
) -> tuple[Volume, dict[str, Any]]:
    """The volume moved (``register``), then mapped in grey (``grey_fit``) to the reference, as far as the yardstick asks, and both maps."""
    how: dict[str, Any] = {}
    if yardstick.register:
        volume, motion = register(volume, reference, grid)
        how["motion"] = asdict(motion)
    if yardstick.grey_fit:
        grey = fit_grey(volume, reference, mask)
        volume, how["grey_map"] = grey(volume), asdict(grey)
    return volume, how


def all_scores(
    volume: Volume, grid: Grid, reference: Volume, whole: Projections, given: NDArray[np.intp], yardstick: Yardstick
) -> Compared:
    """Scores per protocol, and the image pairs that FID, KID and LPIPS need: axial slices, and rendered held-out views.

    Views are always those of the volume as it came: alignment is for the ``volume`` protocol alone.
    """
    mask = grid.seen_by_all(whole.scan)
    moved, how = aligned(volume, reference, grid, mask, yardstick)
    scores = {"volume": volume_scores(moved, reference, grid, mask, yardstick)}
    scores["table2-compat"] = input_fit(volume, grid, whole[given], yardstick)
    images = {"slices": np.where(mask, moved, 0).astype(np.float32), "slices_reference": np.where(mask, reference, 0).astype(np.float32)}
    unseen = heldout_views(len(whole), given, yardstick.heldout)
    if unseen.size:
        scores["heldout-views"], seen, target = view_scores(volume, grid, whole[unseen], yardstick)
        images |= {"views": seen, "views_reference": target}
    return Compared(scores, moved, how, images)
