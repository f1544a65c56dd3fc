"""What a record must hold before a page is made from it. A record that was edited by hand, or copied to another
name, is refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ...base import InputError
from .records import Record

AGAIN = "delete it and run the same `fewview bench` again, which makes it again"


class CodeFacts(BaseModel):
    """The code that made a record."""

    name: str
    version: str
    commit: str | None


class RecordFacts(BaseModel):
    """What every record holds; the model of a study adds what its page reads."""

    model_config = ConfigDict(extra="allow")

    key: str
    study: str
    same_work: str
    metrics: list[str]
    code: CodeFacts
    date: str
    machine: dict[str, Any]
    task: dict[str, Any]
    label: str
    memory_before_mib: float
    peak_memory_mib: float


def check_record(record: Record, path: Path, model: type[BaseModel] = RecordFacts) -> Record:
    """The record as it is; InputError naming the file and the fact where one is missing or of another kind, or where the key is another."""
    try:
        model.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']} (found {first['input']!r:.60})", remedy=AGAIN) from error
    if record["key"] != path.stem:
        raise InputError(f"{path} holds the record of key {record['key']}", expected=path.stem, remedy=AGAIN)
    return record
