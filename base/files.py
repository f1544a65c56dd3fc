"""Files are written under a temporary name and then renamed, so that the final name never holds a half-written file and nobody's files are
lost.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .outputs.leftovers import RENAMING, Pending, clean, forget, remember, remove
from .outputs.ownership import foreign, mark, why_kept, why_sacred

__all__ = ["UnwrittenError", "atomic_path", "own_path", "refuse_existing", "refuse_strange_folder", "remove"]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_THERE = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


class UnwrittenError(OSError):
    """A library stopped before an output was complete and did not say why."""


def refuse_existing(path: str | Path, force: bool, inputs: Iterable[str | Path] = ()) -> Path:
    """The path, or FileExistsError where something is there that must stay.

    Ask before the work begins; `atomic_path` asks again when it is done. Without ``force`` everything stays. With ``force`` only what
    fewview wrote and nobody changed may go (see docs/outputs.md), and never one of the ``inputs``, a folder that holds one, the home
    folder, the current folder, or a link.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return path
    if not force and not why_sacred(path, inputs):
        raise FileExistsError(f"{path} exists; give another name, or --force (force=True) to replace it")
    if reason := why_kept(path, inputs):
        raise FileExistsError(f"fewview never replaces {path}: {reason}; give another name")
    return path


@contextmanager
def atomic_path(path: str | Path, *, force: bool = False, inputs: Iterable[str | Path] = (), marked: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, with the same ending, for a file or folder; it is renamed on success and deleted on any
    failure.

    A folder gets the marker that lets a later ``force`` replace it; ``marked=False`` is for a layout that has no place for one. If another
    process has written ``path`` in the meantime, its file stays and FileExistsError says so; with ``force`` the last one to finish wins.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, atomic_path(Path(folder) / "a.txt") as temporary:
    ...     _ = temporary.write_text("done")
    """
    final = refuse_existing(path, force, inputs)
    clean(final.parent)
    with _on_its_way(final) as pending:
        yield pending.temporary
        if marked and pending.temporary.is_dir():
            mark(pending.temporary)
        with RENAMING:
            if force:
                _replace(pending)
            else:
                _take_free_name(pending.temporary, final)


@contextmanager
def own_path(path: str | Path) -> Iterator[Path]:
    """The same as `atomic_path`, for a file that is rewritten again and again inside a folder that is known to be fewview's own."""
    with _on_its_way(Path(path)) as pending:
        yield pending.temporary
        with RENAMING:
            os.replace(pending.temporary, pending.final)


def refuse_strange_folder(folder: str | Path, proof: str, names: Iterable[str]) -> Path:
    """The folder in which files called ``names`` are rewritten during the work; FileExistsError where one exists without our ``proof``."""
    folder = Path(folder)
    found = [name for name in names if os.path.lexists(folder / name)]
    if found and not (folder / proof).exists():
        raise FileExistsError(f"{folder} holds {found[0]}, which fewview did not write (there is no {proof}); give another folder")
    return folder


@contextmanager
def _on_its_way(final: Path) -> Iterator[Pending]:
    """Temporary names to write to. Whatever goes wrong, neither they nor folders that were made for them are left behind."""
    made = [parent for parent in final.parents if not parent.exists()]
    final.parent.mkdir(parents=True, exist_ok=True)
    pending = Pending.of(final)
    remember(pending)
    try:
        yield pending
        remove(pending.old)
    except BaseException as error:
        pending.drop()
        for parent in made:
            with suppress(OSError):  # somebody else put something there
                parent.rmdir()
        if isinstance(error, OSError) and (named := _naming(error, pending)):
            raise named from error
        raise
    finally:
        if not os.path.lexists(pending.temporary):
            forget(pending)


def _naming(error: OSError, pending: Pending) -> OSError | None:
    """The error with the final name, which the user knows, in place of the temporary one."""
    if error.errno is None:
        return UnwrittenError(f"{pending.final} could not be written ({error}): is the disk full?") if type(error) is OSError else None
    hidden = str(error.filename or "").startswith(str(pending.temporary))
    if hidden or (error.errno in _FULL and error.filename is None):
        return OSError(error.errno, error.strerror, str(pending.final))
    return None


def _take_free_name(temporary: Path, final: Path) -> None:
    """Rename without replacing anything: of two processes one wins, and the other reports that it lost."""
    try:
        if temporary.is_dir():
            os.rename(temporary, final)  # of folders it replaces none but an empty one
        else:
            _rename_file(temporary, final)
    except OSError as error:
        if error.errno not in _THERE:
            raise
        raise FileExistsError(
            f"{final} was written by somebody else in the meantime and stays as it is; the output of this run was discarded "
            "(give another name, or --force)"
        ) from error


def _rename_file(temporary: Path, final: Path) -> None:
    if os.name == "nt":
        os.rename(temporary, final)  # Windows never replaces
        return
    try:
        os.link(temporary, final)
    except OSError as error:
        if error.errno in _THERE:
            raise
    else:
        temporary.unlink()
        return
    # A file system without hard links: the holder of a second name, which one process alone can make, may look and then rename.
    claim = final.with_name(f".fewview-claim.{final.name}")
    os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
    try:
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, "")
        os.rename(temporary, final)
    finally:
        claim.unlink()


def _replace(pending: Pending) -> None:
    """Put the new output in place of the old one. A file takes one step; a folder cannot be replaced in one, so the old one is put aside
    first.
    """
    temporary, old, final = pending.temporary, pending.old, pending.final
    if os.path.lexists(final) and (reason := foreign(final)):
        raise FileExistsError(f"fewview never replaces {final}: {reason}; give another name")
    if not temporary.is_dir() and not final.is_dir():
        os.replace(temporary, final)
        return
    while True:
        if os.path.lexists(final):
            remove(old)
            os.replace(final, old)
        try:
            os.replace(temporary, final)
            return
        except OSError as error:
            if error.errno not in _THERE:
                raise  # `Pending.drop` puts the old one back
