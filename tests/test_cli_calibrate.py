"""`fewview calibrate`, and `recon --calibrate`: a shift that the log does not know is found and used."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from fewview.cli.main import main
from fewview.data import hind_limb, read_volume, write_skyscan
from fewview.data.resample import resample
from fewview.geometry import Grid, skyscan_1276
from fewview.recon.physics import Physics
from fewview.recon.simulator import simulate_raw

GRID = Grid((44, 40, 40), 0.6)
PIXEL_MM = 0.8904


@pytest.fixture(scope="module")
def leg() -> np.ndarray:
    return hind_limb(GRID, seed=3, supersample=1).volume


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory, leg: np.ndarray) -> Path:
    """A scan whose axis is 0.9 pixels off, and whose log does not say so."""
    scan = skyscan_1276(rows=32, cols=48, voxel_mm=PIXEL_MM)
    raw = simulate_raw(leg, GRID, scan, Physics.ideal(bits=16, rays=1, axis_shift_mm=0.9 * PIXEL_MM))
    return write_skyscan(raw, tmp_path_factory.mktemp("shifted") / "s")


def test_calibrate_finds_a_shift_and_draws_it(shifted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--views", "52", "--fit", "axis_shift", "--keep-sense", "--out", str(tmp_path / "c.json")]
    assert main(["calibrate", str(shifted), *words]) == 0
    assert "axis shift" in capsys.readouterr().out
    record = json.loads((tmp_path / "c.json").read_text())
    assert record["calibration"]["axis_shift_mm"] / PIXEL_MM == pytest.approx(0.9, abs=0.1)
    assert record["inputs"][0]["path"] == str(shifted)
    assert iio.imread(tmp_path / "c.png").ndim == 3
    assert main(["calibrate", str(shifted), *words]) == 2
    assert "--force" in capsys.readouterr().err


def test_recon_uses_what_calibrate_finds(shifted: Path, tmp_path: Path, leg: np.ndarray) -> None:
    error = {}
    for name, words in {"as is": [], "calibrated": ["--calibrate"]}.items():
        out = tmp_path / f"{name}.h5"
        assert main(["recon", str(shifted), "--views", "52", "--out", str(out), *words]) == 0
        volume, grid, _ = read_volume(out)
        error[name] = float(np.sqrt(np.mean((volume - resample(leg, GRID, grid)) ** 2)))
    record = json.loads((tmp_path / "calibrated.h5.record.json").read_text())
    assert record["notes"]["calibration"]["axis_shift_mm"] / PIXEL_MM == pytest.approx(0.9, abs=0.2)
    assert error["calibrated"] < 0.8 * error["as is"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not there"),
        (["SCAN", "--fit", "axis_shfit"], "did you mean axis_shift"),
        (["SCAN", "--views", "3"], "6 or more"),
        (["SCAN", "--search-px", "-1"], "search_px"),
    ],
)
def test_bad_input(shifted: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["calibrate", *(str(shifted) if word == "SCAN" else word for word in words)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("fewview: error: ")
    assert said in line
