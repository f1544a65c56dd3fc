"""The reverse of reading a log: the text of a SkyScan log for a circular scan."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...base import InputError
from ..recipe import circular_recipe
from ..scan import Scan
from ..transform import flip_rows


def format_skyscan_log(
    scan: Scan, prefix: str = "scan_", *, scanner: str = "SkyScan1276", index_length: int = 8, extra: Mapping[str, object] | None = None
) -> str:
    """A log that `parse_skyscan_log` reads back as a scan with the same rays, the same first angle and the same direction.

    ``extra`` adds or replaces lines of [Acquisition]. Lengths are scaled to the rotation axis, as in all logs: a real detector comes back
    as the virtual one at the axis. Rows that run down are noted in a section [fewview], which NRecon does not read.

    Raises InputError for a scan that such a log cannot describe: one with unequally spaced angles, or not circular about the z axis.
    """
    down = bool(np.all(scan.v[:, 2] < 0))
    recipe = circular_recipe(flip_rows(scan) if down else scan)
    start, step = _spacing(scan)
    to_axis = recipe.dso_mm / recipe.dsd_mm
    rows, cols = scan.shape
    row_px = recipe.row_shift_mm / recipe.pixel_mm * (-1 if down else 1)
    roll = recipe.roll_deg * (-1 if down else 1)
    acquisition: dict[str, object] = {
        "Filename Prefix": prefix,
        "Filename Index Length": index_length,
        "Number Of Files": f" {len(scan)}",
        "Number Of Rows": f" {rows}",
        "Number Of Columns": f" {cols}",
        "Camera binning": "1x1",
        "Partial Width": "OFF",
        "Image Rotation": _text(roll),
        "Optical Axis (line)": f" {_text(rows / 2 + row_px)}",
        "Object to Source (mm)": _text(recipe.dso_mm),
        "Camera to Source (mm)": _text(recipe.dsd_mm),
        "Image Pixel Size (um)": _text(recipe.pixel_mm * to_axis * 1000),
        "Image Format": "TIFF",
        "Depth (bits)": 16,
        "Rotation Step (deg)": _text(abs(step)),
        "Use 360 Rotation": "YES" if abs(len(scan) * step) > 360 - abs(step) / 2 else "NO",
        "Scanning Start Angle": _text(start),
        "Rotation Direction": "CC" if step >= 0 else "CW",
    }
    acquisition.update(extra or {})
    recon = {
        "Postalignment": _text(recipe.axis_shift_mm / recipe.pixel_mm),
        "Reconstruction Angular Range (deg)": _text(abs(len(scan) * step)),
        "Cone-beam Angle Horiz.(deg)": f"{scan.cone_angles_deg[0]:.6f}",
        "Cone-beam Angle Vert.(deg)": f"{scan.cone_angles_deg[1]:.6f}",
    }
    sections = {"System": {"Scanner": scanner}, "Acquisition": acquisition, "Reconstruction": recon}
    if down:
        sections["fewview"] = {"Row 0": "top"}
    lines = [line for name, block in sections.items() for line in (f"[{name}]", *(f"{key}={value}" for key, value in block.items()))]
    return "\r\n".join([*lines, ""])


def _spacing(scan: Scan) -> tuple[float, float]:
    angles = scan.angles_deg
    if len(angles) == 1:
        return float(angles[0]), 1.0
    step = float(f"{(angles[-1] - angles[0]) / (len(angles) - 1):.12g}")
    start = float(f"{angles[0]:.12g}")
    if step == 0 or np.abs(angles - (start + step * np.arange(len(angles)))).max() > 1e-9 * max(360.0, float(np.abs(angles).max())):
        raise InputError(
            "the angles of this scan are not equally spaced",
            expected="one rotation step for the whole scan, which is all that a SkyScan log can say",
            remedy="keep every k-th view (views.every), or write HDF5, which keeps each angle",
        )
    return start, step


def _text(value: float) -> str:
    return repr(float(value) + 0.0)
