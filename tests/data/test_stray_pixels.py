"""Pixels that stick out of one view only are found; objects, beads and noise are not."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.data.images.stray_pixels import stray_warnings

VIEWS, ROWS, COLS = 40, 24, 48


def sound(noise: float = 0.01, seed: int = 0, bead: float = 3.0) -> np.ndarray:
    """A body and a dense bead that circle through the views."""
    turn = 2 * np.pi * np.arange(VIEWS)[:, None, None] / VIEWS
    row, col = np.arange(ROWS)[:, None], np.arange(COLS)[None, :]
    body = np.sqrt(np.maximum(0, 10.0**2 - (col - 24 - 3 * np.sin(turn)) ** 2 - (row - 12) ** 2)) * 0.1
    dots = ((np.abs(col - np.rint(24 + 9 * np.cos(turn))) < 0.5) & (row == 9)) * bead
    return (body + dots + np.random.default_rng(seed).normal(0, noise, body.shape)).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
def test_an_object_with_a_bead_in_every_view_has_no_stray_pixel(noise: float) -> None:
    assert stray_warnings(sound(noise), "scan") == []


@pytest.mark.parametrize("bead", [0.0, 3.0])
def test_pixels_of_one_view_are_counted_and_named(bead: float) -> None:
    values = sound(bead=bead)
    values[7, 12, 20:23] += 2.5
    (said,) = stray_warnings(values, "my_scan")
    assert "pixels of view 7 stick out" in said
    if not bead:
        assert said.startswith("my_scan: 3 pixels")
        assert "up to 2.5" in said


def test_what_is_below_the_noise_is_no_stray_pixel() -> None:
    values = sound(noise=0.3)
    values[7, 12, 20] += 0.9
    assert stray_warnings(values, "scan") == []


def test_a_dead_pixel_is_not_called_a_damaged_file() -> None:
    values = sound()
    values[:, 5, 30] = 4.0
    assert stray_warnings(values, "scan") == []
