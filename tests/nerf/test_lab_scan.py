"""Scans of scenes as a laboratory makes them of an animal: in the grey scale that they say, harder behind bone, the same from a seed."""

from __future__ import annotations

import numpy as np
import pytest
from fewview.nerf.patchwise.learner import ALIKE
from fewview.nerf.patchwise.procedural_lessons import FEW
from fewview.nerf.procedural import lab
from fewview.nerf.procedural.lab import LAB_VIEWS, draw_lab_scan, lab_views
from fewview.nerf.procedural.scan import VIEWS
from fewview.nerf.spread.__main__ import COUNTS
from fewview.recon import Operator


@pytest.mark.parametrize("binned", [1.0, 0.0])
def test_the_views_are_of_the_scene_in_the_grey_scale_that_is_told_and_bone_hardens_the_beam(
    monkeypatch: pytest.MonkeyPatch, binned: float
) -> None:
    """A cylinder of flesh around a ball of bone five times as dense: behind the ball more is missing than behind flesh."""
    monkeypatch.setattr(lab, "BINNED", binned)
    grid, scan = draw_lab_scan(np.random.default_rng(1), 12, 32)
    assert scan.field_of_view_mm.pixel_mm == pytest.approx(grid.voxel_mm * (1.0 if binned else 0.5), rel=0.03)
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (24, 64, 64)), indexing="ij")
    ball = (x - 6) ** 2 + (y + 4) ** 2 + z**2 < 49
    scene = np.where(ball, 5.0, np.hypot(x, y) < 25).astype(np.float32)
    line, factor = lab_views(np.random.default_rng(2), scene, grid, scan, seed=3)
    coarse = scene.reshape(12, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    exact = factor * Operator(scan, grid)(coarse)
    assert len(scan) == LAB_VIEWS
    assert line.shape == exact.shape
    assert line.sum() == pytest.approx(exact.sum(), rel=1e-4)
    behind = Operator(scan, grid)(ball.reshape(12, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5), dtype=np.float32)) > 2 * grid.voxel_mm
    flesh = (exact > 0.5 * np.median(exact[exact > 0.1 * exact.max()])) & ~behind
    assert line[behind].sum() / exact[behind].sum() < line[flesh].sum() / exact[flesh].sum() - 0.02
    again, told = lab_views(np.random.default_rng(2), scene, grid, scan, seed=3)
    assert np.array_equal(line, again)
    assert told == factor


@pytest.mark.filterwarnings("ignore:no object is seen")
def test_a_scene_of_air_and_a_scan_that_sees_its_slices_whole() -> None:
    grid, scan = draw_lab_scan(np.random.default_rng(4), 10, 24)
    line, factor = lab_views(np.random.default_rng(5), np.zeros((20, 48, 48), np.float32), grid, scan, seed=6)
    assert np.isfinite(line).all()
    assert np.abs(line).max() < 0.2  # noise
    assert np.isfinite(factor)
    assert 2 * scan.field_of_view_mm.radius_mm == pytest.approx(grid.size_mm[0], rel=0.05)
    assert grid.seen_by_all(scan)[:, 12, 12].all()  # on the axis, from the first slice to the last


def test_every_scan_has_as_many_views_as_a_training_or_the_intervals_ask_of_it() -> None:
    assert max(*ALIKE["views"], *FEW, *COUNTS) <= min(LAB_VIEWS, VIEWS)
