"""Distance, pixel size, number of pixels and position of the panel, from a SkyScan log."""

from __future__ import annotations

from dataclasses import dataclass

from ...base import InputError
from .plausible import PanelNumbers
from .text import LogText, switch


@dataclass(frozen=True)
class Panel:
    """The panel as seen at the rotation axis: lengths in mm, and offsets of the central ray from its middle in pixels (towards higher
    indices).
    """

    dso_mm: float
    pixel_mm: float
    rows: int
    cols: int
    axis_px: float
    row_px: float
    roll_deg: float


def panel_of(
    text: LogText,
    numbers: PanelNumbers,
    image_shape: tuple[int, int] | None,
    part: int | None,
    from_last_row: bool,
    axis_sign: int,
    roll_sign: int,
) -> tuple[Panel, list[str]]:
    """The panel and the assumptions. ``numbers`` come from `check_panel`, and the settings are those of `parse_skyscan_log`."""
    dso, pixel, rows, cols = numbers.dso_mm, numbers.pixel_mm, numbers.rows, numbers.cols
    notes = [
        f"virtual detector at the axis: DSO {dso:g} mm and pixel {pixel * 1000:g} um decide the geometry, not the camera's own numbers"
    ]
    factor = _extra_binning(text, (rows, cols), image_shape)
    axis, axis_note = _axis_shift(text, part)
    line, row_note = _optical_axis(text, rows, from_last_row)
    roll, roll_note = _rotation(text)
    if factor != 1:
        notes.append(f"the images were binned {factor} x {factor} after the scan: pixel {pixel * factor * 1000:g} um")
    notes += [axis_note, row_note, *_crop_notes(text), *roll_note]
    odd_row, odd_col = rows % factor % 2, cols % factor % 2  # bin_pixels crops in the middle, which moves by half a pixel then
    panel = Panel(
        dso,
        pixel * factor,
        rows // factor,
        cols // factor,
        (axis_sign * axis + odd_col / 2) / factor,
        (line + odd_row / 2) / factor,
        roll_sign * roll,
    )
    return panel, notes


def _extra_binning(text: LogText, stated: tuple[int, int], found: tuple[int, int] | None) -> int:
    if found is None or tuple(found) == stated:
        return 1
    factor = round(stated[1] / found[1]) if found[1] else 0
    if factor > 1 and (stated[0] // factor, stated[1] // factor) == tuple(found):
        return factor
    raise InputError(
        f"{text.path}: the images are {found[0]} x {found[1]} pixels, the log says {stated[0]} x {stated[1]} (rows x columns)",
        expected="the same size, or a whole-number binning of it",
        remedy="use the log that belongs to the images",
    )


def _axis_shift(text: LogText, part: int | None) -> tuple[float, str]:
    """The axis shift: NRecon writes ``Postalignment``, or one ``Sub-scan post alignment [k]`` for each part; ``... Applied`` is a flag."""
    shift = text.number("Postalignment")
    if shift is not None:
        return shift, f"Postalignment {shift:g}: the axis lies that many pixels from the middle column"
    k = part or 0
    shift = text.number(f"Sub-scan post alignment [{k}]")
    if shift is not None:
        return shift, f"Sub-scan post alignment [{k}] {shift:g}: the axis lies that many pixels from the middle column"
    applied = text.number("Postalignment Applied")
    if applied is not None and applied not in (0, 1):
        return applied, f"Postalignment Applied {applied:g} is no flag: taken as the shift of the axis in pixels"
    return 0.0, "no Postalignment in the log: the axis is taken at the middle column (calibrate finds it)"


def _optical_axis(text: LogText, rows: int, from_last_row: bool) -> tuple[float, str]:
    line = text.number("Optical Axis (line)")
    if line is None:
        return 0.0, "no 'Optical Axis (line)' in the log: the central ray is taken at the middle row (calibrate finds it)"
    if not 0 <= line <= rows:
        raise InputError(
            f"{text.path}: 'Optical Axis (line)' is {line:g}", expected=f"0 to {rows}, the rows of the image", remedy="correct the log"
        )
    offset = rows / 2 - line if from_last_row else line - rows / 2
    where = "last" if from_last_row else "first"
    return offset, f"Optical Axis (line) {line:g} is counted from the image's {where} row: {offset:+g} rows from the middle"


def _rotation(text: LogText) -> tuple[float, list[str]]:
    degrees = text.number("Image Rotation") or text.number("Image Rotation (deg)") or 0.0
    return degrees, [f"Image Rotation {degrees:g} deg is taken as the roll of the detector"] if degrees else []


def _crop_notes(text: LogText) -> list[str]:
    notes = []
    width = text.get("Partial Width")
    if width and switch(width)[0]:
        notes.append(f"Partial Width {width}: the columns are taken as the middle ones of the camera")
    for key in ("Image crop origin X", "Image crop origin Y"):
        if text.number(key):
            notes.append(f"'{key}' is {text.get(key)}: kept, not used; the images are taken as centred on the camera (see calibrate)")
    return notes
