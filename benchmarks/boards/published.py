"""Rows that others have published, with where they stand. Nothing is in here that has no source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

R2_PAPER = "Zha et al., R2-Gaussian, NeurIPS 2024 (arXiv 2405.20693)"
BREMEN = "Denker et al., README of github.com/alexdenker/htc2022_LPD: fine-tuned on these discs, 50 random arcs"
CIL = "Fardell et al., README of github.com/TomographicImaging/CIL-HTC2022-Algo2: TV in two directions inside a fitted circle"


@dataclass(frozen=True)
class PublishedRow:
    """A method and its value in each case (number of views, degrees of arc), and of which scenes it is the mean."""

    method: str
    values: Mapping[int, float]
    of: str
    source: str


R2_SYNTHETIC = (
    PublishedRow("SAX-NeRF", {75: 38.1, 50: 36.9, 25: 34.3}, "15 synthetic scenes", R2_PAPER),
    PublishedRow("R2-Gaussian", {75: 38.9, 50: 38.1, 25: 35.2}, "15 synthetic scenes", R2_PAPER),
)
HTC_TEACHING = (
    PublishedRow(
        "learned primal-dual",
        {90: 0.9921, 80: 0.9916, 70: 0.9897, 60: 0.9911, 50: 0.9898, 40: 0.9883, 30: 0.9893},
        "the teaching discs",
        BREMEN,
    ),
    PublishedRow("CIL-Algo2", {60: 0.96336}, "disc ta alone", CIL),
)
