"""Scores under the three protocols: perfect, blank and moved volumes score what theory says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fewview.benchmarks.scores.alignment import fit_grey, register
from fewview.benchmarks.scores.compared import Yardstick
from fewview.benchmarks.scores.scoring import all_scores, heldout_views
from fewview.data import Projections
from fewview.geometry import Grid, InputError, skyscan_1276
from fewview.recon import Operator
from numpy.typing import NDArray
from scipy import ndimage

YARDSTICK = Yardstick(window=(0.0, 0.2), bone=0.06, line_window=(0.0, 3.0), heldout=5)


def _scene() -> tuple[NDArray[np.float32], Grid, Projections]:
    scan = skyscan_1276(rows=32, cols=48, voxel_mm=0.9)[::10]
    grid = Grid((28, 36, 36), 1.0)
    rng = np.random.default_rng(0)
    volume = ndimage.gaussian_filter(rng.random(grid.shape), 2).astype(np.float32)
    volume = np.clip((volume - volume.mean()) / volume.std() * 0.04 + 0.05, 0, 0.2).astype(np.float32)
    volume *= grid.seen_by_all(scan)
    return volume, grid, Projections(Operator(scan, grid)(volume), scan)


def test_a_perfect_volume_scores_perfectly_and_a_blank_one_does_not() -> None:
    volume, grid, whole = _scene()
    given = np.array([0, 12, 25])
    compared = all_scores(volume, grid, volume, whole, given, YARDSTICK)
    perfect, images = compared.scores, compared.images
    assert set(perfect) == {"volume", "heldout-views", "table2-compat"}
    assert perfect["volume"]["psnr"] == np.inf
    assert perfect["volume"]["dice_bone"] == 1
    assert perfect["heldout-views"]["residual"] == 0
    assert images["views"].shape == images["views_reference"].shape == (5, 32, 48)
    blank = all_scores(np.zeros_like(volume), grid, volume, whole, given, YARDSTICK).scores
    inside = grid.seen_by_all(whole.scan)
    assert blank["volume"]["psnr"] == pytest.approx(-10 * np.log10(np.mean(volume[inside] ** 2) / 0.04))
    assert blank["volume"]["psnr_grey_fit"] == pytest.approx(-10 * np.log10(volume[inside].var() / 0.04), abs=1e-3)


def test_held_out_views_were_not_given() -> None:
    assert not np.intersect1d(heldout_views(26, np.arange(0, 26, 2), 5), np.arange(0, 26, 2)).size
    assert heldout_views(3, np.arange(3), 5).size == 0
    volume, grid, whole = _scene()
    scores = all_scores(volume, grid, volume, whole, np.arange(len(whole)), YARDSTICK).scores
    assert "heldout-views" not in scores  # nothing to hold out: no score, not a good one


def test_grey_fit_undoes_an_affine_map() -> None:
    volume, _, _ = _scene()
    found = fit_grey(3 * volume + 0.2, volume)
    assert found.gain == pytest.approx(1 / 3, rel=1e-5)
    assert found.offset == pytest.approx(-0.2 / 3, rel=1e-4)
    assert fit_grey(np.full_like(volume, 2.0), volume).gain == 0


def test_registration_finds_a_known_motion() -> None:
    pytest.importorskip("SimpleITK")
    grid = Grid((40, 40, 40), 0.5)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")

    def scene(dx: float, dy: float) -> NDArray[np.float32]:
        body = np.exp(-(((x - dx) / 5) ** 2 + ((y - dy) / 3) ** 2 + (z / 6) ** 2)) + np.exp(-((x - dx - 4) ** 2 + (y - dy - 2) ** 2 + z**2))
        return body.astype(np.float32)

    moved, motion = register(scene(1.0, -0.6), scene(0.0, 0.0), grid)
    assert np.abs(motion.translation_mm).max() == pytest.approx(1.0, abs=0.15)
    assert np.abs(moved - scene(0, 0)).mean() < 0.3 * np.abs(scene(1.0, -0.6) - scene(0, 0)).mean()


def test_alignment_is_asked_for_reported_and_for_volumes_only() -> None:
    volume, grid, whole = _scene()
    given = np.array([0, 12, 25])
    moved = ndimage.shift(volume, (0, 1.0, -1.5), order=1)
    plain = all_scores(0.8 * moved, grid, volume, whole, given, YARDSTICK)
    assert plain.alignment == {}
    fitted = all_scores(0.8 * moved, grid, volume, whole, given, replace(YARDSTICK, grey_fit=True, register=True))
    assert fitted.alignment["motion"]["translation_mm"] == pytest.approx((-1.5, 1.0, 0.0), abs=0.2)  # SimpleITK's: reference to volume
    assert 1.05 < fitted.alignment["grey_map"]["gain"] <= 1 / 0.8  # interpolated twice: some contrast is lost, so less than the whole
    assert fitted.scores["volume"]["psnr"] > plain.scores["volume"]["psnr"] + 3
    again = all_scores(0.8 * moved, grid, volume, whole, given, replace(YARDSTICK, grey_fit=True, register=True))
    assert np.allclose(again.alignment["motion"]["translation_mm"], fitted.alignment["motion"]["translation_mm"], atol=1e-3)
    assert fitted.scores["heldout-views"] == plain.scores["heldout-views"]


@pytest.mark.wrong_shapes
def test_bad_yardsticks_and_references_are_refused() -> None:
    with pytest.raises(InputError, match="window"):
        Yardstick(window=(0.2, 0.2), bone=0.1)
    volume, grid, whole = _scene()
    with pytest.raises(InputError, match="constant"):
        all_scores(volume, grid, np.zeros_like(volume), whole, np.array([0]), YARDSTICK)
    with pytest.raises(InputError, match="shape"):
        all_scores(volume[1:], grid, volume, whole, np.array([0]), YARDSTICK)
