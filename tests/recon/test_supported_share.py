"""What held-out views say of a correction, against balls whose line integrals are known."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.data import Projections
from fewview.geometry import Grid, Scan
from fewview.recon.iterative.tuning.supported_share import (
    answers_of,
    as_bright_as_the_views,
    as_voxels_show,
    in_its_own_grey_scale,
    supported,
)
from fewview.recon.projector.operator import Operator
from scipy.fft import dctn

GRID = Grid((24, 32, 32), 1.0)
RNG = np.random.default_rng(5)
BALLS = [(*RNG.uniform(-7, 7, 3), RNG.uniform(1.0, 3.5), RNG.uniform(0.05, 0.2)) for _ in range(25)]


def scan_of(pixel_mm: float, finer: int = 1) -> Scan:
    """Twelve views of nearly parallel rays; ``finer``: so many pixels for each."""
    rows, cols = round(24 / pixel_mm) * finer, round(32 / pixel_mm) * finer
    return Scan.circular(dso_mm=4000, dsd_mm=4000, rows=rows, cols=cols, pixel_mm=pixel_mm / finer, angles_deg=np.arange(12) * 15.0 + 4)


def exact(pixel_mm: float) -> Projections:
    """The means over pixels of the chords of the balls."""
    fine, many = scan_of(pixel_mm, 4), 4
    at = fine.detector[:, None, None] + sum(
        (np.arange(n) - (n - 1) / 2).reshape(shape) * step[:, None, None]
        for n, shape, step in ((fine.shape[0], (1, -1, 1, 1), fine.v), (fine.shape[1], (1, 1, -1, 1), fine.u))
    )
    ray = at - fine.source[:, None, None]
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    total = np.zeros(at.shape[:3])
    for *middle, radius, mu in BALLS:
        to = np.array(middle) - fine.source[:, None, None]
        away = (to**2).sum(-1) - (to * ray).sum(-1) ** 2
        total += mu * 2 * np.sqrt(np.maximum(radius**2 - away, 0))
    views, rows, cols = total.shape
    means = total.reshape(views, rows // many, many, cols // many, many).mean((2, 4))
    return Projections(means.astype(np.float32), scan_of(pixel_mm))


def averages(grid: Grid = GRID, parts: int = 6) -> np.ndarray:
    """The means over voxels of the balls."""
    inside = (np.arange(parts) + 0.5) / parts - 0.5
    z, y, x = ((axis[:, None] + inside * grid.voxel_mm).ravel() for axis in (grid.z_mm, grid.y_mm, grid.x_mm))
    total = np.zeros((len(z), len(y), len(x)), np.float32)
    for a, b, c, radius, mu in BALLS:
        away = (z[:, None, None] - c) ** 2 + (y[:, None] - b) ** 2 + (x - a) ** 2
        total += np.float32(mu) * (away < radius**2)
    return total.reshape(len(grid.z_mm), parts, len(grid.y_mm), parts, -1, parts).mean((1, 3, 5))


@pytest.mark.parametrize("pixel_mm", [0.5, 2 / 3])
def test_views_are_made_as_sharp_as_projections_of_voxel_averages(pixel_mm: float) -> None:
    """At every frequency that voxels have, within 6 %: pixels and voxels, and interpolation between voxels, have taken away their parts."""
    shown = dctn(as_voxels_show(exact(pixel_mm), 1.0), axes=(1, 2))
    voxels = dctn(Operator(scan_of(pixel_mm), GRID)(averages()), axes=(1, 2))
    row, col = (np.arange(n) / (2 * n * pixel_mm) for n in shown.shape[1:])
    f = np.hypot(row[:, None], col)
    for low in np.arange(0, 0.45, 0.09):
        ring = (f >= low) & (f < low + 0.09)
        a, b = shown[:, ring], voxels[:, ring]
        assert (a * b).sum() / (b * b).sum() == pytest.approx(1, abs=0.06), low


@pytest.mark.parametrize("right", [0.0, 0.3, 1.0])
def test_the_part_of_a_correction_that_is_right_is_found(right: float) -> None:
    """A correction adds what is missing and its mirror image, which is not there, so strongly that ``right`` is the best part to take."""
    truth, p = averages(), exact(0.5)
    structure = truth - averages(Grid((12, 16, 16), 2.0)).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    wrong = structure[:, ::-1, ::-1] * np.sqrt((structure**2).sum() / (structure[:, ::-1, ::-1] ** 2).sum())
    before = truth - structure
    change = structure + np.sqrt(1 / right - 1) * wrong if right else wrong
    found = supported(answers_of(p, GRID, before, before + change), as_bright_as_the_views, 12, "all")
    assert found.best == pytest.approx(right, abs=0.1)
    assert found.share == (1 if right == 1 else max(0.0, found.best))
    for factor in (0.8, 1.0, 1.1):  # of the corrected volume: what it shows is the same in any grey scale
        own = supported(answers_of(p, GRID, before, np.float32(factor) * (before + change)), in_its_own_grey_scale, 12, "all")
        assert own.best == pytest.approx(right, abs=0.15)
        assert (own.gain > 0.02) == (right == 1)
    darker = supported(answers_of(p, GRID, before, np.float32(0.6) * (before + change)), as_bright_as_the_views, 12, "all")
    assert darker.share < 1
    assert darker.gain < found.gain - 0.2


def test_a_correction_that_changes_nothing_but_the_grey_scale_is_none() -> None:
    p, before = Projections(np.ones((12, 24, 32), np.float32), scan_of(1.0)), np.ones(GRID.shape, np.float32)
    for factor in (0.0, 0.5, 1.0):
        assert in_its_own_grey_scale(answers_of(p, GRID, before, np.float32(factor) * before)) == (0, 0)
