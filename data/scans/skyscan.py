"""SkyScan folders: 16-bit TIFF projections with their log, read and written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import InputError
from ...base.files import atomic_path
from ...base.natural_key import natural_key
from ...base.shapes import Image
from ...geometry import SkyScanLog, format_skyscan_log, parse_skyscan_log
from ...geometry.skyscan.files import choose_log, find_logs
from ...geometry.skyscan.text import LogText
from ..images.image_files import TIFF_ENDINGS, ImageFiles, list_images, write_image
from .flat_and_dark import flat_field
from .preparation import check_image
from .raw import RawScan, RawSource

REFERENCE_INTENSITY = 57_500  # grey value of air in flat-corrected images when counts have to be scaled, as on a SkyScan
_NUMBERS = {
    "voltage_kv": "Source Voltage (kV)",
    "current_ua": "Source Current (uA)",
    "exposure_ms": "Exposure (ms)",
    "photons": "Mean Photons",
}


def is_skyscan(path: Path) -> bool:
    """Whether this is a SkyScan log, or a folder that holds one."""
    return (path.is_file() and path.suffix.lower() == ".log") or (path.is_dir() and bool(find_logs(path)))


def open_skyscan(path: Path, *, part: int | None = None, skip_missing: bool = False, **settings: Any) -> RawSource:
    """The projections of a folder (or of one log file, where a folder holds several) with the geometry of the log.

    Images are ``<prefix><number>.tif``; scouts (``_spr``), slices (``_rec``) and TIFFs of other scans are left out. A gap in the numbers is
    an error, unless ``skip_missing`` is given, which leaves out these views. ``part`` chooses a part of an oversize scan; ``settings`` are
    those of `geometry.parse_skyscan_log`. ``meta`` holds every key of the log and each assumption that was made.

    Raises FileNotFoundError naming the missing images, and InputError for two logs, none, or counts that disagree.
    """
    text, _, _ = choose_log(path, part)
    numbered = projection_files(text)
    first, missing = min(numbered), sorted(set(range(min(numbered), max(numbered) + 1)) - set(numbered))
    if missing and not skip_missing:
        raise FileNotFoundError(
            f"{len(missing)} of the projections in {text.path.parent} are missing, the first {_like(numbered[first], missing[0])}; "
            "restore them, or leave these views out with skip_missing=True"
        )
    stack = ImageFiles([numbered[n] for n in sorted(numbered)])
    shape = (stack.shape[1], stack.shape[2])
    images = None if skip_missing else len(numbered)
    log = parse_skyscan_log(path, images=images, image_shape=shape, part=part, **settings)
    if log.scan.shape != shape:
        raise InputError(
            f"{stack.files[0]} has {shape[0]} x {shape[1]} pixels (row x col)",
            expected=f"{log.scan.shape[0]} x {log.scan.shape[1]}, as {log.path.name} says",
            remedy="keep log and images of one scan together",
        )
    scan, notes = log.scan, log.assumptions
    if skip_missing:
        start = 0 if first == 0 or max(numbered) < len(scan) else first
        keep = [n - start for n in sorted(numbered) if n - start < len(scan)]
        scan, notes = scan[keep], (*notes, f"{len(log.scan) - len(keep)} missing images were left out")
    stack = ImageFiles(stack.files[: len(scan)])
    return RawSource(stack, scan, meta={**_facts(log), "source": str(path), "assumptions": list(notes), "warnings": list(log.warnings)})


def projection_files(text: LogText) -> dict[int, Path]:
    """Number -> projection image, in natural order, for the scan that a log describes.

    Raises FileNotFoundError with the expected names where there is none.
    """
    folder, stem = text.path.parent, re.sub(r"_?_rec$", "", text.path.stem, flags=re.IGNORECASE)
    files = list_images(folder, TIFF_ENDINGS)
    length = text.number("Filename Index Length")
    for prefix in dict.fromkeys((text.get("Filename Prefix") or stem, stem, stem + "_")):
        named = {p: m[1] for p in files if (m := re.fullmatch(re.escape(prefix) + r"(\d+)", p.stem, flags=re.IGNORECASE))}
        exact = {p: digits for p, digits in named.items() if length and len(digits) == length}
        chosen = {int(digits): p for p, digits in (exact or named).items()}
        if len(chosen) < len(exact or named):
            raise InputError(f"{folder} holds images with the same number", expected="one image for each view, such as ...0007.tif")
        if chosen:
            return dict(sorted(chosen.items()))
    prefix = text.get("Filename Prefix") or stem
    near = sorted({re.sub(r"\d+$", "", p.stem) for p in files}, key=natural_key)
    raise FileNotFoundError(
        f"no projections {prefix}<number>.tif in {folder}, where {text.path.name} expects them; "
        + (f"the TIFFs there begin with {', '.join(near[:5])}" if near else "there is no TIFF at all")
    )


def _like(path: Path, number: int) -> str:
    """The name of another image of the same scan."""
    digits = re.search(r"(\d+)$", path.stem)
    assert digits is not None
    return f"{path.stem[: digits.start()]}{number:0{len(digits[1])}d}{path.suffix}"


def _facts(log: SkyScanLog) -> dict[str, Any]:
    meta: dict[str, Any] = {"format": "SkyScan", "log": {name: dict(keys) for name, keys in log.text.sections.items()}}
    for name, key in _NUMBERS.items():
        value = log.text.number(key) if log.text.get(key) else None
        meta |= {name: value} if value is not None else {}
    aluminium = filter_mm_al(log.text.get("Filter") or "")
    meta |= {"filter_mm_al": aluminium} if aluminium is not None else {}
    if log.reference_intensity:
        meta["air_level"] = log.reference_intensity
    return meta


def filter_mm_al(text: str) -> float | None:
    """The thickness in mm of the aluminium that the ``Filter`` of a log names; None for another metal, or where none is stated.

    >>> filter_mm_al("Al 0.5mm"), filter_mm_al("1 mm Al"), filter_mm_al("No Filter"), filter_mm_al("Al+Cu")
    (0.5, 1.0, 0.0, None)
    """
    words = text.strip().lower()
    if re.fullmatch(r"no(ne)?( filter)?", words):
        return 0.0
    number = r"(\d+(?:\.\d*)?|\.\d+)"
    found = re.fullmatch(rf"al(?:uminum|uminium)?\s*{number}\s*mm|{number}\s*mm\s*al(?:uminum|uminium)?", words)
    return float(found[1] or found[2]) if found else None


def write_skyscan(raw: RawScan, folder: str | Path, *, prefix: str = "scan_", force: bool = False) -> Path:
    """Write a raw scan as a SkyScan folder: ``<prefix>00000000.tif``, ... (uint16) and ``<prefix>.log``; returns the folder.

    uint16 counts are written as they are, other counts rounded. With ``flat`` (and ``dark``) the images are corrected and scaled so that
    air is at 57 500, as the scanner does it. What the log has no key for is lost: the real detector distance, ``flat`` and ``dark``.

    Raises FileExistsError without ``force``, and InputError for counts that 16 bits cannot hold or a scan that a log cannot describe.
    """
    facts: dict[str, Any] = {}
    for name, key in _NUMBERS.items():
        facts |= {key: raw.meta[name]} if name in raw.meta else {}
    if "filter_mm_al" in raw.meta:
        facts["Filter"] = f"Al {raw.meta['filter_mm_al']:g}mm" if raw.meta["filter_mm_al"] else "No Filter"
    level = REFERENCE_INTENSITY if raw.flat is not None else raw.meta.get("air_level")
    if level is not None:
        facts |= {"Flat Field Correction": "ON", "Reference Intensity": float(level)}
    text = format_skyscan_log(raw.scan, prefix, extra=facts)
    correct, _ = flat_field(raw.flat, raw.dark, raw.scan.shape)
    scale = REFERENCE_INTENSITY if raw.flat is not None else 1
    with atomic_path(folder, force=force) as temporary:
        temporary.mkdir()
        for view, image in enumerate(raw.intensity):
            check_image(image, f"view {view}")
            plain = raw.flat is None and raw.dark is None and image.dtype == np.uint16
            write_image(temporary / f"{prefix}{view:08d}.tif", image if plain else _to_uint16(correct(image) * scale, view))
        (temporary / f"{prefix}.log").write_bytes(text.encode("cp1252"))
    return Path(folder)


def _to_uint16(image: Image, view: int) -> NDArray[np.uint16]:
    low, high = float(image.min()), float(image.max())
    if low < -0.5 or high >= 65535.5 or high < 256:
        raise InputError(
            f"the counts of view {view} run from {low:g} to {high:g}",
            expected="0 to 65535, with more than 8 bits in use",
            remedy="scale the counts (and meta['air_level']) so that air is near 57500",
        )
    return np.rint(image).astype(np.uint16)
