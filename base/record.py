"""The run record: how an output was made, in enough detail to make it again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .files import atomic_path
from .natural_key import natural_key
from .outputs.ownership import MARKER
from .plain import plain, to_json, with_arrays_named

PACKAGES = ("fewview", "numpy", "scipy", "torch", "numba", "scikit-image", "tifffile", "h5py")
_BLOCK = 2**20


def make_record(
    command: str | Iterable[str],
    settings: Mapping[str, Any] | None = None,
    inputs: Iterable[str | Path] = (),
    outputs: Iterable[str | Path] = (),
    seconds: float | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A plain mapping: command, settings, inputs with SHA-256, outputs, seconds, peak memory, date, versions, machine, git revision."""
    words = [command] if isinstance(command, str) else list(command)
    return {
        "command": " ".join(words),
        "settings": plain(with_arrays_named(settings or {})),
        "inputs": [{"path": str(path), "sha256": sha256(path)} for path in inputs],
        "outputs": [str(path) for path in outputs],
        "seconds": seconds,
        "peak_memory_mib": peak_memory_mib(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": {"platform": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
        "git": git_revision(),
        **plain(dict(extra or {})),
    }


def record_path(output: str | Path) -> Path:
    """The path of the record of an output: ``<output>.record.json`` beside it."""
    output = Path(output)
    return output.with_name(output.name + ".record.json")


def write_record(record: Mapping[str, Any], output: str | Path) -> Path:
    """Write the record beside its output, replacing an earlier one; returns its path."""
    path = record_path(output)
    with atomic_path(path, force=True) as temporary:
        temporary.write_text(record_text(record), encoding="utf-8")
    return path


def record_text(record: Mapping[str, Any]) -> str:
    """The text of a record file: strict JSON, by which fewview recognises its own records (see `ownership`)."""
    mark = {} if "peak_memory_mib" in record and next(iter(record)) == "command" else {"written_by": "fewview"}
    return to_json({**mark, **record}, indent=2) + "\n"


@contextmanager
def recorded_path(
    output: str | Path, record: Callable[[], Mapping[str, Any]], *, force: bool = False, inputs: Iterable[str | Path] = ()
) -> Iterator[Path]:
    """The same as `atomic_path`, with the record beside the output. Both are written before either takes its final
    name, the output first.
    """
    with atomic_path(record_path(output), force=True) as note, atomic_path(output, force=force, inputs=inputs) as temporary:
        yield temporary
        note.write_text(record_text(record()), encoding="utf-8")


@contextmanager
def kept_warnings() -> Iterator[Sequence[str]]:
    """The warnings given inside the ``with`` block: each is shown once, and all are kept for the record."""
    kept: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def keep(message: Warning | str, *where: Any, **more: Any) -> None:
            if str(message) not in kept:
                kept.append(str(message))
                show(message, *where, **more)

        warnings.showwarning = keep
        yield kept


def sha256(path: str | Path) -> str:
    """SHA-256 of the bytes of a file; of a folder, that of the lines ``<hash of file>  <relative name>`` of all its files in natural order.

    The marker that fewview leaves in folders is no data and is left out. Raises FileNotFoundError.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"input {path} is not there")
    digest = hashlib.sha256()
    if path.is_dir():
        files = sorted((p for p in path.rglob("*") if p.is_file() and p.name != MARKER), key=lambda p: natural_key(p.relative_to(path)))
        for file in files:
            digest.update(f"{sha256(file)}  {file.relative_to(path).as_posix()}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str | None]:
    """The versions of Python and of the packages on which the numbers depend; None for one that is not installed."""
    found: dict[str, str | None] = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def peak_memory_mib() -> float | None:
    """The most memory this process has held so far, or None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def git_revision() -> dict[str, Any] | None:
    """The revision of the checkout that fewview runs from, and whether files were changed since; None for an installed wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        revision, status = (
            subprocess.run(
                ["git", "--no-optional-locks", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision, "modified": bool(status)}
