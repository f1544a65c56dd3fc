"""The board of the Helsinki Tomography Challenge 2022: acrylic discs from an arc of 90 to 30 degrees, segmented, and scored as it scored.

Files are named as on Zenodo: ``htc2022_ta_full.mat`` beside ``htc2022_ta_full_recon_fbp_seg.mat`` (or .png), and for the test discs
``htc2022_01a_limited.mat`` beside ``htc2022_01a_recon_fbp_seg.mat``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...base import InputError
from ...base.shapes import Image, PixelMask
from ...data import Projections
from ...data.images.image_files import read_image
from ...data.scans.public.heltomo import open_heltomo, pixel_at_axis_mm
from ...data.scans.public.matlab_file import read_matlab
from ...geometry import Grid
from ...recon import reconstruct
from .board import Board, Result, scenes_where
from .published import HTC_TEACHING

ARCS_DEG = (90, 80, 70, 60, 50, 40, 30)
_SEGMENTED = "reconFullFbpSeg"


def matthews(found: PixelMask, truth: PixelMask) -> float:
    """The challenge's score: Matthews' correlation coefficient of two segmentations, 0 where one of them is all one class.

    >>> matthews(np.array([[True, False, True, False]]), np.array([[True, False, False, True]]))
    0.0
    """
    right, wrong = float(np.sum(found & truth)), float(np.sum(found & ~truth))
    missed, empty = float(np.sum(~found & truth)), float(np.sum(~found & ~truth))
    below = np.sqrt((right + wrong) * (right + missed) * (empty + wrong) * (empty + missed))
    return float((right * empty - wrong * missed) / below) if below else 0.0


def segmented(image: Image) -> PixelMask:
    """What is acrylic in a reconstruction [row, col] in 1/mm: above Otsu's threshold of what is positive."""
    from skimage.filters import threshold_otsu

    positive = np.maximum(image, 0)
    return positive > (threshold_otsu(positive) if positive.any() else 0)


def reference_of(scan: Path) -> PixelMask:
    """The segmentation that belongs to a scan, with row 0 at the greatest y, as the challenge stores its images."""
    stems = (f"{scan.stem}_recon_fbp_seg", f"{scan.stem.removesuffix('_limited').removesuffix('_full')}_recon_fbp_seg")
    for stem in stems:
        if (scan.parent / f"{stem}.mat").is_file():
            content = read_matlab(scan.parent / f"{stem}.mat")
            if _SEGMENTED not in content:
                raise InputError(f"{scan.parent / f'{stem}.mat'} holds {', '.join(content)}", expected=_SEGMENTED)
            return np.asarray(content[_SEGMENTED]) > 0.5
        if (scan.parent / f"{stem}.png").is_file():
            image = read_image(scan.parent / f"{stem}.png")
            return image > image.max() / 2
    raise FileNotFoundError(f"the segmentation {scan.parent / f'{stems[0]}.mat'} (or .png) is not there")


def _score(path: Path, method: str) -> Iterator[Result]:
    truth = reference_of(path)
    projections = open_heltomo(path)
    pixel = pixel_at_axis_mm(projections.scan)
    grid = Grid((1, *truth.shape), pixel)
    for arc in _arcs(projections):
        rec = reconstruct(arc, method, grid, check=False)
        value = matthews(segmented(np.flipud(rec.volume[0])), truth)
        yield Result(round(float(np.ptp(arc.scan.angles_deg))), value, rec.seconds)


def _arcs(projections: Projections) -> Iterator[Projections]:
    angles = projections.scan.angles_deg - projections.scan.angles_deg[0]
    if np.ptp(angles) <= max(ARCS_DEG) + 1:
        yield projections
        return
    for arc in ARCS_DEG:
        yield projections[(angles >= -1e-6) & (angles <= arc + 1e-6)]


def _is_scan(path: Path) -> bool:
    return path.is_file() and path.suffix == ".mat" and path.stem.endswith(("_full", "_limited")) and path.stem.startswith("htc2022_")


HTC = Board(
    name="htc2022",
    measure="Matthews' correlation coefficient of the segmentation with that of the full scan, as in the challenge. Full scans are cut to "
    "an arc that begins at their first view. Methods with their defaults, then Otsu's threshold.",
    column="score",
    cases="{} degrees",
    scenes=lambda folder: scenes_where(folder, _is_scan, "files htc2022_*_full.mat or htc2022_*_limited.mat"),
    score=_score,
    methods=("fdk", "cgls", "fista_tv"),
    published=HTC_TEACHING,
)
