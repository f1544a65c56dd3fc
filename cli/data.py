"""`fewview data`: the external data sets and weight files that fewview can use."""

from __future__ import annotations

import os.path
import sys

import tyro

from ..data.catalogue.manifest import Resource, load_manifest
from .options import MaybePath


def list_(name: tyro.conf.Positional[str] = "", /) -> None:
    """List the data sets of the manifest with size, licence and purpose; or show all that is known about one of them.

    Nothing is downloaded. What nobody has verified is listed as unknown.

    Examples:
      fewview data list
      fewview data list fid-inception

    Args:
        name: show everything about this one.
    """
    manifest = load_manifest()
    if name:
        print(_everything(manifest[name]))
        return
    width = max(len(resource.name) for resource in manifest.resources)
    for resource in manifest.resources:
        print(f"{resource.name:<{width}}  {_size(resource.bytes):>9}  {resource.licence.name:<16}  {resource.title}")


def fetch(
    name: tyro.conf.Positional[str],
    *,
    animal: tuple[str, ...] = (),
    week: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    everything: bool = False,
    to: MaybePath = None,
    mirror: MaybePath = None,
    force: bool = False,
) -> None:
    """Download a data set, or a part of it. A download that was cut off resumes where it stopped, and each file is checked.

    Without a network: `--mirror FOLDER`, or the environment variable FEWVIEW_DATA, names a folder that has the files already.

    Examples:
      fewview data fetch fid-inception
      fewview data fetch bonemet-rotation-x-ray --animal 851 --week 0 --to bonemet
      fewview data fetch fips-walnut --mirror /media/disk

    Args:
        name: as `fewview data list` shows it.
        animal: only these animals: 851, 85*, 851L.
        week: only these weeks: 0.
        files: only files whose name fits one of these patterns: *.log.
        everything: take all of a data set that has terabytes.
        to: the folder, by default ~/.cache/fewview; the files go to a subfolder with the name of the data set.
        mirror: take the files from this folder.
        force: replace files that exist and are wrong.
    """
    from ..data.catalogue.fetch import fetch as bring
    from ..data.catalogue.remote import Selection

    selection = Selection(files=files, animals=animal, weeks=week)
    paths = bring(name, to, selection=selection, everything=everything, mirror=mirror, force=force, progress=sys.stderr.isatty())
    total, count = sum(path.stat().st_size for path in paths), f"{len(paths)} file{'s' if len(paths) != 1 else ''}"
    print(f"{name}: {count}, {_size(total)}, in {os.path.commonpath([path.parent for path in paths])}")


def verify(name: tyro.conf.Positional[str], *, to: MaybePath = None) -> int:
    """Check downloaded files against the manifest and against the record of what was fetched. This needs no network.

    The exit code is 1 if a file is missing or wrong.

    Examples:
      fewview data verify fid-inception
      fewview data verify bonemet-rotation-x-ray --to bonemet

    Args:
        name: as `fewview data list` shows it.
        to: the folder to which it was fetched; by default ~/.cache/fewview.
    """
    from ..data.catalogue.fetch import verify as check

    checks = check(name, to)
    if not checks:
        print(f"{name}: nothing is here; `fewview data fetch {name}` brings it")
        return 1
    for found in checks:
        print(f"{found.state:<12} {found.path}{f': {found.detail}' if found.detail else ''}")
    return 0 if all(found.state in ("ok", "unverified") for found in checks) else 1


def _size(count: int | str) -> str:
    """A number of bytes as text for a person.

    >>> _size(95_628_359), _size("unknown")
    ('95.6 MB', 'unknown')
    """
    if isinstance(count, str):
        return count
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} B"


def _everything(resource: Resource) -> str:
    lines = [f"{resource.name}: {resource.title}"]
    for key, value in resource.model_dump(exclude_none=True, exclude={"name", "title", "source"}).items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items() if v != "") if isinstance(value, dict) else value
        lines.append(f"  {key}: {_size(shown) if key == 'bytes' else shown}")
    source = resource.source.model_dump(exclude_none=True, exclude={"files"})
    lines.append("  source: " + ", ".join(f"{k} {v}" for k, v in source.items()))
    lines += [f"  file {f.path}: {_size(f.bytes)}, {f.hash}" for f in getattr(resource.source, "files", ())]
    return "\n".join(lines)
