"""What ``--force`` may replace: only what fewview wrote and can prove that it wrote."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .older_outputs import foreign_in_older, vouched_for

MARKER = ".fewview.json"
"""In every folder that fewview writes: the names and sizes of what it wrote there. A copy of the folder takes it along."""
SIGNATURE = "Written by fewview; --force may replace this file"
"""In every file that fewview writes, where its format has a place for such a note (TIFF Software, NIfTI descrip, PNG text, ...)."""

_FORMAT = "fewview output 1"
_JUNK = re.compile(r"(\.DS_Store|Thumbs\.db|desktop\.ini|\._.*|\.nfs.*)")  # what systems leave in any folder
_NEAR = 2**16
_SIGNED = tuple(
    (re.compile(start), re.compile(note))
    for start, note in (
        (rb"II|MM|\x5c\x01\0\0|\0\0\x01\x5c|\x89PNG|\s*<", re.escape(SIGNATURE.encode())),  # TIFF, NIfTI, PNG, SVG and HTML
        (rb"<svg", rb"from above \(x right, y up\)"),  # drawings, pages and volumes of fewview 0.1
        (rb"<!doctype html>", rb'<span class="kicker">fewview (benchmark|demo)</span>'),
        (rb"II|MM", rb'Namespace="fewview"'),
        (rb"\x89HDF", rb"fewview (volume|projections) \d"),
        (rb"PK", rb"fewview (checkpoint|training state) \d"),
        (rb'\s*\{\s*"command":', rb'"peak_memory_mib":'),  # a run record
        (rb'\s*\{\s*"written_by":\s*"fewview', rb""),  # any other JSON
    )
)


def why_kept(path: Path, inputs: Iterable[str | Path] = ()) -> str:
    """Why ``path``, which exists, must not be replaced whatever the user says; "" where it may be replaced."""
    return why_sacred(path, inputs) or foreign(path)


def why_sacred(path: Path, inputs: Iterable[str | Path] = ()) -> str:
    """Why ``path`` must not be touched: it is or holds an input, the home folder or the current folder. In words; "" where it is none of
    them.

    Files are compared, not names: links, ``..``, trailing slashes and the case of letters make no difference.
    """
    for what, place in _sacred_places(inputs):
        if _same(path, place):
            return f"it is {what}"
        if any(_same(path, above) for above in place.parents):
            return f"it holds {what}"
    return ""


def _sacred_places(inputs: Iterable[str | Path]) -> Iterator[tuple[str, Path]]:
    for given in inputs:
        yield f"the input {given}", Path(os.path.realpath(given))
    for what, find in (("the current folder", Path.cwd), ("the home folder", Path.home)):
        try:
            yield what, Path(os.path.realpath(find()))
        except (OSError, RuntimeError):  # a folder that was deleted, a user without a home
            continue


def _same(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def foreign(path: Path) -> str:
    """What in ``path`` fewview did not write, in words; "" where it wrote everything or there is nothing."""
    if path.is_symlink():
        return f"it is a link to {os.readlink(path)}"
    if path.is_dir():
        return _foreign_in_folder(path)
    if not path.is_file():
        return "it is neither a file nor a folder"
    if path.stat().st_size == 0 or _is_signed(path) or vouched_for(path, [path]):
        return ""
    return "it is a file that fewview did not write (there is no mark of it)"


def _foreign_in_folder(folder: Path) -> str:
    files = {name: path for name, path in _below(folder) if not _JUNK.fullmatch(path.name)}
    if not files:
        return ""
    listed = read_mark(folder)
    if listed is None:
        return foreign_in_older(folder, files)
    for name, path in files.items():
        if name != MARKER and name not in listed:
            return f"it holds {name}, which fewview did not write"
        if name != MARKER and _size(path) != listed[name]:
            return f"it holds {name}, which was changed since fewview wrote it"
    return ""


def _below(folder: Path, start: str = "") -> Iterator[tuple[str, Path]]:
    """(name, path) of all files below a folder, and of all empty folders; links are not followed."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name, path = f"{start}{entry.name}", Path(entry.path)
        if entry.is_dir(follow_symlinks=False) and any(os.scandir(path)):
            yield from _below(path, f"{name}/")
        else:
            yield name, path


def _size(path: Path) -> int:
    """The bytes of a file; 0 for an empty folder, and -1 for a link, which fewview never writes."""
    return -1 if path.is_symlink() else 0 if path.is_dir() else path.stat().st_size


def mark(folder: Path) -> None:
    """Put the marker into a folder that was just written. It holds names and sizes, and is the same for the same content."""
    files = {name: _size(path) for name, path in _below(folder)}
    text = json.dumps({"format": _FORMAT, "files": files}, indent=0, ensure_ascii=True)
    (folder / MARKER).write_text(text + "\n", encoding="ascii")


def read_mark(folder: Path) -> Mapping[str, int] | None:
    """Name -> bytes of what fewview wrote into a folder; None where there is no marker."""
    try:
        found = json.loads((folder / MARKER).read_text(encoding="ascii"))
        return {str(k): int(v) for k, v in found["files"].items()} if found["format"] == _FORMAT else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_signed(path: Path) -> bool:
    start, end = _ends(path)
    return any(magic.match(start) and (note.search(start) or note.search(end)) for magic, note in _SIGNED)


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file; of a gzip file, the first bytes of its contents."""
    with path.open("rb") as file:
        start = file.read(_NEAR)
        file.seek(max(0, path.stat().st_size - _NEAR))
        end = file.read(_NEAR)
    if not start.startswith(b"\x1f\x8b"):
        return start, end
    try:
        with gzip.open(path) as unpacked:
            return unpacked.read(_NEAR), b""
    except (OSError, EOFError, zlib.error):
        return b"", b""
