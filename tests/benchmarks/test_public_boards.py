"""Public layouts on made-up folders: written here in a few lines, from published geometry, with views of balls and discs in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from fewview.benchmarks.boards.board import board_page, score_scenes
from fewview.benchmarks.boards.boards import BOARDS
from fewview.benchmarks.boards.htc_board import matthews, reference_of, segmented
from fewview.benchmarks.boards.rabbitct_board import RABBITCT
from fewview.cli.main import main
from fewview.data import read
from fewview.data.scans.public.cwi_walnut import cwi_reference
from fewview.geometry import Grid, InputError
from fewview.recon import reconstruct
from numpy.typing import NDArray

QUIET: Any = {"say": lambda line: None}


def chords(source: NDArray[Any], pixels: NDArray[Any], center: NDArray[Any], radius: float) -> NDArray[Any]:
    """The lengths within a ball (or a disc) of the rays from the source to pixels (..., 3 or 2)."""
    ray = (pixels - source) / np.linalg.norm(pixels - source, axis=-1, keepdims=True)
    to = center - source
    along = ray @ to
    return 2 * np.sqrt(np.maximum(radius**2 - (to @ to - along**2), 0))


# ---- the walnuts of CWI

BALL, RADIUS, MU, CUBE = np.array([1.1, -0.6, 0.9]), 1.7, 0.04, 80
WALNUT_VIEWS, ROWS, COLS = 40, 56, 48


def walnut(folder: Path) -> Path:
    """Sensor images lie on their side and are numbered against the lines of the geometry, of which the last repeats the first."""
    tube = folder / "Projections" / "tubeV2"
    tube.mkdir(parents=True)
    lines, rng = [], np.random.default_rng(0)
    dark = rng.integers(90, 110, (ROWS, COLS)).astype(float)
    flat = rng.integers(30_000, 40_000, (ROWS, COLS)).astype(float)

    def put(name: str, upright: NDArray[Any]) -> None:
        upright = upright + rng.normal(0, 2, upright.shape)  # a pixel that never changes counts as stuck
        tifffile.imwrite(tube / name, np.flipud(upright.T).round().astype(np.uint16))

    for view in range(WALNUT_VIEWS + 1):
        angle = 2 * np.pi * view / WALNUT_VIEWS
        out, along = np.array([np.cos(angle), np.sin(angle), 0]), np.array([-np.sin(angle), np.cos(angle), 0])
        source, middle, u, v = 60 * out + [0, 0, 1.0], -30 * out, 0.27 * along, np.array([0, 0, 0.27])
        lines.append(np.concatenate([source, middle, u, v]))
        row, col = np.mgrid[:ROWS, :COLS].astype(float)
        pixels = middle + (col - (COLS - 1) / 2)[..., None] * u + (row - (ROWS - 1) / 2)[..., None] * v
        put(f"scan_{WALNUT_VIEWS - view:06d}.tif", dark + (flat - dark) * np.exp(-MU * chords(source, pixels, BALL, RADIUS)))
    np.savetxt(tube / "scan_geom_corrected.geom", lines)
    put("di000000.tif", dark)
    put("io000000.tif", flat - 20)
    put("io000001.tif", flat + 20)
    (folder / "Reconstructions").mkdir()
    z, y, x = (np.mgrid[:CUBE, :CUBE, :CUBE] - (CUBE - 1) / 2) * 0.1
    inside = (x - BALL[0]) ** 2 + (y - BALL[1]) ** 2 + (z - BALL[2]) ** 2 < RADIUS**2
    for k in range(CUBE):
        tifffile.imwrite(folder / "Reconstructions" / f"full_AGD_50_{k:06d}.tiff", np.float32(MU) * inside[k])
    return folder


@pytest.mark.filterwarnings("ignore")  # the warnings of so coarse a scan
def test_a_walnut_is_read_upright_and_in_the_order_of_its_geometry(tmp_path: Path) -> None:
    folder = walnut(tmp_path / "Walnut1")
    projections = read(folder)
    assert len(projections) == WALNUT_VIEWS
    assert projections.values.shape[1:] == (ROWS, COLS)
    scan = projections.scan
    row, col = np.mgrid[:ROWS, :COLS].astype(float)
    for view in (0, 7, 31):
        angle = 2 * np.pi * view / WALNUT_VIEWS
        source = np.array([60 * np.cos(angle), 60 * np.sin(angle), 1.0])
        assert np.allclose(scan.source[view], source)
        pixels = scan.detector[view] + (col - (COLS - 1) / 2)[..., None] * scan.u[view] + (row - (ROWS - 1) / 2)[..., None] * scan.v[view]
        assert (
            np.abs(projections.values[view] - MU * chords(source, pixels, BALL, RADIUS)).max() < 5e-4
        )  # two counts in 30 000, and the rounding
    scores = score_scenes(BOARDS["cwi"], tmp_path, ("fdk", "cgls"), **QUIET)
    assert [s.case for s in scores if s.method == "fdk"] == [40, 40, 20]
    assert max(s.value for s in scores if s.method == "cgls") > 20  # a sharp ball in voxels of 0.4 mm, from pixels of 0.7 mm
    truth, grid = cwi_reference(folder, 4)
    found = reconstruct(read(folder, binning=4), "cgls", grid, check=False).volume
    for axis in range(3):
        assert np.mean((found - truth) ** 2) < 0.5 * np.mean((found - np.flip(truth, axis)) ** 2)
    page = board_page(BOARDS["cwi"], scores)
    assert "no published row by this one is known for 20 views" in page


def test_a_walnut_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    tube = walnut(tmp_path / "Walnut1") / "Projections" / "tubeV2"
    (tube / "scan_000003.tif").unlink()
    with pytest.raises(InputError, match=r"40 images scan_.*41, the lines"):
        read(tube)
    (tube / "di000000.tif").unlink()
    with pytest.raises(FileNotFoundError, match="dark"):
        read(tube)
    (tube / "scan_geom_corrected.geom").write_text("1 2 3\n")
    with pytest.raises(InputError, match="twelve"):
        read(tube)
    assert "What failed" in board_page(BOARDS["cwi"], score_scenes(BOARDS["cwi"], tmp_path, ("fdk",), **QUIET))


# ---- HelTomo: the challenge of 2022, and photon counting

DISC, HOLE, PIXELS, IMAGE = (np.array([1.0, -2.0]), 34.0), (np.array([12.0, 9.0]), 8.0), 96, 64
DSO, DSD, PITCH = 410.66, 553.74, 1.6


def sinogram(angles_deg: NDArray[Any]) -> NDArray[Any]:
    """A disc with a hole, by the vectors of ASTRA's `fanflat`, which HelTomo hands its numbers to."""
    rows = []
    for angle in np.radians(angles_deg):
        source = DSO * np.array([np.sin(angle), -np.cos(angle)])
        middle = (DSD - DSO) * np.array([-np.sin(angle), np.cos(angle)])
        pixels = middle + (np.arange(PIXELS) - (PIXELS - 1) / 2)[:, None] * PITCH * np.array([np.cos(angle), np.sin(angle)])
        rows.append(0.02 * (chords(source, pixels, *DISC) - chords(source, pixels, *HOLE)))
    return np.array(rows)


def parameters(angles_deg: NDArray[Any], **more: Any) -> dict[str, Any]:
    return {
        "distanceSourceOrigin": DSO, "distanceSourceDetector": DSD, "pixelSizePost": PITCH, "angles": angles_deg, "detectorType": "EID",
        "numDetectorsPost": PIXELS, **more,
    }  # fmt: skip


def disc(folder: Path, name: str, struct: str, angles_deg: NDArray[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    content = {"type": "2D", "sinogram": sinogram(angles_deg), "parameters": parameters(angles_deg)}
    scipy.io.savemat(folder / f"htc2022_{name}.mat", {struct: content})
    row, col = np.mgrid[:IMAGE, :IMAGE]
    voxel = PITCH * DSO / DSD
    x, y = (col - (IMAGE - 1) / 2) * voxel, -(row - (IMAGE - 1) / 2) * voxel  # row 0 is at the top
    inside = (np.hypot(x - DISC[0][0], y - DISC[0][1]) < DISC[1]) & (np.hypot(x - HOLE[0][0], y - HOLE[0][1]) > HOLE[1])
    scipy.io.savemat(folder / f"htc2022_{name.removesuffix('_limited')}_recon_fbp_seg.mat", {"reconFullFbpSeg": inside.astype(np.uint8)})
    return folder / f"htc2022_{name}.mat"


@pytest.mark.filterwarnings("ignore")
def test_a_disc_is_found_where_it_is(tmp_path: Path) -> None:
    path = disc(tmp_path / "full", "ta_full", "CtDataFull", np.arange(0, 360, 2.5))
    projections = read(path)
    truth = reference_of(path)
    rec = reconstruct(projections, "fdk", Grid((1, IMAGE, IMAGE), PITCH * DSO / DSD), check=False)
    found = segmented(np.flipud(rec.volume[0]))
    assert matthews(found, truth) > 0.97
    assert matthews(np.flipud(found), truth) < 0.92
    assert matthews(np.fliplr(found), truth) < 0.92


def test_the_score_is_the_correlation_of_two_masks() -> None:
    """Matthews' coefficient is Pearson's of zeros and ones."""
    rng = np.random.default_rng(1)
    one = rng.random((20, 30)) > 0.4
    two = one ^ (rng.random((20, 30)) > 0.8)
    assert matthews(one, two) == pytest.approx(float(np.corrcoef(one.ravel(), two.ravel())[0, 1]), abs=1e-12)
    assert matthews(one, np.zeros_like(one)) == 0


@pytest.mark.filterwarnings("ignore")
def test_the_challenge_has_arcs_and_published_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disc(tmp_path / "htc", "ta_full", "CtDataFull", np.arange(0, 360.1, 2.5))
    disc(tmp_path / "htc", "07a_limited", "CtDataLimited", np.arange(100, 130.1, 2.5))
    (tmp_path / "htc" / "htc2022_tb_full.mat").write_bytes(b"not MATLAB")
    assert main(["bench", "board", "--name", "htc2022", "--data", str(tmp_path / "htc"), "--methods", "cgls"]) == 0
    said = capsys.readouterr().out
    assert said.index("## 90 degrees") < said.index("## 30 degrees")
    assert "| learned primal-dual | 0.9893 | published: the teaching discs |" in said
    assert "2 scenes here" in said.split("## 30 degrees")[1]
    assert "* htc2022_tb_full.mat, cgls: the segmentation" in said


def test_a_photon_counting_scan_of_matlab_7_3(tmp_path: Path) -> None:
    """Version 7.3 is HDF5 behind 512 bytes, with arrays transposed; a 3-D sinogram is (columns, views, rows)."""
    low = np.random.default_rng(2).random((5, 3, 2))
    with h5py.File(tmp_path / "walnut.mat", "w", userblock_size=512) as file:
        for name, value in (("sinogramLow", low), ("sinogramTotal", 2 * low)):
            file.create_dataset(f"CtData/{name}", data=value.T)
        for name, value in parameters(np.array([0.0, 120, 240]), detectorType="PCD").items():
            text = isinstance(value, str)
            data = np.array([[ord(c)] for c in value], np.uint16) if text else np.atleast_2d(value).T
            file.create_dataset(f"CtData/parameters/{name}", data=data).attrs["MATLAB_class"] = np.bytes_("char" if text else "double")
        file.create_dataset("CtData/type", data=np.array([[51], [68]], np.uint16)).attrs["MATLAB_class"] = np.bytes_("char")  # 3D
    projections = read(tmp_path / "walnut.mat", energy="low")
    assert projections.scan.shape == (2, 5)
    assert np.allclose(projections.values, low.transpose(1, 2, 0))
    assert np.allclose(read(tmp_path / "walnut.mat").values, 2 * low.transpose(1, 2, 0))
    with pytest.raises(InputError, match=r"no sinogramHigh.*sinogramLow"):
        read(tmp_path / "walnut.mat", energy="high")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"x": 1}, "one struct CtData"),
        ({"CtDataFull": {"sinogram": np.ones((3, 8)), "parameters": parameters(np.arange(4.0))}}, "4 angles"),
        ({"CtDataFull": {"sinogram": np.ones((3, 8)), "parameters": parameters(np.arange(3.0), distanceSourceOrigin=-1)}}, "Origin is -1"),
        ({"CtDataFull": {"parameters": parameters(np.arange(3.0))}}, "no sinogram"),
    ],
)
def test_a_matlab_file_that_cannot_be_used_is_refused(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(InputError, match=told):
        read(tmp_path / "a.mat")


# ---- the photon-counting walnuts of Zhou et al.

PCCT = {"nChannelNum": 40, "nSliceNum": 260, "SID": 140.0, "SDD": 325.0, "fDetU": 1.2, "fDetV": 0.2, "U0": 18.5, "V0": 133.0, "InpRot": 0.9}
NUT, SHELL = np.array([3.0, -2.0, 1.5]), 6.0


def pcct_walnut(folder: Path, views: int = 12) -> Path:
    """Counts of a ball as TIGRE projects it: its source and panel stand on the x axis and turn about z (here by rotation matrices)."""
    angles = np.linspace(0, 2 * np.pi, views, endpoint=False) + 0.3
    cols, rows = PCCT["nChannelNum"], PCCT["nSliceNum"]
    (folder.parent / "CalibrationTable").mkdir(parents=True)
    rng = np.random.default_rng(5)
    air = {name: rng.integers(level, level + 400, (rows, cols)) for name, level in (("total", 3000), ("high", 1200))}
    air["low"] = air["total"] - air["high"]
    for name, counts in air.items():
        counts.astype("<u2").tofile(folder.parent / "CalibrationTable" / f"air_table_{name}.raw")
    np.array([7 * cols + 11 + 1], "<f4").tofile(folder.parent / "CalibrationTable" / "badchannelIndexAll.data")  # row 7, column 11
    turn = np.radians(PCCT["InpRot"])
    col, row = np.meshgrid((np.arange(cols) + 0.5 - cols / 2) * PCCT["fDetU"], (np.arange(rows) + 0.5 - rows / 2) * PCCT["fDetV"])
    y = np.cos(turn) * col - np.sin(turn) * row + (cols / 2 - PCCT["U0"]) * PCCT["fDetU"]
    z = np.sin(turn) * col + np.cos(turn) * row + (rows / 2 - PCCT["V0"]) * PCCT["fDetV"]
    panel = np.stack([np.full_like(y, PCCT["SID"] - PCCT["SDD"]), y, z], -1)
    for name in ("Total", "High"):
        (folder / name).mkdir(parents=True)
    for number, angle in enumerate(angles - np.pi):
        about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        length = chords(about_z @ [PCCT["SID"], 0, 0], panel @ about_z.T, NUT, SHELL)
        counts = {name: air[name] * np.exp(-mu * length) for name, mu in (("high", 0.03), ("low", 0.08))}
        counts["total"] = counts["high"] + counts["low"]
        for name in ("Total", "High"):
            seen = np.round(counts[name.lower()])
            seen[251:254], seen[7, 11] = 0, 4095
            seen.astype("<u2").tofile(folder / name / f"proj_{number:04d}.raw")
    scipy.io.savemat(folder / "Total" / "AcqPara.mat", {"AcqPara": {**PCCT, "objViewAngle": angles}})
    return folder


@pytest.mark.filterwarnings("ignore")
def test_a_photon_counting_walnut_is_where_its_authors_see_it(tmp_path: Path) -> None:
    folder = pcct_walnut(tmp_path / "Walnut_8" / "couch_1")
    for energy, mu in (("high", 0.03), ("low", 0.08)):
        p = read(folder, energy=energy)
        scan, (row, col) = p.scan, np.mgrid[: PCCT["nSliceNum"], : PCCT["nChannelNum"]]
        for view in (0, 5, 11):
            middle = ((PCCT["nSliceNum"] - 1) / 2, (PCCT["nChannelNum"] - 1) / 2)
            pixels = scan.detector[view] + (col - middle[1])[..., None] * scan.u[view] + (row - middle[0])[..., None] * scan.v[view]
            wanted = mu * chords(scan.source[view], pixels, NUT, SHELL)
            assert wanted.max() > 0.3
            error = np.abs(p.values[view] - wanted)
            assert error.max() < 0.03  # whole counts, and rows of the gap that their neighbours stand for
            assert np.delete(error, np.s_[249:256], axis=0).mean() < 1e-3
    assert read(folder)[0].values.max() > read(folder, energy="high")[0].values.max()  # hardened between the two


def test_a_photon_counting_walnut_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    folder = pcct_walnut(tmp_path / "couch_1", views=3)
    (folder / "High" / "proj_0001.raw").unlink()
    with pytest.raises(InputError, match="2 files"):
        read(folder, energy="high")
    first = folder / "Total" / "proj_0000.raw"
    first.write_bytes(first.read_bytes()[:-2])
    with pytest.raises(InputError, match="10399 numbers"):
        read(folder)
    (tmp_path / "CalibrationTable").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="CalibrationTable"):
        read(folder)
    scipy.io.savemat(folder / "Total" / "AcqPara.mat", {"AcqPara": {**PCCT, "SDD": np.nan, "objViewAngle": [0.0, 1, 2]}})
    with pytest.raises(InputError, match="SDD is nan"):
        read(folder)


# ---- RabbitCT

WIDE, HIGH, RABBIT_VIEWS, SIZE = 40, 30, 5, 24


def rabbit(folder: Path) -> tuple[Path, NDArray[Any]]:
    """A file of the benchmark, and what its reference implementation sums, pixel by pixel."""
    folder.mkdir()
    rng, total = np.random.default_rng(3), np.zeros((SIZE, SIZE, SIZE))
    places = (np.arange(SIZE) - (SIZE - 1) / 2) * 256 / SIZE
    z, y, x = np.meshgrid(places, places, places, indexing="ij")
    data = np.array([WIDE, HIGH, RABBIT_VIEWS], "<u4").tobytes() + np.array([80.0, 30.0], "<f4").tobytes()
    for angle in np.linspace(0, np.pi, RABBIT_VIEWS):
        turn = np.array([[-np.sin(angle), np.cos(angle), 0], [0, 0.02, -1], [-np.cos(angle), -np.sin(angle), 0.01]])
        camera = np.array([[90.0, 0, 19], [0, 90, 14], [0, 0, 1]]) / 700
        matrix = camera @ np.column_stack([turn, [3, -2, 700]])
        image = rng.random((HIGH, WIDE)).astype(np.float32)
        data += matrix.T.astype("<f8").tobytes() + image.astype("<f4").tobytes()
        u, v, w = np.einsum("ij,jzyx->izyx", matrix, np.stack([x, y, z, np.ones_like(x)]))
        u, v = u / w, v / w
        padded = np.pad(image, 2)
        i, j = np.clip(np.floor(u), -2, WIDE).astype(int), np.clip(np.floor(v), -2, HIGH).astype(int)
        a, b = np.clip(u - i, 0, 1), np.clip(v - j, 0, 1)
        sample = lambda di, dj, i=i, j=j, padded=padded: padded[j + dj + 2, i + di + 2]  # noqa: E731
        total += ((1 - b) * ((1 - a) * sample(0, 0) + a * sample(1, 0)) + b * ((1 - a) * sample(0, 1) + a * sample(1, 1))) / w**2
    (folder / "RabbitInput.rct").write_bytes(data)
    hounsfield = np.where(total > 0, np.floor(80 * total + 30.5), 0).clip(0, 4095).astype("<u2")
    (folder / f"Reference{SIZE}.vol").write_bytes(hounsfield.tobytes())
    return folder / "RabbitInput.rct", hounsfield


def test_the_rabbit_is_summed_as_its_reference_is(tmp_path: Path) -> None:
    path, hounsfield = rabbit(tmp_path / "rabbit")
    assert len(np.unique(hounsfield)) > 200
    (score,) = score_scenes(RABBITCT, path.parent, **QUIET)
    assert not score.failed
    assert (score.case, score.method) == (SIZE, "numba")
    assert score.value > 85  # a voxel in twenty off by one unit, which rounding can do; a shift of a pixel has less than 40
    assert "giga voxel updates a second" in score.remark
    assert f"## {SIZE}^3 voxels" in board_page(RABBITCT, [score])
    with pytest.raises(InputError, match="filtered already"):
        read(path)
    whole = path.read_bytes()
    for other in (whole[:-4], np.array(2, "<u4").tobytes() + whole):  # cut off; with the version that the competition's files begin with
        path.write_bytes(other)
        (score,) = score_scenes(RABBITCT, path.parent, **QUIET)
        assert "bytes" in score.failed
        assert "another header" in score.failed
