"""The board of CWI's walnuts: few views of one orbit against the authors' reconstruction from three."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...base.psnr import psnr_db
from ...base.shapes import ViewIndices
from ...data import read
from ...data.scans.public.cwi_walnut import cwi_reference, is_cwi
from ...geometry import Scan
from ...recon import reconstruct
from .board import Board, Result, scenes_where

FEW = (120, 50, 20)  # views of 1200
BINNING = 4  # voxels of 0.4 mm; at 0.1 mm total variation takes hours without a GPU


def _score(walnut: Path, method: str) -> Iterator[Result]:
    truth, grid = cwi_reference(walnut, BINNING)
    peak = float(truth.max())
    for few in FEW:
        projections = read(walnut, views=partial(_spread, few), binning=BINNING)
        rec = reconstruct(projections, method, grid, check=False)
        error = float(np.mean((rec.volume.astype(np.float64) - truth) ** 2))
        yield Result(len(projections), psnr_db(max(error, 1e-30), data_range=peak), rec.seconds)


def _spread(few: int, scan: Scan) -> ViewIndices:
    """``few`` views at an even step; all where there are no more."""
    step = max(1, len(scan) // few)
    return np.arange(0, min(len(scan), few * step), step)


CWI = Board(
    name="cwi",
    measure="3-D PSNR of the middle orbit (tubeV2) against the authors' reconstruction from all three orbits, both in voxels of "
    f"{BINNING / 10} mm; the data range is the brightest voxel of that reconstruction. Methods with their defaults.",
    column="PSNR, dB",
    cases="{} views",
    scenes=lambda folder: scenes_where(
        folder, lambda path: is_cwi(path) and (path / "Projections").is_dir(), "folders Walnut1, Walnut2 ..."
    ),
    score=_score,
    methods=("fdk", "cgls", "fista_tv"),
    unpublished="The data have no measure that others agree on, and no published row by this one is known for {}.",
)
