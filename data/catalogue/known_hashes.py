"""The SHA-256 of folders of many gigabytes, remembered in the user's cache folder for as long as no file in them changes."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from ...base.files import own_path
from ...base.record import sha256
from .fetch import data_folder

_SETTLED_S = 2.0  # a file that changed a moment ago may change again within one tick of the file system's clock


def known_sha256(folder: str | Path, memory: Path | None = None, *, settled_s: float = _SETTLED_S) -> str:
    """`sha256` of a folder. Its files are only read where one of them is new, gone, or changed since they were read last.

    A change shows in the name, the size, or one of two times: that of the content, which a copy can set, and that of the file's entry in
    the file system, which nobody can. Folders whose last change is less than ``settled_s`` ago are not remembered. ``memory`` is the folder
    to remember in (default: ``hashes`` in `data_folder`); where it cannot be written, every call reads the files.
    """
    folder = Path(folder)
    place = (data_folder() / "hashes" if memory is None else memory) / f"{_hash(str(folder.resolve()))[:20]}.json"
    state, changed = _state(folder)
    with suppress(OSError, ValueError, KeyError, TypeError):  # not there yet, or damaged
        kept = json.loads(place.read_text(encoding="utf-8"))
        if kept["state"] == state:
            return str(kept["sha256"])
    found = sha256(folder)
    if _state(folder)[0] == state and time.time() - changed >= settled_s:
        with suppress(OSError), own_path(place) as temporary:
            temporary.write_text(json.dumps({"folder": str(folder), "state": state, "sha256": found}), encoding="utf-8")
    return found


def _state(folder: Path) -> tuple[str, float]:
    """A hash of names, sizes and times of all files, and the time of the last change in seconds."""
    lines, last = [], 0.0
    for path in sorted(folder.rglob("*")):
        facts = path.stat()
        if path.is_file():
            lines.append(f"{path.relative_to(folder).as_posix()} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}")
            last = max(last, facts.st_mtime, facts.st_ctime)
    return _hash("\n".join(lines)), last


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
