"""The records of a sweep: one file for each task, complete or absent, under a key that covers everything on which the figures depend."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ...base import InputError
from ...base.files import own_path
from ...base.plain import plain, to_json

FORMAT = 4  # format of records and of sweep.json; raise it when older records can no longer be read
Record = dict[str, Any]


class Task(Protocol):
    """A frozen dataclass of plain values that says what is to be done; the same values are the same task, on whatever machine."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def label(self) -> str:
        """The task in words: ``851 week 0, 26 views (evenly), fista_tv``."""
        ...


@dataclass(frozen=True)
class Stamp:
    """What a key covers in addition to the task: the study, the set of metrics that it takes, and the code (`provenance.Code.name`)."""

    study: str
    metrics: tuple[str, ...]
    code: str

    def same_work(self, task: Task) -> str:
        """A hash of everything but the code. Two records with the same one did the same work, perhaps with different code."""
        return _hash({"format": FORMAT, "study": self.study, "metrics": sorted(self.metrics), "task": fields_of(task)})

    def key(self, task: Task) -> str:
        """20 hex digits of the SHA-256 of format, study, metrics, all fields of the task, and the code. This is the name of the record."""
        return _hash({"same_work": self.same_work(task), "code": self.code})


def fields_of(task: Task) -> dict[str, Any]:
    """The fields of a task as plain values."""
    return plain(dataclasses.asdict(task))


def write_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write one record as ``<key>.json``, completely or not at all, with a hash of its content."""
    body = plain(record)
    body["sha256"] = _digest(body)
    path = folder / f"{record['key']}.json"
    with own_path(path) as temporary:
        temporary.write_text(to_json(body, indent=1, sort_keys=True), encoding="utf-8")
    return path


def read_record(path: Path) -> Record | None:
    """A record, or None where the file is missing or incomplete (its hash does not match), so that the task is done again.

    InputError for a complete record of another format.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.pop("sha256", None) != _digest(body):
        return None
    if body.get("format") != FORMAT:
        raise InputError(
            f"{path} is of record format {body.get('format')}", expected=f"format {FORMAT}", remedy="use another results folder"
        )
    return body


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()[:20]


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
