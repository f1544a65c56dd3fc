"""The download of one file over http with pooch: it resumes where it was cut off, and the file gets its final name
only when it is right.
"""

from __future__ import annotations

import errno
import hashlib
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...base import InputError, MissingBackendError

OFFLINE_REMEDY = "on a machine without a network give --mirror FOLDER, or set FEWVIEW_DATA to a folder that holds the files"
_CHUNK = 1 << 16  # the most that is lost when a connection breaks
_ATTEMPTS = 4  # attempts in a row that did not bring a single byte


def file_hash(path: Path, kind: str = "sha256") -> str:
    """The hash of a file as ``sha256:...`` (or md5)."""
    digest = hashlib.new(kind)
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"


def check_file(path: Path, size: int | None, known_hash: str | None) -> None:
    """Raise InputError, naming what was found and what was expected, unless size and hash are as stated (None: not known)."""
    found = path.stat().st_size
    if size is not None and found != size:
        raise InputError(f"{path.name} has {found} bytes", expected=f"{size}")
    if known_hash is not None:
        kind = known_hash.partition(":")[0]
        actual = file_hash(path, kind)
        if actual != known_hash:
            raise InputError(
                f"{path.name} has the hash {actual}",
                expected=known_hash,
                remedy="the file is damaged or has been replaced; it was not kept",
            )


def import_extra(name: str) -> Any:
    """An optional package of the extra ``data``; where it is missing, a MissingBackendError that says how to get it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingBackendError(f"downloading needs the package {name}", remedy='pip install "fewview[data]"') from error


def download(url: str, path: Path, size: int | None = None, known_hash: str | None = None, *, progress: bool = False) -> Path:
    """Download ``url`` to ``path`` and create its folder.

    What was received before an interruption stays beside it as ``.NAME.part``, and the next call asks the server for the rest. After a
    wrong size or hash, or on a full disk, nothing is left under the final name. Raises ConnectionError when the server cannot be reached or
    stops, FileNotFoundError when it has no such file, InputError for a wrong hash, and OSError for a full disk.
    """
    pooch = import_extra("pooch")
    pooch.get_logger().setLevel(logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(path, size, progress)
    try:
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=transfer)
    except ValueError as error:
        if isinstance(error, InputError) or "does not match" not in str(error):
            raise
        raise InputError(
            f"{path.name} from {url} has another hash than {known_hash}",
            expected="the file that the manifest names",
            remedy="it was not kept; try again, and tell the maintainers if the file has been replaced",
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            have = transfer.part.stat().st_size if transfer.part.exists() else 0
            needed = f" of {size}" if size else ""
            message = f"the disk is full after {have}{needed} bytes of {path.name}; free some space and run again: it goes on from there"
            raise OSError(errno.ENOSPC, message) from error
        raise
    return path


class _Transfer:
    """A downloader for pooch, ``(url, output file, pooch)``, that resumes."""

    def __init__(self, path: Path, size: int | None, progress: bool) -> None:
        self.part = path.with_name(f".{path.name}.part")
        self.tag = path.with_name(f".{path.name}.tag")
        self.size, self.progress, self.name = size, progress, path.name

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        requests = import_extra("requests")
        stalled, have = 0, self._have()
        while True:
            try:
                self._receive(requests, url)
                break
            except (requests.exceptions.ConnectionError, requests.exceptions.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                stalled = 0 if self._have() > have else stalled + 1
                have = self._have()
                if stalled == _ATTEMPTS or (have == 0 and stalled > 1):
                    raise self._unreachable(url, have) from error
        if self.size is not None and self._have() != self.size:
            found, _ = self._have(), self._forget()
            raise InputError(f"{self.name} from {url} has {found} bytes", expected=f"{self.size}", remedy="it was not kept")
        self.part.replace(output_file)
        self._forget()

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def _unreachable(self, url: str, have: int) -> ConnectionError:
        host = urlsplit(url).netloc
        if not have:
            return ConnectionError(f"cannot reach {host} (no network?); {OFFLINE_REMEDY}")
        total = f" of {self.size}" if self.size else ""
        return ConnectionError(f"{host} stopped after {have}{total} bytes of {self.name}; run the same command again to continue")

    def _receive(self, requests: Any, url: str) -> None:
        """Append what is still missing to the part; start again where the server cannot continue, or where its file has changed."""
        have = self._have()
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.tag.exists():
                headers["If-Range"] = self.tag.read_text(encoding="ascii")
        with requests.get(url, stream=True, headers=headers, timeout=(10, 60)) as reply:
            if reply.status_code == 416:  # nothing lies beyond what we have: it is complete, or belongs to another version
                if reply.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return
                self._forget()
                return self._receive(requests, url)
            if reply.status_code == 404:
                raise FileNotFoundError(f"the server has no {url}")
            if not reply.ok:
                raise ConnectionError(f"{urlsplit(url).netloc} answered {reply.status_code} {reply.reason} for {self.name}")
            goes_on = reply.status_code == 206 and reply.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            self._keep_tag(reply.headers)
            self._write(reply, "ab" if goes_on else "wb", have if goes_on else 0)
        expected = int(reply.headers["Content-Length"]) + have * goes_on if "Content-Length" in reply.headers else None
        if expected is not None and self._have() < expected:
            raise requests.exceptions.ConnectionError(f"{self._have()} of {expected} bytes")

    def _keep_tag(self, headers: Any) -> None:
        tag = headers.get("ETag", "") or headers.get("Last-Modified", "")
        if tag and not tag.startswith("W/"):
            self.tag.write_text(tag, encoding="ascii")
        else:
            self.tag.unlink(missing_ok=True)

    def _write(self, reply: Any, mode: str, have: int) -> None:
        from tqdm import tqdm

        with (
            self.part.open(mode) as file,
            tqdm(desc=self.name, total=self.size, initial=have, unit="B", unit_scale=True, disable=None if self.progress else True) as bar,
        ):
            for chunk in reply.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
