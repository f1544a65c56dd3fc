"""A file for libraries that crash on a full disk: every write seems to succeed, and the error is raised when they have finished."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


class _WillingFile(io.RawIOBase):
    """A file that accepts every write. ``failed`` keeps the first error of the system, after which nothing more is written."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb+", buffering=0)
        self.failed: OSError | None = None

    def write(self, data: Any, /) -> int:
        view, done = memoryview(data).cast("B"), 0
        while self.failed is None and done < len(view):
            try:
                done += self.file.write(view[done:]) or 0
            except OSError as error:
                self.failed = error
        return len(view)

    def readinto(self, buffer: Any, /) -> int:
        return self.file.readinto(buffer) or 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return self.file.truncate(size)
        except OSError as error:
            self.failed = self.failed or error
            return size or 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self.file.close()
        super().close()


@contextmanager
def willing_file(path: Path) -> Iterator[Any]:
    """A new file for HDF5, which would end the process where it cannot write.

    After the block the OSError of the first write that failed is raised, whatever the library made of it. Signals are heard after the
    block: an exception that a handler raises while HDF5 calls the file ends the process.
    """
    with _signals_afterwards(), closing(_WillingFile(path)) as file:
        try:
            yield file
        except Exception:
            if file.failed is None:
                raise
        if file.failed is not None:
            raise file.failed


@contextmanager
def _signals_afterwards() -> Iterator[None]:
    """Handlers written in Python are called after the block, with the first signal that came; other threads are not concerned."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: handler for number in (signal.SIGINT, signal.SIGTERM) if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
