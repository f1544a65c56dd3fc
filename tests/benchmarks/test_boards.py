"""Public boards on made-up folders: views of a blob by the published camera matrices, in closed form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fewview.benchmarks.boards.board import board_page, score_scenes
from fewview.benchmarks.boards.r2_board import R2, published_psnr
from fewview.cli.main import main
from fewview.data import read
from fewview.data.scans.public.r2_gaussian import open_r2, truth_of_r2
from fewview.geometry import InputError
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

CENTER, WIDTH, PEAK = np.array([0.35, -0.2, 0.25]), 0.22, 0.8
DSO, DSD, ROWS, COLS, PANEL, VOXELS = 5.0, 7.0, 24, 28, (3.2, 3.6), 20


def _view(angle: float) -> NDArray[np.float32]:
    """Line integrals of the blob: a camera that looks along its z, with x to the right and y down, as graphics has it."""
    pose = (Rotation.from_euler("z", angle) * Rotation.from_euler("z", np.pi / 2) * Rotation.from_euler("x", -np.pi / 2)).as_matrix()
    place = DSO * np.array([np.cos(angle), np.sin(angle), 0])
    right = (np.arange(COLS) - (COLS - 1) / 2) * PANEL[1] / COLS
    down = (np.arange(ROWS) - (ROWS - 1) / 2) * PANEL[0] / ROWS
    ray = np.stack([*np.meshgrid(right, down), np.full((ROWS, COLS), DSD)], axis=-1)
    ray = ray @ pose.T / np.linalg.norm(ray, axis=-1, keepdims=True)
    to = CENTER - place
    distance = np.linalg.norm(to - (ray @ to)[..., None] * ray, axis=-1)
    return (PEAK * WIDTH * np.sqrt(2 * np.pi) * np.exp(-(distance**2) / (2 * WIDTH**2))).astype(np.float32)


def _scene(folder: Path, views: int = 25) -> Path:
    (folder / "proj_train").mkdir(parents=True)
    axis = (np.arange(VOXELS) - (VOXELS - 1) / 2) * 2 / VOXELS
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    far = (x - CENTER[0]) ** 2 + (y - CENTER[1]) ** 2 + (z - CENTER[2]) ** 2
    np.save(folder / "vol_gt.npy", (PEAK * np.exp(-far / (2 * WIDTH**2))).astype(np.float32))
    angles = np.linspace(0, 2 * np.pi, views + 1)[:-1]
    frames = [{"file_path": f"proj_train/proj_train_{k:04d}.npy", "angle": float(a)} for k, a in enumerate(angles)]
    for frame in frames:
        np.save(folder / frame["file_path"], _view(frame["angle"]))
    scanner = {
        "mode": "cone", "DSO": DSO, "DSD": DSD, "nDetector": [ROWS, COLS], "sDetector": PANEL, "nVoxel": [VOXELS] * 3, "sVoxel": [2.0] * 3,
        "offOrigin": [0, 0, 0], "offDetector": [0, 0],
    }  # fmt: skip
    meta = {"scanner": scanner, "vol": "vol_gt.npy", "bbox": [[-1] * 3, [1] * 3], "proj_train": frames, "proj_test": []}
    (folder / "meta_data.json").write_text(json.dumps(meta))
    return folder


def test_a_scene_is_reconstructed_where_its_truth_is(tmp_path: Path) -> None:
    scene = _scene(tmp_path / "0_blob_cone")
    truth, grid = truth_of_r2(scene)
    z, y, x = np.unravel_index(int(truth.argmax()), truth.shape)
    assert np.allclose([grid.x_mm[x], grid.y_mm[y], grid.z_mm[z]], CENTER, atol=0.08)
    fdk, cgls = score_scenes(R2, scene, ("fdk", "cgls"), say=lambda line: None)
    assert fdk.case == 25
    assert fdk.value > 33  # mirrored along any axis it has less than 25
    assert cgls.value > 33
    assert read(scene).meta["format"] == "R2-Gaussian"


def test_the_published_measure() -> None:
    """An error of 0.01 everywhere is 40 dB, whatever the range of the truth."""
    truth = np.full((4, 4, 4), 0.3, np.float32)
    assert published_psnr(truth + np.float32(0.01), truth) == pytest.approx(40, abs=1e-3)


def test_the_board_shows_published_rows_beside_ours_and_names_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _scene(tmp_path / "all" / "a")
    broken = _scene(tmp_path / "all" / "b")
    (broken / "proj_train" / "proj_train_0003.npy").unlink()
    assert main(["bench", "board", "--name", "r2", "--data", str(tmp_path / "all"), "--methods", "fdk"]) == 0
    said = capsys.readouterr().out
    assert "| R2-Gaussian | 35.20 | published: 15 synthetic scenes |" in said
    assert "| fdk | " in said
    assert "1 scenes here" in said
    assert "* b, fdk: view " in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mode": "parallel"}, "parallel"),
        ({"offDetector": [0.1, 0]}, "offDetector"),
        ({"DSO": -1}, "DSO is -1"),
        ({"sVoxel": [2, 2, 1]}, "cubes"),
    ],
)
def test_a_scene_that_cannot_be_used_is_refused(tmp_path: Path, change: dict[str, object], told: str) -> None:
    scene = _scene(tmp_path / "s", views=3)
    path = scene / "meta_data.json"
    meta = json.loads(path.read_text())
    meta["scanner"] |= change
    path.write_text(json.dumps(meta))
    with pytest.raises(InputError, match=told):
        (truth_of_r2 if told == "cubes" else open_r2)(scene)
    assert "What failed" in board_page(R2, score_scenes(R2, scene, ("fdk",), say=lambda line: None))
