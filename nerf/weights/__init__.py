"""The weights that come with fewview, by method: files of plain tensors whose hashes are known here (`docs/model_cards.md`)."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ...base import InputError, UnknownNameError
from ...base.files import atomic_path
from ..training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from ..training.packing import packed

FOLDER = Path(__file__).parent
SHA256: Mapping[str, str] = {
    "tvnet": "e9620ff26d053ddce682e2335f6ea8c3a7b382e91e806b2555e29259a9f0c652",
}


def shipped_path(name: str, folder: Path = FOLDER) -> Path:
    """Where the weights of a method lie.

    Raises UnknownNameError for a method that comes without, InputError for a file that is not the one of this version, and
    FileNotFoundError where it is missing.
    """
    if name not in SHA256:
        raise UnknownNameError("method with weights that come with fewview", name, SHA256)
    path = folder / f"{name}.pt"
    if not path.is_file():
        raise FileNotFoundError(f"the weights of {name} are missing from this installation ({path}): install fewview again")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256[name]:
        raise InputError(
            f"{path} has the SHA-256 {found[:16]}...",
            expected=f"{SHA256[name][:16]}..., the weights of this version of fewview",
            remedy="install fewview again, or name weights of your own: --set checkpoint=FILE",
        )
    return path


def shipped_checkpoint(name: str, folder: Path = FOLDER) -> Checkpoint:
    """The checkpoint of a method that comes with fewview, its weights as float32. Raises what `shipped_path` does."""
    checkpoint = read_checkpoint(shipped_path(name, folder))
    return dataclasses.replace(checkpoint, state={key: value.float() for key, value in checkpoint.state.items()})


def shrink(checkpoint: Checkpoint, to: str | Path, *, force: bool = False) -> str:
    """Write a checkpoint with its weights `packed` and the file deflated, as they are shipped; returns the file's SHA-256."""
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.pt"
        save_checkpoint(whole, dataclasses.replace(checkpoint, state=packed(checkpoint.state)))
        content = deflated(whole.read_bytes())
    with atomic_path(to, force=force) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def deflated(content: bytes) -> bytes:
    """The same zip archive (what `torch.save` writes) with its entries compressed and without dates; `torch.load` reads it as any other."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as small:
        for name in given.namelist():
            small.writestr(zipfile.ZipInfo(name), given.read(name), zipfile.ZIP_DEFLATED, 9)
    return made.getvalue()
