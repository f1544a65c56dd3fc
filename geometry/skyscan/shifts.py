"""``<prefix>_TS.csv``, the file that says how far each image has to be moved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...base import InputError
from ...base.shapes import PerView


@dataclass(frozen=True, eq=False)
class ViewShifts:
    """By how many columns and rows each view has to be moved, as the file says it."""

    cols_px: PerView
    rows_px: PerView

    def __len__(self) -> int:
        return int(self.cols_px.size)


def _numbers(line: str) -> list[float] | None:
    fields = [field.strip() for field in re.split(r"[,;\t]", line.strip().rstrip(",;\t"))]
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def read_view_shifts(path: str | Path, views: int | None = None) -> ViewShifts:
    """Read a ``_TS.csv``: header lines of text, then a table of view number, column shift, row shift.

    Any line ending is accepted (``\\r\\r\\n`` occurs). The header may state the count of the table or one view fewer. ``views`` is the
    number of images the table must serve; one more row (the duplicate view at 360 deg) is allowed and left out.

    Raises InputError, naming the file, for a table of another shape, missing or repeated view numbers, or another count.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"per-view shifts {path} are not there")
    lines = [line for line in re.split(r"[\r\n]+", path.read_bytes().decode("latin-1")) if line.strip(" \t,;\0")]
    rows = [(line, _numbers(line)) for line in lines]
    begin = next((i for i, (_, numbers) in enumerate(rows) if numbers is not None and len(numbers) >= 2), None)
    shape = "lines of 'view number, column shift, row shift' after a text header"
    if begin is None:
        raise InputError(f"{path}: no table of numbers", expected=shape)
    header, table = [line for line, _ in rows[:begin]], rows[begin:]
    for line, numbers in table:
        if numbers is None or len(numbers) != 3 or not np.isfinite(numbers).all():
            raise InputError(f"{path}: the line {line[:60]!r}", expected=shape, remedy="only SkyScan's _TS.csv has per-view shifts")
    data = np.array([numbers for _, numbers in table], dtype=np.float64)
    if not np.array_equal(data[:, 0], data[0, 0] + np.arange(len(data))) or data[0, 0] not in (0, 1):
        raise InputError(f"{path}: the view numbers are not 0, 1, 2, ... without a gap", expected=shape)
    _check_count(path, header, len(data), views)
    keep = len(data) if views is None else views
    return ViewShifts(data[:keep, 1].copy(), data[:keep, 2].copy())


def _check_count(path: Path, header: list[str], count: int, views: int | None) -> None:
    stated = [int(m[1]) for line in header if (m := re.search(r"(?i)(?:view|image|projection|file)[^\d]*(\d+)\s*$", line.strip(" ,;\t")))]
    for number in stated:
        if count not in (number, number + 1):
            raise InputError(f"{path}: the header says {number} views, the table has {count}", expected="that many rows, or one more")
    if views is not None and count not in (views, views + 1):
        raise InputError(
            f"{path}: shifts for {count} views",
            expected=f"{views}, the views of the scan (or one more)",
            remedy="check which scan it is of",
        )
