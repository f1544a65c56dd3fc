"""One cell of a comparison: which scan, which views, which method. Its key names its record, whatever machine or run made it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base import InputError
from ...base.files import own_path
from ...base.plain import plain, to_json

FORMAT = 2  # of records and of sweep.json; raise it when a record of the past can no longer be compared


@dataclass(frozen=True)
class Task:
    """``inputs`` is the SHA-256 of the scan and its reference, so that a record never outlives a change of the data.

    ``method_hash`` is that of a method's own file or checkpoint, empty for the built-in ones. ``scoring`` is how the result is measured
    (windows, features, alignment): a record made with another yardstick is not this task's.
    """

    animal: str
    week: int
    views: int
    selection: str
    seed: int
    method: str
    size: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    photons: float | None = None
    inputs: str = ""
    method_hash: str = ""
    scoring: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The first 20 hex digits of the SHA-256 of all fields and of the record format."""
        text = json.dumps(plain({"format": FORMAT, **dataclasses.asdict(self)}), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def label(self) -> str:
        """For people: ``851 week 0, 26 views (evenly), fista_tv``."""
        return f"{self.animal} week {self.week}, {self.views} views ({self.selection}), {self.method}, seed {self.seed}"


def write_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write one record as ``<key>.json``, whole or not at all, with a hash of its content."""
    body = plain(record)
    body["sha256"] = _digest(body)
    path = folder / f"{record['key']}.json"
    with own_path(path) as temporary:
        temporary.write_text(to_json(body, indent=1, sort_keys=True), encoding="utf-8")
    return path


def read_record(path: Path) -> dict[str, Any] | None:
    """A record, or None when the file is not whole (its hash does not match): that task is then done again."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        given = body.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    if given != _digest(body):
        return None
    if body.get("format") != FORMAT:
        raise InputError(
            f"{path} is of record format {body.get('format')}", expected=f"format {FORMAT}", remedy="use another results folder"
        )
    return body


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
