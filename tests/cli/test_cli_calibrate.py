"""`fewview calibrate`, and `recon --calibrate`: a shift that the log does not know is found and used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from fewview.cli.main import main
from fewview.data import hind_limb, read_volume, write_skyscan
from fewview.data.volumes.resample import resample
from fewview.geometry import Grid, skyscan_1276
from fewview.recon.physics.effects import Physics
from fewview.recon.physics.simulator import simulate_raw

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
    words = ["--views", "52", "--fit", "axis_shift", "--keep-sense", "--drift", "--out", str(tmp_path / "c.json")]
    assert main(["calibrate", str(shifted), *words]) == 0
    said = capsys.readouterr().out
    assert "axis shift" in said
    assert "drift of the views" in said
    record = json.loads((tmp_path / "c.json").read_text())
    assert record["calibration"]["axis_shift_mm"] / PIXEL_MM == pytest.approx(0.9, abs=0.1)
    assert np.std(record["calibration"]["drift"]["rows_px"]) < 0.1  # there is none
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


def test_every_correction_is_on_record_and_off_unless_asked_for(shifted: Path, tmp_path: Path) -> None:
    def notes(*words: str) -> dict[str, Any]:
        out = tmp_path / "v.h5"
        assert main(["recon", str(shifted), "--views", "26", "--out", str(out), "--force", *words]) == 0
        return json.loads((tmp_path / "v.h5.record.json").read_text())["notes"]

    plain = notes()
    assert plain["corrections"] == []
    assert not {"calibration", "drift"} & set(plain)
    asked = ["--dead-pixels", "9", "--rings", "4", "--scatter", "0.01", "--smoothing", "1", "--bone-hardening", "1", "--median", "1"]
    full = notes(*asked, "--correct", "ring_method=static", "scatter_width=0.2", "--calibrate", "--drift")
    steps = {entry["step"]: entry for entry in full["corrections"]}
    assert list(steps) == ["dead_pixels", "rings", "scatter", "smoothing", "bone_hardening", "median"]
    assert (steps["dead_pixels"]["sigmas"], steps["rings"]["level"], steps["smoothing"]["level"]) == (9, 4, 1)
    assert (steps["scatter"]["fraction"], steps["scatter"]["width"]) == (0.01, 0.2)
    assert (steps["bone_hardening"]["passes"], steps["bone_hardening"]["voltage_kv"], steps["median"]["radius"]) == (1, 50, 1)
    assert all(entry["rms_change"] > 0 for step, entry in steps.items() if step != "dead_pixels")
    assert {"axis_shift_mm", "row_shift_mm", "roll_deg", "rotation_reversed", "hardening_percent"} <= set(full["calibration"])
    assert len(full["drift"]["cols_px"]) == len(full["drift"]["rows_px"]) == 26
    (only,) = notes("--beam-hardening", "25")["corrections"]
    assert (only["step"], only["percent"]) == ("beam_hardening", 25)
    assert main(["recon", str(shifted), "--out", str(tmp_path / "x.h5"), "--correct", "voltage=50"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not there"),
        (["SCAN", "--fit", "axis_shfit"], "did you mean axis_shift"),
        (["SCAN", "--views", "3"], "6 or more"),
        (["SCAN", "--search-px", "-1"], "--search-px"),
    ],
)
def test_bad_input(shifted: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["calibrate", *(str(shifted) if word == "SCAN" else word for word in words)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("fewview: error: ")
    assert said in line
