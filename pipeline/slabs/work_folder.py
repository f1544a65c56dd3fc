"""The folder beside an output that is under construction: what is finished, and whether it can be continued."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...base import InputError
from ...base.files import own_path, remove
from ...base.natural_key import natural_key
from ...base.outputs.one_at_a_time import one_at_a_time
from ...base.outputs.ownership import MARKER
from ...base.plain import from_json, to_json
from ...base.record import git_revision, sha256, versions
from ..stages import Tell

_PROOF = "fewview_unfinished.json"
FINISHED = "finished"  # the note of a volume that is complete and only has to be renamed
_NUMBERS = ("fewview", "numpy", "scipy", "numba")  # the packages on which the last bit depends
_MOST_NAMED = 3


@dataclass(frozen=True)
class WorkFolder:
    """``path`` holds the projections, the volume as far as it is made, and a small file for each slab that is in it."""

    path: Path

    @property
    def projections(self) -> Path:
        """The file of the projections."""
        return self.path / "projections.float32"

    def volume(self, output: Path) -> Path:
        """The volume under construction."""
        return self.path / output.name

    def begin_again(self) -> None:
        """Forget the slabs, because the volume that they were in is gone."""
        for entry in self.path.iterdir():
            if entry.name.startswith("slab_") or entry.name in ("begun.json", f"{FINISHED}.json"):
                remove(entry)

    def note(self, name: str) -> dict[str, Any] | None:
        """What `put_note` wrote; None where it did not come that far."""
        try:
            return from_json((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def put_note(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep some facts, completely or not at all."""
        self._require_there()
        with own_path(self.path / f"{name}.json") as temporary:
            temporary.write_text(to_json(dict(facts)), encoding="utf-8")

    def arrays(self, name: str) -> dict[str, Any] | None:
        """What `put_arrays` wrote: name -> array; None where it did not come that far."""
        try:
            with np.load(self.path / f"{name}.npz", allow_pickle=False) as found:
                return dict(found)
        except FileNotFoundError:
            return None

    def sure_arrays(self, name: str) -> dict[str, Any]:
        """What `put_arrays` wrote; FileNotFoundError where it is gone."""
        found = self.arrays(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path / f"{name}.npz"))
        return found

    def put_arrays(self, name: str, **arrays: Any) -> None:
        """Keep some arrays, each of any shape and in its own unit, completely or not at all."""
        self._require_there()
        with own_path(self.path / f"{name}.npz") as temporary:
            np.savez(temporary, **arrays)

    def _require_there(self) -> None:
        """FileNotFoundError where the folder is gone: it is not made again, because the volume went with it."""
        if not (self.path / _PROOF).is_file():
            raise FileNotFoundError(errno.ENOENT, "the folder of the unfinished run is gone", str(self.path))

    @contextmanager
    def keeping(self, what: Callable[[], str], tell: Tell) -> Iterator[None]:
        """Let Ctrl-C and a failure of the disk through with a word on ``what`` is kept, and that the same command continues."""
        try:
            yield
        except KeyboardInterrupt:
            tell(f"interrupted: {what()} kept in {self.path}; the same command continues")
            raise
        except OSError as error:
            said = f"{error.strerror or error} ({what()} kept in {self.path}; the same command continues when that is mended)"
            if error.errno is None:
                raise type(error)(said) from error
            raise OSError(error.errno, said, error.filename or str(self.path)) from error


@contextmanager
def work_folder(output: Path, stamp: Mapping[str, Any], force: bool) -> Iterator[tuple[WorkFolder, bool]]:
    """(the folder ``<output>.unfinished``, whether a run with the same ``stamp`` was there before), with a lock on it.

    InputError that names the difference where it holds a run of something else, unless ``force`` starts again; FileExistsError where it is
    not fewview's. The folder stays until `discard`.
    """
    path = output.with_name(output.name + ".unfinished")
    proof = path / _PROOF
    if path.exists() and any(path.iterdir()) and not proof.is_file():
        raise FileExistsError(f"{path} is there, and fewview did not write it (there is no {_PROOF}); give another --out")
    path.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path):
        before = json.loads(proof.read_text(encoding="utf-8")) if proof.is_file() else None
        said = json.loads(to_json(dict(stamp)))
        if before is not None and (changes := differences(before, said)):
            if not force:
                raise InputError(
                    f"{path} holds an unfinished run of something else: {'; '.join(changes)}",
                    expected="the same input, settings and version as when it was begun",
                    remedy="restore them to continue it, give another --out, or --force to begin again",
                )
            for entry in path.iterdir():
                if entry.name != ".fewview-at-work":
                    remove(entry)
            before = None
        if before is None:
            with own_path(proof) as temporary:
                temporary.write_text(to_json(said, indent=1), encoding="utf-8")
        yield WorkFolder(path), before is not None


def height_before(output: Path) -> int | None:
    """The height of the slabs of an unfinished run of this output; None where there is none."""
    try:
        proof = output.with_name(output.name + ".unfinished") / _PROOF  # a ValueError for "." and "/", which no run may write to
        return int(json.loads(proof.read_text(encoding="utf-8"))["settings"]["slab"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def discard(folder: WorkFolder) -> None:
    """Delete the folder of a run that is finished."""
    remove(folder.path)


def discard_finished(output: Path, tell: Tell) -> None:
    """Delete the folder that a run left when it was stopped after its volume had its final name and before it had cleared up."""
    folder = WorkFolder(output.with_name(output.name + ".unfinished") if output.name else output)
    if output.exists() and folder.note(FINISHED) is not None and not folder.volume(output).exists():
        with one_at_a_time(folder.path):
            remove(folder.path)
        tell(f"removed {folder.path}, which a run had left that was stopped after it had written {output}")


def file_hashes(source: Path, images: Iterator[str]) -> dict[str, str]:
    """Name -> SHA-256 of every file of a scan: those in its folder (or itself), and its ``images`` wherever they are."""
    files = [p for p in source.rglob("*") if p.is_file() and p.name != MARKER] if source.is_dir() else [source]
    base = source if source.is_dir() else source.parent
    named = {_name(p, base): p for p in [*files, *(Path(name) for name in images if name and Path(name).is_file())]}
    return {name: sha256(named[name]) for name in sorted(named, key=lambda name: natural_key(Path(name)))}


def _name(path: Path, base: Path) -> str:
    try:
        return path.relative_to(base).as_posix()
    except ValueError:
        return str(path)


def hash_of_all(source: Path, hashes: Mapping[str, str]) -> str:
    """The hash of a scan from those of its files, as `base.record.sha256` states it."""
    if not source.is_dir():
        return hashes[source.name]
    inside = {name: digest for name, digest in hashes.items() if not Path(name).is_absolute()}
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in inside.items()).encode()).hexdigest()


def stamp_of(hashes: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for a run to be continued."""
    known = versions()
    version = {name: known[name] for name in _NUMBERS if name in known}
    revision = git_revision()
    return {"written_by": "fewview", "input": dict(hashes), "settings": dict(settings), "version": {**version, "revision": revision}}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two stamps, in words.

    >>> differences({"input": {"a.tif": "1", "b.tif": "2"}}, {"input": {"a.tif": "1", "b.tif": "3"}})
    ['the input b.tif has changed']
    """
    found = []
    for name, what in (("input", "the input {}"), ("settings", "the setting {}"), ("version", "the version of {}")):
        old, new = before.get(name, {}), now.get(name, {})
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        for key in changed[:_MOST_NAMED]:
            how = "is new" if key not in old else "is gone" if key not in new else "has changed"
            values = f" from {old[key]} to {new[key]}" if name != "input" and how == "has changed" else ""
            found.append(f"{what.format(key)} {how}{values}")
        if len(changed) > _MOST_NAMED:
            found.append(f"and {len(changed) - _MOST_NAMED} more")
    return found
