"""Records of a benchmark that are not what they should be, and surroundings that a program does not expect."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hostile_case import Case, fine, refused, right
from hostile_room import Room
from hostile_world import edited, log_text

FORMAT = 4
TASK = {
    "key": "k1", "animal": "1", "week": 0, "views": 2, "selection": "evenly", "seed": 0, "method": "fdk", "size": 8, "settings": {},
    "photons": None, "inputs": "", "method_hash": "", "scoring": {}, "stands_for": ["default"],
}  # fmt: skip
RECORD = {
    "format": FORMAT, "key": "k1", "study": "table2", "same_work": "w1", "metrics": ["volume/psnr"], "label": "1 week 0, fdk",
    "code": {"name": "0.1.0+0", "version": "0.1.0", "commit": None}, "date": "2026-11-26T00:00:00+00:00", "machine": {"load": 1.0},
    "memory_before_mib": 5.0, "task": {name: value for name, value in TASK.items() if name != "key"},
    "seconds": 1.0, "peak_memory_mib": 10.0,
    "scores": {"truth": {"psnr": 20.0}, "heldout-views": {"psnr": 20.0}, "table2-compat": {}},
}  # fmt: skip


def _sweep(room: Room, sweep: Any, record: Any = None) -> list[str]:
    """`fewview report` on results with this sweep.json and this record; a record that is a mapping gets the hash that says it is whole."""
    if sweep is not None:
        room.file("results/sweep.json", sweep if isinstance(sweep, str | bytes) else json.dumps(sweep))
    if isinstance(record, dict):
        record = {**record, "sha256": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}
    if record is not None:
        room.file("results/records/k1.json", record if isinstance(record, str | bytes) else json.dumps(record))
    return ["report", str(room.path / "results"), "--out", str(room.path / "page.html")]


GOOD = {"format": FORMAT, "study": "table2", "info": {}, "tasks": [TASK]}


def sweep(name: str, content: Any, *says: str) -> Case:
    """A case of a sweep.json."""
    return refused(f"sweep.json {name}", lambda r: _sweep(r, content, RECORD), "sweep.json", *says)


def record(name: str, content: Any, *says: str) -> Case:
    """A case of a record."""
    return refused(f"record {name}", lambda r: _sweep(r, GOOD, content), "k1.json", *says)


def without(name: str, key: str) -> Case:
    """A record that lacks a fact."""
    return record(name, {k: v for k, v in RECORD.items() if k != key}, key)


SWEEPS = [
    refused("results that are not there", lambda r: ["report", str(r.path / "nowhere")], "nowhere"),
    refused("results that are a file", lambda r: ["report", str(r.file("results", "x"))], "results"),
    refused("results of nothing", lambda r: ["report", str(r.home)], "home"),
    sweep("that is empty", ""),
    sweep("that is not JSON", "{tasks"),
    sweep("that is a list", [1, 2]),
    sweep("that is a word", '"hello"'),
    sweep("of bytes", b"\xff\xfe\x00"),
    sweep("without tasks", {k: v for k, v in GOOD.items() if k != "tasks"}, "tasks"),
    sweep("with a number for tasks", {**GOOD, "tasks": 5}, "tasks"),
    sweep("with words for tasks", {**GOOD, "tasks": ["a"]}, "tasks"),
    sweep("whose tasks have no key", {**GOOD, "tasks": [{"animal": "1"}]}, "key"),
    sweep("whose key leaves the folder", {**GOOD, "tasks": [{**TASK, "key": "../../../etc/passwd"}]}, "key"),
    sweep("whose info is a list", {**GOOD, "info": []}, "info"),
    sweep("whose window is a word", {**GOOD, "info": {"window_per_mm": "wide"}}, "window_per_mm"),
    sweep("ten thousand brackets deep", "[" * 10_000 + "]" * 10_000),
    sweep("without a study", {k: v for k, v in GOOD.items() if k != "study"}, "study"),
    sweep("of a study that does not exist", {**GOOD, "study": "tabel2"}, "tabel2"),
    refused("sweep.json of another format", lambda r: _sweep(r, {**GOOD, "format": 99}, RECORD), "sweep.json", "99"),
    refused("sweep.json that is a folder", lambda r: (r.documents("results/sweep.json"), _sweep(r, None))[1], "sweep.json"),
    record("that is a list", [1]),
    record("that is a word", '"hello"'),
    record("of another task", {**RECORD, "key": "k2"}, "k2|key"),
    without("without a task", "task"),
    without("without its code", "code"),
    without("without scores", "scores"),
    without("without seconds", "seconds"),
    without("without memory", "peak_memory_mib"),
    record("whose task is a word", {**RECORD, "task": "fdk"}, "task"),
    record("whose animal is missing", {**RECORD, "task": {"views": 2, "method": "fdk"}}, "animal|task"),
    record("whose score is a word", {**RECORD, "scores": {"volume": {"psnr": "good"}}}, "psnr"),
    record("whose scores are a list", {**RECORD, "scores": [1, 2]}, "scores"),
    record("whose views are a word", {**RECORD, "task": {**RECORD["task"], "views": "two"}}, "views"),  # type: ignore[dict-item]
    record("of bytes", b"\xff\xfe\x00"),
    refused("pictures that are no arrays", lambda r: (r.file("results/pictures/k1.npz", "hello"), _sweep(r, GOOD, RECORD))[1], "k1.npz"),
    fine("sound results", lambda r: _sweep(r, GOOD, RECORD)),
]


@contextmanager
def no_folder(room: Room) -> Iterator[None]:
    """The current folder is deleted while the program runs in it."""
    back = Path.cwd()
    gone = room.path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    try:
        yield
    finally:
        os.chdir(back)


@contextmanager
def ascii_terminal(room: Room) -> Iterator[None]:
    """A terminal that knows no letter beyond ASCII, as under LANG=C without Python's help."""
    out, err = sys.stdout, sys.stderr
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict", write_through=True) for _ in range(2)]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        for stream, there in zip(streams, (out, err), strict=True):
            there.write(stream.buffer.getvalue().decode("ascii"))  # type: ignore[attr-defined]


def _bytes_name(room: Room) -> Path:
    """A name that is no text at all, as an old disk has them."""
    path = Path(os.fsdecode(os.fsencode(room.path) + b"/souris_\xe9t\xe9"))
    room.scan().rename(path)
    return path


def gone(name: str, words: Callable[[Room], list[str]], kind: Callable[..., Case], *says: str) -> Case:
    """In a current folder that is gone."""
    return kind(f"current folder gone: {name}", words, *says, around=no_folder)


def plain(name: str, words: Callable[[Room], list[str]], kind: Callable[..., Case], *says: str) -> Case:
    """On a terminal of ASCII."""
    return kind(f"ASCII terminal: {name}", words, *says, around=ascii_terminal)


PLACES = [
    gone("info", lambda r: ["info", str(r.scan())], fine),
    gone("recon to a whole path", lambda r: r.recon(r.scan()), right),
    gone(
        "recon to a name", lambda r: ["recon", str(r.scan()), "--out", "x.h5"], refused, "current folder|working folder|current directory"
    ),
    gone("recon to the default", lambda r: ["recon", str(r.scan())], refused, "current folder|working folder|current directory"),
    gone("recon of a name", lambda r: ["recon", "scan"], refused, "scan|current folder"),
    gone("simulate", lambda r: r.simulate(r.nifti()), fine),
    gone(
        "demo", lambda r: ["demo", "--rows", "8", "--cols", "12", "--fdk-only"], refused, "current folder|working folder|current directory"
    ),
    gone("doctor's list of data", lambda r: ["data", "list"], fine),
    plain("info of a scan in French", lambda r: ["info", str(r.scan("étude µCT"))], fine),
    plain("recon of a scan in Greek", lambda r: r.recon(r.scan("ποντίκι"), out="out.h5"), right),
    plain("recon to a name in Greek", lambda r: r.recon(r.scan(), out="τόμος.h5"), fine),
    plain("an error with a name in Greek", lambda r: r.recon(r.path / "ποντίκι"), refused, "is not there"),
    plain("help", lambda r: ["recon", "--help"], fine),
    plain("simulate to a name in Greek", lambda r: r.simulate(r.nifti(name="όγκος.nii.gz"), out="σάρωση"), fine),
    plain(
        "a log in German",
        lambda r: ["info", str(r.scan(text=edited(log_text(), {"Rotation Direction": "Müller"})))],
        refused,
        "Rotation Direction",
    ),
    fine("info of a name that is no text", lambda r: ["info", str(_bytes_name(r))]),
    right("recon of a name that is no text", lambda r: r.recon(_bytes_name(r))),
    refused(
        "an error with a name that is no text", lambda r: r.recon(Path(os.fsdecode(os.fsencode(r.path) + b"/\xff\xfe"))), "is not there"
    ),
    refused("an error with a line break in its name", lambda r: r.recon(r.path / "two\nlines"), "is not there"),
    refused(
        "a volume asks for its voxel size by an option that is there",
        lambda r: r.simulate(r.tiff()),
        "stack.tif",
        "--volume-voxel-mm|--input-voxel-mm|--voxel-size-mm",
    ),
]

CASES: list[Case] = [*SWEEPS, *PLACES]
