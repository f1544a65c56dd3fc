"""Fetch, find and verify the data sets of the manifest, from the network or from a mirror folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

from ...base import InputError
from ...base.files import atomic_path, own_path
from ...base.plain import to_json
from .download import check_file, download, file_hash, import_extra
from .manifest import HubSource, Manifest, Resource, load_manifest
from .remote import ZENODO, RemoteFile, Selection, hub_error, mirrored_files, wanted_files

MIRROR_VARIABLE = "FEWVIEW_DATA"
_RECORD = ".fewview-files.json"  # names, sizes and hashes of what was fetched, so that it can be verified without a network


@dataclass(frozen=True)
class Check:
    """The ``state`` of one file: ok, missing, wrong size, wrong hash, or unverified (it is there, but the manifest
    does not know its hash).
    """

    path: Path
    state: str
    detail: str = ""


def data_folder(folder: str | Path | None = None) -> Path:
    """The folder for fetched files: the argument, or ``fewview`` in the user's cache folder ($XDG_CACHE_HOME, ~/.cache)."""
    if folder is not None:
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewview"


def mirror_folder(mirror: str | Path | None = None) -> Path | None:
    """The mirror: the argument, or the environment variable FEWVIEW_DATA, or None."""
    given = mirror or os.environ.get(MIRROR_VARIABLE)
    return Path(given) if given else None


def fetch(
    name: str,
    folder: str | Path | None = None,
    *,
    selection: Selection | None = None,
    everything: bool = False,
    mirror: str | Path | None = None,
    force: bool = False,
    progress: bool = False,
    manifest: Manifest | None = None,
    zenodo: str = ZENODO,
    hub: str | None = None,
) -> list[Path]:
    """Bring the files of a resource to ``folder/NAME/`` and return their paths. Files that are there and right are not fetched again.

    They come from the ``mirror`` (or FEWVIEW_DATA), where there is one, and otherwise from the network; a download that was cut off resumes
    where it stopped. Sizes and hashes are checked, as far as the manifest, Zenodo or the Hub state them, before a file gets its final name.
    A file that is there and wrong is an InputError unless ``force`` replaces it. ``zenodo`` and ``hub`` are the addresses of the services.

    Raises UnknownNameError for an unknown resource, InputError for a BoneMet component without a ``selection`` (unless ``everything``),
    FileNotFoundError when the selection matches nothing, ConnectionError without a network, and OSError for a full disk.
    """
    resource = (manifest or load_manifest())[name]
    selection = selection or Selection()
    if isinstance(resource.source, HubSource) and not selection and not everything:
        raise InputError(
            f"{name} has terabytes of data",
            expected="a selection: --animal 851 --week 0",
            remedy="or --everything if you want it all",
        )
    target, source = data_folder(folder) / resource.name, mirror_folder(mirror)
    if source is not None:
        root, files = mirrored_files(resource, selection, source)
    else:
        root, files = None, wanted_files(resource, selection, zenodo=zenodo, hub=hub)
    done, record = [], _record(target)
    try:
        for file in files:
            path = _inside(target, file.path)
            mirrors_own = root is not None and path.exists() and path.samefile(root / file.path)
            if not _already(path, file, force and not mirrors_own, file.path in record):
                if root is not None:
                    _copy(root / file.path, path, file)
                elif file.url is not None:
                    download(file.url, path, file.bytes, file.hash, progress=progress)
                else:
                    _from_hub(resource, file, target, hub)
            if file.path not in record:
                record[file.path] = (path.stat().st_size, file.hash or file_hash(path))
            done.append(path)
    finally:
        if done:
            _keep_record(target, record)
    return done


def verify(name: str, folder: str | Path | None = None, *, manifest: Manifest | None = None) -> list[Check]:
    """Check what is in ``folder/NAME/`` against the manifest and against the record that `fetch` keeps. This needs no network."""
    resource = (manifest or load_manifest())[name]
    target = data_folder(folder) / resource.name
    known = {} if isinstance(resource.source, HubSource) else {f.path: f for f in resource.source.files}
    record = _record(target)
    expected = {path: (f.bytes if isinstance(f.bytes, int) else None, f.hash if f.hash != "unknown" else None) for path, f in known.items()}
    for path, (size, digest) in record.items():
        before = expected.get(path, (None, None))
        expected[path] = (size if before[0] is None else before[0], before[1] or digest)
    present = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file() and not _hidden(p, target)}
    return [_check(target / path, *expected.get(path, (None, None))) for path in sorted(present | set(expected))]


def locate(name: str, path: str | None = None, *, folder: str | Path | None = None, mirror: str | Path | None = None) -> Path:
    """The path of a file of a resource (its only one by default) that is already on this machine, fetched or in the mirror. Its hash is
    checked.

    Raises FileNotFoundError that says how to fetch it, and InputError for a file with the wrong hash.
    """
    resource = load_manifest()[name]
    pins = {} if isinstance(resource.source, HubSource) else {f.path: f for f in resource.source.files}
    wanted = path or (next(iter(pins)) if len(pins) == 1 else None)
    if wanted is None:
        raise InputError(f"{name} has several files", expected="the path of one of them")
    places = [data_folder(folder) / name / wanted]
    source = mirror_folder(mirror)
    if source is not None:
        places += [source / name / wanted, source / wanted]
    for place in places:
        if place.is_file():
            pin = pins.get(wanted)
            if pin is not None:
                check_file(place, pin.bytes if isinstance(pin.bytes, int) else None, pin.hash if pin.hash != "unknown" else None)
            return place
    searched = ", ".join(map(str, places))
    raise FileNotFoundError(f"{wanted} of {name} is not here (looked for {searched}); run: fewview data fetch {name}")


def _inside(target: Path, relative: str) -> Path:
    path = target / relative
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise InputError(f"{relative!r} as the name of a file to fetch", expected=f"a path inside {target}")
    return path


def _already(path: Path, file: RemoteFile, force: bool, fetched: bool) -> bool:
    """Whether the file is here and right. A wrong file is an error, or with ``force`` is put aside, for good only if `fetch` brought it."""
    if not path.exists():
        return False
    try:
        check_file(path, file.bytes, file.hash)
        return True
    except InputError as error:
        if not force:
            raise InputError(
                f"{path} is there, but {error.given}", expected=error.expected, remedy="--force (force=True) fetches it again"
            ) from error
        if fetched:
            path.unlink()
        else:
            with atomic_path(path.with_name(f"{path.name}.kept")) as aside:
                path.rename(aside)
            warnings.warn(f"{path} was wrong and was not fetched by fewview: it is now called {path.name}.kept", stacklevel=3)
        return False


def _copy(source: Path, path: Path, file: RemoteFile) -> None:
    try:
        with own_path(path) as temporary:
            shutil.copyfile(source, temporary)
            _named_check(temporary, path, file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(errno.ENOSPC, f"the disk is full: {path} was not written") from error
        raise


def _named_check(temporary: Path, path: Path, file: RemoteFile) -> None:
    try:
        check_file(temporary, file.bytes, file.hash)
    except InputError as error:
        raise InputError(error.given.replace(temporary.name, path.name), expected=error.expected, remedy=error.remedy) from error


def _from_hub(resource: Resource, file: RemoteFile, target: Path, endpoint: str | None) -> None:
    hub, source = import_extra("huggingface_hub"), resource.source
    assert isinstance(source, HubSource)
    try:
        found = hub.hf_hub_download(
            source.id, file.path, repo_type=source.repo_type, revision=source.revision, local_dir=target, endpoint=endpoint
        )
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(errno.ENOSPC, f"the disk is full: {file.path} was not fetched; free some space and run again") from error
        raise hub_error(error, file.path) from error
    except Exception as error:
        raise hub_error(error, file.path) from error
    try:
        check_file(Path(found), file.bytes, file.hash)
    except InputError:
        Path(found).unlink()
        raise


def _record(target: Path) -> dict[str, tuple[int, str]]:
    path = target / _RECORD
    return {name: (entry[0], entry[1]) for name, entry in json.loads(path.read_text("utf-8")).items()} if path.exists() else {}


def _keep_record(target: Path, record: dict[str, tuple[int, str]]) -> None:
    """Record size and hash of what was fetched: the hash that was stated, or the one that was found where none was."""
    with own_path(target / _RECORD) as temporary:
        temporary.write_text(to_json(record, indent=1), encoding="utf-8")


def _hidden(path: Path, target: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(target).parts)


def _check(path: Path, size: int | None, known_hash: str | None) -> Check:
    if not path.exists():
        return Check(path, "missing")
    found = path.stat().st_size
    if size is not None and found != size:
        return Check(path, "wrong size", f"{found} bytes, expected {size}")
    if known_hash is None:
        return Check(path, "unverified", f"{found} bytes, {file_hash(path)}; the manifest knows no hash")
    actual = file_hash(path, known_hash.partition(":")[0])
    return Check(path, "ok", actual) if actual == known_hash else Check(path, "wrong hash", f"{actual}, expected {known_hash}")
