"""SkyScan logs that cannot be right are refused by key, doubtful ones are read with a warning, real ones without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fewview.geometry import InputError, Scan, SkyScanLog, format_skyscan_log, parse_skyscan_log, skyscan_1276
from hypothesis import given, settings
from hypothesis import strategies as st

SOUND = format_skyscan_log(skyscan_1276(rows=128, cols=192, voxel_mm=0.2226))
"""With NRecon's cone angles: a second witness of pixel and distance."""
BARE = "\r\n".join(line for line in SOUND.split("\r\n") if not line.startswith(("Cone-beam", "Reconstruction Angular")))
"""Without them."""


def read(folder: Path, text: str, **settings: object) -> SkyScanLog:
    path = folder / "scan_.log"
    path.write_bytes(text.encode("cp1252"))
    return parse_skyscan_log(path, **settings)  # type: ignore[arg-type]


def with_lines(text: str, **lines: str) -> str:
    """The log with other values (keys begin as the names do, blanks as _), or new lines in [Acquisition]."""
    for name, value in lines.items():
        key = name.replace("_", " ")
        old = next((line for line in text.split("\r\n") if line.startswith(key)), None)
        if old is None:
            text = text.replace("[Acquisition]\r\n", f"[Acquisition]\r\n{key}={value}\r\n")
        else:
            text = text.replace(old, f"{old.split('=')[0]}={value}")
    return text


# columns, rows, pixel um, DSO mm, step deg, views; the first seven with NRecon's cone angle across, as real logs give it
REAL = [
    ("1275", 1944, 1536, 7.000817, 24.755, 0.2, 1800, 30.740322),
    ("1278", 860, 1000, 51.423, 200.0, 0.5, 720, 12.617935),
    ("1272", 1632, 1092, 9.999986, 78.411, 0.4, 450, 11.882415),
    ("1272 far", 1075, 716, 19.797722, 200.709, 0.6, 300, 6.069781),
    ("1172", 4000, 2664, 1.65905, 40.030, 0.25, 780, 9.476846),
    ("2214", 1536, 1944, 13.001449, 27.251, 0.5, 721, 40.246952),
    ("1173", 2240, 2240, 26.844857, 197.738, 0.3, 800, 17.291304),
    ("1276", 4032, 2688, 10.6, 92.975, 0.8, 260, None),
    ("nano, 0.3 um", 4000, 2664, 0.3, 12.0, 0.1, 3601, None),
    ("in vivo, 103 um", 430, 500, 102.85, 200.0, 1.2, 300, None),
    ("partial width", 700, 1000, 2.0, 60.0, 0.2, 1801, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "cols", "rows", "pixel", "dso", "step", "views", "cone"), REAL, ids=[row[0] for row in REAL])
def test_no_false_alarm_on_real_scanners(
    tmp_path: Path, name: str, cols: int, rows: int, pixel: float, dso: float, step: float, views: int, cone: float | None
) -> None:
    text = with_lines(
        BARE, Number_Of_Columns=f" {cols}", Number_Of_Rows=f" {rows}", Image_Pixel_Size=f" {pixel} um", Object_to_Source=str(dso),
        Rotation_Step=f"{step} deg", Number_Of_Files=f" {views}", Optical_Axis=f" {rows / 2 + 90:g}", Image_Rotation="-1.2",
        Postalignment=f"{min(79.5, 0.08 * cols)}", Use_360="YES" if views * step > 350 else "NO", Camera_to_Source=str(2.5 * dso),
    )  # fmt: skip
    if cone is not None:
        text += f"Cone-beam Angle Horiz.(deg)={cone}\r\n"
    for ratio in (0.93, 1.0, 1.04):  # how far the camera's own numbers are off on real scanners
        camera = with_lines(text, **{"Camera Pixel Size (um)": f"{pixel * 2.5 / ratio / 2:.3f}", "Camera binning": "2x2"})
        assert read(tmp_path, camera).warnings == ()
    assert read(tmp_path, SOUND).warnings == ()


@pytest.mark.parametrize(("line", "named"), [
    ({"Image_Pixel_Size": "0.2226"}, ["Image Pixel Size (um)"]),  # in mm
    ({"Image_Pixel_Size": "222600"}, ["Image Pixel Size (um)"]),  # in nm
    ({"Image_Pixel_Size": "222.6 mm"}, ["Image Pixel Size (um)", "222.6 mm"]),
    ({"Image_Pixel_Size": "1e400"}, ["Image Pixel Size (um)"]),
    ({"Object_to_Source": "9.2975"}, ["Object to Source (mm)", "Image Pixel Size (um)", "Number Of Columns"]),  # in cm
    ({"Object_to_Source": "92975"}, ["Object to Source (mm)"]),  # in um
    ({"Object_to_Source": "9.2975 cm"}, ["Object to Source (mm)", "9.2975 cm"]),
    ({"Object_to_Source": "20"}, ["Object to Source (mm)", "inside the field of view"]),
    ({"Object_to_Source": "92975000", "Image_Pixel_Size": "222600"}, ["Image Pixel Size (um)"]),
    ({"Object_to_Source": "92975", "Image_Pixel_Size": "4500"}, ["field of view", "Number Of Columns"]),
    ({"Number_Of_Columns": "192000"}, ["Number Of Columns"]),
    ({"Number_Of_Rows": "128000000"}, ["Number Of Rows"]),
    ({"Number_Of_Rows": "1,024"}, ["Number Of Rows", "thousands"]),
    ({"Number_Of_Columns": "1.024,5"}, ["Number Of Columns", "thousands"]),
    ({"Number_Of_Columns": "1 024"}, ["Number Of Columns", "thousands"]),
    ({"Rotation_Step": "400"}, ["Rotation Step (deg)"]),
    ({"Rotation_Step": "1e9"}, ["Rotation Step (deg)"]),
    ({"Rotation_Step": "8"}, ["Rotation Step (deg)", "Number Of Files", "2080"]),
    ({"Rotation_Step": "0.014 rad"}, ["Rotation Step (deg)", "rad"]),
    ({"Number_Of_Files": "1000000000"}, ["Number Of Files"]),
    ({"Image_Rotation": "90"}, ["Image Rotation"]),
    ({"Image_Rotation": "1e9"}, ["Image Rotation"]),
    ({"Postalignment": "120"}, ["Postalignment"]),
    ({"Scanning_Start_Angle": "1e9"}, ["Scanning Start Angle"]),
    ({"Optical_Axis": "-1"}, ["Optical Axis"]),
    ({"Camera_to_Source": "9.3"}, ["Camera to Source (mm)", "Object to Source (mm)"]),
    ({"Camera_to_Source": "930000"}, ["Camera to Source (mm)", "magnification"]),
    ({"Camera_to_Source": "150", "Camera Pixel Size (um)": "222.6"}, ["Image Pixel Size (um)", "Camera Pixel Size (um)"]),
])  # fmt: skip
def test_what_no_scanner_has_is_refused_by_key(tmp_path: Path, line: dict[str, str], named: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, with_lines(BARE, **line))
    for word in ("scan_.log", *named):
        assert word in str(caught.value)
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize("line", [{"Image_Pixel_Size": "356"}, {"Object_to_Source": "80"}, {"Image_Pixel_Size": "111.3"}])
def test_the_cone_angles_of_nrecon_are_a_second_witness(tmp_path: Path, line: dict[str, str]) -> None:
    with pytest.raises(InputError, match="Cone-beam Angle Horiz") as caught:
        read(tmp_path, with_lines(SOUND, **line))
    assert "Image Pixel Size (um)" in str(caught.value)
    assert "Object to Source (mm)" in str(caught.value)
    read(tmp_path, with_lines(BARE, **line))  # alone, the numbers are possible


def test_rows_cropped_after_the_reconstruction_are_a_warning(tmp_path: Path) -> None:
    (told,) = read(tmp_path, with_lines(SOUND, Number_Of_Rows="100", Optical_Axis="50")).warnings
    assert "Cone-beam Angle Vert.(deg)" in told


@pytest.mark.parametrize(("line", "named"), [
    ({"Rotation_Step": "0.4"}, ["Reconstruction Angular Range", "104"]),
    ({"Use_360": "YES"}, ["Use 360 Rotation", "208"]),
    ({"Image_Rotation": "7"}, ["Image Rotation"]),
    ({"Postalignment": "-30"}, ["Postalignment"]),
    ({"Optical_Axis": "20"}, ["Optical Axis"]),
    ({"Gantry direction": "CW"}, ["Rotation Direction", "Gantry direction"]),
    ({"Camera_to_Source": "150", "Camera Pixel Size (um)": "100"}, ["Image Pixel Size (um)", "Camera Pixel Size (um)"]),
])  # fmt: skip
def test_what_may_be_right_is_a_warning_that_names_the_key(tmp_path: Path, line: dict[str, str], named: list[str]) -> None:
    log = read(tmp_path, with_lines(SOUND, **line))
    assert any(all(word in told for word in named) for told in log.warnings)
    assert set(log.warnings) <= set(log.assumptions)


def test_sections_and_logs_that_disagree(tmp_path: Path) -> None:
    two = read(tmp_path, SOUND.replace("[Reconstruction]", "[Reconstruction]\r\nObject to Source (mm)=80"))
    assert any("'Object to Source (mm)' stands in several sections" in told for told in two.warnings)
    again = read(tmp_path, with_lines(SOUND, Rotation_Step="0.9") + "[Acquisition]\r\nRotation Step (deg)=0.8\r\n")
    assert again.scan.angles_deg[1] == pytest.approx(0.8)
    assert any("'Rotation Step (deg)' stands twice" in told for told in again.warnings)
    read(tmp_path, SOUND)
    (tmp_path / "scan__rec.log").write_text(with_lines(SOUND, Image_Pixel_Size="333.0"), newline="")
    assert any("333.0 in scan__rec.log" in told for told in parse_skyscan_log(tmp_path).warnings)


def test_a_decimal_comma_is_a_decimal_point_where_it_can_mean_nothing_else(tmp_path: Path) -> None:
    plain = read(tmp_path, SOUND).scan
    assert read(tmp_path, with_lines(SOUND, Image_Pixel_Size="222,6", Rotation_Step="0,800")).scan == plain
    assert read(tmp_path, with_lines(BARE, Object_to_Source="92,975")).scan.dso_mm == pytest.approx(92.975)  # 93 m is no distance
    assert read(tmp_path, with_lines(BARE, Rotation_Step="1,200", Number_Of_Files="100")).scan.angles_deg[1] == pytest.approx(1.2)
    with pytest.raises(InputError, match=r"Image Pixel Size.*1,024"):
        read(tmp_path, with_lines(SOUND, Image_Pixel_Size="1,024"))


NUMBERS = ["Object to Source", "Image Pixel Size", "Number Of Rows", "Number Of Columns", "Rotation Step", "Number Of Files",
           "Image Rotation", "Postalignment", "Optical Axis"]  # fmt: skip


def same_within(scan: Scan, sound: Scan, tolerance: float) -> bool:
    """As far as a volume shows it: size, pixel, cone, travel, and placement within a share of the field of view."""
    if scan.shape != sound.shape or len(scan) != len(sound):
        return False
    pairs = [(s.field_of_view_mm[2], s.dso_mm, s.angles_deg[-1]) for s in (scan, sound)]
    moved = np.abs(scan.detector - sound.detector).max() / sound.field_of_view_mm[0]
    return (
        all(abs(a / b - 1) < tolerance for a, b in zip(*pairs, strict=True))
        and moved < 0.4
        and bool(np.abs(scan.u[:, 2] / scan.u[0, 0]).max() < 0.06)
    )


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(NUMBERS),
    st.one_of(
        st.floats(allow_nan=True, allow_infinity=True).map(lambda f: lambda old: repr(f)),
        st.sampled_from([1e-3, 0.1, 0.25, 0.5, 0.9, 1.1, 2, 4, 10, 1e3, 1e6, -1]).map(lambda f: lambda old: repr(f * old)),
        st.sampled_from(["cm", "mm", "um", "m", "rad", "deg", ",5", ",000", "%", "x2", " 7"]).map(
            lambda unit: lambda old: f"{old:g}{unit}"
        ),
        st.text(st.characters(codec="cp1252", exclude_characters="\r\n"), max_size=6).map(lambda text: lambda old: text),
    ),
)
def test_a_log_with_one_wrong_number_is_right_or_doubted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: str, change: Callable[[float], str]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    line = next(line for line in SOUND.split("\r\n") if line.startswith(key))
    text = SOUND.replace(line, f"{line.split('=')[0]}={change(float(line.split('=')[1]))}")
    sound = read(folder, SOUND).scan
    try:
        log = read(folder, text, images=260, image_shape=(128, 192))
    except InputError as error:
        if "scan_.log" not in str(error):
            raise AssertionError("the error does not name the log") from error
        return
    assert log.warnings or same_within(log.scan, sound, 0.05)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(SOUND)))
def test_a_log_with_broken_bytes_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    raw = bytearray(SOUND.encode("cp1252"))
    for place, value in changes:
        raw[place] = value
    path = tmp_path_factory.mktemp("log") / "scan_.log"
    path.write_bytes(bytes(raw[:length] if length % 3 == 0 else raw))
    try:
        parse_skyscan_log(path, images=260)
    except InputError:
        return
