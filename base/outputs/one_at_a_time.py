"""A lock on a folder in which one run writes many files over a long time, so that no second run writes there too."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = ".fewview-at-work"


@contextmanager
def one_at_a_time(folder: str | Path) -> Iterator[None]:
    """Work in ``folder``, which must exist; FileExistsError where another process is at work there.

    The system holds the lock and releases it when the process ends, for whatever reason, so that no stale lock is ever left.
    """
    path = Path(folder) / _NAME
    while True:
        held = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            _lock(held)
        except OSError as error:
            os.close(held)
            raise FileExistsError(f"another run is at work in {folder}; wait until it ends, or give another folder") from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), os.stat(path)):
                break
        os.close(held)  # of a run that ended just now, and took the file along
    try:
        yield
    finally:
        if sys.platform != "win32":  # there a file that is open stays
            with suppress(OSError):  # a disk that is gone is not the news: what it interrupted is
                path.unlink()
        os.close(held)


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
