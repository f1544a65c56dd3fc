"""Logs that cannot be right, may be wrong, or are only odd."""

from __future__ import annotations

import os

from hostile_case import Case, fine, refused, right, right_or_told, told
from hostile_room import Log, Room
from hostile_world import COLS, PIXEL_MM, ROWS, edited, log_text

DSO, PIXEL, STEP = "Object to Source (mm)", "Image Pixel Size (um)", "Rotation Step (deg)"


def log(name: str, changes: Log, kind: object, *says: str, more: tuple[str, ...] = ()) -> Case:
    """A case of the sound scan with these lines of its log changed."""
    return kind(name, lambda r: r.recon(r.scan(log=changes), *more), *says)  # type: ignore[operator]


def text(name: str, content: str | bytes, kind: object, *says: str) -> Case:
    """A case of the sound images with this for a log."""
    return kind(name, lambda r: r.recon(r.scan(text=content)), *says)  # type: ignore[operator]


def twice(key: str, first: str, second: str) -> str:
    """The sound log with a key that stands twice in its section."""
    return edited(log_text(), {key: f"{first}\n{key}={second}"})


def elsewhere(key: str, value: str) -> str:
    """The sound log with a key once more in [Reconstruction]."""
    return log_text().replace("[Reconstruction]\n", f"[Reconstruction]\n{key}={value}\n")


def rename(folder_file: str, new: str) -> object:
    """Rename one file of the folder."""
    return lambda folder: (folder / folder_file).rename(folder / new)


def _second_log(folder: object) -> None:
    (folder / "other_.log").write_text(log_text())  # type: ignore[operator]


def _utf16(room: Room) -> list[str]:
    return room.recon(room.scan(text=log_text().encode("utf-16")))


def _binned_later(room: Room) -> list[str]:
    """The log of a scan twice as fine, whose images were binned 2 x 2 afterwards."""
    changes: Log = {"Number Of Rows": str(2 * ROWS), "Number Of Columns": str(2 * COLS), PIXEL: f"{PIXEL_MM * 500:.6f}"}
    return room.recon(room.scan(log={**changes, "Optical Axis (line)": str(ROWS)}))


def _shifts(content: str, *more: str) -> object:
    def words(room: Room) -> list[str]:
        scan = room.scan(then=lambda folder: (folder / "souris__TS.csv").write_text(content))
        return room.recon(scan, "--read-as", "apply_view_shifts=true")

    return words


def _named(prefix: str) -> object:
    return lambda r: r.recon(r.scan(log={"Filename Prefix": prefix}, prefix=prefix))


def _link_in_a_circle(room: Room) -> list[str]:
    os.symlink(room.path / "loop", room.path / "loop")
    return room.recon(room.path / "loop")


um, half, camera = PIXEL_MM * 1000, PIXEL_MM * 500, PIXEL_MM * 1000 * 150 / 92.975

LENGTHS: list[Case] = [
    log("pixel in mm where um belong", {PIXEL: f"{PIXEL_MM:.6f}"}, told, PIXEL),
    log("pixel in nm where um belong", {PIXEL: f"{um * 1000:.3f}"}, refused, PIXEL),
    log("pixel of the camera, not of the axis", {PIXEL: f"{camera:.6f}"}, told, PIXEL, "Cone-beam Angle|Camera Pixel Size"),
    log("pixel of 1e-300 um", {PIXEL: "1e-300"}, refused, PIXEL),
    log("pixel of 1e300 um", {PIXEL: "1e300"}, refused, PIXEL),
    log("pixel of half the size, cone angles of the whole", {PIXEL: f"{half:.6f}"}, told, PIXEL, "Cone-beam Angle"),
    log("pixel negative", {PIXEL: f"-{um:.3f}"}, refused, PIXEL),
    log("pixel zero", {PIXEL: "0"}, refused, PIXEL),
    log("pixel in words", {PIXEL: "fine"}, refused, PIXEL, "fine"),
    log("pixel empty", {PIXEL: ""}, refused, PIXEL),
    log("pixel missing", {PIXEL: None}, refused, PIXEL),
    log("pixel nan", {PIXEL: "nan"}, refused, PIXEL),
    log("pixel 1e999", {PIXEL: "1e999"}, refused, PIXEL),
    log("pixel with a unit of its own", {PIXEL: f"{PIXEL_MM:.6f} mm"}, right_or_told, PIXEL, "mm"),
    log("pixel with a thousands comma", {PIXEL: f"{um:,.3f}"}, right_or_told, PIXEL),
    log("pixel with a thousands blank", {PIXEL: f"{um:,.3f}".replace(",", " ")}, right_or_told, PIXEL),
    log("pixel with a thousands apostrophe", {PIXEL: f"{um:,.3f}".replace(",", "'")}, right_or_told, PIXEL),
    log("pixel with a thousands point and a comma", {PIXEL: "1.335,594"}, right_or_told, PIXEL),
    log("pixel with a decimal comma", {PIXEL: f"{um:.6f}".replace(".", ",")}, right),
    log("pixel with the log's own unit", {PIXEL: f"  {um:.6f} um"}, right),
    log("source inside the object", {DSO: "10"}, refused, DSO),
    log("source distance of 1 km", {DSO: "1000000"}, told, DSO),
    log("source distance of 1e300 mm", {DSO: "1e300"}, refused, DSO),
    log("source distance in cm, said so", {DSO: "9.2975 cm"}, right_or_told, DSO, "cm"),
    log("source distance of 10 cm", {DSO: "10 cm"}, told, DSO, "cm"),
    log("source distance in m, said so", {DSO: "0.092975 m"}, right_or_told, DSO),
    log("source distance in inches", {DSO: "3.66 in"}, right_or_told, DSO),
    log("source distance in um", {DSO: "92975 um"}, right_or_told, DSO),
    log("source distance with the log's own unit", {DSO: "92.975 mm"}, right),
    log("source distance with a decimal comma", {DSO: "92,975"}, right_or_told, DSO),
    log("source distance negative", {DSO: "-92.975"}, refused, DSO),
    log("source distance missing", {DSO: None}, refused, DSO),
    log("source distance 0x5C", {DSO: "0x5C"}, refused, DSO),
    log("camera nearer than the object", {"Camera to Source (mm)": "50"}, told, "Camera to Source", DSO),
    log("cone angle of another scan", {"Cone-beam Angle Horiz.(deg)": "6.07"}, told, "Cone-beam Angle Horiz"),
    text("distance in two sections that disagree", elsewhere(DSO, "60.0"), told, DSO, "Acquisition", "Reconstruction"),
    text("pixel in two sections that disagree", elsewhere(PIXEL, "900"), told, PIXEL, "Acquisition", "Reconstruction"),
    text("step in two sections that disagree", elsewhere(STEP, "2.0"), told, STEP, "Acquisition", "Reconstruction"),
    text("distance twice in a section", twice(DSO, "92.975", "60"), told, DSO, "twice|two"),
    text("step twice in a section", twice(STEP, "4.0", "2.0"), told, STEP, "twice|two"),
]

ANGLES: list[Case] = [
    log("step of 400 deg", {STEP: "400"}, refused, STEP),
    log("step of 1e9 deg", {STEP: "1e9"}, refused, STEP),
    log("step of 90 deg", {STEP: "90"}, told, STEP),
    log("step twice too large", {STEP: "8.0"}, told, STEP, "Angular Range|360"),
    log("step ten times too small", {STEP: "0.4"}, told, STEP, "Angular Range"),
    log("step of 0", {STEP: "0"}, refused, STEP),
    log("step negative", {STEP: "-4"}, refused, STEP),
    log("step in words", {STEP: "four"}, refused, STEP),
    log("step in radians, said so", {STEP: "0.0698132 rad"}, right_or_told, STEP),
    log("step missing", {STEP: None}, refused, STEP),
    log("step with a decimal comma", {STEP: "4,000"}, right_or_told, STEP),
    log("roll of 90 deg", {"Image Rotation": "90"}, refused, "Image Rotation"),
    log("roll of 1e9 deg", {"Image Rotation": "1e9"}, refused, "Image Rotation"),
    log("roll of 180 deg", {"Image Rotation": "180"}, told, "Image Rotation"),
    log("roll in words", {"Image Rotation": "left"}, refused, "Image Rotation"),
    log("axis line outside the image", {"Optical Axis (line)": "500"}, refused, "Optical Axis (line)"),
    log("axis line negative", {"Optical Axis (line)": "-3"}, refused, "Optical Axis (line)"),
    log("axis shift of a million pixels", {"Postalignment": "1e6"}, refused, "Postalignment"),
    log("axis shift of the whole panel", {"Postalignment": str(COLS)}, refused, "Postalignment"),
    log("axis shift in words", {"Postalignment": "auto"}, refused, "Postalignment"),
    log("start angle of 1e12 deg", {"Scanning Start Angle": "1e12"}, refused, "Scanning Start Angle"),
    log("direction maybe", {"Rotation Direction": "maybe"}, refused, "Rotation Direction", "maybe"),
    log("two directions", {"Gantry direction": "CW"}, told, "Gantry direction", "Rotation Direction"),
    log("no direction: recon says what it took", {"Rotation Direction": None}, fine, "CC", "assumed"),
    log("full turn by the log, 208 deg by the images", {"Use 360 Rotation": "YES"}, told, "Use 360 Rotation"),
    log("the range of another scan", {"Reconstruction Angular Range (deg)": "360"}, told, "Reconstruction Angular Range"),
]

COUNTS: list[Case] = [
    log("a billion files", {"Number Of Files": "1000000000"}, refused, "Number Of Files", "52"),
    log("two files fewer", {"Number Of Files": "50"}, refused, "Number Of Files", "52"),
    log("half a file", {"Number Of Files": "51.5"}, refused, "Number Of Files"),
    log("many files", {"Number Of Files": "many"}, refused, "Number Of Files"),
    log("rows and columns exchanged", {"Number Of Rows": str(COLS), "Number Of Columns": str(ROWS)}, refused, "souris_"),
    log("no rows", {"Number Of Rows": "0"}, refused, "Number Of Rows"),
    log("1e12 columns", {"Number Of Columns": "1e12"}, refused, "Number Of Columns|pixels"),
    log("columns in words", {"Number Of Columns": "wide"}, refused, "Number Of Columns"),
    log("index length in words", {"Filename Index Length": "long"}, refused, "Filename Index Length"),
    log("index length of a billion", {"Filename Index Length": "1e9"}, right_or_told, "Filename Index Length"),
    log("reference intensity of 0", {"Reference Intensity": "0"}, right_or_told, "Reference Intensity"),
    log("reference intensity negative", {"Reference Intensity": "-5"}, right_or_told, "Reference Intensity"),
    log("reference intensity of 1e9", {"Reference Intensity": "1e9"}, told, "Reference Intensity"),
    log("reference intensity beyond all numbers", {"Reference Intensity": "1e999"}, told, "Reference Intensity"),
    log("reference intensity in words", {"Reference Intensity": "bright"}, refused, "Reference Intensity"),
    log("filter of 1.2.3 mm", {"Filter": "Al 1.2.3mm"}, right),
    log("camera binning in words", {"Camera binning": "banana"}, right_or_told, "Camera binning"),
    log("source distance Infinity", {DSO: "Infinity"}, refused, DSO),
    log("current beyond all numbers", {"Source Current (uA)": "1e999"}, right_or_told, "Source Current (uA)"),
    log("voltage in words", {"Source Voltage (kV)": "fifty"}, right_or_told, "Source Voltage"),
    log("prefix that leaves the folder", {"Filename Prefix": "../../etc/"}, right_or_told, "Filename Prefix|etc"),
    refused(
        "prefix of another scan",
        lambda r: r.recon(r.scan(log={"Filename Prefix": "rat_"}, prefix="ours_", then=rename("ours_.log", "rat_.log"))),
        "rat_",
        "ours_",
    ),
    right("prefix with signs of its own", _named("a(b[+%s]")),
    right(
        "prefix in Greek", lambda r: r.recon(r.scan(text=edited(log_text(), {"Filename Prefix": "ποντίκι_"}).encode(), prefix="ποντίκι_"))
    ),
]

FILES: list[Case] = [
    text("empty log", b"", refused, "scan"),
    text("log of zeros", bytes(4096), refused, "scan"),
    text("log that is a picture", bytes(range(256)) * 40, refused, "scan"),
    right_or_told("log in UTF-16", _utf16, "souris_.log"),
    text("log with a byte order mark", b"\xef\xbb\xbf" + log_text().encode(), right),
    text("log with bare carriage returns", log_text().replace("\n", "\r").encode("cp1252"), right),
    text("log cut off in the middle", log_text().partition("Rotation Step")[0], refused, "souris_.log", STEP),
    text("log without sections", "\n".join(line for line in log_text().split("\n") if line[:1] != "["), refused, "souris_.log|section"),
    text("log with a line of 5 MB", log_text() + "x=" + "y" * 5_000_000, right),
    refused(
        "log that is a folder", lambda r: r.recon(r.scan(then=lambda f: ((f / "souris_.log").unlink(), (f / "souris_.log").mkdir()))), "log"
    ),
    refused(
        "log that points nowhere",
        lambda r: r.recon(r.scan(then=lambda f: ((f / "souris_.log").unlink(), os.symlink("gone", f / "souris_.log")))),
        "log",
    ),
    refused("no log", lambda r: r.recon(r.scan(then=lambda f: (f / "souris_.log").unlink())), "log"),
    refused("two logs", lambda r: r.recon(r.scan(then=_second_log)), "2 logs", "other_"),
    refused("the log alone", lambda r: r.recon(r.scan(counts=[])), "souris_"),
    refused("a part that is not there", lambda r: r.recon(r.scan(), "--read-as", "part=7"), "part"),
    refused("an empty folder", lambda r: r.recon(r.home), "home"),
    refused("a folder in a circle", _link_in_a_circle, "loop"),
    right("log of the whole scan, images binned later", _binned_later),
    refused(
        "shifts in words", _shifts("Thermal shift\nNumber of views= 52\nView, X shift, Y shift\n" + "one, two, three\n" * 52), "_TS.csv"
    ),
    refused(
        "shifts of 1e9 pixels",
        _shifts("Thermal shift\nNumber of views= 52\nView, X shift, Y shift\n" + "".join(f"{i}, 1e9, 0\n" for i in range(52))),
        "_TS.csv",
    ),
    refused("shifts that are not there", lambda r: r.recon(r.scan(), "--read-as", "apply_view_shifts=true"), "_TS.csv"),
    refused(
        "shifts that are nan",
        _shifts("Thermal shift\nNumber of views= 52\nView, X shift, Y shift\n" + "".join(f"{i}, nan, 0\n" for i in range(52))),
        "_TS.csv",
    ),
]

CASES = [*LENGTHS, *ANGLES, *COUNTS, *FILES]
