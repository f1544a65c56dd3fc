"""Scan folders as they really are, on the command line: parts of an oversize scan, a scout, a shift table that does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fewview.cli.main import main
from fewview.data import RawScan, read_volume, write_skyscan
from fewview.data.images.image_files import write_image
from fewview.geometry import skyscan_1276

SCAN = skyscan_1276(rows=8, cols=24, voxel_mm=1.0)


def write(folder: Path, prefix: str = "mouse_", level: int = 25_000) -> Path:
    counts = np.full((len(SCAN), *SCAN.shape), 57_000, np.uint16)
    counts[:, 2:6, 8:16] = level
    counts[:, 3, 10] += np.arange(len(SCAN), dtype=np.uint16)
    return write_skyscan(RawScan(counts, SCAN), folder, prefix=prefix)


def recon(capsys: pytest.CaptureFixture[str], folder: Path, out: Path, *words: str) -> tuple[int, str]:
    code = main(["recon", str(folder), "--views", "26", "--out", str(out), *words])
    return code, capsys.readouterr().err.strip()


def test_parts_of_an_oversize_scan_are_named_and_read_one_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    for part, level in ((0, 25_000), (1, 40_000)):
        for file in write(tmp_path / f"part{part}", f"mouse_~{part:02d}", level).iterdir():
            file.rename(folder / file.name)
    code, said = recon(capsys, folder, tmp_path / "none.h5")
    assert code == 2
    assert "oversize scan in 2 parts (mouse_~00, mouse_~01)" in said
    assert "--read-as part=0" in said
    assert "\n" not in said
    assert not (tmp_path / "none.h5").exists()
    means = []
    for part in (0, 1):
        code, said = recon(capsys, folder, tmp_path / f"{part}.h5", "--read-as", f"part={part}")
        assert code == 0, said
        means.append(float(read_volume(tmp_path / f"{part}.h5")[0].mean()))
    assert means[0] > 1.5 * means[1]  # each its own images
    code, said = recon(capsys, folder, tmp_path / "none.h5", "--read-as", "part=2")
    assert (code, "no part 2" in said) == (2, True)


def test_a_scout_is_no_projection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, scouted = write(tmp_path / "a"), write(tmp_path / "b")
    for name in ("mouse__spr.tif", "mouse_spr.tif"):
        write_image(scouted / name, np.full((9, 7), 300, np.uint16))
    for folder in (plain, scouted):
        code, said = recon(capsys, folder, tmp_path / f"{folder.name}.h5")
        assert code == 0, said
    np.testing.assert_array_equal(read_volume(tmp_path / "a.h5")[0], read_volume(tmp_path / "b.h5")[0])


def test_a_shift_table_of_another_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "a")
    table = folder / "mouse__TS.csv"
    table.write_text("Thermal shift\nNumber of views= 9\nView, X shift, Y shift\n" + "".join(f"{i}, 0.5, 0.5\n" for i in range(9)))
    code, said = recon(capsys, folder, tmp_path / "out.h5", "--read-as", "apply_view_shifts=true")
    assert code == 2
    assert "mouse__TS.csv" in said
    assert not (tmp_path / "out.h5").exists()
    table.write_text("Thermal shift\nNumber of views= 260\nView, X shift, Y shift\n" + "".join(f"{i}, 0.5, 0.5\n" for i in range(260)))
    code, said = recon(capsys, folder, tmp_path / "out.h5", "--read-as", "apply_view_shifts=true")
    assert code == 0, said
