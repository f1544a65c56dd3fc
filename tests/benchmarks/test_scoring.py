"""Scores under the three protocols: perfect, blank and moved volumes score what theory says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fewview.benchmarks.scores.against.alignment import fit_grey, register
from fewview.benchmarks.scores.against.references import TRUTH, Reference, bone_threshold, judged_by, object_mask
from fewview.benchmarks.scores.compared import Yardstick
from fewview.benchmarks.scores.scoring import Made, all_scores, heldout_views
from fewview.data import Projections
from fewview.geometry import Grid, InputError, skyscan_1276
from fewview.recon import Operator
from numpy.typing import NDArray
from scipy import ndimage

YARDSTICK = Yardstick(bone=0.06, line_window=(0.0, 3.0), heldout=5)


def _scene() -> tuple[NDArray[np.float32], Grid, Projections]:
    scan = skyscan_1276(rows=32, cols=48, voxel_mm=0.9)[::10]
    grid = Grid((28, 36, 36), 1.0)
    rng = np.random.default_rng(0)
    volume = ndimage.gaussian_filter(rng.random(grid.shape), 2).astype(np.float32)
    volume = np.clip((volume - volume.mean()) / volume.std() * 0.04 + 0.05, 0, 0.2).astype(np.float32)
    volume *= grid.seen_by_all(scan)
    return volume, grid, Projections(Operator(scan, grid)(volume), scan)


def _only(volume: NDArray[np.float32]) -> dict[str, Reference]:
    return {TRUTH: Reference(volume, YARDSTICK.bone)}


def test_a_perfect_volume_scores_perfectly_and_a_blank_one_does_not() -> None:
    volume, grid, whole = _scene()
    given = np.array([0, 12, 25])
    compared = all_scores(Made.of(volume), grid, _only(volume), whole, given, YARDSTICK)
    perfect, images = compared.scores, compared.images
    assert set(perfect) == {"truth", "heldout-views"}  # table2-compat has one given view
    assert perfect["truth"]["psnr"] == np.inf
    assert perfect["truth"]["dice_bone"] == 1
    assert perfect["heldout-views"]["residual"] == 0
    assert images["views"].shape == images["views_reference"].shape == (5, 32, 48)
    blank = all_scores(Made.of(np.zeros_like(volume)), grid, _only(volume), whole, given, YARDSTICK).scores
    inside = grid.seen_by_all(whole.scan)
    assert blank["truth"]["psnr"] == pytest.approx(-10 * np.log10(np.mean(volume[inside] ** 2) / 0.04))
    assert blank["truth"]["psnr_grey_fit"] == pytest.approx(-10 * np.log10(volume[inside].var() / 0.04), abs=1e-3)


def test_held_out_views_were_not_given() -> None:
    assert not np.intersect1d(heldout_views(26, np.arange(0, 26, 2), 5), np.arange(0, 26, 2)).size
    assert heldout_views(3, np.arange(3), 5).size == 0
    volume, grid, whole = _scene()
    scores = all_scores(Made.of(volume), grid, _only(volume), whole, np.arange(len(whole)), YARDSTICK).scores
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
    plain = all_scores(Made.of(0.8 * moved), grid, _only(volume), whole, given, YARDSTICK)
    assert plain.alignment == {}
    fitted = all_scores(Made.of(0.8 * moved), grid, _only(volume), whole, given, replace(YARDSTICK, grey_fit=True, register=True))
    assert fitted.alignment["motion"]["translation_mm"] == pytest.approx((-1.5, 1.0, 0.0), abs=0.2)  # SimpleITK's: reference to volume
    assert 1.05 < fitted.alignment["grey_map"]["gain"] <= 1 / 0.8  # interpolated twice: some contrast is lost, so less than the whole
    assert fitted.scores["truth"]["psnr"] > plain.scores["truth"]["psnr"] + 3
    again = all_scores(Made.of(0.8 * moved), grid, _only(volume), whole, given, replace(YARDSTICK, grey_fit=True, register=True))
    assert np.allclose(again.alignment["motion"]["translation_mm"], fitted.alignment["motion"]["translation_mm"], atol=1e-3)
    assert fitted.scores["heldout-views"] == plain.scores["heldout-views"]


@pytest.mark.wrong_shapes
def test_bad_yardsticks_and_references_are_refused() -> None:
    with pytest.raises(InputError, match="window"):
        Yardstick(bone=0.1, line_window=(0.2, 0.2))
    volume, grid, whole = _scene()
    with pytest.raises(InputError, match="constant"):
        all_scores(Made.of(volume), grid, _only(np.zeros_like(volume)), whole, np.array([0]), YARDSTICK)
    with pytest.raises(InputError, match="shape"):
        all_scores(Made.of(volume[1:]), grid, _only(volume), whole, np.array([0]), YARDSTICK)


def test_the_object_is_the_largest_body_with_its_holes_and_one_voxel_around_it() -> None:
    z, y, x = np.mgrid[:24, :24, :24]
    ball = (z - 12) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 <= 36
    reference = np.where(ball, 0.05, 0).astype(np.float32)
    reference[12, 12, 12] = 0  # air inside the body
    reference[1:3, 1:3, 1:3] = 0.05  # something else in the field of view
    seen = np.ones(reference.shape, bool)
    found = object_mask(reference + np.random.default_rng(0).normal(0, 0.002, reference.shape).astype(np.float32), seen)
    assert found[ball].all()
    assert not found[:4, :4, :4].any()
    assert not found[(z - 12) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 > 81].any()
    with pytest.raises(InputError, match="no object"):
        object_mask(np.zeros_like(reference), seen)


def test_the_bone_threshold_lies_between_tissue_and_bone_and_not_between_air_and_tissue() -> None:
    random = np.random.default_rng(1)
    volume = np.concatenate([random.normal(m, 0.002, n) for m, n in ((0.0, 3000), (0.02, 5000), (0.07, 800))]).reshape(22, 20, 20)
    found = bone_threshold([volume.astype(np.float32)], [np.ones(volume.shape, bool)])
    assert (volume[volume > 0.05] > found).all()
    assert (volume[(volume > 0.01) & (volume < 0.03)] > found).mean() < 1e-3


def test_the_truth_judges_where_there_is_one() -> None:
    assert judged_by({"recon-ct": 1, "truth": 2}) == "truth"
    assert judged_by({"recon-ct": 1, "heldout-views": 2}) == "recon-ct"


def test_table2_compat_scores_one_given_view_by_the_methods_own_rendering() -> None:
    volume, grid, whole = _scene()
    one = np.array([3])
    blank = np.zeros_like(volume)
    assert all_scores(Made.of(volume), grid, _only(volume), whole, one, YARDSTICK).scores["table2-compat"]["psnr"] == 100  # capped
    nothing = all_scores(Made.of(blank), grid, _only(volume), whole, one, YARDSTICK).scores["table2-compat"]["psnr"]
    own = all_scores(Made.of(blank, whole.values[3]), grid, _only(volume), whole, one, YARDSTICK).scores
    assert own["table2-compat"]["psnr"] == 100  # whatever its volume is worth
    image = 2 * whole.values[3] / whole.values[3].max() - 1
    assert nothing == pytest.approx(10 * np.log10(4 / np.mean((image + 1) ** 2)), abs=1e-3)
    assert own["truth"]["psnr_object"] < 20
