"""The table of all metrics: what each is called, what it needs, which end is good, its unit, and the function that computes it.

A new metric is a row in `METRICS` (and a function). Columns, marks of the best value, arrows, keys and docs are read from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .against.references import RECON_CT, TRUTH
from .bone.errors import bone_error
from .compared import FeatureSets, ImagePair, ViewPair, VolumePair
from .distribution import frechet_distance, kernel_distance
from .metrics import psnr, ssim
from .perceptual import perceptual_distance
from .published import WIDTH, as_published, published_psnr, published_ssim
from .statistics import Interval
from .volume_metrics import dice, edge_error, fourier_shell_correlation, nrmse

# What is scored, in the order of the tables, and the protocol whose metrics score it. The two references of a volume are never mixed.
SECTIONS: Mapping[str, str] = {TRUTH: "volume", RECON_CT: "volume", "heldout-views": "heldout-views", "table2-compat": "table2-compat"}
PROTOCOLS = tuple(dict.fromkeys(SECTIONS.values()))
MEANING: Mapping[str, str] = {
    TRUTH: "The volume against the object that was scanned (simulated data only), averaged over the voxels of the comparison.",
    RECON_CT: "The volume against Recon-CT, which is itself a reconstruction: an FDK of all views, the given ones among them, with its own "
    "grey scale and smoothing.",
    "heldout-views": "Projections of the volume at measured angles that were not given, fixed window.",
    "table2-compat": "Fit to the one view that was given, by the method's own rendering, scaled by its own maximum; FID and KID of X-rays "
    "that a generator invents against those of the training animals: as the published code scores. It judges neither volumes nor views.",
}
Needs = Literal["volume", "grey-mapped volume", "linearly mapped volume", "views", "images and a network", "sets of features"]
Judges = Literal["any grey scale", "same grey scale", "no"]
ANY, SAME = "any grey scale", "same grey scale"
ENOUGH_FOR_FID = 2048  # images: with fewer the covariance of Inception's 2048 features is singular, and FID depends on their number
_CAP_DB = 100.0  # of a view: one that is equal to the last bit shall not make a mean infinite


@dataclass(frozen=True)
class Metric:
    """A metric: its ``name`` under a ``protocol``, and the ``function`` of a `VolumePair`, `ViewPair`, `ImagePair` or `FeatureSets`, as
    ``needs`` says.

    ``judges`` says whether a better value means a better volume, as a person would rank them: for volumes of any grey scale, or of the same
    as the reference's, or not at all (a single number may be right by accident, and a blank volume has no noise). Only columns that judge
    volumes of any grey scale, and those of other protocols, have their best value marked.

    ``head`` is the head of its column; ``unit`` is empty for a ratio; ``better`` is the good end; ``listed`` says whether the tables show
    it (records and table.csv have it in any case).
    """

    name: str
    protocol: str
    needs: Needs
    head: str
    better: Literal["high", "low"]
    function: Callable[[Any], Any]
    meaning: str
    unit: str = ""
    listed: bool = True
    judges: Judges = "no"

    @property
    def marked(self) -> bool:
        """Whether tables mark the best value of its column."""
        return self.judges == "any grey scale" or self.protocol != "volume"

    @property
    def key(self) -> str:
        """``volume/psnr``: part of the keys of records."""
        return f"{self.protocol}/{self.name}"


def _views(function: Callable[..., float]) -> Callable[[ViewPair], float]:
    """The mean of a metric over views."""

    def mean(pair: ViewPair) -> float:
        return float(np.mean([function(a, b, data_range=pair.data_range) for a, b in zip(pair.rendered, pair.measured, strict=True)]))

    return mean


def _capped_psnr(a: Any, b: Any, *, data_range: float) -> float:
    return min(psnr(a, b, data_range=data_range), _CAP_DB)


def _ssim_of_views(pair: ViewPair) -> float:
    return _views(ssim)(pair) if min(pair.measured.shape[1:]) >= 7 else math.nan


def _published(function: Callable[[Any, Any], float]) -> Callable[[ViewPair], float]:
    """A metric of the given view as the published code scores it; NaN for a view too small for its window."""

    def score(pair: ViewPair) -> float:
        if min(pair.measured.shape[1:]) < WIDTH:
            return math.nan
        return min(function(*as_published(pair.rendered[0], pair.measured[0])), _CAP_DB)

    return score


def _residual(pair: ViewPair) -> float:
    return float(np.sqrt(np.mean((pair.rendered - pair.measured) ** 2)))


def _ssim_of_slices(p: VolumePair) -> float:
    span = p.yardstick.data_range
    return float(np.mean([ssim(a, b, data_range=span, mask=m) for a, b, m in zip(p.inside, p.target, p.mask, strict=True) if m.any()]))


def _lpips(p: ImagePair) -> float:
    return perceptual_distance(p.images, p.reference, p.window, p.network)


def _fid(sets: FeatureSets) -> Interval:
    few = min(len(sets.real), len(sets.made))
    note = f"from {few} images, below {ENOUGH_FOR_FID}" if few < ENOUGH_FOR_FID else ""
    return Interval(frechet_distance(sets.real, sets.made), math.nan, math.nan, 1, note)


def _kid(sets: FeatureSets) -> Interval:
    kid, spread = kernel_distance(sets.real, sets.made)
    return Interval(kid, kid - spread, kid + spread, 1)


def _volume(
    name: str, head: str, better: Literal["high", "low"], function: Callable[[VolumePair], float], meaning: str, **more: Any
) -> Metric:
    return Metric(name, "volume", "volume", head, better, function, meaning, **more)


def _psnr_object(p: VolumePair) -> float:
    return psnr(p.volume, p.reference, data_range=p.yardstick.data_range, mask=p.object)


def _psnr_seen(p: VolumePair) -> float:
    return psnr(p.volume, p.reference, data_range=p.yardstick.data_range, mask=p.mask)


def _ssim_object(p: VolumePair) -> float:
    return float(p.similarity[p.object].mean())


def _dice(p: VolumePair) -> float:
    return dice(p.inside, p.target, p.yardstick.bone)


def _mapped() -> list[Metric]:
    """The rows for volumes after a map that was fitted on training animals: a gain and an offset, or a small filter and an offset."""
    grey, filtered = "after a gain and an offset", "after a filter of 5 x 5 x 5 voxels and an offset"
    rows: list[tuple[str, str, Callable[[VolumePair], float], str, bool]] = [
        ("psnr_object", "PSNR in the object", _psnr_object, "dB", True),
        ("psnr", "PSNR in all views", _psnr_seen, "dB", False),
        ("ssim_object", "SSIM", _ssim_object, "", True),
        ("dice_bone", "bone Dice", _dice, "", True),
    ]
    made = []
    for name, head, function, unit, listed in rows:
        for short, needs, how in (("grey", "grey-mapped volume", grey), ("linear", "linearly mapped volume", filtered)):
            head_of, meaning = f"{head}, {short} map", f"{how}, fitted on training animals"
            shown = listed and (short == "linear" or name != "ssim_object")
            made.append(Metric(f"{name}_{short}", "volume", needs, head_of, "high", function, meaning, unit, shown, ANY))  # type: ignore[arg-type]
    return made


def _networks(protocol: str, of: str) -> list[Metric]:
    """The rows for LPIPS, FID and KID of the images of a protocol."""
    images, sets = "images and a network", "sets of features"
    lpips = Metric("lpips", protocol, images, "LPIPS", "low", _lpips, f"learned perceptual distance of {of}")
    fid = Metric("fid", protocol, sets, "FID", "low", _fid, f"Fréchet distance of the features of {of}")
    kid = Metric("kid", protocol, sets, "KID", "low", _kid, f"kernel distance of the features of {of}")
    return [fid, kid] if protocol == "table2-compat" else [lpips, fid, kid]


METRICS: tuple[Metric, ...] = (
    _volume("psnr_object", "PSNR in the object", "high", _psnr_object,
            "peak signal-to-noise ratio inside the object and one voxel around it, data range 0.2 1/mm", unit="dB", judges=SAME),
    _volume("psnr", "PSNR in all views", "high", _psnr_seen,
            "the same inside what every view sees, most of which is air", unit="dB", judges=SAME),
    _volume("ssim_object", "SSIM", "high", _ssim_object,
            "structural similarity in 3-D, window of 7 voxels, mean inside the object", judges=SAME),
    _volume("ssim", "SSIM in all views", "high", lambda p: float(p.similarity[p.mask].mean()),
            "the same inside what every view sees", listed=False, judges=SAME),
    _volume("ssim_slices", "SSIM of slices", "high", _ssim_of_slices, "structural similarity in 2-D, mean over axial slices",
            listed=False, judges=SAME),
    *_networks("volume", "axial slices"),
    _volume("dice_bone", "bone Dice", "high", _dice, "overlap of what lies above the bone threshold of the reference", judges=SAME),
    *_mapped(),
    _volume("surface_mm", "surface", "low", lambda p: p.surface.mean_mm, "mean distance of the bone surfaces", unit="mm", judges=SAME),
    _volume("surface_p95_mm", "surface, 95 %", "low", lambda p: p.surface.p95_mm, "95th percentile of that distance", unit="mm",
            listed=False, judges=SAME),
    _volume("bv_tv_error", "BV/TV off", "low", lambda p: bone_error(p, "BV_TV"), "difference of the bone volume fraction", unit="points"),
    _volume("tb_th_error", "Tb.Th off", "low", lambda p: bone_error(p, "Tb_Th"), "difference of the mean thickness of bone", unit="%"),
    _volume("tb_sp_error", "Tb.Sp off", "low", lambda p: bone_error(p, "Tb_Sp"), "difference of the mean separation", unit="%",
            listed=False),
    _volume("bs_error", "BS off", "low", lambda p: bone_error(p, "BS"), "difference of the bone surface's area", unit="%", listed=False),
    _volume("ct_ar_error", "Ct.Ar off", "low", lambda p: bone_error(p, "Ct_Ar"), "difference of the bone's area in a slice", unit="%",
            listed=False),
    _volume("pmoi_error", "pMOI off", "low", lambda p: bone_error(p, "Ct_pMOI"), "difference of the polar moment of inertia", unit="%",
            listed=False),
    _volume("nrmse", "NRMSE", "low", lambda p: nrmse(p.volume, p.reference, p.mask), "root mean square error over that of the reference",
            judges=SAME, listed=False),
    _volume("edge_error", "edge error", "low", lambda p: edge_error(p.inside, p.target, p.grid.voxel_mm, p.mask),
            "root mean square error of the gradients over that of the reference's", listed=False),
    _volume("fsc_half_mm", "FSC 0.5", "low", lambda p: fourier_shell_correlation(p.inside, p.target, p.grid.voxel_mm).resolution_mm,
            "resolution where the Fourier shell correlation falls to one half", unit="mm", judges=ANY),
    _volume("psnr_grey_fit", "PSNR, grey fitted", "high",
            lambda p: psnr(p.grey_fitted, p.reference, data_range=p.yardstick.data_range, mask=p.mask),
            "PSNR in all views after the gain and offset that suit this very volume best", unit="dB", listed=False),
    Metric("psnr", "heldout-views", "views", "PSNR", "high", _views(_capped_psnr), "mean over views, fixed window", unit="dB"),
    Metric("ssim", "heldout-views", "views", "SSIM", "high", _ssim_of_views, "mean over views"),
    *_networks("heldout-views", "held-out views"),
    Metric("residual", "heldout-views", "views", "residual", "low", _residual, "root mean square error of the line integrals"),
    Metric("psnr", "table2-compat", "views", "PSNR", "high", _published(published_psnr),
            "of the one view that was given, scaled by its own maximum to -1..1, data range 2", unit="dB"),
    Metric("ssim", "table2-compat", "views", "SSIM", "high", _published(published_ssim),
            "of the one view that was given, Gaussian window of 11 pixels"),
    *_networks("table2-compat", "X-rays that a generator invents"),
)  # fmt: skip


def metrics_of(protocol: str, needs: Needs | None = None) -> list[Metric]:
    """The metrics of a protocol, in the order of the table; with ``needs`` only those for this kind of input."""
    return [m for m in METRICS if m.protocol == protocol and needs in (None, m.needs)]


def scores_of(protocol: str, needs: Needs, given: Any, names: Iterable[str] | None = None) -> dict[str, float]:
    """The values of those metrics of a protocol (among ``names``, if given) that need this kind of input."""
    wanted = None if names is None else set(names)
    return {m.name: m.function(given) for m in metrics_of(protocol, needs) if wanted is None or m.name in wanted}


def distances_of(protocol: str, sets: FeatureSets) -> dict[str, Interval]:
    """The metrics of a protocol that compare sets of features, with one value for all images together."""
    return {m.name: m.function(sets) for m in metrics_of(protocol, "sets of features")}


def as_markdown() -> str:
    """The table in docs/benchmarks.md."""
    lines = ["| protocol | metric | column | unit | better | judges volumes of | what it is |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {m.protocol} | `{m.name}` | {m.head} | {m.unit or '-'} | {m.better} | {m.judges} | {m.meaning} |" for m in METRICS]
    return "\n".join(lines)
