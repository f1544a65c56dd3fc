"""Outputs without a mark, from versions of fewview that did not leave one. They are known by the records and logs that they did leave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_SOON_S = 5.0  # a record is written after its output, at once
_DEMO = re.compile(r"scan/scan_\d{8}\.tif|scan/scan_\.log|[\w]+\.ome\.tif(\.record\.json)?|report\.html|overview\.png")
_DATA_SET = "fewview BoneMet-shaped data set, simulated"


def foreign_in_older(folder: Path, files: Mapping[str, Path]) -> str:
    """What fewview did not write in a folder without a marker, in words; "" where our records or logs account for all of it."""
    if _is_slices(files) or _is_demo(files) or _is_of_data_set(folder, files):
        return ""
    if vouched_for(folder, files.values()):
        return ""
    return f"it holds {min(files)}, which fewview did not write (there is no mark of it)"


def vouched_for(output: Path, files: Iterable[Path]) -> bool:
    """Whether a run record beside ``output`` names it and none of its ``files`` was changed after the record was written."""
    record = output.with_name(output.name + ".record.json")
    found = _json(record)
    outputs = found.get("outputs")
    if not (str(found.get("command", "")).startswith("fewview") and isinstance(outputs, list)):
        return False
    if output.name not in {re.split(r"[/\\]", str(path).rstrip("/"))[-1] for path in outputs}:
        return False
    latest = record.stat().st_mtime + _SOON_S
    return all(not file.is_symlink() and file.stat().st_mtime <= latest for file in files)


def _is_slices(files: Mapping[str, Path]) -> bool:
    """Whether a folder holds a series of slices with the log that `write_slices` leaves, and nothing else."""
    log = next((name for name in files if name.endswith("_rec.log")), None)
    if log is None or "Reconstruction Program=fewview" not in _text(files[log]).splitlines():
        return False
    stem = re.escape(log.removesuffix(".log"))
    return all(name == log or re.fullmatch(rf"{stem}\d+\.(tif|png|bmp)", name) for name in files)


def _is_demo(files: Mapping[str, Path]) -> bool:
    records = [_json(path) for name, path in files.items() if name.endswith(".record.json")]
    return bool(records) and all(str(r.get("command", "")).startswith("fewview demo") for r in records) and all(map(_DEMO.fullmatch, files))


def _is_of_data_set(folder: Path, files: Mapping[str, Path]) -> bool:
    """Whether a folder is ``Imagery_Dataset/N. component/id/week N`` of a data set that `build_bonemet` made, and of an animal of it."""
    if len(folder.absolute().parents) < 4:
        return False
    week, animal, root = folder.name, folder.absolute().parent.name, folder.absolute().parents[3]
    plan = _json(root / "dataset.json")
    animals = plan.get("animals")
    if plan.get("format") != _DATA_SET or not isinstance(animals, list) or not re.fullmatch(r"week \d+", week):
        return False
    ids = {str(item.get("id")) for item in animals if isinstance(item, dict)}
    return animal in ids and all(re.fullmatch(r"(xray_|ct_slice_)\d+\.PNG", name) for name in files)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
