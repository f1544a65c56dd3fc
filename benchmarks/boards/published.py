"""Rows that others have published, with where they stand. Nothing is in here that has no source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

R2_PAPER = "Zha et al., R2-Gaussian, NeurIPS 2024 (arXiv 2405.20693): mean over 15 synthetic scenes"


@dataclass(frozen=True)
class PublishedRow:
    """A method and its 3-D PSNR in dB for each number of views."""

    method: str
    psnr: Mapping[int, float]
    source: str


R2_SYNTHETIC = (
    PublishedRow("SAX-NeRF", {75: 38.1, 50: 36.9, 25: 34.3}, R2_PAPER),
    PublishedRow("R2-Gaussian", {75: 38.9, 50: 38.1, 25: 35.2}, R2_PAPER),
)
BOARDS: Mapping[str, tuple[PublishedRow, ...]] = {"r2": R2_SYNTHETIC}
