"""Which log of a folder to read: the log of the scan, NRecon's copy, or those of the parts of an oversize scan."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType

from ...base import InputError
from .plausible import disagreements
from .text import LogText, parse_text

_PART = re.compile(r"~(\d+)_?$")


def part_number(stem: str) -> int | None:
    """The number of the part in a log's name, None for a scan in one piece.

    >>> part_number("mouse_~01"), part_number("mouse_")
    (1, None)
    """
    found = _PART.search(stem.removesuffix("_rec").removesuffix("_"))
    return int(found[1]) if found else None


def _is_scan_log(path: Path) -> bool:
    try:
        text = parse_text(path)
    except InputError:
        return False
    return any(text.get(key) for key in ("Object to Source (mm)", "Image Pixel Size (um)", "Rotation Step (deg)"))


def find_logs(folder: Path) -> dict[str, tuple[Path | None, Path | None]]:
    """Scan name -> (its own log, NRecon's ``_rec.log``) for a folder; other files that end in .log are left out."""
    found: dict[str, tuple[Path | None, Path | None]] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() == ".log" and _is_scan_log(p)):
        is_rec = path.stem.lower().endswith("_rec")
        name = path.stem[:-4] if is_rec else path.stem
        name = next((known for known in found if known.rstrip("_") == name.rstrip("_")), name)
        own, rec = found.get(name, (None, None))
        found[name] = (own, path) if is_rec else (path, rec)
    return found


def choose_log(path: Path, part: int | None) -> tuple[LogText, tuple[str, ...], tuple[str, ...]]:
    """The text of the log at ``path`` (a file, or a folder with exactly one scan), what was assumed in choosing it, and warnings.

    In a folder, the [Reconstruction] section of ``_rec.log`` is added to the log of the scan. Several scans, or several parts (``~00``,
    ``~01``) without ``part``, raise an InputError that lists them.
    """
    if not path.exists():
        raise FileNotFoundError(f"SkyScan log or folder {path} is not there")
    if path.is_file():
        return parse_text(path), (), ()
    logs = find_logs(path)
    if part is not None:
        logs = {name: pair for name, pair in logs.items() if part_number(name) == part}
    if len(logs) != 1:
        _refuse(path, part, list(logs))
    (own, rec) = next(iter(logs.values()))
    if own is None or rec is None:
        only = own or rec
        assert only is not None
        return parse_text(only), (f"the geometry comes from {only.name}, the only log of this scan in the folder",), ()
    text, extra = parse_text(own), parse_text(rec)
    added = {name: keys for name, keys in extra.sections.items() if name.lower() == "reconstruction"}
    joined = LogText(own, MappingProxyType({**text.sections, **added}))
    return joined, (f"[Reconstruction] comes from {rec.name}, everything else from {own.name}",), tuple(disagreements(text, extra))


def _refuse(path: Path, part: int | None, names: list[str]) -> None:
    if not names and part is None:
        raise InputError(
            f"{path} holds no SkyScan log", expected="one .log file beside the TIFFs", remedy="give the log's own path, or copy it there"
        )
    if not names:
        raise InputError(f"{path} holds no part {part}", expected=f"a log whose name ends in ~{part:02d}", remedy="give another part")
    parts = [part_number(name) for name in names]
    shown = ", ".join(names)
    if all(p is not None for p in parts) and len(set(parts)) == len(parts):
        raise InputError(
            f"{path} holds an oversize scan in {len(names)} parts ({shown})",
            expected="one scan",
            remedy=f"read the parts one by one: part={parts[0]} (--read-as part={parts[0]}), ..., or join their volumes: --parts-step-mm; "
            "logs do not say how far parts overlap",
        )
    raise InputError(f"{path} holds {len(names)} logs ({shown})", expected="one scan in a folder", remedy="give the path of one .log file")
