"""The demo's report: one self-contained page, made from results. Only metrics and pictures are computed here."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import numpy as np

from ...base.outputs.ownership import SIGNATURE
from ...base.plain import to_json
from ...base.shapes import Volume
from ...data import Projections, Reconstruction
from ...geometry import Grid
from ...pipeline.findings import covered_deg
from ..scores.metrics import psnr, ssim
from ..scores.volume_metrics import dice
from . import figures as draw

PLANE_TITLES = {"axial": "Axial (x right, y up)", "coronal": "Coronal (x right, z up)", "sagittal": "Sagittal (y right, z up)"}


@dataclass(frozen=True)
class Shown:
    """What the page is about: the truth on the grid of the reconstructions, the projections, the reconstructions
    by label, and the words.
    """

    title: str
    lead: str
    truth: Volume
    truth_name: str
    grid: Grid
    projections: Projections
    reconstructions: Mapping[str, Reconstruction]
    data_range: float
    data_range_why: str
    bone_threshold: float
    commands: str
    files: Sequence[tuple[str, str]]
    limits: Sequence[str]
    geometry_notes: Sequence[str]
    record: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Score:
    """The figures of merit of one reconstruction, over the voxels that every view sees."""

    psnr_db: float
    ssim: float
    bone_dice: float


def otsu(truth: Volume, data_range: float) -> float:
    """The threshold in 1/mm that best separates the voxels of the object (above a tenth of the range) into bone and soft tissue."""
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(truth[truth > 0.1 * data_range]))


def scores(shown: Shown) -> dict[str, Score]:
    """PSNR, SSIM and Dice of every reconstruction, with the data range and the mask of the page."""
    mask = shown.grid.seen_by_all(shown.projections.scan)
    found = {}
    for label, rec in shown.reconstructions.items():
        both = {"data_range": shown.data_range, "mask": mask}
        overlap = dice(np.where(mask, rec.volume, 0), np.where(mask, shown.truth, 0), shown.bone_threshold)
        found[label] = Score(psnr(rec.volume, shown.truth, **both), ssim(rec.volume, shown.truth, **both), overlap)
    return found


def render(shown: Shown, scored: Mapping[str, Score], drawing: str) -> str:
    """The HTML text of the page, with every picture inside."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from ... import __version__

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    template = environment.from_string((files("fewview.benchmarks.demo") / "demo.html.j2").read_text("utf-8"))
    return template.render(
        title=shown.title,
        signature=SIGNATURE,
        lead=shown.lead,
        facts=_facts(shown),
        table=_table(shown, scored),
        columns=len(shown.reconstructions) + 1,
        **_pictures(shown, scored),
        drawing=Markup(drawing),  # our own SVG; everything else is escaped
        geometry_notes=shown.geometry_notes,
        commands=shown.commands,
        files=shown.files,
        limits=shown.limits,
        record=to_json(shown.record, indent=2),
        version=__version__,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _facts(shown: Shown) -> list[tuple[str, str]]:
    scan, (nz, ny, nx) = shown.projections.scan, shown.grid.shape
    return [
        (f"{len(scan)}", f"views over {covered_deg(scan):g}°"),
        (f"{scan.shape[1]} × {scan.shape[0]}", "detector columns × rows"),
        (f"{nx} × {ny} × {nz}", f"voxels of {shown.grid.voxel_mm * 1000:.4g} µm"),
        (f"{shown.seconds:.0f} s", "for everything on this page"),
    ]


def _table(shown: Shown, scored: Mapping[str, Score]) -> dict[str, Any]:
    rows = [
        (
            label.partition(",")[0],
            f"{len(rec.scan)}",
            _decibel(scored[label].psnr_db),
            f"{scored[label].ssim:.3f}",
            f"{scored[label].bone_dice:.3f}",
            f"{rec.seconds:.1f}",
        )
        for label, rec in shown.reconstructions.items()
    ]
    mask = shown.grid.seen_by_all(shown.projections.scan)
    return {
        "heads": ("method", "views", "PSNR dB", "SSIM 3-D", "bone Dice", "seconds"),
        "rows": rows,
        "notes": (
            f"Data range {shown.data_range:g} 1/mm ({shown.data_range_why}), the same in every row. Mask: the {mask.sum():,} voxels that "
            f"every view sees ({mask.mean():.0%} of the grid). Reference: {shown.truth_name}.",
            f"Bone is what lies above {shown.bone_threshold:.3g} 1/mm (Otsu's threshold of the truth). Higher is better in PSNR, SSIM and "
            "Dice. Seconds are those of the reconstruction, with the compilation of its code where it was the first.",
        ),
    }


def _decibel(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.2f}"


def _volumes(shown: Shown) -> dict[str, Volume]:
    return {"truth": shown.truth} | {label: rec.volume for label, rec in shown.reconstructions.items()}


def _view(shown: Shown) -> tuple[draw.Cut, tuple[float, float]]:
    """Where the slices run, and the grey window of all of them: up to 5/4 of the 99th percentile of the object's voxels, rounded."""
    cut = draw.choose_cut(shown.truth, 0.15 * shown.data_range, shown.bone_threshold)
    top = draw.round_number(1.25 * float(np.percentile(shown.truth[shown.truth > 0.1 * shown.data_range], 99)))
    return cut, (0.0, top)


def overview(shown: Shown) -> bytes:
    """The coronal slices of the page in one PNG."""
    cut, grey = _view(shown)
    return draw.strip({label: cut.take(v, "coronal") for label, v in _volumes(shown).items()}, shown.grid.voxel_mm, grey)


def _pictures(shown: Shown, scored: Mapping[str, Score]) -> dict[str, Any]:
    voxel, volumes = shown.grid.voxel_mm, _volumes(shown)
    cut, grey = _view(shown)
    blue_red = (-grey[1] / 4, grey[1] / 4)
    slices, differences = [], []
    for plane, title in PLANE_TITLES.items():
        panels = [{"label": label, "src": _uri(draw.panel(cut.take(v, plane), voxel, grey))} for label, v in volumes.items()]
        slices.append({"title": title, "panels": panels})
        panels = [
            {
                "label": label,
                "detail": f"{_decibel(scored[label].psnr_db)} dB",
                "src": _uri(draw.panel(cut.take(rec.volume - shown.truth, plane), voxel, blue_red, "RdBu_r")),
            }
            for label, rec in shown.reconstructions.items()
        ]
        differences.append({"title": title, "panels": panels})
    p = shown.projections
    picks = [0, len(p) // 2, len(p) - 1]
    return {
        "slices": slices,
        "differences": differences,
        "slices_note": f"All panels in one grey window, {grey[0]:g} to {grey[1]:g} 1/mm; one pixel is one voxel, cropped to the object.",
        "difference_note": f"Reconstruction minus truth, all panels from −{blue_red[1]:g} (blue) to {blue_red[1]:g} 1/mm (red): "
        "a quarter of the grey window.",
        "grey_bar": _uri(draw.colour_bar(grey, "gray", "attenuation in 1/mm")),
        "difference_bar": _uri(draw.colour_bar(blue_red, "RdBu_r", "reconstruction − truth in 1/mm")),
        "profile": _uri(draw.profile(volumes, shown.grid, cut)),
        "radiographs": _uri(draw.radiographs(p.values, p.scan.angles_deg, picks)),
        "radiographs_note": "Three of the views as they were read back from the scan folder, after the air level and the logarithm.",
    }


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
