"""The files that a resource has, and those that are wanted: from explicit lists, Zenodo records, the Hub, or a mirror folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ...base import InputError
from ..images.bonemet_folders import component_of, parse_place
from .download import OFFLINE_REMEDY, import_extra
from .manifest import File, HttpSource, HubSource, Resource, ZenodoSource

ZENODO = "https://zenodo.org"


@dataclass(frozen=True)
class RemoteFile:
    """A ``path`` in the folder of the resource, ``bytes`` and ``hash`` where they are known, and a ``url`` unless it comes from the Hub."""

    path: str
    bytes: int | None = None
    hash: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Selection:
    """The part of a resource to take, by shell patterns; empty means everything. ``animals`` (851, 85*, 851L) and ``weeks`` are for
    BoneMet.
    """

    files: tuple[str, ...] = ()
    animals: tuple[str, ...] = ()
    weeks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.animals or self.weeks)

    def takes_file(self, path: str) -> bool:
        """Whether the path, or its last part, matches one of the file patterns."""
        name = path.rpartition("/")[2]
        return not self.files or any(fnmatchcase(path, p) or fnmatchcase(name, p) for p in self.files)

    def takes_animal(self, animal: str, part: str) -> bool:
        """Whether the id matches, alone or with its side (851L). Leading zeros and case do not matter."""
        names = {animal, animal + part[:1], f"{animal} {part}"}
        return not self.animals or any(fnmatchcase(n, p.strip().lower().lstrip("0")) for n in names for p in self.animals)

    def takes_week(self, week: int) -> bool:
        """Whether the number of the week matches."""
        return not self.weeks or any(fnmatchcase(str(week), re.sub(r"^\s*(week\s*)?0*(?=\d)", "", p.lower())) for p in self.weeks)


Lister = Callable[[str], tuple[list[str], list[RemoteFile]]]
"""Folder -> (names of its folders, its files); "" is the top."""


def wanted_files(resource: Resource, selection: Selection, *, zenodo: str = ZENODO, hub: str | None = None) -> list[RemoteFile]:
    """The files to fetch. Zenodo or the Hub is asked where the manifest leaves it to them. InputError when the selection matches none."""
    source = resource.source
    if (selection.animals or selection.weeks) and not (isinstance(source, HubSource) and source.layout == "bonemet"):
        raise InputError(f"{resource.name} has no animals and weeks", expected="a BoneMet component", remedy="select with --file PATTERN")
    if isinstance(source, HttpSource):
        files: Iterable[RemoteFile] = map(_pinned, source.files)
    elif isinstance(source, ZenodoSource):
        files = _zenodo_files(source, zenodo)
    else:
        files = _walk(hub_lister(source, hub), source, selection)
    return _chosen(resource, selection, files, "it")


def mirrored_files(resource: Resource, selection: Selection, mirror: Path) -> tuple[Path, list[RemoteFile]]:
    """(folder, files) of a resource in a mirror, which is ``mirror/NAME`` or ``mirror`` itself, with sizes and hashes from the manifest."""
    if not mirror.is_dir():
        raise FileNotFoundError(f"the mirror {mirror} is not a folder")
    root = mirror / resource.name if (mirror / resource.name).is_dir() else mirror
    source = resource.source
    pins = {} if isinstance(source, HubSource) else {file.path: _pinned(file) for file in source.files}
    if isinstance(source, HttpSource):
        files: Iterable[RemoteFile] = [pin for path, pin in pins.items() if (root / path).is_file()]
    elif isinstance(source, HubSource):
        files = _walk(_folder_lister(root), source, selection)
    elif root == mirror:  # a record's own names are not known: only what the manifest pins can be told from other files
        files = [pin for path, pin in pins.items() if (root / path).is_file()]
    else:
        files = [pins.get(path, RemoteFile(path)) for path in _below(root)]
    return root, _chosen(resource, selection, files, f"the mirror {mirror}")


def _chosen(resource: Resource, selection: Selection, files: Iterable[RemoteFile], where: str) -> list[RemoteFile]:
    found = [file for file in files if selection.takes_file(file.path)]
    if not found:
        asked = f" that fits {selection}" if selection else ""
        raise FileNotFoundError(f"{resource.name}: {where} holds no file{asked}")
    return found


def _pinned(file: File) -> RemoteFile:
    return RemoteFile(
        file.path, file.bytes if isinstance(file.bytes, int) else None, file.hash if file.hash != "unknown" else None, file.url
    )


def _zenodo_files(source: ZenodoSource, base: str) -> Iterator[RemoteFile]:
    """The files of the records as Zenodo lists them. A hash in the manifest takes precedence over the checksum of the record."""
    requests = import_extra("requests")
    pins = {file.path: _pinned(file) for file in source.files}
    for record in source.records:
        try:
            reply = requests.get(f"{base}/api/records/{record}", timeout=(10, 60))
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise ConnectionError(f"cannot reach {base} (no network?); {OFFLINE_REMEDY}") from error
        if not reply.ok:
            raise ConnectionError(f"{base} answered {reply.status_code} {reply.reason} for record {record}")
        for entry in reply.json()["files"]:
            pin = pins.get(entry["key"], RemoteFile(entry["key"]))
            yield RemoteFile(entry["key"], pin.bytes or entry.get("size"), pin.hash or entry.get("checksum"), entry["links"]["self"])


def _walk(list_folder: Lister, source: HubSource, selection: Selection) -> Iterator[RemoteFile]:
    if source.layout == "plain":
        yield from _everything(list_folder, "")
        return
    for component in _components(list_folder, source.component):
        folders, _ = list_folder(component)
        for name in folders:
            place = f"{component}/{name}"
            if parse_place(name) is not None:  # "871 week 0 left tibia"
                if _takes(selection, name):
                    yield from _everything(list_folder, place)
            elif _may_hold(selection, name):  # an id that holds weeks, or a week that holds ids: look inside only where it can fit
                for inner in list_folder(place)[0]:
                    if _takes(selection, f"{name}/{inner}"):
                        yield from _everything(list_folder, f"{place}/{inner}")


def _components(list_folder: Lister, component: str | None) -> Iterator[str]:
    top, _ = list_folder("")
    for above in ["", *(name for name in top if "dataset" in name.lower())]:
        for name in top if not above else list_folder(above)[0]:
            if component_of(name) == component:
                yield f"{above}/{name}".lstrip("/")


def _takes(selection: Selection, place: str) -> bool:
    parsed = parse_place(place)
    return parsed is not None and selection.takes_animal(*parsed[:2]) and selection.takes_week(parsed[2])


def _may_hold(selection: Selection, name: str) -> bool:
    as_animal, as_week = parse_place(f"{name} week 0"), parse_place(f"{name} 1")
    if as_week is not None and "week" in name.lower():
        return selection.takes_week(as_week[2])
    return as_animal is None or selection.takes_animal(*as_animal[:2])


def _everything(list_folder: Lister, folder: str) -> Iterator[RemoteFile]:
    folders, files = list_folder(folder)
    yield from files
    for name in folders:
        yield from _everything(list_folder, f"{folder}/{name}".lstrip("/"))


def _folder_lister(root: Path) -> Lister:
    def list_folder(folder: str) -> tuple[list[str], list[RemoteFile]]:
        inside = sorted(p for p in (root / folder).iterdir() if not p.name.startswith("."))
        files = [RemoteFile(p.relative_to(root).as_posix(), p.stat().st_size) for p in inside if p.is_file()]
        return [p.name for p in inside if p.is_dir()], files

    return list_folder


def _below(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))


def hub_lister(source: HubSource, endpoint: str | None = None) -> Lister:
    """A function that lists folders and files of a repository of the Hub, one request a folder, with sha256 for files stored as LFS."""
    hub: Any = import_extra("huggingface_hub")
    api = hub.HfApi(endpoint=endpoint)
    _require_reachable(api.endpoint, source.id)

    def list_folder(folder: str) -> tuple[list[str], list[RemoteFile]]:
        folders, files = [], []
        try:
            for entry in api.list_repo_tree(source.id, folder or None, revision=source.revision, repo_type=source.repo_type):
                if isinstance(entry, hub.hf_api.RepoFile):
                    files.append(RemoteFile(entry.path, entry.size, f"sha256:{entry.lfs.sha256}" if entry.lfs else None))
                else:
                    folders.append(entry.path.rpartition("/")[2])
        except Exception as error:
            raise hub_error(error, source.id) from error
        return folders, files

    return list_folder


def _require_reachable(address: str, what: str) -> None:
    """Ask once whether the Hub is reachable; its client would try for half a minute before it reports that there is no network."""
    requests = import_extra("requests")
    try:
        requests.head(address, timeout=10)
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise ConnectionError(f"cannot reach {address} for {what} (no network?); {OFFLINE_REMEDY}") from error


def hub_error(error: Exception, what: str) -> Exception:
    """A plain sentence for an error of the Hub's client; any other error is returned as it is."""
    place = type(error).__module__.partition(".")[0]
    if place.startswith(("httpx", "httpcore", "requests", "urllib3")) or type(error).__name__ in (
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
    ):
        return ConnectionError(f"cannot reach the Hugging Face Hub for {what} (no network?); {OFFLINE_REMEDY}")
    if place == "huggingface_hub":
        return ConnectionError(f"the Hugging Face Hub refused {what}: {' '.join(str(error).split())[:200]}")
    return error
