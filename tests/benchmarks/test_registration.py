"""Recon-CT of a download, registered to its X-rays: where it was put is known, because the test put it there."""

from __future__ import annotations

import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewview.benchmarks.comparison.checkpoints import train_missing
from fewview.benchmarks.datasets import usable
from fewview.benchmarks.datasets.registration.coarse_search import orientations
from fewview.benchmarks.datasets.registration.register import register
from fewview.benchmarks.datasets.usable import in_words, usable_pairs
from fewview.benchmarks.sweeps.results import load_records
from fewview.cli.main import main
from fewview.data.images.image_files import read_image, write_image
from fewview.data.pairs import AsRead, Pair, find_pairs
from fewview.data.placement import Placement
from fewview.data.volumes.block_means import slices_shape
from fewview.geometry import Grid, InputError
from fewview.nerf.training import train_network
from fewview.nerf.training.examples import load_examples

from .made_up_bonemet import TURN_DEG, WINDOW, Placed, make_download

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Made = tuple[Path, Placed]


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("bonemet") / "BoneMet"
    return out, make_download([1, 2], out, rows=48, cols=72, first_id=1)


@pytest.fixture(scope="module")
def pairs(download: Made) -> tuple[Pair, ...]:
    return usable_pairs(download[0], say=lambda line: None).pairs


def _misplaced(placement: Placement, placed: Placed, pair: Pair) -> float:
    """How many voxels the corner that is farthest off lies beside its place."""
    last = np.array(slices_shape(pair.recon)) - 1.0
    corners = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)]) * last
    found = placed.points_mm(corners) @ np.array(placement.matrix).T + placement.start
    return float(np.linalg.norm(found - corners, axis=1).max())


def test_a_cropped_shifted_turned_mirrored_recon_ct_is_found_within_half_a_voxel(download: Made, pairs: tuple[Pair, ...]) -> None:
    assert [pair.name for pair in pairs] == ["1 week 0", "2 week 0"]  # in two spellings
    for pair in pairs:
        placement = pair.placement
        assert placement is not None
        assert _misplaced(placement, download[1], pair) < 0.5
        assert "mirrored" in placement.facts
        assert placement.turn_deg == pytest.approx(TURN_DEG, abs=0.3)
        assert 255 * placement.gain == pytest.approx(WINDOW[1] - WINDOW[0], rel=0.2)  # hardening was corrected in one of the two only
    assert any("8-bit X-rays" in fact for fact in pairs[1].placement.facts)  # type: ignore[union-attr]


def test_training_and_scoring_see_the_same_volume_in_the_frame_of_the_x_rays(pairs: tuple[Pair, ...]) -> None:
    example = load_examples(pairs[:1], 24)[0]
    volume, known = pairs[0].reference_on(example.grid)
    assert known is not None
    assert 0.2 < known.mean() < 0.9  # it was cropped
    assert np.array_equal(example.reference[known], volume[known])
    inside = example.grid.seen_by_all(example.projections.scan)
    assert example.reference[inside & ~known].std() > 0  # what the crop took away is there all the same
    plain = replace(pairs[0], as_read=AsRead(window=WINDOW)).reference_on(example.grid)[0]
    assert np.corrcoef(plain[known], volume[known])[0, 1] == pytest.approx(1, abs=1e-5)
    placed = pairs[0].placement
    assert placed is not None
    level = (volume[known] - placed.offset) / placed.gain
    assert np.allclose(plain[known], WINDOW[0] + level / 255 * (WINDOW[1] - WINDOW[0]), atol=1e-5)


def test_what_was_registered_is_not_registered_again(download: Made, pairs: tuple[Pair, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an interruption: the file of one animal is not there yet."""
    files = sorted((download[0] / "registration").iterdir())
    assert len(files) == len(pairs)
    before = files[1].read_bytes()
    files[1].unlink()
    done: list[Path] = []
    monkeypatch.setattr(usable, "register", lambda p, folder, voxel: (done.append(folder), register(p, folder, voxel))[1])
    again = usable_pairs(download[0], say=lambda line: None).pairs
    assert done == [pairs[1].recon]
    assert files[1].read_bytes() == before  # and nothing in it is left to chance
    assert again == pairs


def _copy(download: Made, to: Path) -> tuple[Path, list[Pair]]:
    shutil.copytree(download[0], to)
    return to, find_pairs(to)


def test_scans_that_cannot_be_used_are_named_and_the_rest_is_used(download: Made, pairs: tuple[Pair, ...], tmp_path: Path) -> None:
    root, found = _copy(download, tmp_path / "b")
    shutil.rmtree(found[0].recon)
    shutil.copytree(found[1].recon, found[0].recon)  # the Recon-CT of another animal
    shutil.copytree(found[1].xrays, found[1].xrays.parents[1] / "Week 1" / "2")  # without Recon-CT; the other animal has no such week
    result = usable_pairs(root, say=lambda line: None)
    assert [pair.name for pair in result.pairs] == ["2 week 0"]
    assert "low confidence" in result.left_out["1 week 0"]
    assert result.left_out["2 week 1"] == "no Recon-CT"
    assert result.left_out["1 week 1"] == "missing"
    assert any(line.startswith("left out: 1 week 0: ") for line in in_words(result))
    with pytest.raises(InputError, match="low confidence"):
        find_pairs(root)[0].reference_on(Grid((8, 8, 8), 1.0))


def test_backward_grey_levels_and_slices_along_another_axis_are_found(download: Made, pairs: tuple[Pair, ...], tmp_path: Path) -> None:
    _, found = _copy(download, tmp_path / "b")
    files = sorted(found[0].recon.iterdir())
    stack = np.stack([255 - read_image(path) for path in files])
    shutil.rmtree(found[0].recon)
    found[0].recon.mkdir()
    for k, plane in enumerate(stack.transpose(2, 0, 1)):  # x, z, y
        write_image(found[0].recon / f"ct_slice_{k + 1:03d}.PNG", plane)
    placement = register(found[0].projections(), found[0].recon, found[0].scan().field_of_view_mm.pixel_mm)
    assert not placement.doubts
    assert any("backwards" in fact for fact in placement.facts)
    assert any("stacked along" in fact for fact in placement.facts)
    usual = pairs[0].placement
    assert usual is not None
    assert placement.gain == pytest.approx(-usual.gain, rel=0.02)
    assert np.allclose(np.array(placement.matrix)[[1, 2, 0]], usual.matrix, atol=0.02)


def test_a_wrong_voxel_of_recon_ct_is_told_with_the_right_one(download: Made, pairs: tuple[Pair, ...], tmp_path: Path) -> None:
    """Taken as 1.25 times as large as they are, its slices are found all the same, but not used; the message says what to give."""
    root, found = _copy(download, tmp_path / "b")
    shutil.rmtree(found[0].recon)  # one animal is enough
    true = found[1].scan().field_of_view_mm.pixel_mm
    with pytest.raises(InputError, match=r"no scan of .* can be used") as told:
        usable_pairs(root, AsRead(recon_voxel_mm=1.25 * true), say=lambda line: None)
    stated = re.search(r"times as large as stated .*--recon-voxel-mm ([\d.]+)\)", str(told.value))
    assert stated is not None
    assert float(stated[1]) == pytest.approx(true, rel=0.01)


def test_inverted_x_rays_are_named_and_the_rest_is_used(download: Made, pairs: tuple[Pair, ...], tmp_path: Path) -> None:
    root, found = _copy(download, tmp_path / "b")
    for path in found[0].xrays.iterdir():
        image = read_image(path)
        write_image(path, np.iinfo(image.dtype).max - image)
    result = usable_pairs(root, say=lambda line: None)
    assert [pair.name for pair in result.pairs] == ["2 week 0"]
    assert "the contrast is inverted" in result.left_out["1 week 0"]


def test_a_voxel_in_micrometres_is_refused(download: Made) -> None:
    with pytest.raises(InputError, match=r"field of view 763.* wide.*--voxel-mm 0\.5936"):
        usable_pairs(download[0], AsRead(voxel_mm=10.6), say=lambda line: None)


def test_orientations_are_all_different_and_half_are_mirrored() -> None:
    found = [*orientations(True), *orientations(False)]
    assert len({tuple(np.round(turn, 6).ravel() + 0.0) for turn in found}) == len(found)
    signs = [float(np.linalg.det(turn)) for turn in found]
    assert np.allclose(np.abs(signs), 1)
    assert sum(sign < 0 for sign in signs) == len(found) / 2
    quarter = {tuple(np.round(turn).ravel() + 0.0) for turn in found if np.allclose(turn, np.round(turn), atol=1e-9)}
    assert len(quarter) == 48  # every way to put a box into a box


def test_training_that_was_interrupted_goes_on_in_the_next_run(
    pairs: tuple[Pair, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second of three steps; the second run makes the third alone."""
    parts, steps = {"train": pairs[:1], "validation": ()}, []
    step = train_network._step

    def counted(learner: Any, run: Any, *rest: Any) -> dict[str, Any]:
        values = step(learner, run, *rest)
        steps.append(run.step)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGINT)
        return values

    monkeypatch.setattr(train_network, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        train_missing(tmp_path, ("unet",), parts, 16, steps=3, say=lambda line: None)
    assert not list(tmp_path.glob("*.pt"))
    assert train_missing(tmp_path, ("unet",), parts, 16, steps=3, say=lambda line: None) == {}
    assert steps == [1, 2, 3]
    assert [p.name for p in tmp_path.iterdir() if ".unfinished" in p.name] == []
    assert (tmp_path / "unet.pt").is_file()


def test_the_table_comes_out_of_a_download_in_one_command(download: Made, pairs: tuple[Pair, ...], tmp_path: Path) -> None:
    out = tmp_path / "results"
    words = ["bench", "table2", "--data", str(download[0]), "--out", str(out), "--paper", "--quick", "--views", "26", "--features", "none"]
    words += ["--methods", "fdk", "unet", "control-mean", "--size", "24", "--train-steps", "1", "--device", "cpu"]
    assert main(words) == 0
    text = (out / "table.md").read_text()
    assert "| fdk | 26 |" in text
    assert "| unet | 26 |" in text
    assert "WARNING: unet is a stand-in: preset small, 1 steps on cpu" in text
    for pair in pairs:
        assert pair.placement is not None
        assert f"registered: {pair.name}: {pair.placement.in_words()}" in text
    assert "intensity = grey / " in text
    assert not [record for record in load_records(out) if "failed" in record]
    assert "WARNING: unet" in (out / "report.html").read_text()
