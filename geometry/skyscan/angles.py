"""The number of views, their angles and the sense of rotation, from a SkyScan log and the images found on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base import InputError
from ...base.shapes import Angles
from .plausible import check_angles
from .text import LogText, switch


@dataclass(frozen=True, eq=False)
class Travel:
    """The angles of the views in degrees, as if the rotation were counter-clockwise, and the first of them."""

    start: float
    angles: Angles


def angles_of(text: LogText, images: int | None) -> tuple[Travel, bool, list[str], list[str]]:
    """The angles, whether the last image repeats the first at 360 deg, the assumptions made, and warnings.

    The number of images on disk takes precedence over ``Number Of Files``. Whether they include a duplicate view follows from the rotation
    step: the last of N images is a duplicate when N - 1 steps make 360 deg.
    """
    step = text.needed("Rotation Step (deg)", remedy="add it, or build the scan with Scan.circular")
    stated = text.number("Number Of Files")
    if images is None:
        count = int(text.needed("Number Of Files", remedy="give images=, the number of projections on disk", whole=True))
    else:
        count = images
        _agree(text, count, stated, step)
    doubts = check_angles(text, count, step)
    notes: list[str] = []
    if images is not None and stated is not None and images != stated:
        notes.append(f"{images} images, 'Number Of Files' {stated:g}: the log counts the duplicate view at 360 deg differently")
    duplicate = count > 2 and abs((count - 1) * step - 360) < step / 4
    if duplicate:
        count -= 1
        notes.append(f"{count} steps of {step:g} deg are a full turn: image {count + 1} repeats the first view and is left out")
    elif images is None and abs(count * step - 360) < step / 4:
        notes.append(f"{count} views of {step:g} deg are a full turn; a duplicate view in the folder would be one more (give images=)")
    start = text.number("Scanning Start Angle") or 0.0
    if start:
        notes.append(f"the first view is at the Scanning Start Angle, {start:g} deg")
    doubts += _range_warnings(text, count, step)
    return Travel(start, start + np.arange(count, dtype=np.float64) * np.float64(step)), duplicate, notes, doubts


def _agree(text: LogText, images: int, stated: float | None, step: float) -> None:
    if images < 1:
        raise InputError(f"{text.path}: images is {images}", expected="the number of projections on disk, 1 or more")
    if stated is None or images == stated:
        return
    low = min(images, stated)
    if abs(images - stated) == 1 and abs(low * step - 360) < step / 4:
        return
    raise InputError(
        f"{text.path}: 'Number Of Files' is {stated:g}, and {images} images are there",
        expected="as many images as the log says (one more or fewer only for the duplicate view of a full turn)",
        remedy="complete the folder, keep only the images of this scan in it, or correct the log",
    )


def _range_warnings(text: LogText, count: int, step: float) -> list[str]:
    notes = []
    full = text.get("Use 360 Rotation")
    if full and switch(full)[0] != (count * step > 360 - step / 2):
        notes.append(
            f"'Use 360 Rotation' is {full}, yet {count} views x 'Rotation Step (deg)' {step:g} make {count * step:g} deg: they decide"
        )
    stated = text.number("Reconstruction Angular Range (deg)")
    if stated is not None and min(abs(stated - n * step) for n in (count, count - 1)) > step / 2:
        told = f"{count} views x 'Rotation Step (deg)' {step:g} make {count * step:g} deg: they decide"
        notes.append(f"'Reconstruction Angular Range (deg)' is {stated:g}, yet {told}")
    return notes


def direction_of(text: LogText, chosen: str | None) -> tuple[float, str]:
    """+1 for counter-clockwise or -1 for clockwise, and what was assumed."""
    if chosen is not None:
        return _sense(chosen, "direction"), f"rotation {chosen} as asked for"
    for key in ("Rotation Direction", "Gantry direction"):
        value = text.get(key)
        if value is not None:
            sense = _sense(value, f"{text.path}: '{key}'")
            return sense, f"'{key}' {value}: the source is taken to turn {'counter-' * (sense > 0)}clockwise (setting direction)"
    return 1.0, "no 'Rotation Direction' in the log: CC, counter-clockwise, is assumed (setting direction)"


def direction_doubts(text: LogText) -> list[str]:
    """A warning where the two keys for the sense of rotation disagree."""
    keys = [key for key in ("Rotation Direction", "Gantry direction") if text.get(key) is not None]
    told = [f"'{key}' is {text.get(key)}" for key in keys]
    senses = {_sense(text.get(key) or "", f"{text.path}: '{key}'") for key in keys}
    return [f"{' and '.join(told)}: the first is used (setting direction)"] if len(senses) > 1 else []


def _sense(word: str, where: str) -> float:
    plain = word.strip().upper().replace("-", "").replace(" ", "")
    if plain in ("CC", "CCW", "COUNTERCLOCKWISE"):
        return 1.0
    if plain in ("CW", "C", "CLOCKWISE"):
        return -1.0
    raise InputError(f"{where} is {word!r}", expected="CC (counter-clockwise) or CW (clockwise)", remedy="give direction='CC' or 'CW'")
