"""Outputs under temporary names: they are deleted when a run is stopped, and what a killed run left is cleaned up or reported by the next
run.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import threading
import time
import uuid
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# .fewview-<where>-<process>-<key>.part.<final name>: being written; .old.: put aside until the new one is in place.
_NAME = re.compile(r"\.fewview-(?P<where>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.(?P<kind>part|old)\.(?P<final>.+)", re.DOTALL)
_CLAIM = re.compile(r"\.fewview-claim\..+", re.DOTALL)  # held for an instant, see `files`
_STALE_S = 60.0
_LONGEST = 190  # bytes of a name that are kept: most file systems take 255
_NAME_BEFORE = re.compile(r"\.[0-9a-f]{8}\.(part|old)\..+", re.DOTALL)  # of fewview 0.1.0, which does not say whose it is

RENAMING = threading.Lock()
"""Held while an output takes its final name, so that nobody cleans up between two renames that belong together."""


@dataclass(frozen=True)
class Pending:
    """An output that is being written: its temporary name, the name under which an old output waits to be replaced, and the final name."""

    temporary: Path
    old: Path
    final: Path

    @classmethod
    def of(cls, final: Path) -> Pending:
        """New temporary names beside ``final``, with its ending, that tell which process made them."""
        start, end = f".fewview-{_where()}-{os.getpid()}-{uuid.uuid4().hex[:8]}", final.name
        while len(os.fsencode(end)) > _LONGEST:
            end = end[1:]
        return cls(final.with_name(f"{start}.part.{end}"), final.with_name(f"{start}.old.{end}"), final)

    def drop(self) -> None:
        """Leave only whole outputs: if the new one is not in place, the old one goes back."""
        remove(self.temporary)
        if os.path.lexists(self.old):
            if os.path.lexists(self.final):
                remove(self.old)
            else:
                os.replace(self.old, self.final)


# Signals are the process's own, and so is what it has to clean up when one ends it: the only state of this module.
_PENDING: set[Pending] = set()


def remember(pending: Pending) -> None:
    """Register an output that is being written, so that `drop_all` finds it."""
    _PENDING.add(pending)


def forget(pending: Pending) -> None:
    """Remove an output from the register, because it is finished or was deleted."""
    _PENDING.discard(pending)


def drop_all(patience_s: float = 0.3) -> None:
    """Delete every unfinished output of this process, even while another thread is still writing to it."""
    until = time.monotonic() + patience_s
    held = RENAMING.acquire(timeout=patience_s)
    try:
        while _PENDING and time.monotonic() < until:
            for pending in tuple(_PENDING):
                with suppress(OSError):  # the other thread was faster; it is tried again
                    pending.drop()
                if not os.path.lexists(pending.temporary):
                    forget(pending)
    finally:
        if held:
            RENAMING.release()


def clean(folder: Path) -> None:
    """Delete what killed runs of this machine left in ``folder``, with a warning that names it; what other machines left is only named."""
    if not folder.is_dir():
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        found, path = _NAME.fullmatch(entry.name), Path(entry.path)
        if _CLAIM.fullmatch(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_S:
            path.unlink(missing_ok=True)
        if found is None and _NAME_BEFORE.fullmatch(entry.name) is None:
            continue
        if found is None or found["where"] != _where():
            warnings.warn(f"{path} is an unfinished output of another run; delete it if that run is over", stacklevel=3)
        elif not _alive(int(found["process"])):
            _clean_one(path, found["kind"], path.with_name(found["final"]))


def _clean_one(path: Path, kind: str, final: Path) -> None:
    if kind == "old" and not os.path.lexists(final):
        os.rename(path, final)
        warnings.warn(f"{final} was put back: a run that was killed had put it aside as {path.name}", stacklevel=4)
        return
    remove(path)
    warnings.warn(f"{path} was removed: a run that was killed had left it unfinished", stacklevel=4)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _where() -> str:
    """A name for this machine and, on Linux, this container, because process numbers of another one mean nothing here."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _alive(process: int) -> bool:
    if os.name == "nt":  # there os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
