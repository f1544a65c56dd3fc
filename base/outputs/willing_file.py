"""A file for libraries that crash on a full disk: every write seems to succeed, and the error is raised when they have finished."""

from __future__ import annotations

import io
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

    After the block the OSError of the first write that failed is raised, whatever the library made of it.
    """
    with closing(_WillingFile(path)) as file:
        try:
            yield file
        except Exception:
            if file.failed is None:
                raise
        if file.failed is not None:
            raise file.failed
