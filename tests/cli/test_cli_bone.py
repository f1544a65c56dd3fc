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


def test_measure_goes_slab_by_slab_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = 0.02 + 0.18 * voxels(SHAPE, plate(8, (0, 0, 1), (11.5, 15.5, 15.5)))
    stack = write_volume(body.astype(np.float32), tmp_path / "slices", grid=Grid(SHAPE, 0.01))
    words = ["bone", "measure", str(stack), "--threshold", "0.11"]
    assert main([*words, "--estimate"]) == 0
    assert "all 24 slices at once, about" in capsys.readouterr().out
    assert main([*words, "--slab", "9", "--estimate"]) == 0
    assert "3 slabs of 9 slices, " in capsys.readouterr().out
    assert main([*words, "--slab", "9", "--out", str(tmp_path / "measured")]) == 0
    assert "slab by slab: 3 slabs of 9 slices, " in capsys.readouterr().out
    record = json.loads((tmp_path / "measured" / "record.json").read_text())
    assert record["settings"]["slabs"] == 3
    assert record["measured"]["Tb_Th"] == pytest.approx(0.08, rel=0.01)
    assert (tmp_path / "measured" / "page.html").read_text().count("data:image/png;base64,") >= 3
    assert main([*words, "--slab", "0"]) == 2


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


def forked(lost: int = 0) -> np.ndarray:
    """A ring, and from slice 20 on a thin rod that parts from it: a tibia with its fibula; ``lost`` voxels of thickness off the ring."""
    z, y, x = np.indices((60, 50, 60)).astype(float)
    wide = 12 + np.maximum(0, 20 - z) * 0.3
    ring = (np.hypot(y - 25, x - 22) < wide) & (np.hypot(y - 25, x - 22) > wide - 5 + lost)
    rod = np.hypot(y - 25, x - 25 - np.minimum(0.6 * z, 24)) < 3
    return np.where(ring | rod, 0.2, 0.02).astype(np.float32)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Two animals with two and three weeks, and one with a single week."""
    for name, weeks in (("a", (0, 1)), ("b", (0, 0, 2)), ("lonely", (0,))):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for week, lost in enumerate(weeks):
            write_volume(forked(lost), tmp_path / "animals" / name / f"week{week}.ome.tif", grid=Grid((60, 50, 60), 0.05))
    return tmp_path / "animals"


def test_a_batch_of_composites(animals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bone", "roi", "--animals", str(animals), "--threshold", "0.1", "--slices", "20", "--out", str(tmp_path / "roi")]
    assert main(words) == 1, "one animal has a single week"
    said = capsys.readouterr().out
    assert "lonely: " in said
    assert "1 volume(s)" in said
    assert (tmp_path / "roi" / "a" / "composite.ome.tif").exists()
    record = json.loads((tmp_path / "roi" / "b" / "record.json").read_text())
    lost = [record["composites"][f"composite_week{week}"]["lost_mm3"] for week in (1, 2)]
    assert lost[0] == 0
    assert lost[1] == pytest.approx(np.pi * (9**2 - 7**2) * 20 * 0.05**3, rel=0.05)
    assert main(words) == 1
    assert "a is there already" in capsys.readouterr().out


def test_a_batch_of_bones_is_put_upright(animals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for extra in ("a/week1", "b/week1", "b/week2"):
        (animals / f"{extra}.ome.tif").unlink()
    words = ["bone", "register", "--animals", str(animals), "--threshold", "0.1", "--out", str(tmp_path / "registered")]
    main(words)
    assert sorted(p.name for p in (tmp_path / "registered").iterdir()) == ["a", "b", "lonely"]
    assert (tmp_path / "registered" / "b" / "week0.tfm").exists()
    assert main(["bone", "roi", "--animals", str(tmp_path / "registered"), "--out", str(tmp_path / "roi")]) == 1
    assert main([*words, "--reference", "none.ome.tif"]) == 0, "all are there already"
    assert capsys.readouterr().out.count("is there already") == 3
    assert main(["bone", "register", "--animals", str(tmp_path / "nowhere"), "--out", str(tmp_path / "x")]) == 2
    assert main(["bone", "register", str(animals / "a"), "--animals", str(animals), "--out", str(tmp_path / "x")]) == 2
