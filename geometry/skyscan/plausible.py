"""A SkyScan log is checked before its geometry is believed: for values that no scanner has, and for keys that contradict each other.

What cannot be right raises an InputError that names the keys; what may be right but should be looked at is a warning. The limits leave room
beyond every scanner that we know: pixels of 0.06 um (2211) to 103 um (1278, binned 2 x 2) and later binning of them, fields of view up to
140 mm (1173), cone angles of 6 deg (1272) to 40.2 deg (2214), steps of 0.1 to 1.2 deg, and sparse subsets of such scans.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...base import InputError
from .text import LogText

DSO, PIXEL, ROWS, COLS = "Object to Source (mm)", "Image Pixel Size (um)", "Number Of Rows", "Number Of Columns"
DSD, CAMERA_PIXEL, STEP = "Camera to Source (mm)", "Camera Pixel Size (um)", "Rotation Step (deg)"
CONE_H, CONE_V = "Cone-beam Angle Horiz.(deg)", "Cone-beam Angle Vert.(deg)"
FILES, LINE, ROLL, START, AXIS = "Number Of Files", "Optical Axis (line)", "Image Rotation", "Scanning Start Angle", "Postalignment"
KEYS = (DSO, PIXEL, ROWS, COLS, STEP, FILES, LINE, ROLL, START, AXIS, DSD, CAMERA_PIXEL, "Rotation Direction", "Gantry direction")
"""The keys that decide the geometry, or that are compared with those that do."""

PIXEL_UM = (0.03, 5000.0)  # half of the finest pixel there is, and a 20-fold binning of the coarsest
WIDTH_MM = (0.02, 400.0)  # nano-CT sees 0.06 mm and more, the 1173 140 mm; stitched fields are twice as wide
CONE_DEG = (0.1, 50.0)  # across: a tenth of the narrowest panel that was cropped to a quarter; the widest there is has 40.2
CONE_UP_DEG = 80.0  # along the axis, where rows may have been stitched; at 90 the source is in the field of view
PIXELS = 40_000  # on a side; stitched panels have up to 15 000
MOST_VIEWS = 100_000  # the finest step, 0.01 deg, over a full turn needs 36 000
STEP_DEG = 90.0  # a subset of four views over a turn; scanners step by 1.2 deg and less
TURNS_DEG = 450.0  # a full turn and a quarter of overlap
ROLL_DEG, ROLL_SEEN_DEG = 15.0, 3.0  # real rolls are below 2 deg
AXIS_SEEN, LINE_SEEN = 0.1, 0.2  # of the columns and rows from the middle: 8 % and 90 rows occur
MAGNIFICATION = (0.99, 1000.0)  # camera to source over object to source; nano-CT reaches 150
SAME_CONE = 5e-3  # relative: a pixel size rounded to two digits after the point stays below
CAMERA_SPAN = 0.12  # camera pixel x binning / magnification is off by -7 % to +4 % on real scanners


@dataclass(frozen=True)
class PanelNumbers:
    """The numbers of a log that decide its geometry, as the log has them (before any later binning): lengths in
    mm, and numbers of pixels.
    """

    dso_mm: float
    pixel_mm: float
    rows: int
    cols: int


def check_panel(text: LogText) -> tuple[PanelNumbers, list[str]]:
    """The numbers of a log that decide the geometry, and warnings about them; InputError for what cannot be right."""
    remedy = "take it from the scanner's log, or build the scan with Scan.circular"
    dso = text.needed(DSO, remedy=remedy)
    pixel = text.needed(PIXEL, remedy=remedy)
    rows, cols = (int(text.needed(key, remedy=remedy, whole=True)) for key in (ROWS, COLS))
    numbers = PanelNumbers(dso, pixel / 1000, rows, cols)
    for key, count in ((ROWS, rows), (COLS, cols)):
        if count > PIXELS:
            raise _implausible(text, f"'{key}' is {count}", f"at most {PIXELS} pixels on a side")
    if not PIXEL_UM[0] <= pixel <= PIXEL_UM[1]:
        raise _implausible(text, f"'{PIXEL}' is {pixel:g}", f"{PIXEL_UM[0]:g} to {PIXEL_UM[1]:g} um, the pixel scaled to the rotation axis")
    _check_field(text, numbers)
    twice = _section_warnings(text)
    return numbers, [*twice, *_cone_warnings(text, numbers, twice), *_camera_warnings(text, numbers)]


def _implausible(text: LogText, given: str, expected: str) -> InputError:
    return InputError(f"{text.path}: {given}", expected=expected, remedy="correct the log: look for a wrong unit, or a lost decimal point")


def _cone_deg(count: int, numbers: PanelNumbers) -> float:
    return 2 * math.degrees(math.atan(count * numbers.pixel_mm / (2 * numbers.dso_mm)))


def _check_field(text: LogText, numbers: PanelNumbers) -> None:
    um = numbers.pixel_mm * 1000
    for key, count, least in ((COLS, numbers.cols, WIDTH_MM[0]), (ROWS, numbers.rows, 0.0)):
        size = count * numbers.pixel_mm
        if not least <= size <= WIDTH_MM[1]:
            raise _implausible(
                text,
                f"'{key}' {count} x '{PIXEL}' {um:g} make a field of view of {size:.4g} mm",
                f"{WIDTH_MM[0]:g} to {WIDTH_MM[1]:g} mm, as scanners have",
            )
    across, up = _cone_deg(numbers.cols, numbers), _cone_deg(numbers.rows, numbers)
    stated = text.number(CONE_H)
    vouched = stated is not None and abs(stated - across) <= SAME_CONE * abs(stated)  # a nearly parallel beam that says so itself
    if across > CONE_DEG[1] or (across < CONE_DEG[0] and not vouched):
        raise _cone_error(text, numbers, COLS, across, f"{CONE_DEG[0]:g} to {CONE_DEG[1]:g} deg, as scanners have")
    if up > CONE_UP_DEG:
        raise _cone_error(text, numbers, ROWS, up, f"at most {CONE_UP_DEG:g} deg")


def _cone_error(text: LogText, numbers: PanelNumbers, key: str, cone: float, expected: str) -> InputError:
    count = numbers.cols if key == COLS else numbers.rows
    inside = ": the source would be inside the field of view" if cone >= 90 else ""
    given = f"'{DSO}' {numbers.dso_mm:g}, '{PIXEL}' {numbers.pixel_mm * 1000:g} and '{key}' {count} make a cone angle of {cone:.4g} deg"
    return _implausible(text, given + inside, expected)


def _section_warnings(text: LogText) -> list[str]:
    """Warnings about keys that have different values in two places. The first place in the search order is used."""
    found = []
    for key in KEYS:
        places = text.places(key)
        values = {_plain(value) for _, value in places}
        if len(values) > 1:
            told = ", ".join(f"[{section}] {value}" for section, value in places)
            found.append(f"'{key}' stands in several sections ({told}): the one of [{places[0][0]}] is used")
    for section, key, earlier, later in text.repeated:
        if _plain(earlier) != _plain(later):
            found.append(f"'{key}' stands twice in [{section}] ({earlier}, then {later}): the last one is used")
    return found


def disagreements(text: LogText, other: LogText) -> list[str]:
    """Warnings about the deciding keys for which another log of the same scan has a different value."""
    return [
        f"'{key}' is {mine} in {text.path.name} and {theirs} in {other.path.name}: the first is used"
        for key in KEYS
        if (mine := text.get(key)) and (theirs := other.get(key)) and _plain(mine) != _plain(theirs)
    ]


def _plain(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value.strip().lower()


def _cone_warnings(text: LogText, numbers: PanelNumbers, twice: list[str]) -> list[str]:
    """Warnings about cone angles that disagree with the geometry; InputError where they contradict it.

    NRecon computes its cone angles from the same three numbers, and on real logs they agree to 2e-5 deg. Rows or columns that were cut off
    afterwards make an angle smaller, each side by its own factor; that may be right. A larger angle, or the same factor on both sides,
    means a wrong pixel size or distance.
    """
    sides = []
    for cone_key, key, count in ((CONE_H, COLS, numbers.cols), (CONE_V, ROWS, numbers.rows)):
        stated = text.number(cone_key)
        if stated is None:
            continue
        if not 0 < stated < 180:
            raise _implausible(text, f"'{cone_key}' is {stated:g}", f"{CONE_DEG[0]:g} to {CONE_DEG[1]:g} deg, as scanners have")
        ours = _cone_deg(count, numbers)
        sides.append((cone_key, key, stated, ours, math.tan(math.radians(ours) / 2) / math.tan(math.radians(stated) / 2)))
    off = [side for side in sides if abs(side[4] - 1) > SAME_CONE]
    alike = len(off) == 2 and abs(off[0][4] / off[1][4] - 1) <= 2 * SAME_CONE
    for cone_key, key, stated, ours, factor in off:
        if factor > 1 or alike:
            raise InputError(
                f"{text.path}: '{cone_key}' is {stated:g}, yet '{DSO}' {numbers.dso_mm:g}, '{PIXEL}' {numbers.pixel_mm * 1000:g} and "
                f"'{key}' {numbers.cols if key == COLS else numbers.rows} make {ours:.6g} deg" + "".join(f" ({told})" for told in twice),
                expected="numbers that agree: one of them is wrong by a factor of " + f"{max(factor, 1 / factor):.4g}",
                remedy="correct the log; if the images were cropped after the reconstruction, delete its cone angles",
            )
    return [
        f"'{cone_key}' is {stated:g} in the log, the geometry gives {ours:.6f}: the images were cropped or binned after that"
        for cone_key, _, stated, ours, _ in sides
        if abs(stated - ours) > 1e-3
    ]


def _camera_warnings(text: LogText, numbers: PanelNumbers) -> list[str]:
    """Warnings about the pixel and the distance of the camera. They decide nothing, but cannot be far off either."""
    dsd = text.number(DSD)
    if dsd is None:
        return []
    magnification = dsd / numbers.dso_mm
    if not MAGNIFICATION[0] <= magnification <= MAGNIFICATION[1]:
        raise _implausible(
            text,
            f"'{DSD}' {dsd:g} and '{DSO}' {numbers.dso_mm:g} make a magnification of {magnification:.4g}",
            f"1 to {MAGNIFICATION[1]:g}: the camera is behind the object",
        )
    camera = text.number(CAMERA_PIXEL)
    if camera is None or camera <= 0:
        return []
    binned = camera * _binning(text)
    ratio = numbers.pixel_mm * 1000 / (binned / magnification)
    if abs(ratio - 1) <= CAMERA_SPAN:
        return []
    told = (
        f"'{PIXEL}' is {numbers.pixel_mm * 1000:g}, yet '{CAMERA_PIXEL}' {camera:g} (binned: {binned:g}) at '{DSD}' {dsd:g} and "
        f"'{DSO}' {numbers.dso_mm:g} makes {binned / magnification:.4g} at the axis"
    )
    if abs(numbers.pixel_mm * 1000 / binned - 1) < 0.01 and text.number(CONE_H) is None:
        raise _implausible(text, f"{told}: it is the pixel of the camera", "the pixel scaled to the rotation axis")
    return [f"{told}: one of them is wrong, or the images were binned; the first is used"]


def _binning(text: LogText) -> float:
    first = (text.get("Camera binning") or "1").strip().lower().partition("x")[0]
    return float(first) if first.isdigit() and int(first) > 0 else 1.0


def check_angles(text: LogText, count: int, step: float) -> list[str]:
    """Warnings about the travel of ``count`` views at ``step`` degrees; InputError for what no scanner does."""
    if step > STEP_DEG:
        raise _implausible(text, f"'{STEP}' is {step:g}", f"at most {STEP_DEG:g} deg; scanners step by 0.1 to 1.2")
    if count > MOST_VIEWS:
        raise _implausible(text, f"'{FILES}' is {count}", f"at most {MOST_VIEWS} views")
    if count * step > TURNS_DEG:
        raise _implausible(
            text,
            f"'{FILES}' {count} x '{STEP}' {step:g} make {count * step:g} deg",
            "at most a full turn, 360 deg, and some overlap",
        )
    found = []
    if count * step > 360 + 1.5 * step:
        found.append(f"{count} views x '{STEP}' {step:g} make {count * step:g} deg, more than a full turn: some angles are seen twice")
    return found


def check_placement(text: LogText, shape: tuple[int, int], axis_px: float, row_px: float, roll_deg: float, start_deg: float) -> list[str]:
    """Warnings about the axis, the central row, the roll and the first angle; InputError for what no scanner has."""
    rows, cols = shape
    if abs(axis_px) > cols / 2:
        raise _implausible(text, f"'{AXIS}' puts the axis {axis_px:g} pixels from the middle of {cols} columns", "an axis on the panel")
    if abs(roll_deg) > ROLL_DEG:
        raise _implausible(text, f"'{ROLL}' is {roll_deg:g}", f"-{ROLL_DEG:g} to {ROLL_DEG:g} deg, the roll of the detector")
    if abs(start_deg) > 360:
        raise _implausible(text, f"'{START}' is {start_deg:g}", "-360 to 360 deg")
    found = []
    if abs(row_px) > LINE_SEEN * rows and rows > 1:
        found.append(f"'{LINE}' puts the central ray {row_px:g} rows from the middle of {rows}: real scanners stay within 90")
    if abs(axis_px) > AXIS_SEEN * cols:
        found.append(f"'{AXIS}' puts the axis {axis_px:g} pixels from the middle of {cols} columns: real shifts are below a few per cent")
    if abs(roll_deg) > ROLL_SEEN_DEG:
        found.append(f"'{ROLL}' is {roll_deg:g} deg: the roll of real detectors is below 2 deg")
    return found
