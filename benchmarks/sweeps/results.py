"""The results folder: `sweep.json` says what was asked for and by which code. Anything else found there is refused and not misread."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...base import InputError, UnknownNameError
from ...base.files import own_path, refuse_strange_folder
from ...base.outputs.leftovers import clean
from ...base.plain import to_json
from .record_check import AGAIN, RecordFacts, check_record
from .records import FORMAT, Record, Stamp, Task, fields_of, read_record

STATE, RECORDS, PICTURES = "sweep.json", "records", "pictures"
OWN = (PICTURES, "table.md", "table.csv", "table.json", "report.html", "samples.json")  # other names that are written there
_ELSEWHERE = "give another folder (--out)"


@dataclass(frozen=True)
class State:
    """The contents of `sweep.json`: the study, the keys of its records in order, and ``info``, what the study says
    about how it was done.
    """

    study: str
    keys: tuple[str, ...]
    info: Mapping[str, Any]


def read_state(results: str | Path) -> State:
    """`sweep.json` of a results folder; InputError, with what was found, where it was not written by this version of fewview."""
    results = Path(results)
    path = results / STATE
    if results.exists() and not results.is_dir():
        raise InputError(f"{results} is a file", expected="a results folder of `fewview bench`", remedy=_ELSEWHERE)
    if not path.is_file():
        raise InputError(f"{results} holds no file {STATE}", expected="a results folder of `fewview bench`")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})", expected="a results folder of fewview", remedy=_ELSEWHERE) from error
    if not isinstance(body, dict):
        raise InputError(f"{path} holds a {type(body).__name__}", expected="an object with format, study and tasks", remedy=_ELSEWHERE)
    if body.get("format") != FORMAT:
        raise InputError(
            f"{path} is of format {body.get('format')}, of another version of fewview",
            expected=f"format {FORMAT}",
            remedy="use another results folder; its reports stay readable by the version that made it",
        )
    return State(_text(body, "study", path), tuple(_text(task, "key", path) for task in _tasks(body, path)), _info(body, path))


def load_records(results: str | Path, model: type[BaseModel] = RecordFacts) -> list[Record]:
    """All records of a results folder that its `sweep.json` names and that exist already, in its order.

    InputError naming the record for one that is damaged, or that lacks what the ``model`` asks for; a failed record need only say so.
    """
    state, folder = read_state(results), Path(results) / RECORDS
    paths = [folder / f"{key}.json" for key in state.keys]
    return [_checked(path, model) for path in paths if path.exists()]


def _checked(path: Path, model: type[BaseModel]) -> Record:
    record = read_record(path)
    if record is None:
        raise InputError(f"{path} is damaged (its hash is not that of its content)", expected="a record of fewview", remedy=AGAIN)
    return check_record(record, path, RecordFacts if "failed" in record else model)


def check_results(results: Path, study: str) -> None:
    """InputError for a file, or for results of another study, format or layout; FileExistsError for files that a study would replace."""
    if results.exists() and not results.is_dir():
        raise InputError(f"{results} is a file", expected="a folder for the results", remedy=_ELSEWHERE)
    if (results / STATE).exists():
        found = read_state(results).study
        if found != study:
            raise InputError(f"{results} holds results of the study {found!r}", expected=f"those of {study!r}", remedy=_ELSEWHERE)
    else:
        for name in ("cells", RECORDS):  # "cells" is the former layout of the table of classical methods
            if (results / name).exists() and any((results / name).iterdir()):
                raise InputError(f"{results} holds {name}/ but no {STATE}: results of an older layout", remedy=_ELSEWHERE)
    refuse_strange_folder(results, STATE, OWN)


def open_results(results: Path, study: str) -> None:
    """Do `check_results`, then make the folder of records, and clean up what killed runs left in it."""
    check_results(results, study)
    (results / RECORDS).mkdir(parents=True, exist_ok=True)
    clean(results / RECORDS)


def write_state(results: Path, stamp: Stamp, named: Sequence[tuple[str, Task]], info: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write `sweep.json`: ``named`` are the tasks with the keys of their records, and ``facts`` are code, date and machine."""
    tasks = [{"key": key, **fields_of(task)} for key, task in named]
    state = {"format": FORMAT, "study": stamp.study, "metrics": list(stamp.metrics), **facts, "info": info, "tasks": tasks}
    with own_path(results / STATE) as temporary:
        temporary.write_text(to_json(state, indent=1, sort_keys=True), encoding="utf-8")


def records_of_other_code(results: Path, stamp: Stamp, tasks: Sequence[Task]) -> dict[str, list[Record]]:
    """The records that other code made of the work of these tasks: hash of the work -> records, the newest first."""
    wanted = {stamp.same_work(task) for task in tasks}
    found: dict[str, list[Record]] = {}
    for path in sorted((results / RECORDS).glob("[!.]*.json")):
        record = read_record(path)
        if record is not None and record.get("same_work") in wanted and record["code"]["name"] != stamp.code:
            found.setdefault(record["same_work"], []).append(record)
    return {work: sorted(records, key=lambda r: r["date"], reverse=True) for work, records in found.items()}


def accept_or_warn(results: Path, stamp: Stamp, tasks: Sequence[Task], accept: Sequence[str]) -> dict[str, Record]:
    """Hash of the work -> record of other code that was accepted by name. A warning names the records that were not and are made again.

    Raises UnknownNameError for a name of code that made none of the records of these tasks.
    """
    others = records_of_other_code(results, stamp, tasks) if tasks else {}
    names = {record["code"]["name"]: record["date"][:10] for records in others.values() for record in records}
    for name in accept:
        if tasks and name not in names and name != stamp.code:
            raise UnknownNameError("code in --accept-code", name, names)
    fitting = {work: [r for r in records if r["code"]["name"] in accept] for work, records in others.items()}
    chosen = {work: records[0] for work, records in fitting.items() if records}
    left = [work for work in others if work not in chosen]
    if left:
        listed = ", ".join(f"{name} of {date}" for name, date in sorted(names.items()) if name not in accept)
        warnings.warn(
            f"{results} holds {len(left)} record(s) made by other code ({listed}; this is {stamp.code}); they are made again. "
            "To reuse them: --accept-code NAME",
            stacklevel=2,
        )
    return chosen


def _tasks(body: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    tasks = body.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(f"{path}: tasks is {tasks!r:.60}", expected="a list of objects", remedy=_ELSEWHERE)
    return tasks


def _text(body: Mapping[str, Any], name: str, path: Path) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value or Path(value).name != value:
        raise InputError(f"{path}: {name} is {value!r:.60}", expected="a name", remedy=_ELSEWHERE)
    return value


def _info(body: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    info = body.get("info", {})
    if not isinstance(info, dict):
        raise InputError(f"{path}: info is {info!r:.60}", expected="an object", remedy=_ELSEWHERE)
    return info
