"""One call from scan to volume; what is known about the scan is said and recorded."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import fewview as fv
import h5py
import numpy as np
import pytest
from fewview.cli.main import main
from fewview.data import RawScan, read, read_volume, write_projections, write_skyscan
from fewview.geometry import skyscan_1276
from fewview.pipeline import ReconPlan, Spread, run
from fewview.pipeline.findings import coverage, findings

SCAN = skyscan_1276(rows=8, cols=24, voxel_mm=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """260 views of a rod, as the scanner writes them."""
    counts = np.full((len(SCAN), *SCAN.shape), 57_000, np.uint16)
    counts[:, 2:6, 8:16] = 25_000
    return write_skyscan(RawScan(counts, SCAN), tmp_path / "rod")


def record_of(path: Path) -> dict[str, Any]:
    return json.loads(path.with_name(path.name + ".record.json").read_text())


def test_run_reads_reconstructs_and_records(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    plan = ReconPlan(folder, "fdk", 26, settings={"filter": "hann"}, out=tmp_path / "v.h5", spread=Spread(2))
    done = run(plan, tell=said.append)
    part = read(folder, views=slice(None))
    part = read(folder, views=fv.views.evenly(part.scan, 26))
    np.testing.assert_array_equal(done.reconstruction.volume, fv.reconstruct(part, "fdk", fv.Grid.fit(SCAN), filter="hann").volume)
    np.testing.assert_array_equal(read_volume(done.path)[0], done.reconstruction.volume)
    assert done.std_path == tmp_path / "v_std.h5"
    assert done.std_path.is_file()
    record = record_of(done.path)
    assert record["command"].startswith("fewview.pipeline.run(ReconPlan(")
    assert record["plan"]["views"] == "26"
    assert record["plan"]["spread"] == {"replicas": 2, "kind": "views", "scale": 1.0}
    assert said[0].startswith("fdk: 26 views to")
    assert said[-2].startswith(f"wrote {done.path}")


def test_the_level_of_air_may_be_given(folder: Path, tmp_path: Path) -> None:
    """The views hold air at 57 000: with 28 500 every line integral is ln 2 less."""
    own = lambda projections, grid: np.full(grid.shape, projections.values.min())  # noqa: E731
    found, given = (
        run(ReconPlan(folder, own, 26, out=tmp_path / f"{len(read_as)}.h5", read_as=read_as)).reconstruction.volume.min()
        for read_as in ({}, {"air": 28_500, "direction": "CW"})
    )
    assert found - given == pytest.approx(np.log(2), abs=1e-3)


def test_an_output_that_is_there_is_seen_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "v.h5").write_text("precious")
    with pytest.raises(FileExistsError, match=r"v\.h5"):
        run(ReconPlan(tmp_path / "nowhere", out=tmp_path / "v.h5"))
    assert (tmp_path / "v.h5").read_text() == "precious"


def test_a_grid_that_does_not_fit_is_seen_before_the_images_are_read(folder: Path, tmp_path: Path) -> None:
    images = sorted(folder.glob("*.tif"))
    for image in images[1:]:
        image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(ValueError, match="larger --voxel-mm"):
        run(ReconPlan(folder, voxel_mm=1e-4, out=tmp_path / "v.h5"))
    with pytest.raises(ValueError, match=images[1].name):  # the images are broken indeed
        run(ReconPlan(folder, out=tmp_path / "v.h5"))


def test_a_record_may_carry_the_names_of_later(folder: Path, tmp_path: Path) -> None:
    plan = ReconPlan(folder, views=26, out=tmp_path / "v.h5")
    run(plan, command="made", named=lambda path: Path("final") / path.name)
    record = record_of(tmp_path / "v.h5")
    assert (record["command"], record["outputs"], record["inputs"][0]["path"]) == ("made", ["final/v.h5"], "final/rod")
    assert str(tmp_path) not in json.dumps({name: record[name] for name in ("plan", "inputs", "outputs")})


# ------------------------------------------------------------------------------------------------ what info knows, recon says


def _edited(folder: Path, **keys: str) -> Path:
    log = next(folder.glob("*.log"))
    text = log.read_bytes().decode("cp1252")
    for key, value in keys.items():
        text = re.sub(rf"(?m)^{key.replace('_', ' ')}=.*?(?=\r?$)", f"{key.replace('_', ' ')}={value}", text)
    log.write_bytes(text.encode("cp1252"))
    return folder


def _lines_of_info(text: str) -> list[str]:
    """The lines under the titles of `info`."""
    return [line.strip() for line in text.partition("\nwarnings\n")[2].splitlines() if line.startswith("  ")]


def test_recon_says_every_warning_and_assumption_of_info_the_worst_first(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edited(folder, Use_360_Rotation="YES")
    assert main(["info", str(folder)]) == 0
    known = _lines_of_info(capsys.readouterr().out)
    assert len(known) >= 4
    assert main(["recon", str(folder), "--out", str(tmp_path / "v.h5")]) == 0
    out, err = capsys.readouterr()
    (warning,) = err.splitlines()  # once, though the reader gives it too
    assert warning.startswith("fewview: warning: 'Use 360 Rotation' is YES")
    assert warning.endswith(known[0])
    assert [line.removeprefix("assumed: ") for line in out.splitlines() if line.startswith("assumed: ")] == known[1:]
    notes = record_of(tmp_path / "v.h5")["notes"]["findings"]
    assert [*notes["warnings"], *notes["assumptions"]] == known


def test_recon_says_that_the_axis_of_an_exchange_file_is_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tooth.h5"
    with h5py.File(path, "w") as file:
        data = np.full((60, 2, 16), 1000.0, np.float32)
        data[:, :, 6:9] = 400
        file["exchange/data"], file["exchange/theta"] = data, np.arange(60) * 3.0
        file["exchange/data_white"], file["exchange/data_dark"] = np.full((2, 2, 16), 1000.0), np.zeros((2, 2, 16))
    assert main(["recon", str(path), "--out", str(tmp_path / "v.h5")]) == 0
    out = capsys.readouterr().out
    assert "assumed: the file does not say where the axis is: it is taken at the middle column" in out
    assert main(["recon", str(path), "--out", str(tmp_path / "w.h5"), "--read-as", "axis_shift_mm=1"]) == 0
    assert "middle column" not in capsys.readouterr().out


def test_what_the_views_leave_out_is_said_whatever_the_method(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--method", "cgls", "--set", "iterations=1", "--views", "wedge:90"]
    assert main(["recon", str(folder), "--out", str(tmp_path / "v.h5"), *words]) == 0
    assert "views: covers 90.40 deg of the" in capsys.readouterr().out


def test_findings_of_a_file_of_projections_survive(folder: Path, tmp_path: Path) -> None:
    write_projections(read(folder, views=slice(0, 250)), tmp_path / "p.h5")
    said: list[str] = []
    run(ReconPlan(tmp_path / "p.h5", out=tmp_path / "v.h5"), tell=said.append)
    assert any("row 0 of the images" in line for line in said)


def test_a_warning_is_no_assumption_too() -> None:
    told = findings(SCAN, {"warnings": ["dark"], "assumptions": ["dark", "middle"]})
    assert (told.warnings, told.notes()) == (("dark",), ("assumed: middle",))


def test_warnings_are_shown_and_kept_in_the_record(folder: Path, tmp_path: Path) -> None:
    def own(projections: Any, grid: Any) -> Any:
        warnings.warn("the beam flickered", stacklevel=1)
        return np.zeros(grid.shape, np.float32)

    plan = ReconPlan(folder, own, 26, out=tmp_path / "v.h5")
    with pytest.warns(UserWarning, match="flickered"):
        run(plan)
    assert record_of(tmp_path / "v.h5")["notes"]["warnings"] == ["the beam flickered"]


def test_coverage_counts_cells() -> None:
    """260 views of 0.8 deg cover 208 deg; the fan of 24 columns of 1 mm is that of the scan."""
    enough, line = coverage(SCAN)
    assert enough
    assert line.startswith("covers 208.00 deg")
    assert coverage(SCAN[:100]) == (False, coverage(SCAN[:100])[1])
    assert "covers 80.00 deg" in coverage(SCAN[:100])[1]
    assert coverage(SCAN[:1])[0] is False


def test_the_axis_of_the_tooth(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recon", str(shared_data / "tooth.h5"), "--out", str(tmp_path / "v.h5"), "--voxel-mm", "8"]) == 0
    assert "taken at the middle column (calibrate finds it)" in capsys.readouterr().out
