"""A SkyScan log file becomes a `Scan`, together with a list of the choices that this took.

Two numbers decide the geometry: ``Object to Source (mm)`` and ``Image Pixel Size (um)``, the (binned) pixel scaled to the rotation axis.
The detector of the scan is a virtual one at the axis with that pitch. The cone angles that NRecon prints follow from it to 2e-5 deg on
eight real logs. The pixel and the distance of the camera are not used: they are wrong by -7 % to +4 %, depending on the scanner.

What no log decides is a setting with a stated default:

* ``row_0``: SkyScan images are stored from the top down. It is not published whether they are seen from the source or from the camera,
  and so whether the z axis of the object goes up or down in them in a right-handed frame. The default ``"bottom"`` lets the row index
  increase with +z, as `Scan.circular` and `skyscan_1276` do: slice k of the volume belongs to row k of the image, and simulated images
  read back as they are. ``"top"`` is the other way round. A wrong choice does not blur the volume but mirrors it, so check it on a
  landmark.
* ``optical_axis_from``: readers disagree on where the line number is counted from. ``"first"`` is row 0 of the image, ``"last"`` its
  last row. The number is taken as a distance from the edge of the image, so that half the rows is the exact middle.
  `fewview.recon.calibrate` finds out from the data.
* ``direction``: ``"CC"`` is a source that turns counter-clockwise in the frame of `Scan.circular`, ``"CW"`` clockwise. The wrong one
  blurs the volume.
* ``postalignment_sign`` and ``image_rotation_sign``: +1 moves the axis to higher columns, and turns u towards v.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ...base import InputError
from ..scan import Scan
from ..transform import flip_rows, shift_views
from .angles import angles_of, direction_doubts, direction_of
from .files import choose_log, part_number
from .panel import panel_of
from .plausible import check_panel, check_placement
from .shifts import read_view_shifts
from .text import LogText


@dataclass(frozen=True, eq=False)
class SkyScanLog:
    """A log that was read: its ``text`` (every key, as written), the ``scan``, and each choice that was made.

    ``duplicate_view`` says that the last image of the folder repeats the first at 360 deg and is not part of ``scan``; use the first
    ``len(scan)`` images. ``part`` is the number of the part of an oversize scan (0 for ``~00``), None for a scan in one piece. ``warnings``
    are contradictions in the log and numbers that no known scanner produces; they are also the first of the ``assumptions``.
    """

    text: LogText
    scan: Scan
    assumptions: tuple[str, ...]
    duplicate_view: bool = False
    part: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The log file."""
        return self.text.path

    @property
    def prefix(self) -> str:
        """The beginning of the names of the projection images."""
        return self.text.get("Filename Prefix") or self.path.stem.removesuffix("_rec")

    @property
    def reference_intensity(self) -> float | None:
        """The grey value near that of air (57000-58000 on many scanners), where the log states it."""
        return self.text.number("Reference Intensity")

    def __str__(self) -> str:
        return "\n".join([f"{self.path}: {self.scan}", *(f"  - {line}" for line in self.assumptions)])


def parse_skyscan_log(
    path: str | Path,
    *,
    images: int | None = None,
    image_shape: tuple[int, int] | None = None,
    part: int | None = None,
    direction: str | None = None,
    row_0: Literal["bottom", "top"] | None = None,
    optical_axis_from: Literal["first", "last"] = "first",
    postalignment_sign: Literal[1, -1] = 1,
    image_rotation_sign: Literal[1, -1] = 1,
    apply_view_shifts: bool = False,
) -> SkyScanLog:
    """Read a SkyScan log (or the folder that holds exactly one scan) into a `SkyScanLog`.

    ``images`` is the number of projections found on disk, which takes precedence over that of the log and decides, with the rotation step,
    whether the last image is a duplicate at 360 deg. ``image_shape`` (rows, cols) is the size of the images, where they were binned after
    the scan. ``part`` chooses a part of an oversize scan. ``apply_view_shifts`` applies ``<prefix>_TS.csv``. The other settings are
    described at the head of this module; ``direction=None`` uses what the log says.

    Raises FileNotFoundError, and InputError naming file, key and remedy for a key that is missing or wrong, counts that disagree, two logs,
    or an oversize scan without ``part``.
    """
    text, notes, log_doubts = choose_log(Path(path), part)
    row_0 = row_0 or ("top" if (text.get("Row 0", "fewview") or "").lower() == "top" else "bottom")
    _check_settings(row_0, optical_axis_from, postalignment_sign=postalignment_sign, image_rotation_sign=image_rotation_sign)
    number = part if part is not None else part_number(text.path.stem)
    numbers, panel_doubts = check_panel(text)
    panel, panel_notes = panel_of(text, numbers, image_shape, number, optical_axis_from == "last", postalignment_sign, image_rotation_sign)
    travel, duplicate, angle_notes, angle_doubts = angles_of(text, images)
    doubts = [
        *log_doubts,
        *panel_doubts,
        *angle_doubts,
        *direction_doubts(text),
        *check_placement(text, (panel.rows, panel.cols), panel.axis_px, panel.row_px, panel.roll_deg, travel.start),
    ]
    sense, sense_note = direction_of(text, direction)
    scan = Scan.circular(
        dso_mm=panel.dso_mm,
        dsd_mm=panel.dso_mm,
        rows=panel.rows,
        cols=panel.cols,
        pixel_mm=panel.pixel_mm,
        angles_deg=travel.start + sense * (travel.angles - travel.start),
        axis_shift_mm=panel.axis_px * panel.pixel_mm,
        row_shift_mm=(panel.row_px if row_0 == "bottom" else -panel.row_px) * panel.pixel_mm,
        roll_deg=panel.roll_deg if row_0 == "bottom" else -panel.roll_deg,
    )
    if row_0 == "top":
        scan = flip_rows(scan)
    notes = (*doubts, *notes, *panel_notes, *angle_notes, sense_note, _row_note(row_0), *_parts_note(number))
    scan, shift_notes = _view_shifts(text, scan, apply_view_shifts)
    return SkyScanLog(text, scan, (*notes, *shift_notes), duplicate, number, tuple(doubts))


def read_skyscan_log(path: str | Path, *, report: Callable[[str], object] | None = print, **settings: object) -> Scan:
    """The `Scan` of a SkyScan log. Each assumption is passed to ``report``, one line a call; None keeps it silent.

    ``settings`` and errors are those of `parse_skyscan_log`, which returns everything that the log says.
    """
    log = parse_skyscan_log(path, **settings)  # type: ignore[arg-type]
    if report is not None:
        for line in log.assumptions:
            report(f"{log.path.name}: {line}")
    return log.scan


def _check_settings(row_0: str, optical_axis_from: str, **signs: int) -> None:
    if row_0 not in ("bottom", "top"):
        raise InputError(f"row_0 is {row_0!r}", expected="'bottom' or 'top'")
    if optical_axis_from not in ("first", "last"):
        raise InputError(f"optical_axis_from is {optical_axis_from!r}", expected="'first' or 'last' (row of the image)")
    for name, sign in signs.items():
        if sign not in (1, -1):
            raise InputError(f"{name} is {sign!r}", expected="1 or -1")


def _row_note(row_0: str) -> str:
    where = "lowest z (row index increases with +z)" if row_0 == "bottom" else "highest z (row index decreases with +z)"
    return f"row 0 of the images is taken as the {where}; a wrong choice mirrors the volume (setting row_0)"


def _parts_note(part: int | None) -> tuple[str, ...]:
    if part is None:
        return ()
    return (f"this is part ~{part:02d} of an oversize scan, placed at the origin by itself; the parts are not joined",)


def _view_shifts(text: LogText, scan: Scan, apply: bool) -> tuple[Scan, tuple[str, ...]]:
    prefix = text.get("Filename Prefix") or text.path.stem
    name = text.path.parent / f"{prefix}_TS.csv"
    names = [name, text.path.parent / f"{text.path.stem}_TS.csv", text.path.parent / f"{prefix.rstrip('_')}_TS.csv"]
    found = next((p for p in names if p.is_file()), None)
    if found is None:
        if apply:
            raise FileNotFoundError(f"per-view shifts {name} are not there; leave apply_view_shifts off")
        return scan, ()
    if not apply:
        return scan, (f"per-view shifts {found.name} are there and NOT applied (setting apply_view_shifts)",)
    shifts = read_view_shifts(found, len(scan))
    largest = float(np.abs([shifts.cols_px, shifts.rows_px]).max())
    if largest > max(scan.shape) / 4:  # real ones are a few pixels
        raise InputError(f"{found}: shifts of up to {largest:g} px", expected="a few px", remedy="leave apply_view_shifts off")
    note = f"per-view shifts of up to {largest:g} px from {found.name}, taken as where the content of each image lies too far along"
    return shift_views(scan, shifts.cols_px, shifts.rows_px), (note,)
