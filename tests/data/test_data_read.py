"""Reading scans and volumes: every layout and spelling, and what is said when something is missing, broken or ambiguous."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from fewview.base.natural_key import natural_key
from fewview.data import (
    Projections,
    RawScan,
    find_bonemet,
    read,
    read_raw,
    read_volume,
    write_bonemet_slices,
    write_bonemet_xray,
    write_projections,
    write_skyscan,
    write_volume,
)
from fewview.data.images.bonemet_folders import component_of, parse_place
from fewview.data.images.image_files import ImageFiles, read_image, write_image
from fewview.geometry import Grid, InputError, Scan, UnknownNameError, skyscan_1276, views
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS, COLS = 6, 9


def counts(views: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20_000, 57_000, (views, ROWS, COLS)).astype(np.uint16)


def small_scan(views: int = 10, step: float = 20.0) -> Scan:
    return Scan.circular(dso_mm=92.975, dsd_mm=92.975, rows=ROWS, cols=COLS, pixel_mm=0.2226, angles_deg=np.arange(views) * step)


@pytest.fixture
def skyscan(tmp_path: Path) -> Path:
    return write_skyscan(RawScan(counts(10), small_scan(), meta={"voltage_kv": 50.0, "air_level": 57_000.0}), tmp_path / "scan")


def rays(scan: Scan) -> np.ndarray:
    """Unit directions and closest points to the origin of the corner rays: what a virtual and a real detector have in common."""
    rows, cols = scan.shape
    corner = np.array([(c - (cols - 1) / 2, r - (rows - 1) / 2) for r in (0, rows - 1) for c in (0, cols - 1)])
    pixel = scan.detector[:, None] + corner[:, :1] * scan.u[:, None] + corner[:, 1:] * scan.v[:, None]
    d = pixel - scan.source[:, None]
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    s = np.broadcast_to(scan.source[:, None], d.shape)
    return np.concatenate([d, s - (s * d).sum(-1, keepdims=True) * d], axis=-1)


# ---- SkyScan folders


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"axis_shift_mm": 0.31},
        {"row_shift_mm": -0.2},
        {"roll_deg": 0.5},
        {"dsd_mm": 185.0},
        {"angles_deg": 5 - np.arange(10) * 0.8},
        {"axis_shift_mm": -0.1, "row_shift_mm": 0.4, "roll_deg": -1.0, "dsd_mm": 300.0},
    ],
)
def test_skyscan_round_trip_keeps_counts_and_rays(tmp_path: Path, change: dict[str, object]) -> None:
    recipe = {"dso_mm": 92.975, "dsd_mm": 92.975, "rows": ROWS, "cols": COLS, "pixel_mm": 0.2226, "angles_deg": np.arange(10) * 0.8}
    scan = Scan.circular(**{**recipe, **change})  # type: ignore[arg-type]
    raw = RawScan(counts(10), scan, meta={"photons": 1e4, "air_level": 57_100.0, "voltage_kv": 50})
    back = read_raw(write_skyscan(raw, tmp_path / "scan"))
    assert back.intensity.dtype == np.uint16
    np.testing.assert_array_equal(back.intensity, raw.intensity)
    np.testing.assert_allclose(rays(back.scan), rays(scan), atol=1e-9)
    np.testing.assert_allclose(back.scan.angles_deg, scan.angles_deg, atol=1e-9)
    assert {name: back.meta[name] for name in raw.meta} == raw.meta
    assert back.meta["log"]["Acquisition"]["Depth (bits)"] == "16"
    assert back.meta["assumptions"]


def test_rows_that_run_down_come_back(tmp_path: Path) -> None:
    scan = small_scan()
    down = Scan(scan.shape, scan.source, scan.detector, scan.u, -scan.v, scan.angles_deg)
    back = read_raw(write_skyscan(RawScan(counts(10), down), tmp_path / "scan"))
    np.testing.assert_allclose(rays(back.scan), rays(down), atol=1e-9)


def test_read_gives_line_integrals_of_the_counts(skyscan: Path) -> None:
    result = read(skyscan, air=57_000)
    np.testing.assert_allclose(result.values, np.log(57_000 / counts(10)), rtol=1e-5, atol=1e-6)
    assert result.meta["voltage_kv"] == 50.0
    assert result.meta["source"] == str(skyscan)


def test_other_images_in_the_folder_are_not_projections(skyscan: Path) -> None:
    for name in ("scan__spr.tif", "scan_spr.tif", "scan__rec00000003.tif", "other_00000001.tif", "scan_0003.tif", "notes_1.tif"):
        write_image(skyscan / name, np.full((3, 3), 9, dtype=np.uint16))
    (skyscan / "scan_.csv").write_text("a;b")
    (skyscan / "notes.log").write_text("not a scan")
    np.testing.assert_array_equal(read_raw(skyscan).intensity, counts(10))


def test_names_in_other_case_without_index_length_and_prefix(skyscan: Path) -> None:
    log = skyscan / "scan_.log"
    text = log.read_text()
    log.write_text("\n".join(line for line in text.splitlines() if not line.startswith(("Filename", "Image Format"))))
    for view in range(10):
        (skyscan / f"scan_{view:08d}.tif").rename(skyscan / f"SCAN_{view}.TIF")
    log.rename(skyscan / "scan.LOG")
    np.testing.assert_array_equal(read_raw(skyscan).intensity, counts(10))
    np.testing.assert_array_equal(read_raw(skyscan / "scan.LOG").intensity, counts(10))


def test_only_the_log_of_nrecon(skyscan: Path) -> None:
    (skyscan / "scan_.log").rename(skyscan / "scan__rec.log")
    np.testing.assert_array_equal(read_raw(skyscan).intensity, counts(10))


def test_missing_tiff_in_the_middle_is_named_or_left_out(skyscan: Path) -> None:
    (skyscan / "scan_00000004.tif").unlink()
    (skyscan / "scan_00000006.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of the projections .* missing, the first scan_00000004\.tif.*skip_missing=True"):
        read(skyscan)
    left = read_raw(skyscan, skip_missing=True)
    keep = [0, 1, 2, 3, 5, 7, 8, 9]
    np.testing.assert_array_equal(left.intensity, counts(10)[keep])
    np.testing.assert_allclose(left.scan.angles_deg, np.array(keep) * 20.0)


@pytest.mark.parametrize("number", [0, 9])
def test_missing_first_or_last_tiff_disagrees_with_the_log(skyscan: Path, number: int) -> None:
    (skyscan / f"scan_{number:08d}.tif").unlink()
    with pytest.raises(InputError, match=r"scan_\.log: 'Number Of Files' is 10, and 9 images"):
        read(skyscan)
    left = read_raw(skyscan, skip_missing=True)
    np.testing.assert_allclose(left.scan.angles_deg, np.delete(np.arange(10) * 20.0, number))
    np.testing.assert_array_equal(left.intensity, np.delete(counts(10), number, axis=0))


def test_too_many_images_disagree_with_the_log(skyscan: Path) -> None:
    for extra in (10, 11):
        shutil.copy(skyscan / "scan_00000000.tif", skyscan / f"scan_{extra:08d}.tif")
    with pytest.raises(InputError, match=r"'Number Of Files' is 10, and 12 images are there; expected"):
        read(skyscan)


@pytest.mark.parametrize("stated", [18, 19])
def test_duplicate_view_at_360_deg_is_left_out(tmp_path: Path, stated: int) -> None:
    """19 images of 20 deg: the last repeats the first, whether the log counts it or not."""
    folder = write_skyscan(RawScan(counts(19), small_scan(19)), tmp_path / "scan")
    log = folder / "scan_.log"
    log.write_text(log.read_text().replace("Number Of Files= 19", f"Number Of Files= {stated}"))
    back = read_raw(folder)
    assert len(back) == 18
    np.testing.assert_array_equal(back.intensity, counts(19)[:18])


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_truncated_tiff_is_named(skyscan: Path, kept: float) -> None:
    broken = skyscan / "scan_00000003.tif"
    data = broken.read_bytes()
    broken.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=r"scan_00000003\.tif.*expected a whole"):
        read(skyscan)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.995])
@pytest.mark.parametrize("form", [{"compression": "zlib", "rowsperstrip": 16}, {"rowsperstrip": 16}, {"tile": (32, 32)}])
def test_truncated_tiff_of_any_form(tmp_path: Path, kept: float, form: dict[str, object]) -> None:
    image = np.random.default_rng(0).integers(0, 60_000, (100, 90)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, **form)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=r"a\.tif cannot be read"):
        read_image(tmp_path / "a.tif")


def test_tiff_whose_pixels_were_never_written(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4), np.uint16))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["StripByteCounts"].overwrite(0)
    with pytest.raises(InputError, match=r"a\.tif was not written to its end"):
        read_image(tmp_path / "a.tif")


def test_wrong_size_and_type_of_an_image_are_named(skyscan: Path) -> None:
    write_image(skyscan / "scan_00000005.tif", np.ones((ROWS, COLS + 1), dtype=np.uint16))
    with pytest.raises(InputError, match=r"scan_00000005\.tif is \(6, 10\)"):
        read_raw(skyscan)
    write_image(skyscan / "scan_00000005.tif", np.ones((ROWS, COLS), dtype=np.uint8))
    with pytest.raises(InputError, match=r"scan_00000005\.tif is .*uint8"):
        read_raw(skyscan)


def test_constant_and_nan_images_name_the_file(skyscan: Path) -> None:
    write_image(skyscan / "scan_00000002.tif", np.full((ROWS, COLS), 57_000, dtype=np.uint16))
    with pytest.raises(InputError, match=r"view 2 \(.*scan_00000002\.tif\): all pixels are 57000"):
        read(skyscan)


def test_images_of_another_size_than_the_log_says(skyscan: Path) -> None:
    log = skyscan / "scan_.log"
    log.write_text(log.read_text().replace("Number Of Columns= 9", "Number Of Columns= 10"))
    with pytest.raises(InputError, match=r"scan_"):
        read(skyscan)


def test_two_logs_no_log_and_a_log_without_images(skyscan: Path, tmp_path: Path) -> None:
    shutil.copy(skyscan / "scan_.log", skyscan / "second.log")
    with pytest.raises(InputError, match=r"holds 2 logs .*give the path of one"):
        read(skyscan)
    np.testing.assert_array_equal(read_raw(skyscan / "scan_.log").intensity, counts(10))
    (skyscan / "second.log").unlink()
    for image in skyscan.glob("*.tif"):
        image.unlink()
    with pytest.raises(FileNotFoundError, match=r"no projections scan_<number>\.tif.*no TIFF at all"):
        read(skyscan)
    (tmp_path / "tiffs").mkdir()
    write_image(tmp_path / "tiffs" / "a_0001.tif", counts(1)[0])
    with pytest.raises(InputError, match=r"has TIFFs and no log.*expected .*SkyScan|has TIFFs and no log.*expected"):
        read(tmp_path / "tiffs")


def test_parts_of_an_oversize_scan(skyscan: Path) -> None:
    text = (skyscan / "scan_.log").read_text()
    (skyscan / "scan_.log").unlink()
    for image in sorted(skyscan.glob("*.tif")):
        for part in (0, 1):
            shutil.copy(image, skyscan / image.name.replace("scan_", f"scan~{part:02d}"))
        image.unlink()
    for part in (0, 1):
        (skyscan / f"scan~{part:02d}.log").write_text(text.replace("Filename Prefix=scan_", f"Filename Prefix=scan~{part:02d}"))
    with pytest.raises(InputError, match="oversize scan in 2 parts"):
        read(skyscan)
    back = read_raw(skyscan, part=1)
    np.testing.assert_array_equal(back.intensity, counts(10))
    np.testing.assert_array_equal(read_raw(skyscan / "scan~00.log").intensity, counts(10))


def test_unknown_option_and_unknown_place(skyscan: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown option of the SkyScan reader 'skip_mising'.*did you mean skip_missing"):
        read(skyscan, skip_mising=True)
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        read(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"is not a scan that fewview knows \(but .*scan is one\)"):
        read(tmp_path)
    for path in (tmp_path / "a.txt", tmp_path / "empty"):
        with pytest.raises(InputError, match=r"is not a scan that fewview knows; expected .*SkyScan|BoneMet|exchange"):
            read(path)


# ---- the BoneMet layout

_COMPONENTS = st.sampled_from(["Rotation-X-ray", "rotation-x-ray", "ROTATION-X-RAY", "Rotation X-ray", "Rotation_X-Ray"])
_OTHERS = st.sampled_from(["Recon-CT", "recon-ct", "Seg-CT", "Regist-CT", "RoI-CT", "ROI-CT"])
_NUMBER = st.sampled_from(["", "1. ", "1 ", "5. ", "2.", "3 - "])
_WEEK = st.sampled_from(["week {}", "Week {}", "week{}", "WEEK_{}", "week-{}"])


@given(_NUMBER, st.one_of(_COMPONENTS, _OTHERS))
def test_components_in_every_spelling(number: str, name: str) -> None:
    wanted = {"rotat": "Rotation-X-ray", "recon": "Recon-CT", "seg-c": "Seg-CT", "regis": "Regist-CT", "roi-c": "RoI-CT"}[name.lower()[:5]]
    assert component_of(number + name) == wanted


@given(
    animal=st.integers(1, 1200),
    pad=st.booleans(),
    week=st.integers(0, 40),
    week_format=_WEEK,
    part=st.sampled_from(
        [
            ("", ""),
            (" left tibia", "left tibia"),
            ("R proximal tibia", "right proximal tibia"),
            ("L femur", "left femur"),
            (" spine", "spine"),
        ]
    ),
    layout=st.sampled_from(["{id}/{week}", "{week}/{id}", "joined"]),
)
def test_places_in_every_spelling(animal: int, pad: bool, week: int, week_format: str, part: tuple[str, str], layout: str) -> None:
    number, when = f"{animal:03d}" if pad else str(animal), week_format.format(week)
    text = (
        f"{number} {when}{part[0] if part[0].startswith(' ') else ''}"
        if layout == "joined"
        else layout.format(id=number + part[0], week=when)
    )
    expected_part = "" if layout == "joined" and not part[0].startswith(" ") else part[1]
    assert parse_place(text) == (str(animal), expected_part, week)


@pytest.mark.parametrize("text", ["851/slices", "week 3", "record.csv", "notes week 2"])
def test_folders_that_are_no_place(text: str) -> None:
    assert parse_place(text) is None


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30, unique=True), st.booleans())
def test_natural_order(numbers: list[int], padded: bool) -> None:
    names = [f"xray_{n:04d}.PNG" if padded and n % 2 else f"xray_{n}.PNG" for n in numbers]
    assert [int(name[5:-4]) for name in sorted(names, key=natural_key)] == sorted(numbers)


@pytest.fixture(scope="module")
def xray() -> RawScan:
    return RawScan(counts(260, 5), skyscan_1276(ROWS, COLS, 4.749))


@settings(max_examples=12, deadline=None)
@given(number=_NUMBER, component=_COMPONENTS, when=_WEEK, transposed=st.booleans(), upper=st.booleans(), inner=st.booleans())
def test_bonemet_xrays_are_found_in_every_layout(
    tmp_path_factory: pytest.TempPathFactory, number: str, component: str, when: str, transposed: bool, upper: bool, inner: bool
) -> None:
    root = tmp_path_factory.mktemp("bonemet")
    base = (root / "Imagery_Dataset" if inner else root) / (number + component)
    names = ["001", when.format(11)]
    place = base.joinpath(*(reversed(names) if transposed else names))
    place.mkdir(parents=True)
    images = counts(3, 1)
    for k, image in enumerate(images):
        write_image(place / f"xray_{(k + 1) * 5}.{'PNG' if upper else 'png'}", image)
    other = base.joinpath("871", "week 0") if not transposed else base.joinpath("week 0", "871")
    other.mkdir(parents=True)
    back = read_raw(root, animal=1, week=11, angles_deg=[0, 0.8, 1.6])
    np.testing.assert_array_equal(back.intensity, images)
    assert [(f.animal, f.week) for f in find_bonemet(root)] == [("1", 11), ("871", 0)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bonemet_round_trip_with_the_geometry_of_the_1276(tmp_path: Path, xray: RawScan, dtype: type) -> None:
    raw = RawScan((xray.intensity >> (8 if dtype is np.uint8 else 0)).astype(dtype), xray.scan)
    folder = write_bonemet_xray(raw, tmp_path, "001", 3)
    assert folder.relative_to(tmp_path).as_posix() == "Imagery_Dataset/1. Rotation-X-ray/001/week 3"
    for back in (read_raw(tmp_path, animal="001", week=3), read_raw(folder), read_raw(folder.parent.parent, animal=1)):
        assert back.intensity.dtype == dtype
        np.testing.assert_array_equal(back.intensity, raw.intensity)
        assert back.scan.cone_angles_deg[0] == pytest.approx(25.888290, abs=1e-6)
        assert back.scan.angles_deg[-1] == pytest.approx(207.2)
        assert back.scan.field_of_view_mm[2] == pytest.approx(0.0106 * 4032 / COLS)
    assert read_raw(folder, voxel_mm=2.5).scan.field_of_view_mm[2] == pytest.approx(2.5)


def test_bonemet_errors_list_what_is_there(tmp_path: Path, xray: RawScan) -> None:
    folder = write_bonemet_xray(xray, tmp_path, "851", 0)
    (folder.parent / "week 1").mkdir()
    with pytest.raises(InputError, match=r"2 folders of Rotation-X-ray .*expected exactly one; there are 851 week 0, 851 week 1"):
        read(tmp_path, animal=851)
    with pytest.raises(InputError, match=r"0 folders .* animal=7.*there are 851 week 0"):
        read(tmp_path, animal=7, week=0)
    with pytest.raises(FileNotFoundError, match="no X-ray image"):
        read(tmp_path, animal=851, week=1)
    with pytest.raises(InputError, match="animal is 'left'"):
        read(tmp_path, animal="left", week=1)
    (folder / "xray_17.PNG").unlink()
    with pytest.raises(InputError, match=r"holds 259 images \(xray_1\.PNG to xray_260\.PNG\); expected 260"):
        read(folder)
    with pytest.raises(InputError, match="not that of skyscan_1276"):
        write_bonemet_xray(RawScan(counts(10), small_scan()), tmp_path, 1, 1)


def test_bonemet_slices_are_found_and_read(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 60, 180, 240], dtype=np.uint8), (12, 5, 4))
    write_bonemet_slices(labels, tmp_path, "roi-ct", "851R proximal tibia", 2)
    volume = np.random.default_rng(1).random((3, 5, 4), dtype=np.float32) * 0.05
    write_bonemet_slices(volume, tmp_path, "Recon-CT", 851, 2, window=(0.0, 0.05))
    back, grid, facts = read_volume(tmp_path, component="5. RoI-CT", animal="851R proximal tibia", week=2)
    np.testing.assert_array_equal(back, labels)
    assert (grid.voxel_mm, facts["units"]) == (0.0106, "grey levels")
    back, grid, _ = read_volume(tmp_path, animal=851, week=2, voxel_mm=0.01, window=(0.0, 0.05))
    assert grid.voxel_mm == 0.01
    assert np.abs(back - volume).max() <= 0.05 / 255 / 2 * 1.0001
    with pytest.raises(UnknownNameError, match="BoneMet component"):
        read_volume(tmp_path, component="MRI", animal=851)


# ---- HDF5


def exchange_file(path: Path, *, units: str = "degrees", theta: int | None = 4, pixel_um: float | None = None) -> Path:
    angles = np.arange(theta or 0) * 45.0
    with h5py.File(path, "w") as file:
        file["exchange/data"] = counts(4)
        file["exchange/data_white"] = np.full((2, ROWS, COLS), 57_000, dtype=np.uint16)
        file["exchange/data_dark"] = np.full((3, ROWS, COLS), 100, dtype=np.uint16)
        if theta is not None:
            file["exchange/theta"] = np.deg2rad(angles) if units == "radians" else angles
            file["exchange/theta"].attrs["units"] = units
        if pixel_um is not None:
            file["measurement/instrument/detector/pixel_size_x"] = pixel_um
            file["measurement/instrument/detector/pixel_size_x"].attrs["units"] = "um"
    return path


@pytest.mark.parametrize("units", ["degrees", "radians", "deg"])
def test_data_exchange(tmp_path: Path, units: str) -> None:
    path = exchange_file(tmp_path / "a.h5", units=units, pixel_um=0.65)
    scan = read(path, air=1.0).scan
    np.testing.assert_allclose(scan.angles_deg, [0, 45, 90, 135])
    assert scan.field_of_view_mm[2] == pytest.approx(0.65e-3)
    np.testing.assert_allclose(read(path, air=1.0).values, np.log(56_900 / (counts(4) - 100.0)), rtol=1e-4, atol=1e-5)
    directions = rays(scan)[..., :3]  # parallel: all rays of a view point the same way
    assert np.abs(directions - directions[:, :1]).max() < 2e-4
    assert read_raw(path, pixel_mm=0.002, axis_shift_mm=0.001).scan.field_of_view_mm[2] == pytest.approx(0.002)


def test_data_exchange_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.h5 has no /exchange/theta"):
        read(exchange_file(tmp_path / "b.h5", theta=None))
    with pytest.raises(InputError, match=r"3 angles in /exchange/theta; expected 4"):
        read(exchange_file(tmp_path / "c.h5", theta=3))
    with pytest.warns(UserWarning, match="pixel_mm="):
        read(exchange_file(tmp_path / "d.h5"), air=1.0)
    broken = exchange_file(tmp_path / "e.h5")
    broken.write_bytes(broken.read_bytes()[:700])
    with pytest.raises(InputError, match=r"e\.h5 cannot be read"):
        read(broken)


def test_own_projections_come_back_bit_for_bit(tmp_path: Path) -> None:
    scan = small_scan(5)[[3, 0, 4]]
    values = np.random.default_rng(0).standard_normal((3, ROWS, COLS)).astype(np.float32)
    meta = {
        "voltage_kv": 50,
        "log": {"System": {"Scanner": "µ"}},
        "shift": np.float32(0.5),
        "truth": {"scan": scan[1:], "gain": values[0], "dead": [1, values[0] > 0]},
        "per_view": {"air_level": np.array([1.0, 2.0, 1 / 3])},
    }
    path = write_projections(Projections(values, scan, meta), tmp_path / "p.h5")
    back = read(path)
    np.testing.assert_array_equal(back.values, values)
    assert back.scan == scan
    np.testing.assert_array_equal(back.meta["per_view"]["air_level"], meta["per_view"]["air_level"])  # type: ignore[index]
    assert (back.meta["voltage_kv"], back.meta["log"], back.meta["shift"]) == (50, meta["log"], 0.5)
    assert back.meta["truth"]["scan"] == scan[1:]
    np.testing.assert_array_equal(back.meta["truth"]["gain"], values[0])
    assert back.meta["truth"]["dead"][1].dtype == bool
    with pytest.raises(FileExistsError, match="force"):
        write_projections(back, path)
    with pytest.raises(InputError, match="holds line integrals"):
        read_raw(path)
    with pytest.raises(InputError, match=r"expected \.h5"):
        write_projections(back, tmp_path / "p.npz")
    with pytest.raises(UnknownNameError, match="projections reader 'pixel'"):
        read(path, pixel=1)


# ---- volumes made by other programs


def test_nifti_of_others_is_turned_to_increasing_axes(tmp_path: Path) -> None:
    """An LPS file, x and y reversed and in micrometres: voxel [z, y, x] must be where its affine says."""
    array = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # x y z
    affine = np.diag([-50.0, -50.0, 50.0, 1.0])
    affine[:3, 3] = (100.0, 200.0, 300.0)
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "lps.nii.gz")
    volume, grid, _ = read_volume(tmp_path / "lps.nii.gz")
    assert (volume.shape, volume.dtype, grid.voxel_mm) == ((4, 3, 2), np.int16, 0.05)
    for index in ((0, 0, 0), (1, 2, 3), (1, 0, 2)):
        x, y, z = (affine @ [*index, 1])[:3] / 1000
        at = [int(np.argmin(np.abs(axis - c))) for axis, c in ((grid.z_mm, z), (grid.y_mm, y), (grid.x_mm, x))]
        assert volume[tuple(at)] == array[index]
        np.testing.assert_allclose([grid.x_mm[at[2]], grid.y_mm[at[1]], grid.z_mm[at[0]]], [x, y, z], atol=1e-6)


def test_anisotropic_4d_oblique_and_broken_nifti(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4), np.float32), np.diag([1, 1, 2, 1.0])), tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a\.nii: voxels of 1 x 1 x 2 mm .*; expected isotropic"):
        read_volume(tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii", voxel_mm=1.5)[1].voxel_mm == 1.5
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4, 2), np.float32), np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(InputError, match="one volume"):
        read_volume(tmp_path / "b.nii")
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4), np.float32), turn), tmp_path / "c.nii")
    with pytest.warns(UserWarning, match="oblique"):
        read_volume(tmp_path / "c.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((20, 30, 40), np.float32), np.eye(4)), tmp_path / "d.nii.gz")
    (tmp_path / "d.nii.gz").write_bytes((tmp_path / "d.nii.gz").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"d\.nii\.gz cannot be read"):
        read_volume(tmp_path / "d.nii.gz")


def test_tiff_of_others(tmp_path: Path) -> None:
    volume = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    spacing = {"axes": "ZYX", "spacing": 10.6, "unit": "micron"}
    tifffile.imwrite(tmp_path / "imagej.tif", volume, imagej=True, resolution=(1 / 10.6, 1 / 10.6), metadata=spacing)
    back, grid, _ = read_volume(tmp_path / "imagej.tif")
    assert grid.voxel_mm == pytest.approx(0.0106)
    np.testing.assert_array_equal(back, volume)
    tifffile.imwrite(tmp_path / "plain.tif", volume, photometric="minisblack")
    with pytest.raises(InputError, match=r"plain\.tif does not state its voxel size; give voxel_mm"):
        read_volume(tmp_path / "plain.tif")
    assert read_volume(tmp_path / "plain.tif", voxel_mm=0.5)[1] == Grid((3, 4, 5), 0.5)
    facts = {"axes": "ZYX", "PhysicalSizeX": 10.6, "PhysicalSizeY": 10.6, "PhysicalSizeZ": 10.6}  # µm, the default of OME
    tifffile.imwrite(tmp_path / "other.ome.tif", volume, ome=True, metadata=facts, photometric="minisblack")
    assert read_volume(tmp_path / "other.ome.tif")[1].voxel_mm == pytest.approx(0.0106)


def test_hdf5_of_others(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["recon/mu"] = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(InputError, match=r"not a fewview volume.*dataset=.*recon/mu"):
        read_volume(tmp_path / "x.h5")
    with pytest.raises(InputError, match="voxel_mm"):
        read_volume(tmp_path / "x.h5", dataset="recon/mu")
    assert read_volume(tmp_path / "x.h5", dataset="recon/mu", voxel_mm=1)[1].shape == (2, 3, 4)
    with pytest.raises(InputError, match="no dataset 'mu'"):
        read_volume(tmp_path / "x.h5", dataset="mu")
    with pytest.raises(InputError, match="is not a scan"):
        read(tmp_path / "x.h5")


def nrecon_folder(folder: Path, spelling: str = "Mininum for CS to Image Conversion") -> np.ndarray:
    folder.mkdir()
    grey = np.random.default_rng(4).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    for k, plane in enumerate(grey):
        write_image(folder / f"mouse__rec{k + 20:08d}.bmp", plane)
    write_image(folder / "mouse__rec_spr.bmp", np.zeros((2, 2), np.uint8))
    log = "[Acquisition]\nImage Pixel Size (um)=222\n[Reconstruction]\nPixel Size (um)=10.60000\n"
    (folder / "mouse__rec.log").write_text(
        f"{log}{spelling}=-0.010000\nMaximum for CS to Image Conversion=0.050000\nText=50% µ\n", "cp1252"
    )
    return grey


@pytest.mark.parametrize("spelling", ["Mininum for CS to Image Conversion", "Minimum for CS to Image Conversion"])
def test_slices_of_nrecon_become_attenuation(tmp_path: Path, spelling: str) -> None:
    grey = nrecon_folder(tmp_path / "mouse_Rec", spelling)
    volume, grid, facts = read_volume(tmp_path / "mouse_Rec")
    np.testing.assert_allclose(volume, -0.01 + grey / 255 * 0.06, atol=1e-7)
    assert grid == Grid((5, 4, 3), 0.0106)
    assert (facts["units"], facts["window"]) == ("1/mm", (-0.01, 0.05))


def test_broken_slice_folders(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    nrecon_folder(folder)
    (folder / "mouse__rec00000022.bmp").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 slices are missing .* number 22, after mouse__rec00000021\.bmp"):
        read_volume(folder)
    for k in range(3):
        write_image(folder / f"b_{k}.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match=r"2 series \(b_\.\.\., mouse__rec\.\.\.\).*prefix="):
        read_volume(folder)
    assert read_volume(folder, prefix="b_", voxel_mm=1)[0].shape == (3, 2, 2)
    (folder / "b_1.png").write_bytes((folder / "b_1.png").read_bytes()[:40])
    with pytest.raises(InputError, match=r"b_1\.png cannot be read"):
        read_volume(folder, prefix="b_", voxel_mm=1)
    with pytest.raises(FileNotFoundError, match="no numbered image"):
        read_volume(folder, prefix="c_")
    with pytest.raises(InputError, match="slices has no such option; expected one of window, prefix"):
        read_volume(folder, prefix="b_", colour=1)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_volume(tmp_path / "nowhere.nii")
    (tmp_path / "a.stl").write_text("solid")
    with pytest.raises(InputError, match=r"ends in '\.stl'; expected .*\.nii\.gz, .*\.ome\.tif"):
        read_volume(tmp_path / "a.stl")


def test_colour_and_multi_page_images(tmp_path: Path) -> None:
    import imageio.v3 as iio

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    iio.imwrite(tmp_path / "equal.png", np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(read_image(tmp_path / "equal.png"), grey)
    iio.imwrite(tmp_path / "colour.png", np.stack([grey, grey, grey.T.reshape(3, 4)], axis=-1))
    with pytest.raises(InputError, match=r"colour\.png holds an image of shape \(3, 4, 3\)"):
        read_image(tmp_path / "colour.png")
    tifffile.imwrite(tmp_path / "pages.tif", np.zeros((4, 3, 3), np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match="4 pages"):
        read_image(tmp_path / "pages.tif")
    tifffile.imwrite(tmp_path / "big.tif", grey.astype(">u2"), byteorder=">")
    assert read_image(tmp_path / "big.tif").dtype == np.dtype("=u2")


@pytest.mark.shared_data
def test_a_real_mouse_head(shared_data: Path) -> None:
    path = sorted((shared_data / "mouse_head").glob("*.nii.gz"))[0]
    with pytest.warns(UserWarning, match=r"0\.141113 x 0\.141113 x 0\.140661 mm are taken as cubes"):
        volume, grid, _ = read_volume(path)
    assert volume.dtype == np.uint8
    assert volume.shape == nibabel.load(path).shape[::-1]
    assert grid.voxel_mm == pytest.approx(np.cbrt(0.1411134**2 * 0.1406611), rel=1e-5)


def test_every_format_of_ours_states_its_voxel(tmp_path: Path) -> None:
    grid = Grid((3, 4, 5), 0.0106, (1.5, -2.0, 0.25))
    for name in ("a.ome.tif", "a.nii.gz", "a.h5", "a.ome.zarr", "slices"):
        write_volume(np.zeros(grid.shape, np.uint8), tmp_path / name, grid=grid)
        assert read_volume(tmp_path / name)[1] == grid, name


@pytest.mark.parametrize("name", ["a.ome.tif", "a.nii.gz", "a.h5", "slices"])
def test_too_large_a_volume_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    grid = Grid((30, 40, 50), 0.1)
    path = write_volume(np.random.default_rng(0).random(grid.shape), tmp_path / name, grid=grid)
    monkeypatch.setattr("fewview.base.memory.available_bytes", lambda: 100_000)
    with pytest.raises(InputError, match=r"need .* GiB of memory and 9.31e-05 GiB are free; use fewer views, bin"):
        read_volume(path)


# ---- a part of a scan


def test_some_views_only_are_read(skyscan: Path) -> None:
    whole = read(skyscan, air=57_000)
    (skyscan / "scan_00000004.tif").write_bytes(b"II*\0 broken, but not asked for")
    for chosen, keep in (
        (slice(1, None, 4), [1, 5, 9]),
        ([9, 0], [9, 0]),
        (np.arange(10) == 7, [7]),
        (lambda s: views.evenly(s, 3), [0, 5, 9]),
    ):
        part = read(skyscan, views=chosen, air=57_000)
        np.testing.assert_array_equal(part.values, whole.values[keep])
        assert part.scan == whole.scan[keep]
        np.testing.assert_array_equal(read_raw(skyscan, views=chosen).intensity, counts(10)[keep])
    with pytest.raises(InputError, match=r"scan_00000004\.tif was not written to its end"):
        read(skyscan, views=[3, 4])
    with pytest.raises(IndexError, match="outside the scan's 10 views"):
        read(skyscan, views=[10])


def test_binned_views_are_block_means_on_larger_pixels(tmp_path: Path) -> None:
    given = counts(4)
    raw = RawScan(given, small_scan(4), flat=np.full((ROWS, COLS), 60_000.0), dark=np.full((ROWS, COLS), 100.0))
    with h5py.File(exchange_file(tmp_path / "a.h5", pixel_um=1000.0), "r+") as file:
        file["exchange/data"][...] = given
    back = read_raw(tmp_path / "a.h5", binning=2, views=[2, 3])
    blocks = given[2:, :, :8].reshape(2, 3, 2, 4, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(back.intensity, blocks, rtol=1e-6)
    assert back.scan.shape == (3, 4)
    assert back.flat is not None
    assert back.flat.shape[-2:] == (3, 4)
    assert back.scan.field_of_view_mm[2] == pytest.approx(2.0, rel=1e-3)
    np.testing.assert_allclose(read(tmp_path / "a.h5", binning=2, air=1).values, np.log(56_900 / (block_means(given) - 100)), rtol=1e-4)
    folder = write_skyscan(raw, tmp_path / "scan")
    one, three = read_raw(folder, binning=1).scan, read_raw(folder, binning=3).scan
    np.testing.assert_allclose(three.detector, one.detector, atol=1e-12)
    np.testing.assert_allclose(three.u, 3 * one.u)
    with pytest.raises(InputError, match="binning of 7"):
        read(folder, binning=7)
    with pytest.raises(InputError, match="holds line integrals"):
        read(write_projections(read(folder, air=57_500), tmp_path / "p.h5"), binning=2)


def block_means(image: np.ndarray) -> np.ndarray:
    return image[:, :, :8].reshape(4, 3, 2, 4, 2).mean(axis=(2, 4))


def test_black_pixels_do_not_darken_their_block(skyscan: Path) -> None:
    image = counts(10)[3].copy()
    image[0, 0], image[2:4, 2:4] = 0, 0
    write_image(skyscan / "scan_00000003.tif", image)
    back = read_raw(skyscan, binning=2).intensity[3]
    assert back[0, 0] == pytest.approx(image[:2, :2][image[:2, :2] > 0].mean())
    assert back[1, 1] == 0
    assert read(skyscan, binning=2, air=57_000, max_bad=0.2).meta["prepare"]["zero_or_negative"] == 1


def test_bytes_that_came_into_an_image_are_noticed(skyscan: Path) -> None:
    """The image still decodes, with its pixels shifted; the length of the file tells."""
    files = sorted(skyscan.glob("*.tif"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageFiles(files)
    content = files[5].read_bytes()
    middle = len(content) // 2
    files[5].write_bytes(content[:middle] + b"\0\0" + content[middle:])
    with pytest.warns(UserWarning, match=f"{files[5].name}: {len(content) + 2} bytes, where the other images have {len(content)}"):
        read(skyscan)
