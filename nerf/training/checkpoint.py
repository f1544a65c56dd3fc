"""Checkpoints: a trained network with everything on which it depends, in one file of plain values and tensors without code."""

from __future__ import annotations

import dataclasses
import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, nn

from ...base import InputError
from ...base.files import atomic_path
from ...base.plain import plain
from ...base.record import git_revision, versions
from .learner import Learner
from .packing import unpacked

FORMAT = "fewview checkpoint 1"
_KEYS = ("method", "preset", "architecture", "settings", "geometry", "data", "code", "losses", "state")


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    ``architecture`` are the fields of the learner's architecture, and ``settings`` those of the training. ``geometry`` has the scan, grid
    shape and voxel size used for training. ``data`` maps the name of a scan to the SHA-256 of its files, for each part. ``code`` has
    versions and the git revision. ``losses`` has one mapping for each check: step, loss of each group, score of the held-out animals.
    ``state`` are the weights.
    """

    method: str
    preset: str
    architecture: Mapping[str, Any]
    settings: Mapping[str, Any]
    geometry: Mapping[str, Any]
    data: Mapping[str, Mapping[str, str]]
    losses: tuple[Mapping[str, float], ...]
    state: Mapping[str, Any]
    code: Mapping[str, Any] = field(default_factory=lambda: code_version())

    @property
    def step(self) -> int:
        """The step of the weights: the one with the best score or, without scores, the last. Those of step 0 count where they were not
        drawn by chance, but taken from another checkpoint.
        """
        first = 0 if self.settings.get("begin") else 1
        scored = [entry for entry in self.losses if entry["step"] >= first and "score" in entry]
        return int(max(scored, key=lambda entry: entry["score"])["step"] if scored else self.losses[-1]["step"])


def code_version() -> dict[str, Any]:
    """The versions of Python and of the packages on which the numbers depend, and the revision of the checkout, if it is one."""
    return {"versions": versions(), "git": git_revision()}


def save_checkpoint(path: str | Path, checkpoint: Checkpoint, *, force: bool = False) -> None:
    """Write the checkpoint, completely or not at all. FileExistsError where the file exists and ``force`` is not given."""
    content = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint) if f.name != "state"}
    write_tensors(path, {"format": FORMAT, **plain(content), "state": dict(checkpoint.state)}, force=force)


def write_tensors(path: str | Path, content: Mapping[str, Any], *, force: bool = False) -> None:
    """Write plain values and tensors with `torch.save`, completely or not at all.

    They are first written to memory, because torch turns whatever happens while it writes to a file, be it a full disk or Ctrl-C, into an
    error of its own.
    """
    made = io.BytesIO()
    torch.save(dict(content), made)
    with atomic_path(path, force=force) as temporary:
        temporary.write_bytes(made.getbuffer())


def read_tensors(path: str | Path, what: str, kind: str) -> dict[str, Any]:
    """The mapping in a file of `torch.save`, read without executing anything; InputError for any other file, or FileNotFoundError."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what} {path} is not there")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "weights_only" in first:  # torch's advice is to execute what is in the file
            first = "it holds something else than tensors and plain values"
        raise InputError(f"{path} cannot be read as a {what} ({first})", expected="a whole file written by fewview train") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != kind:
        raise InputError(f"{path} is {f'of format {found!r}' if found else 'not of fewview'}", expected=f"a {what} of format {kind!r}")
    return content


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The contents of the file, for any method, `packed` weights as numbers again. Raises FileNotFoundError, and InputError for a file that
    is corrupt or of another format.
    """
    content = read_tensors(path, "checkpoint", FORMAT)
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise InputError(f"checkpoint {path} lacks {', '.join(missing)}", expected=f"the keys {', '.join(_KEYS)}")
    fields: dict[str, Any] = {key: content[key] for key in _KEYS}
    try:
        state = unpacked(fields["state"])
    except (AttributeError, TypeError, RuntimeError, IndexError) as error:
        raise InputError(
            f"the weights in {path} cannot be read ({error})", expected="tensors by their names, as fewview train writes them"
        ) from None
    return Checkpoint(**{**fields, "losses": tuple(fields["losses"]), "state": state})


def load_checkpoint(path: str | Path, learner: Learner[Any, Any], architecture: Any = None) -> nn.Module:
    """The trained module, in evaluation mode on the CPU.

    Raises InputError where the checkpoint is of another method, or of another architecture than ``architecture`` (None accepts the one in
    the file) or than this version of fewview builds, and the errors of `read_checkpoint`.
    """
    return module_of(read_checkpoint(path), learner, architecture, str(path))


def module_of(checkpoint: Checkpoint, learner: Learner[Any, Any], architecture: Any = None, name: str = "checkpoint") -> nn.Module:
    """The same as `load_checkpoint`, for a checkpoint that was read already."""
    if checkpoint.method != learner.name:
        raise InputError(f"{name} was trained for method {checkpoint.method}", expected=f"a checkpoint of {learner.name}")
    built = rebuilt(checkpoint.architecture, learner, name)
    if architecture is not None and built != architecture:
        raise InputError(f"{name} has the architecture {built}", expected=f"{architecture}")
    module = learner.build(built, Generator().manual_seed(0))
    try:
        module.load_state_dict(dict(checkpoint.state), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"the weights in {name} do not fit the architecture of {learner.name} ({reason})",
            expected="a checkpoint of this version of fewview",
            remedy=f"train it again: fewview train {learner.name}",
        ) from None
    return module.eval()


def rebuilt(fields: Mapping[str, Any], learner: Learner[Any, Any], name: str) -> Any:
    """The architecture, as an object of the learner's own class (of the presets, the first with these fields), from its plain fields."""
    presets = list(learner.presets.values())
    sample = next((p for p in presets if {f.name for f in dataclasses.fields(p)} == set(fields)), presets[0])
    kind = type(sample)
    known = {f.name: f for f in dataclasses.fields(kind)}
    others = sorted(set(fields) ^ set(known))
    if others:
        raise InputError(
            f"the architecture in {name} differs in {', '.join(others)}",
            expected=f"the fields {', '.join(known)} of this version of {learner.name}",
            remedy=f"train it again: fewview train {learner.name}",
        )
    same = {key: tuple(value) if isinstance(getattr(sample, key), tuple) else value for key, value in fields.items()}
    return kind(**same)
