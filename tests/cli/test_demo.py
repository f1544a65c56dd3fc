"""The demo: a scan made, written, read back, reconstructed and reported; the page holds what the files say."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import fewview as fv
import imageio.v3 as iio
import nibabel
import numpy as np
import pytest
from fewview.benchmarks.demo import figures as demo_figures
from fewview.benchmarks.scores.metrics import psnr
from fewview.cli.main import main
from fewview.data import read, read_volume
from fewview.geometry import Grid, Scan, skyscan_1276

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--rows", "32", "--cols", "48")


class Page(HTMLParser):
    """Tags, attributes, and the table's cells of a page; fails on tags that do not close."""

    VOID = ("meta", "img", "br", "link", "input", "rect", "circle", "polygon", "polyline", "line", "path")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    assert main(["demo", "--out", str(out), "--fdk-only", *SMALL]) == 0
    return out


def test_the_demo_writes_what_it_says(made: Path) -> None:
    names = {p.name for p in made.iterdir()}
    for count in (260, 52, 26):
        assert {f"fdk_{count}.ome.tif", f"fdk_{count}.ome.tif.record.json"} <= names
    assert {"scan", "truth.ome.tif", "report.html", "overview.png"} <= names
    assert len(list((made / "scan").glob("*.tif"))) == 260
    assert not list(made.parent.glob(".*"))
    assert iio.imread(made / "overview.png").ndim == 3


def test_the_page_stands_alone_and_needs_no_script(made: Path) -> None:
    text = (made / "report.html").read_text()
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    sources = [attrs["src"] for tag, attrs in page.tags if "src" in attrs]
    assert len(sources) >= 3 * 4 + 3 * 3 + 4
    assert all(source and source.startswith("data:image/png;base64,") for source in sources)
    assert not re.findall(r"(?:href|url|@import)[=(\s\"']+(?:https?:)?//", text)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert "svg" in {tag for tag, _ in page.tags}
    for word in ("Data range 0.2 1/mm", "Mask:", "voxels that every view sees", "Run record", "grey window"):
        assert word in text
    assert str(made.parent) not in text.replace(str(made), "")  # no temporary name leaks


def test_the_table_is_what_the_files_give(made: Path) -> None:
    """PSNR recomputed from the written volumes; fewer views are worse, and the full scan is good."""
    page = Page((made / "report.html").read_text())
    heads, *rows = page.rows
    truth, grid, _ = read_volume(made / "truth.ome.tif")
    mask = grid.seen_by_all(read(made / "scan").scan)
    found = {}
    for row in rows:
        cells = dict(zip(heads, row, strict=True))
        assert cells["method"] == "FDK"
        views = int(cells["views"])
        volume, _, _ = read_volume(made / f"fdk_{views}.ome.tif")
        found[views] = psnr(volume, truth, data_range=0.2, mask=mask)
        assert float(cells["PSNR dB"]) == pytest.approx(found[views], abs=0.006)
    assert list(found) == [260, 52, 26]
    assert found[260] > 35
    assert found[260] > found[52] > found[26] + 1


def test_total_variation_joins_where_it_is_installed(tmp_path: Path) -> None:
    """The last row is total variation from the fewest views, and is better than FDK from as many (one thread: the machine may be busy)."""
    import numba

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert main(["demo", "--out", str(tmp_path / "out"), "--rows", "24", "--cols", "36"]) == 0
    finally:
        numba.set_num_threads(threads)
    heads, *_, fdk, tv = Page((tmp_path / "out" / "report.html").read_text()).rows
    assert (fdk[:2], tv[:2]) == (["FDK", "26"], ["PDHG-TV", "26"])
    column = heads.index("PSNR dB")
    assert float(tv[column]) > float(fdk[column]) + 1
    assert (tmp_path / "out" / "pdhg_tv_26.ome.tif").is_file()


def test_the_commands_on_the_page_make_the_same_volumes(made: Path, tmp_path: Path) -> None:
    text = (made / "report.html").read_text()
    (line,) = re.findall(r"fewview (recon .*--method fdk --views 26 --out) (\S+)", text)
    assert main([*line[0].split(), str(tmp_path / line[1])]) == 0
    again, grid, _ = read_volume(tmp_path / line[1])
    volume, same_grid, _ = read_volume(made / "fdk_26.ome.tif")
    np.testing.assert_array_equal(again, volume)
    assert grid == same_grid


def test_the_records_name_the_final_files(made: Path) -> None:
    record = json.loads((made / "fdk_26.ome.tif.record.json").read_text())
    assert record["outputs"] == [str(made / "fdk_26.ome.tif")]
    assert record["command"].startswith("fewview demo")
    assert record["views"] == 26


def test_a_second_demo_does_not_overwrite(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "report.html").stat().st_mtime_ns
    assert main(["demo", "--out", str(made)]) == 2
    assert "--force" in capsys.readouterr().err
    assert (made / "report.html").stat().st_mtime_ns == before


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from fewview.cli.main import main; sys.exit(main())", "demo", "--out", "out", *SMALL]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not list(tmp_path.glob(".*out*")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert list(tmp_path.iterdir()) == []


def test_a_volume_of_ones_own(tmp_path: Path) -> None:
    """A grey cylinder of 0.2 x 127/255 1/mm, off the axis: the right value in the right place, in every row."""
    z, y, x = np.mgrid[:36, :48, :48].astype(float) - np.array([17.5, 23.5, 23.5])[:, None, None, None]
    inside = (x - 6) ** 2 + (y + 4) ** 2 <= 10**2
    grey = np.where(inside & (np.abs(z) < 14), 127, 0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(grey.transpose(2, 1, 0), np.diag([0.3, 0.3, 0.3, 1.0])), tmp_path / "rod.nii.gz")
    out = tmp_path / "out"
    assert main(["demo", "--volume", str(tmp_path / "rod.nii.gz"), "--out", str(out), "--fdk-only", *SMALL]) == 0
    for count in (260, 52, 26):
        volume, grid, _ = read_volume(out / f"fdk_{count}.ome.tif")
        assert grid.voxel_mm >= 1.5 * 0.3 * (1 - 1e-9)
        core = (grid.x_mm[None, :] - 1.8) ** 2 + (grid.y_mm[:, None] + 1.2) ** 2 <= 2.0**2
        middle = np.abs(grid.z_mm) < 1
        assert volume[middle][:, core].mean() == pytest.approx(0.2 * 127 / 255, rel=0.02)
    assert "rod.nii.gz" in (out / "report.html").read_text()


def test_real_volume(tmp_path: Path, shared_data: Path) -> None:
    volume = shared_data / "mouse_head" / "C57BL6_J_.nii.gz"
    assert main(["demo", "--volume", str(volume), "--out", str(tmp_path / "head"), "--fdk-only", *SMALL]) == 0
    assert (tmp_path / "head" / "report.html").is_file()


# ------------------------------------------------------------------------------------------------ parts


def test_the_mask_is_where_every_view_sees() -> None:
    """Against a projection of each voxel's centre into every view."""
    scan = skyscan_1276(rows=12, cols=18, voxel_mm=1.0)
    full = Scan.circular(dso_mm=scan.dso_mm, dsd_mm=scan.dsd_mm, rows=12, cols=18, pixel_mm=1.0, angles_deg=np.arange(0, 360, 1.0))
    grid = Grid((16, 22, 22), 0.8)
    z, y, x = np.meshgrid(grid.z_mm, grid.y_mm, grid.x_mm, indexing="ij")
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    seen = np.ones(len(points), bool)
    for source, detector, u, v in zip(full.source, full.detector, full.u, full.v, strict=True):
        ray = points - source
        normal = np.cross(u, v)
        hit = source + ray * ((detector - source) @ normal / (ray @ normal))[:, None] - detector
        seen &= (np.abs(hit @ u) <= 9 * (u @ u) + 1e-9) & (np.abs(hit @ v) <= 6 * (v @ v) + 1e-9)
    mask = grid.seen_by_all(full).ravel()
    assert np.mean(mask & ~seen) == 0
    assert np.mean(seen & ~mask) < 0.003


def test_a_panel_is_in_the_stated_window_and_orientation() -> None:
    image = np.zeros((20, 40), np.float32)
    image[15:, :10] = 0.05  # up and left: high second axis, low first
    png = iio.imread(demo_figures.panel(image, 0.1, (0.0, 0.1)))
    height, width = png.shape[:2]
    assert width == 2 * height
    assert abs(int(png[5, 5, 0]) - 128) <= 1
    assert png[5, width - 5, 0] == 0
    assert png[height - 5, width - 5, 0] == 0


@pytest.mark.parametrize(("value", "expected"), [(0.199, 0.15), (1.0, 1.0), (4.99, 3.0), (5.0, 5.0), (0.001, 0.001), (70, 50)])
def test_round_numbers(value: float, expected: float) -> None:
    assert demo_figures.round_number(value) == pytest.approx(expected)


def test_slices_run_through_the_bone_and_crop_the_air() -> None:
    volume = np.zeros((40, 40, 40), np.float32)
    volume[10:30, 12:28, 5:20] = 0.04
    volume[22, 15:18, 8:11] = 0.2
    cut = demo_figures.choose_cut(volume, 0.02, 0.1)
    assert cut.at[0] == 22
    assert cut.at[1] in (15, 16, 17)
    assert [s.start for s in cut.box] == [8, 10, 3]
    assert cut.take(volume, "axial").max() == pytest.approx(0.2)


# ------------------------------------------------------------------------------------------------ the README


def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    volume, _, _ = read_volume(tmp_path / "few_views.nii.gz")
    assert 0.05 < volume.max() < 0.3


def test_the_readme_names_what_is_here() -> None:
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert (ROOT / target).exists(), target
    assert (ROOT / "docs" / "demo.png").stat().st_size < 200_000
    for name in re.findall(r"^\| `(.*?)` ", text, flags=re.MULTILINE):
        if not name.endswith("my_function"):
            assert all(part in fv.METHODS for part in re.findall(r"\w+", name)), name
