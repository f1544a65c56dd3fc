"""SkyScan logs: every trap that real ones set. The logs are made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fewview.geometry import (
    InputError,
    Scan,
    format_skyscan_log,
    parse_skyscan_log,
    read_skyscan_log,
    read_view_shifts,
    skyscan_1276,
    transform,
)
from fewview.geometry.skyscan.text import duration_s, normalise, parse_text, switch
from hypothesis import example, given, settings
from hypothesis import strategies as st

LOG = """[System]
Scanner=SkyScan1276
Pixel Size (um)=99
[User]
User Name=Müller
[Acquisition]
Data Directory=D:\\Résultats\\100%\\%s
Filename Prefix=mouse_
Filename Index Length=8
Number Of Files=  260
Number Of Rows= 2688
Number Of Columns= 4032
Camera binning=1x1
Partial Width=OFF
Optical Axis (line)= 1344
Camera Pixel Size (um)=11.3
Object to Source (mm)=92.975
Image Pixel Size (um)=10.600000
Depth (bits)=16
Rotation Step (deg)=0.800
Use 360 Rotation=NO
Frame Averaging=ON (4)
Scanning position=23.0 mm
Scan duration=0h:40m:34s
Rotation Direction=CC
[Reconstruction]
Reconstruction Program=NRecon
Mininum for CS to Image Conversion=0.01
Total reconstruction time (907 slices) in seconds=38.0
Reconstruction Angular Range (deg)=208.00
"""


def write(path: Path, text: str = LOG, encoding: str = "cp1252") -> Path:
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    return path


def replaced(**lines: str) -> str:
    """LOG with lines replaced (by key without blanks) or, for keys it lacks, added to [Acquisition]."""
    text = LOG
    for key, value in lines.items():
        key = key.replace("_", " ")
        old = next((line for line in LOG.split("\n") if line.startswith(f"{key}=") or line.startswith(f"{key} (")), None)
        text = (
            text.replace(old, f"{old.split('=')[0]}={value}") if old else text.replace("[Acquisition]\n", f"[Acquisition]\n{key}={value}\n")
        )
    return text


def quiet(path: Path, **settings: object) -> Scan:
    return read_skyscan_log(path, report=None, **settings)


def test_the_1276_log_is_the_1276(tmp_path: Path) -> None:
    scan = quiet(write(tmp_path / "mouse_.log"))
    model = skyscan_1276(rows=2688, cols=4032, voxel_mm=0.0106)
    assert scan.shape == (2688, 4032)
    assert len(scan) == 260
    assert scan.cone_angles_deg == pytest.approx((25.888290, 17.423092), abs=1e-4)
    np.testing.assert_allclose(scan.source, model.source, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(scan.u, model.u, atol=1e-12)
    np.testing.assert_allclose(scan.v, model.v, atol=1e-12)
    np.testing.assert_allclose(scan.angles_deg, model.angles_deg, atol=1e-9)


@pytest.mark.parametrize(
    ("cols", "pixel_um", "dso_mm", "cone_deg"),
    [
        (1944, 7.000817, 24.755, 30.740322),
        (860, 51.423, 200, 12.617935),
        (1632, 9.999986, 78.411, 11.882415),
        (1075, 19.797722, 200.709, 6.069781),
        (4000, 1.65905, 40.030, 9.476846),
        (1536, 13.001449, 27.251, 40.246952),
        (2240, 26.844857, 197.738, 17.291304),
    ],
)
def test_cone_angles_are_nrecons_on_seven_real_scanners(tmp_path: Path, cols: int, pixel_um: float, dso_mm: float, cone_deg: float) -> None:
    text = replaced(Number_Of_Columns=f" {cols}", Image_Pixel_Size=f"{pixel_um}", Object_to_Source=f"{dso_mm}")
    assert quiet(write(tmp_path / "a.log", text)).cone_angles_deg[0] == pytest.approx(cone_deg, abs=2.5e-5)


def test_each_assumption_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "mouse_.log")
    log = parse_skyscan_log(path)
    assert capsys.readouterr().out == ""
    read_skyscan_log(path)
    printed = capsys.readouterr().out.strip().split("\n")
    assert printed == [f"mouse_.log: {line}" for line in log.assumptions]
    told = " ".join(log.assumptions)
    for topic in ("virtual detector", "Optical Axis", "Rotation Direction", "row 0", "no Postalignment"):
        assert topic in told


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-8", "utf-8-sig"])
def test_encodings_percent_signs_and_unknown_keys_are_kept(tmp_path: Path, encoding: str) -> None:
    text = parse_text(write(tmp_path / "a.log", encoding=encoding))
    assert text.get("Data Directory") == "D:\\Résultats\\100%\\%s"
    assert text.sections["User"]["User Name"] == "Müller"
    assert text.get("Total reconstruction time (907 slices) in seconds") == "38.0"
    assert text.number("Minimum for CS to Image Conversion") == 0.01
    assert text.number("Scanning position") == 23.0


def test_keys_match_whole_and_whatever_their_case(tmp_path: Path) -> None:
    log = (
        replaced()
        .replace("Number Of Files", "Number of Files")
        .replace("Number Of Rows", "NUMBER OF ROWS")
        .replace("Object to Source (mm)", "Object To Source(mm)")
    )
    parsed = parse_skyscan_log(write(tmp_path / "a.log", log))
    assert len(parsed.scan) == 260
    assert parsed.text.number("Image Pixel Size (um)") == 10.6
    assert parsed.text.number("Pixel Size (um)") == 99
    assert parsed.text.get("Pixel") is None
    assert normalise("Number of Files") == normalise("Number Of Files") != normalise("Number Of Rows")


def test_the_same_key_in_two_sections(tmp_path: Path) -> None:
    text = LOG.replace("[Reconstruction]\n", "[Reconstruction]\nImage Pixel Size (um)=21.2\n")
    log = parse_skyscan_log(write(tmp_path / "a.log", text))
    assert log.scan.field_of_view_mm[2] == pytest.approx(0.0106)
    assert log.text.number("Image Pixel Size (um)", "Reconstruction") == 21.2
    assert any("several sections" in line and "[Acquisition]" in line for line in log.assumptions)


def test_values_with_blanks_units_and_brackets() -> None:
    assert switch("ON (4)") == (True, 4)
    assert switch("OFF (30)") == (False, 30)
    assert duration_s("0h:40m:34s") == 2434
    assert duration_s("08:55:50") == 32150
    with pytest.raises(InputError, match="not a duration"):
        duration_s("soon")


@pytest.mark.parametrize(
    ("stated", "images", "step", "views", "duplicate"),
    [
        (260, None, 0.8, 260, False),
        (260, 260, 0.8, 260, False),
        (600, 600, 0.6, 600, False),
        (601, 601, 0.6, 600, True),
        (600, 601, 0.6, 600, True),  # the log does not count it, the folder has it
        (601, 600, 0.6, 600, False),  # the log counts it, the folder lacks it
        (601, None, 0.6, 600, True),
        (1801, 1801, 0.2, 1800, True),
        (226, 226, 0.8, 226, False),  # 180.8 deg: a scan of its own, no duplicate
    ],
)
def test_the_duplicate_view_follows_from_the_step(
    tmp_path: Path, stated: int, images: int | None, step: float, views: int, duplicate: bool
) -> None:
    path = write(tmp_path / "a.log", replaced(Number_Of_Files=f" {stated}", Rotation_Step=f"{step}"))
    log = parse_skyscan_log(path, images=images)
    assert (len(log.scan), log.duplicate_view) == (views, duplicate)
    np.testing.assert_allclose(log.scan.angles_deg, np.arange(views) * step, atol=1e-9)


@pytest.mark.parametrize(("stated", "images", "step"), [(260, 259, 0.8), (260, 261, 0.8), (600, 598, 0.6), (260, 0, 0.8)])
def test_counts_that_disagree_are_refused(tmp_path: Path, stated: int, images: int, step: float) -> None:
    path = write(tmp_path / "a.log", replaced(Number_Of_Files=f"{stated}", Rotation_Step=f"{step}"))
    with pytest.raises(InputError, match=r"a\.log"):
        parse_skyscan_log(path, images=images)


@pytest.mark.parametrize(
    "key",
    ["Object to Source (mm)", "Image Pixel Size (um)", "Number Of Rows", "Number Of Columns", "Number Of Files", "Rotation Step (deg)"],
)
@pytest.mark.parametrize("value", [None, "", "0", "-3", "?"])
def test_a_needed_key_that_is_missing_or_wrong_is_named_with_file_and_remedy(tmp_path: Path, key: str, value: str | None) -> None:
    lines = [line for line in LOG.split("\n") if not line.startswith(key)]
    if value is not None:
        lines.insert(lines.index("[Acquisition]") + 1, f"{key}={value}")
    with pytest.raises(InputError) as caught:
        quiet(write(tmp_path / "mouse_.log", "\n".join(lines)))
    message = str(caught.value)
    assert "mouse_.log" in message
    assert normalise(key) in normalise(message)
    assert "expected" in message
    assert caught.value.remedy


def test_a_file_that_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("nothing here")
    with pytest.raises(InputError, match=r"no .section"):
        quiet(tmp_path / "a.log")
    with pytest.raises(FileNotFoundError, match=r"b\.log"):
        quiet(tmp_path / "b.log")


@pytest.mark.parametrize(("lines", "shift"), [
    ({"Postalignment": "0.50"}, 0.5),
    ({"Postalignment": "-11.00"}, -11),
    ({"Postalignment Applied": "1", "Postalignment": "79.5"}, 79.5),
    ({"Postalignment Applied": "1", "Sub-scan post alignment [0]": "1.000000", "Sub-scan post alignment [1]": "-0.500000"}, 1),
    ({"Postalignment Applied": "1"}, 0),
    ({"Postalignment Applied": "2.5"}, 2.5),
])  # fmt: skip
def test_postalignment_moves_the_axis_by_pixels(tmp_path: Path, lines: dict[str, str], shift: float) -> None:
    added = "".join(f"{key}={value}\n" for key, value in lines.items())
    path = write(tmp_path / "a.log", LOG.replace("[Reconstruction]\n", f"[Reconstruction]\n{added}"))
    assert axis_column(quiet(path)) == pytest.approx((4032 - 1) / 2 + shift)
    assert axis_column(quiet(path, postalignment_sign=-1)) == pytest.approx((4032 - 1) / 2 - shift)


def axis_column(scan: Scan) -> float:
    hit = transform.central_hit(scan)[0] - scan.detector[0]
    return float(hit @ scan.u[0] / (scan.u[0] @ scan.u[0])) + (scan.shape[1] - 1) / 2


def axis_row(scan: Scan) -> float:
    hit = transform.central_hit(scan)[0] - scan.detector[0]
    return float(hit @ scan.v[0] / (scan.v[0] @ scan.v[0])) + (scan.shape[0] - 1) / 2


@pytest.mark.parametrize(("counted", "row_0", "row"), [
    ("first", "bottom", 1300 - 0.5),
    ("last", "bottom", 2688 - 1300 - 0.5),
    ("first", "top", 1300 - 0.5),
    ("last", "top", 2688 - 1300 - 0.5),
])  # fmt: skip
def test_the_optical_axis_counts_from_either_end_of_the_image(tmp_path: Path, counted: str, row_0: str, row: float) -> None:
    path = write(tmp_path / "a.log", replaced(Optical_Axis="  1300", Image_Rotation="-0.5"))
    scan = quiet(path, optical_axis_from=counted, row_0=row_0)
    assert axis_row(scan) == pytest.approx(row)
    assert (scan.v[0, 2] > 0) == (row_0 == "bottom")
    # the image's roll: u against the axis, in the sense u towards v (v is the image's row direction either way)
    up = np.sign(scan.v[0, 2])
    assert np.degrees(np.arcsin(up * scan.u[0, 2] / np.linalg.norm(scan.u[0]))) == pytest.approx(-0.5)
    flipped = quiet(path, optical_axis_from=counted, row_0=row_0, image_rotation_sign=-1)
    assert flipped.u[0, 2] == pytest.approx(-scan.u[0, 2])


@pytest.mark.parametrize(("value", "sense"), [("CC", 1), ("CCW", 1), ("counter-clockwise", 1), ("CW", -1), (" cw ", -1)])
def test_direction(tmp_path: Path, value: str, sense: int) -> None:
    path = write(tmp_path / "a.log", replaced(Rotation_Direction=value))
    assert quiet(path).angles_deg[1] == pytest.approx(0.8 * sense)
    assert quiet(path, direction="CW").angles_deg[1] == pytest.approx(-0.8)
    gantry = write(tmp_path / "b.log", LOG.replace("Rotation Direction=CC", f"Gantry direction={value}"))
    assert quiet(gantry).angles_deg[1] == pytest.approx(0.8 * sense)


def test_unknown_settings_and_directions_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log")
    for wrong in ({"direction": "left"}, {"row_0": "up"}, {"optical_axis_from": "top"}, {"postalignment_sign": 0}):
        with pytest.raises(InputError):
            quiet(path, **wrong)
    with pytest.raises(InputError, match="Rotation Direction"):
        quiet(write(tmp_path / "b.log", replaced(Rotation_Direction="sideways")))
    with pytest.raises(InputError, match="Optical Axis"):
        quiet(write(tmp_path / "c.log", replaced(Optical_Axis="9999")))


def test_images_binned_after_the_scan(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", replaced(Postalignment="4.0", Optical_Axis="1346"))
    scan = quiet(path, image_shape=(1344, 2016))
    assert scan.shape == (1344, 2016)
    assert scan.field_of_view_mm[2] == pytest.approx(0.0212)
    assert axis_column(scan) == pytest.approx((2016 - 1) / 2 + 2)
    assert axis_row(scan) == pytest.approx((1344 - 1) / 2 + 1)
    assert scan.cone_angles_deg == pytest.approx(quiet(path).cone_angles_deg)
    uneven = quiet(path, image_shape=(2688 // 5, 4032 // 5))  # 3 rows and 2 columns are left over at the end
    whole = transform.bin_pixels(quiet(path), 5)
    np.testing.assert_allclose(uneven.detector, whole.detector, atol=1e-9)
    with pytest.raises(InputError, match="1000 x 2016"):
        quiet(path, image_shape=(1000, 2016))


def test_folders_with_one_scan(tmp_path: Path) -> None:
    write(tmp_path / "mouse_.log")
    (tmp_path / "install.log").write_text("[a]\nb=c\n")
    assert len(quiet(tmp_path)) == 260
    rec = LOG.replace("[Reconstruction]\n", "[Reconstruction]\nPostalignment=2.0\n").replace("=92.975", "=1")
    write(tmp_path / "mouse__rec.log", rec)
    log = parse_skyscan_log(tmp_path)
    assert axis_column(log.scan) == pytest.approx((4032 - 1) / 2 + 2)
    assert log.scan.dso_mm == pytest.approx(92.975)
    assert any("mouse__rec.log" in line for line in log.assumptions)


def test_two_logs_no_log_and_parts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no SkyScan log"):
        quiet(tmp_path)
    write(tmp_path / "a_.log")
    write(tmp_path / "b_.log")
    with pytest.raises(InputError, match="2 logs"):
        quiet(tmp_path)
    parts = tmp_path / "oversize"
    parts.mkdir()
    sub = "[Reconstruction]\nPostalignment Applied=1\nSub-scan post alignment [0]=1.0\nSub-scan post alignment [1]=-0.5\n"
    for name in ("mouse_~00", "mouse_~01"):
        write(parts / f"{name}.log", LOG.replace("[Reconstruction]\n", sub).replace("Prefix=mouse_", f"Prefix={name}"))
    with pytest.raises(InputError, match="2 parts"):
        quiet(parts)
    log = parse_skyscan_log(parts, part=1)
    assert (log.part, log.prefix) == (1, "mouse_~01")
    assert axis_column(log.scan) == pytest.approx((4032 - 1) / 2 - 0.5)
    with pytest.raises(InputError, match="no part 7"):
        quiet(parts, part=7)


def shifts_file(path: Path, rows: list[str], views: int) -> Path:
    head = f"Thermal shift\r\r\nNumber of views= {views}\r\r\nView, X shift, Y shift\r\r\n"
    path.write_bytes((head + "\r\n".join(rows) + "\r\n").encode())
    return path


def test_per_view_shifts(tmp_path: Path) -> None:
    write(tmp_path / "mouse_.log")
    rows = [f"{i}, {0.01 * i:.3f}, {-0.02 * i:.3f}" for i in range(260)]
    path = shifts_file(tmp_path / "mouse__TS.csv", rows, 259)  # the header states one view fewer
    shifts = read_view_shifts(path, 260)
    assert len(shifts) == 260
    assert shifts.rows_px[100] == pytest.approx(-2.0)
    log = parse_skyscan_log(tmp_path)
    assert any("NOT applied" in line for line in log.assumptions)
    moved = parse_skyscan_log(tmp_path, apply_view_shifts=True).scan
    np.testing.assert_allclose(moved.detector, transform.shift_views(log.scan, shifts.cols_px, shifts.rows_px).detector)
    one_more = shifts_file(tmp_path / "b_TS.csv", [*rows, "260, 0, 0"], 260)
    assert len(read_view_shifts(one_more, 260)) == 260


@pytest.mark.parametrize("rows", [
    ["0, 1.0", "1, 2.0"],
    ["0, 1.0, 2.0, 3.0", "1, 2.0, 3.0, 4.0"],
    ["0, 1.0, 2.0", "2, 1.0, 2.0"],
    ["0, 1.0, 2.0", "one, two, three"],
    ["0, 1.0, nan", "1, 1.0, 2.0"],
    [],
    ["0, 1, 1", "1, 1, 1", "2, 1, 1", "3, 1, 1"],
])  # fmt: skip
def test_shift_tables_of_another_shape_are_refused(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(InputError, match=r"a_TS\.csv"):
        read_view_shifts(shifts_file(tmp_path / "a_TS.csv", rows, 2), 2)


def test_missing_shift_files(tmp_path: Path) -> None:
    write(tmp_path / "mouse_.log")
    with pytest.raises(FileNotFoundError, match=r"mouse__TS\.csv"):
        quiet(tmp_path, apply_view_shifts=True)
    with pytest.raises(FileNotFoundError):
        read_view_shifts(tmp_path / "none.csv")


# --- the writer


def rays(scan: Scan) -> np.ndarray:
    """Unit directions from the source to the four corner pixels of every view."""
    rows, cols = scan.shape
    a, b = np.meshgrid([-(cols - 1) / 2, (cols - 1) / 2], [-(rows - 1) / 2, (rows - 1) / 2])
    pixels = scan.detector[:, None] + a.ravel()[:, None] * scan.u[:, None] + b.ravel()[:, None] * scan.v[:, None]
    out = pixels - scan.source[:, None]
    return out / np.linalg.norm(out, axis=-1, keepdims=True)


@example(0.0, 0.0, 0.0, 10.0, 37, 0.0, False, 1.0)
@settings(max_examples=40, deadline=None)
@given(
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.floats(-2, 2),
    st.sampled_from([0.8, -0.8, 10.0]),
    st.integers(1, 40),
    st.floats(-90, 90),
    st.booleans(),
    st.floats(1, 3),
)
def test_a_written_log_reads_back_to_the_same_rays(
    tmp_path_factory: pytest.TempPathFactory,
    axis: float,
    row: float,
    roll: float,
    step: float,
    count: int,
    start: float,
    down: bool,
    zoom: float,
) -> None:
    angles = start + np.arange(count) * step
    scan = Scan.circular(
        dso_mm=93,
        dsd_mm=93 * zoom,
        rows=128,
        cols=192,
        pixel_mm=0.2226 * zoom,
        angles_deg=angles,
        axis_shift_mm=axis,
        row_shift_mm=row,
        roll_deg=roll,
    )
    scan = transform.flip_rows(scan) if down else scan
    path = tmp_path_factory.mktemp("log") / "scan_.log"
    path.write_text(format_skyscan_log(scan), encoding="utf-8", newline="")
    back = quiet(path)
    if abs(count - 1) * abs(step) == 360:
        scan = scan[:-1]  # the view that repeats the first after a full turn is left out, and said
    assert back.shape == scan.shape
    np.testing.assert_allclose(back.angles_deg, scan.angles_deg, atol=1e-8)
    np.testing.assert_allclose(back.source, scan.source, atol=1e-7)
    np.testing.assert_allclose(rays(back), rays(scan), atol=1e-9)


def test_what_a_log_cannot_say_is_refused() -> None:
    scan = skyscan_1276(128, 192, 0.2226)
    format_skyscan_log(scan[::10])
    with pytest.raises(InputError, match="not equally spaced"):
        format_skyscan_log(scan[[0, 7, 9]])
    with pytest.raises(InputError, match="not a plain circular"):
        format_skyscan_log(transform.move(scan, None, (1, 0, 0)))


def test_extra_lines_of_the_writer(tmp_path: Path) -> None:
    text = format_skyscan_log(skyscan_1276(8, 12, 1.0), prefix="m_", extra={"Reference Intensity": 57000})
    log = parse_skyscan_log(write(tmp_path / "m_.log", text.replace("\r\n", "\n")))
    assert log.reference_intensity == 57000
    assert log.prefix == "m_"
    assert "m_.log" in str(log)
