"""The board of R2-Gaussian: scenes in its layout, scored as its published code scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...base.psnr import psnr_db
from ...base.shapes import FloatVolume
from ...data.scans.public.r2_gaussian import is_r2, open_r2, truth_of_r2
from ...recon import reconstruct
from .board import Board, Result, scenes_where
from .published import R2_SYNTHETIC


def published_psnr(volume: FloatVolume, truth: FloatVolume) -> float:
    """The 3-D PSNR in dB as the published code has it: over the whole volume, data range 1, nothing clipped or fitted."""
    return psnr_db(max(float(np.mean((volume.astype(np.float64) - truth) ** 2)), 1e-30), data_range=1.0)


def _score(scene: Path, method: str) -> Iterator[Result]:
    truth, grid = truth_of_r2(scene)
    projections = open_r2(scene)
    rec = reconstruct(projections, method, grid, check=False)
    yield Result(len(projections), published_psnr(rec.volume, truth), rec.seconds)


R2 = Board(
    name="r2",
    measure="3-D PSNR over the whole volume, data range 1, as the published code has it. Methods with their defaults.",
    column="PSNR, dB",
    cases="{} views",
    scenes=lambda folder: scenes_where(folder, is_r2, "folders with a meta_data.json as R2-Gaussian writes it"),
    score=_score,
    methods=("fdk", "cgls", "fista_tv"),
    published=R2_SYNTHETIC,
)
