"""Write to a temporary name, then rename: nothing half-written is ever left under the final name."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def refuse_existing(path: str | Path, force: bool) -> Path:
    """The path, or FileExistsError naming the remedy when something is there and ``force`` is not given.

    The home folder, the current folder and those above them are never replaced, whatever ``force`` says.
    """
    path = Path(path)
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; give another name, or --force (force=True) to replace it")
    if path.is_dir() and any(here.is_relative_to(path.resolve()) for here in (Path.cwd(), Path.home())):
        raise FileExistsError(f"{path} is a folder that fewview never replaces; give another name")
    return path


@contextmanager
def atomic_path(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same ending) to write a file or a folder to; rename it on success, delete it on any failure.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, atomic_path(Path(folder) / "a.txt") as temporary:
    ...     _ = temporary.write_text("done")
    """
    final = refuse_existing(path, force)
    final.parent.mkdir(parents=True, exist_ok=True)
    key = uuid.uuid4().hex[:8]
    temporary, old = final.with_name(f".{key}.part.{final.name}"), final.with_name(f".{key}.old.{final.name}")
    try:
        yield temporary
        if final.is_dir() and not final.is_symlink():
            os.replace(final, old)  # a folder cannot be replaced in one step: put it aside until the new one is in place
        os.replace(temporary, final)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            error.filename = str(final)  # a full disk says nothing of what did not fit on it
        if old.exists() and not final.exists():
            os.replace(old, final)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
