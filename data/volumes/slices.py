"""Volumes as folders of numbered 8- or 16-bit slices with a ``_rec.log`` like that of NRecon, which states voxel size and grey window."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...base import InputError
from ...base.memory import require_memory
from ...base.shapes import AnyVolume, StoredSlices
from ...geometry import Grid
from ...geometry.skyscan.text import LogText, parse_text
from ..images.grey import GREY_TYPES, from_grey, to_grey
from ..images.image_files import IMAGE_ENDINGS, ImageFiles, list_images, write_image
from ..images.stack import shown
from .slabs.stored import StoredVolume
from .voxel_size import SAY_VOXEL, center_from, grid_of

IMAGES = ("tif", "png", "bmp")
_PIXEL, _COUNT, _CENTER = "Pixel Size (um)", "Sections Count", "Center (mm)"
LOW, HIGH = "Minimum for CS to Image Conversion", "Maximum for CS to Image Conversion"


def write_slices(
    volume: AnyVolume | StoredSlices,
    grid: Grid,
    folder: Path,
    *,
    window: tuple[float, float] | None = None,
    bits: int = 16,
    image: str = "tif",
    prefix: str = "slice_",
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write slice k of a volume as ``<prefix>_rec0000k.tif``, with the log ``<prefix>_rec.log``, into the new folder ``folder``.

    ``window`` (low, high) in 1/mm, by default the range of the volume, is mapped to 0 and the brightest level. Values outside it are
    clipped and counted in the log. Volumes of 8- or 16-bit integers (masks, labels) are written as they are when no window is given.
    """
    ending = f".{image}"
    as_is = window is None and volume.dtype in (np.uint8, np.uint16)
    depth = 8 * volume.dtype.itemsize if as_is else bits
    if ending == ".bmp" and depth != 8:
        raise InputError(f"bits is {depth} for BMP", expected="8", remedy="give bits=8, or image='tif'")
    low, high = _window(volume, window)
    folder.mkdir()
    stem, digits = prefix.rstrip("_") + "_rec", max(4, len(str(len(volume) - 1)))
    below = above = 0
    for index, plane in enumerate(volume):
        if not as_is:
            below, above = below + int((plane < low).sum()), above + int((plane > high).sum())
        write_image(folder / f"{stem}{index:0{digits}d}{ending}", plane if as_is else to_grey(plane, low, high, bits), grid.voxel_mm)
    lines = {
        "Reconstruction Program": "fewview",
        _PIXEL: repr(grid.voxel_mm * 1000),
        _COUNT: len(volume),
        "Result Image Width (pixels)": volume.shape[2],
        "Result Image Height (pixels)": volume.shape[1],
        "Depth (bits)": depth,
        **({} if as_is else {LOW: repr(low), HIGH: repr(high)}),
    }
    own = {_CENTER: " ".join(map(repr, grid.center_mm)), "Voxels below the window": below, "Voxels above the window": above}
    sections: dict[str, Mapping[str, object]] = {"Reconstruction": lines, "fewview": {**own, **(facts or {})}}
    text = [line for name, keys in sections.items() for line in (f"[{name}]", *(f"{key}={value}" for key, value in keys.items()))]
    (folder / f"{stem}.log").write_text("\r\n".join([*text, ""]), encoding="utf-8", newline="")


def _window(volume: AnyVolume | StoredSlices, window: tuple[float, float] | None) -> tuple[float, float]:
    if window is not None:
        if len(window) != 2:
            raise InputError(f"window is {window}", expected="(low, high) in 1/mm")
        return float(window[0]), float(window[1])
    if isinstance(volume, StoredSlices):
        raise InputError("no window for slices that are stored", expected="(low, high) in 1/mm")
    low, high = float(volume.min()), float(volume.max())
    return (low, high) if low < high else (low, low + 1.0)


def read_slices(
    folder: Path,
    voxel_mm: float | None = None,
    *,
    prefix: str | None = None,
    window: tuple[float, float] | None = None,
    progress: bool = False,
) -> tuple[AnyVolume, Grid, dict[str, Any]]:
    """(volume, grid, facts) of a folder of numbered TIFF, PNG or BMP slices. The slice number increases with z, the row with y.

    The volume is float32 in 1/mm where ``window`` (low, high) or a ``_rec.log`` says what the grey levels mean, and otherwise holds the
    levels of the files. The voxel size comes from the log unless it is given. Images without a number (scouts, thumbnails) are left out;
    ``prefix`` chooses a series.

    Raises FileNotFoundError naming a missing slice, and InputError naming the file for one that is broken or of another size.
    """
    found, grid, facts = open_slices(folder, voxel_mm, prefix=prefix, window=window)
    require_memory(found.dtype.itemsize * int(np.prod(found.shape)), f"the {len(found)} slices of {folder}")
    volume = np.empty(found.shape, dtype=found.dtype)
    for index in shown(range(len(found)), "reading images", progress):
        volume[index] = found[index : index + 1][0]
    return volume, grid, facts


def open_slices(
    folder: Path, voxel_mm: float | None = None, *, prefix: str | None = None, window: tuple[float, float] | None = None
) -> tuple[StoredVolume, Grid, dict[str, Any]]:
    """`read_slices`, but each slice is read, and compared with the first, when it is asked for."""
    files = _series(folder, prefix)
    stack = ImageFiles(files)
    log = _log(folder, files[0])
    if window is None and log is not None and stack.dtype.type in GREY_TYPES.values():
        window = _logged_window(log)
    facts: dict[str, Any] = {"format": "slices", "units": "1/mm" if window or stack.dtype.kind == "f" else "grey levels"}
    if log is not None:
        facts["log"] = {name: dict(keys) for name, keys in log.sections.items()}
    voxel, center = (None, (0.0, 0.0, 0.0)) if log is None else (_voxel(log), _center(log))
    grid = grid_of(stack.shape, voxel, folder, center_mm=center, given=voxel_mm)
    _check_count(log, len(stack))
    dtype = stack.dtype if window is None else np.dtype(np.float32)

    def read(first: int, last: int) -> AnyVolume:
        out = np.empty((last - first, *stack.shape[1:]), dtype)
        for n in range(first, last):
            out[n - first] = stack[n] if window is None else from_grey(stack[n], *window)
        return out

    return StoredVolume(folder, stack.shape, dtype, read), grid, facts if window is None else {**facts, "window": window}


def slice_stack(folder: Path, prefix: str | None = None) -> ImageFiles:
    """The slices of a folder, in order, not read yet. The errors are those of `read_slices`."""
    return ImageFiles(_series(folder, prefix))


def _series(folder: Path, prefix: str | None) -> list[Path]:
    """The images of one numbered series, in order."""
    groups: dict[str, dict[int, Path]] = {}
    for path in list_images(folder):
        found = re.fullmatch(r"(.*?)(\d+)", path.stem)
        if found is not None and path.suffix.lower() in IMAGE_ENDINGS:
            groups.setdefault(found[1], {})[int(found[2])] = path
    if prefix is not None:
        groups = {name: group for name, group in groups.items() if name == prefix}
    if not groups:
        raise FileNotFoundError(f"there is no numbered image ({', '.join(IMAGE_ENDINGS)}){f' {prefix}...' if prefix else ''} in {folder}")
    if len(groups) > 1:
        raise InputError(f"{folder} holds {len(groups)} series ({_names(groups)})", expected="one volume", remedy="choose one: prefix=...")
    numbered = next(iter(groups.values()))
    missing = sorted(set(range(min(numbered), max(numbered) + 1)) - set(numbered))
    if missing:
        before = numbered[max(n for n in numbered if n < missing[0])]
        raise FileNotFoundError(f"{len(missing)} slices are missing in {folder}, the first number {missing[0]}, after {before.name}")
    return [numbered[n] for n in sorted(numbered)]


def _names(groups: Iterable[str]) -> str:
    return ", ".join(f"{name}..." for name in sorted(groups)[:6])


def _log(folder: Path, first: Path) -> LogText | None:
    """The ``_rec.log`` of the series, or the only one there is."""
    logs = [p for p in sorted(folder.iterdir()) if p.suffix.lower() == ".log" and p.stem.lower().endswith("_rec")]
    own = [p for p in logs if first.stem.lower().startswith(p.stem.lower())] or (logs if len(logs) == 1 else [])
    return parse_text(own[0]) if own else None


def _voxel(log: LogText) -> float | None:
    value = log.number(_PIXEL, "Reconstruction")
    if value is not None and not value > 0:
        raise InputError(f"{log.path}: {_PIXEL} is {value:g}", expected="a positive length in µm", remedy=SAY_VOXEL)
    return None if value is None else float(f"{value / 1000:.15g}")


def _center(log: LogText) -> tuple[float, ...]:
    text = log.get(_CENTER, "fewview")
    return center_from(text, log.path, _CENTER) if text else (0.0, 0.0, 0.0)


def _logged_window(log: LogText) -> tuple[float, float] | None:
    low, high = log.number(LOW), log.number(HIGH)
    if low is None or high is None:
        return None
    if not low < high:
        raise InputError(f"{log.path}: {LOW} is {low:g} and {HIGH} is {high:g}", expected="the first the smaller", remedy="give window=...")
    return low, high


def _check_count(log: LogText | None, count: int) -> None:
    """Raise an error where slices are missing at either end, which leaves no gap in the numbers, so that only the log tells."""
    stated = log.number(_COUNT, "Reconstruction") if log is not None else None
    if log is not None and stated is not None and stated != count:
        warnings.warn(f"{log.path}: {_COUNT} is {stated:g}, and {count} slices are there; were some left out?", stacklevel=5)
