"""A small sample of every view, taken while the views are read, from which it is judged whether a scan can be right. It saves a second
pass.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....base.shapes import Float, FloatImage, Image, PerView

ROWS, BLOCKS = 32, 64  # rows that are looked at, and blocks of columns that are averaged; this adds less than 2 % to the time of reading


@dataclass(frozen=True, eq=False)
class ViewSamples:
    """The samples of all views; ``maps`` is the mean intensity of blocks of columns in a few rows spread over the panel.

    ``noise`` is the standard deviation of the noise of a pixel as a share of the intensity, and ``counts`` the median raw count, both for
    each view. ``keys`` are equal for views whose sampled counts are equal; ``pixels`` is the number of columns in a block.
    """

    maps: Float[NDArray[np.float32], "view row block"]
    noise: PerView
    keys: tuple[int, ...]
    pixels: int
    counts: PerView

    def __len__(self) -> int:
        return len(self.keys)


class Sampler:
    """Takes the samples of one view after the other."""

    def __init__(self, shape: tuple[int, int]) -> None:
        rows, cols = shape
        self.rows = np.unique(np.linspace(0, rows - 1, min(rows, ROWS)).round().astype(int))
        self.pixels = max(1, cols // BLOCKS)
        blocks = cols // self.pixels
        first = (cols - blocks * self.pixels) // 2
        self.cols = slice(first, first + blocks * self.pixels)
        self.maps: list[NDArray[np.float32]] = []
        self.noise: list[float] = []
        self.keys: list[int] = []
        self.counts: list[float] = []

    def add(self, image: Image, intensity: FloatImage) -> None:
        """Sample one view: ``image`` holds the counts as they were read, ``intensity`` those after flat and dark field."""
        seen = np.ascontiguousarray(image[self.rows])
        self.keys.append(zlib.crc32(seen.view(np.uint8).data))
        part = intensity[self.rows, self.cols]
        self.maps.append(part.reshape(len(self.rows), -1, self.pixels).mean(axis=2))
        self.noise.append(_relative_noise(part[:: max(1, len(self.rows) // 4)]))
        self.counts.append(float(np.median(seen[:: max(1, len(self.rows) // 4)])))

    def finish(self) -> ViewSamples:
        """All samples together."""
        return ViewSamples(np.array(self.maps), np.array(self.noise), tuple(self.keys), self.pixels, np.array(self.counts))


def _relative_noise(rows: NDArray[np.float32]) -> float:
    """The relative noise, from second differences along the rows where they are brightest: smooth structure cancels, and air has none."""
    if rows.shape[1] < 3:
        return 0.0
    level = rows[:, 1:-1]
    ripple = np.abs(2 * level - rows[:, :-2] - rows[:, 2:])
    good = level > max(0.0, 0.9 * float(np.percentile(level, 95)))
    return float(np.median(ripple[good] / level[good])) / 0.6745 / np.sqrt(6) if good.any() else 0.0
