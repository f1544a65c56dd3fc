"""`fewview bone ...` from the command line: what is printed and written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from bodies import plate, voxels
from fewview.bone import KnownError, fit_intervals
from fewview.cli.main import main
from fewview.data import write_volume
from fewview.geometry import Grid

SHAPE = (24, 32, 32)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    body = 0.02 + 0.18 * voxels(SHAPE, plate(8, (0, 0, 1), (11.5, 15.5, 15.5)))
    return write_volume(body.astype(np.float32), tmp_path / "plate.ome.tif", grid=Grid(SHAPE, 0.01))


def test_measure_prints_and_writes(volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "measured"
    table = fit_intervals([KnownError(str(i), "fdk", 26, "Tb_Th", i * 1e-4) for i in range(39)])
    bounds = table.write(tmp_path / "bounds.json")
    words = ["bone", "measure", str(volume), "--threshold", "0.11", "--out", str(out), "--density", "0.02", "0", "0.2", "1000"]
    assert main([*words, "--intervals", str(bounds), "--method", "fdk", "--views", "26"]) == 0
    said = capsys.readouterr().out
    assert "Tb.Th" in said
    assert "0.0800 (0.0801 to 0.0837)" in said
    (row,) = csv.DictReader((out / "measures.csv").read_text().splitlines())
    assert float(row["Tb_Th [mm]"]) == pytest.approx(0.08, rel=0.01)
    assert float(row["TMD [mg/cm^3]"]) == pytest.approx(1000, rel=1e-3)
    assert len((out / "slices.csv").read_text().splitlines()) == 1 + SHAPE[0]
    page = (out / "page.html").read_text()
    assert page.count("data:image/png;base64,") >= 3
    assert "http" not in page.replace("http://www.w3.org", "")
    record = json.loads((out / "record.json").read_text())
    assert record["settings"]["threshold"] == pytest.approx(0.11)
    assert record["measured"]["Tb_Th"] == pytest.approx(0.08, rel=0.01)
    assert main(words) == 2, "an output that is there stays without --force"
    assert main([*words, "--force"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threshold", "75"], "the threshold is in grey levels, the volume in 1/mm"),
        (["--region", "trabecula"], "trabecular"),
        (["--density", "1", "2", "3"], "pairs"),
        (["--intervals", "none.json", "--method", "fdk", "--views", "3"], "none.json"),
    ],
)
def test_measure_refuses(volume: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bone", "measure", str(volume), *words]) == 2
    assert said in capsys.readouterr().err


def test_follow_says_what_changed(volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = 0.02 + 0.18 * voxels(SHAPE, plate(10, (0, 0, 1), (11.5, 15.5, 15.5)))
    later = write_volume(body.astype(np.float32), tmp_path / "later.ome.tif", grid=Grid(SHAPE, 0.01))
    out = tmp_path / "change.csv"
    assert main(["bone", "follow", str(volume), str(later), "--weeks", "0", "3", "--threshold", "0.11", "--out", str(out)]) == 0
    assert "no volume for week 1, 2" in capsys.readouterr().out
    rows = [row for row in csv.DictReader(out.read_text().splitlines()) if row["quantity"] == "Tb_Th"]
    assert float(rows[-1]["change in %"]) == pytest.approx(25, rel=0.03)
    assert main(["bone", "follow", str(volume), "--threshold", "0.11"]) == 2
    assert main(["bone", "follow", str(volume), str(later), "--weeks", "1", "1"]) == 2
